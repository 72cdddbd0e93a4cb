import assert from 'node:assert/strict';
import test from 'node:test';
import { countsFromMask, countsFromRuns, maskFromCounts, runsFromCounts } from '../rle.js';

// pycocotools 2.0: mask.encode(np.asfortranarray(m)) of these [H, W] masks.
const FIXTURES = [
  {"name": "empty", "height": 3, "width": 5, "mask": [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], "counts": "?"},
  {"name": "full", "height": 3, "width": 5, "mask": [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1], "counts": "0?"},
  {"name": "a ring", "height": 5, "width": 8, "mask": [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0, 1, 1, 0, 1, 1, 0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0], "counts": ";3200NO012004"},
  {"name": "noise", "height": 6, "width": 9, "mask": [0, 0, 1, 1, 0, 0, 0, 0, 1, 0, 0, 1, 0, 1, 1, 1, 0, 1, 1, 0, 0, 1, 0, 0, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 1, 0, 1, 1, 0, 1, 1, 1, 1, 0, 1, 1, 0, 1, 0, 0, 0, 1, 0], "counts": "221O33MN0O0010O01000O1121MN30M1"},
  {"name": "two corners", "height": 7, "width": 4, "mask": [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], "counts": "01j00"},
];

for (const { name, height, width, mask, counts } of FIXTURES) {
  test(`counts equal pycocotools': ${name}`, () => {
    const bytes = Uint8Array.from(mask);
    assert.equal(countsFromMask(bytes, height, width), counts);
    assert.deepEqual(maskFromCounts(counts, height, width), bytes);
  });
}

test('long runs and every difference survive a round trip', () => {
  const runs = [0, 1, 15, 16, 17, 511, 512, 3, 40_000_000, 2, 7, 108_000_000];
  assert.deepEqual(runsFromCounts(countsFromRuns(runs)), runs);
});

test('a string that does not fit is refused', () => {
  assert.throws(() => maskFromCounts(countsFromRuns([0, 13]), 3, 4), RangeError);
  assert.throws(() => maskFromCounts('é', 3, 4), RangeError);
  assert.throws(() => runsFromCounts('P'), RangeError, 'cut in the middle of a number');
});
