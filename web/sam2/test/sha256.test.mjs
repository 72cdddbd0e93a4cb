import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import test from 'node:test';
import { sha256, sha256Slow } from '../sha256.js';

// Around the block of 64 bytes and the 56 at which the padding needs another block.
for (const length of [0, 1, 55, 56, 63, 64, 65, 119, 120, 1000]) {
  test(`both ways of ${length} bytes equal Node's`, async () => {
    const bytes = Uint8Array.from({ length }, (_, i) => (i * 37 + 11) & 0xff);
    const expected = createHash('sha256').update(bytes).digest('hex');
    assert.equal(sha256Slow(bytes), expected);
    assert.equal(await sha256(bytes), expected);
  });
}

test('a view into a larger buffer is summed alone', () => {
  const whole = Uint8Array.from({ length: 200 }, (_, i) => i);
  assert.equal(sha256Slow(whole.subarray(20, 150)), createHash('sha256').update(whole.subarray(20, 150)).digest('hex'));
});
