/**
 * Video in the real engine in Node, on the CPU, through the package: the official code's answers, and
 * what a caller may do and may not. Skipped where the wasm has not been built, as in wasm.test.mjs.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import test from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Sam2 } from '../client.js';
import { countsFromMask } from '../rle.js';
import { fixture, framesOf, goldenVideos, readNpz, stepsOf, trackedBy, worstOfVideo } from './golden.mjs';

const folder = pathToFileURL(`${process.env.SAM2_PKG ?? fileURLToPath(new URL('../../dist/pkg', import.meta.url))}/`);
const assets = { js: new URL('sam2_wasm.js', folder).href, wasm: new URL('sam2_wasm_bg.wasm', folder).href };
const missing = !existsSync(new URL(assets.wasm)) && process.env.SAM2_REQUIRE_WASM === undefined;
const skip = missing ? 'the wasm is not built: cargo xtask wasm' : false;

const configYaml = await readFile(fixture('micro.yaml'), 'utf8');
const load = async (weights) => Sam2.load({ model: { file: new Blob([await readFile(fixture(weights))]), name: 'micro', configYaml }, assets, device: 'cpu' });
const clip = async () => (await framesOf('frames')).map((bytes) => new Blob([bytes]));

test('every clip and session agrees with the official code', { skip }, async (t) => {
  const { bounds, videos } = await goldenVideos();
  const overall = { logits: 0, mask: 1, compared: 0 };
  const byWeights = new Map();
  for (const item of videos) byWeights.set(item.weights, [...(byWeights.get(item.weights) ?? []), item]);
  for (const [weights, cases] of byWeights) {
    const sam = await load(weights);
    t.after(() => sam.dispose()); // an assertion that fails would leave its worker, and the runner waiting
    for (const { name, prompts, both_ways: bothWays, frames, reference } of cases) {
      const pictures = (await framesOf(frames)).map((bytes) => new Blob([bytes]));
      const tracked = await trackedBy(sam, pictures, await stepsOf(prompts), bothWays, countsFromMask);
      const worst = worstOfVideo(await readNpz(fixture(reference)), tracked);
      assert.ok(worst.logits <= bounds.logits && worst.mask >= bounds.mask, `${name}: ${JSON.stringify(worst)}`);
      assert.ok(worst.compared >= 20, `${name}: ${worst.compared} compared`);
      assert.equal(tracked.stats.encodes, 12, 'a frame is encoded once');
      overall.logits = Math.max(overall.logits, worst.logits);
      overall.mask = Math.min(overall.mask, worst.mask);
      overall.compared += worst.compared;
    }
  }
  t.diagnostic(`worst: ${JSON.stringify(overall)}`);
});

test('a correction on a tracked frame stands through the next pass, or is forgotten as the official code does', { skip }, async (t) => {
  const sam = await load('weights/seed4.safetensors');
  t.after(() => sam.dispose());
  const [{ frame, object, points, labels }] = await stepsOf('tracks.json');
  const at = frame + 4;
  for (const correctionsStand of [true, false]) {
    const video = await sam.openVideo(await clip(), { correctionsStand });
    const pass = async (start) => {
      const found = {};
      for await (const { frame: i, objects } of video.propagate({ start })) found[i] = objects[0].mask.toRle().counts;
      return found;
    };
    await video.addPoints({ frame, object, points, labels });
    const before = await pass();
    const corrected = await video.addPoints({ frame: at, object, points: [[video.width - 4, video.height - 4]], labels: [1] });
    const answer = corrected.objects[0].mask.toRle().counts;
    assert.notEqual(answer, before[at], 'the click changes something');
    const after = await pass(at);
    assert.equal(after[at], correctionsStand ? answer : before[at]);
    video.close();
  }
});

test('snapped to edges masks change, and what is tracked does not', { skip }, async (t) => {
  const sam = await load('weights/seed4.safetensors');
  t.after(() => sam.dispose());
  const [{ frame, object, points, labels }] = await stepsOf('tracks.json');
  const tracked = async (video) => {
    const found = [];
    for await (const { frame: at, objects: [{ mask }] } of video.propagate()) found.push([mask.toRle().counts, await video.lowRes(at, object)]);
    return found;
  };
  const [raw, snapped] = [await sam.openVideo(await clip()), await sam.openVideo(await clip(), { snap: true })];
  for (const video of [raw, snapped]) await video.addPoints({ frame, object, points, labels });
  const [before, after] = [await tracked(raw), await tracked(snapped)];
  assert.deepEqual(after.map(([, logits]) => logits), before.map(([, logits]) => logits));
  assert.ok(after.some(([counts], i) => counts !== before[i][0]));
  await snapped.setSnap(false);
  assert.deepEqual(await tracked(snapped), before);
});

test('one session: cancel, refusals, masks, restarts', { skip }, async (t) => {
  const sam = await load('weights/seed4.safetensors');
  t.after(() => sam.dispose());
  const video = await sam.openVideo(await clip());
  const [first] = await stepsOf('tracks.json');
  const { frame, object, points, labels } = first;
  const prompted = await video.addPoints({ frame, object, points, labels });
  const track = async (options) => {
    const found = {};
    for await (const { frame: at, objects } of video.propagate(options)) found[at] = objects[0].mask.toRle().counts;
    return found;
  };
  const whole = await track();
  assert.equal(Object.keys(whole).length, video.length - frame);

  await t.test('an outline, polygons, bytes and run lengths are one mask', async () => {
    const { mask } = prompted.objects[0];
    assert.equal(mask.toBytes().reduce((a, b) => a + b, 0), mask.area);
    assert.match(mask.svgPath, /^M/);
    assert.ok((await mask.toPolygons()).length > 0);
    assert.deepEqual(mask.toRle().size, [video.height, video.width]);
  });

  await t.test('cancelled between frames, everything tracked stays and the rest is the same', async () => {
    const stop = new AbortController();
    const seen = [];
    await assert.rejects(async () => {
      for await (const { frame: at } of video.propagate({ signal: stop.signal })) {
        seen.push(at);
        if (seen.length === 3) stop.abort();
      }
    }, { name: 'AbortError' });
    assert.equal(seen.length, 3);
    assert.deepEqual(await track({ start: frame + 3 }), Object.fromEntries(Object.entries(whole).filter(([at]) => Number(at) >= frame + 3)));
  });

  await t.test('a newer pass ends an older one', async () => {
    const older = video.propagate();
    await older.next();
    const newer = video.propagate();
    await newer.next();
    await assert.rejects(older.next(), { name: 'AbortError' });
    await newer.return();
  });

  await t.test('bad prompts and videos are refused with their codes', async () => {
    await assert.rejects(video.addPoints({ frame: 99, object: 1, points: [[3, 3]] }), { code: 'bad_prompt' });
    await assert.rejects(video.addPoints({ frame: 0, object: -1, points: [[3, 3]] }), { code: 'bad_prompt' });
    await assert.rejects(video.addPoints({ frame: 0, object: 1, points: [] }), { code: 'bad_prompt' });
    await assert.rejects(video.addPoints({ frame: 0, object: 1, points: [[-3, 3]] }), { code: 'bad_prompt' });
    await assert.rejects(video.addMask({ frame: 0, object: 1, mask: { size: [3, 3], counts: '!!' } }), { code: 'bad_prompt' });
    await assert.rejects(video.removeObject(77), { code: 'bad_prompt' });
    await assert.rejects(sam.openVideo(new Blob([])), { code: 'unsupported_video' });
    await assert.rejects(sam.openVideo([]), { code: 'unsupported_video' });
    await assert.rejects(sam.openVideo(new Blob(['no video at all'])), { code: 'unsupported_video' });
    await assert.rejects(sam.openVideo(new Blob([(await readFile(fixture('frames/00000.png'))).subarray(0, 300)])), { code: 'unsupported_video' });
    await assert.rejects(video.pushFrame({ data: new Uint8Array(4), width: 1, height: 1 }), { code: 'unsupported_video' });
    const broken = await sam.openVideo({ frames: 4, width: video.width, height: video.height, read: (index) => (index === 2 ? Promise.reject(new Error('the disk is gone')) : picture) });
    const picture = await video.picture(0);
    await broken.addPoints({ frame: 0, object: 1, points: [[20, 20]] });
    const tracked = [];
    await assert.rejects(async () => {
      for await (const { frame: at } of broken.propagate()) tracked.push(at);
    }, /frame 2 cannot be read \(the disk is gone\)/);
    assert.deepEqual(tracked, [0, 1], 'everything before the broken frame is there');
    broken.close();
  });

  await t.test('reset forgets, close refuses', async () => {
    await video.reset();
    await assert.rejects(async () => { for await (const _ of video.propagate()); }, { code: 'bad_prompt' });
    video.close();
    await assert.rejects(video.addPoints({ frame: 0, object: 1, points: [[3, 3]] }), { code: 'unsupported_video' });
  });
});

test('an animated GIF is read by the engine, limits are said', { skip }, async (t) => {
  const sam = await load('weights/seed4.safetensors');
  t.after(() => sam.dispose());
  const file = new Blob([await readFile(new URL('../../test-browser/clips/two.gif', import.meta.url))]);
  const video = await sam.openVideo(file, { maxFrames: 6, maxFrameDimension: 64 });
  assert.deepEqual([video.length, video.width, video.height, video.fps], [6, 160, 90, 10]);
  assert.deepEqual(video.notes, ['at most the first 6 frames are used']);
  assert.deepEqual(video.times.map((seconds) => Math.round(seconds * 1000)), [0, 100, 200, 300, 400, 500, 600]);
  const { width, data } = await video.picture(5);
  assert.equal(width, 64);
  assert.ok(data.some((value) => value > 200));
  const { objects: [{ mask }] } = await video.addBox({ frame: 0, object: 3, box: [10, 10, 60, 60] });
  assert.deepEqual(mask.toRle().size, [90, 160], 'masks have the size of the file');
});

test('live frames give what a long clip gives, and memory does not grow', { skip }, async (t) => {
  const sam = await load('weights/seed4.safetensors');
  t.after(() => sam.dispose());
  const clipped = await sam.openVideo(await clip());
  const pictures = await Promise.all(Array.from({ length: clipped.length }, (_, i) => clipped.picture(i)));
  // 16 frames and more have one encoding of pointers: that of a live video.
  const long = [...pictures, ...pictures.toReversed()];
  const asClip = await sam.openVideo(long);
  const live = await sam.openVideo({ live: true });
  const at = { object: 1, points: [[60, 40]] };
  assert.deepEqual((await live.pushFrame(long[0])).objects, []);
  await live.addPoints({ frame: 0, ...at });
  await asClip.addPoints({ frame: 0, ...at });
  const expected = [];
  for await (const { objects: [{ mask }] } of asClip.propagate()) expected.push(mask.toRle().counts);
  for (let i = 1; i < long.length; i += 1) {
    const { frame, objects: [{ mask }] } = await live.pushFrame(long[i]);
    assert.equal(frame, i);
    assert.equal(mask.toRle().counts, expected[i], `frame ${i}`);
  }
  assert.equal(live.length, long.length);
  await assert.rejects(live.addPoints({ frame: 2, object: 1, points: [[5, 5]] }), { code: 'bad_prompt' });
  // The engine has the frames that are said to be there.
  assert.ok(live.oldest > live.length - 16);
  await live.addPoints({ frame: live.oldest, object: 1, points: [[5, 5]], labels: [0] });
  await live.pushFrame(long[0]);
  await assert.rejects(live.pushFrame({ data: new Uint8Array(16), width: 2, height: 2 }), { code: 'unsupported_video' });
  assert.match((await live.stats()).memory, /0 masks/);
});

test('a live prompt is taken back when its frame is long gone, and the object goes on from the other', { skip }, async (t) => {
  const sam = await load('weights/seed4.safetensors');
  t.after(() => sam.dispose());
  const clipped = await sam.openVideo(await clip());
  const live = await sam.openVideo({ live: true });
  for (let i = 0; i < 24; i += 1) {
    await live.pushFrame(await clipped.picture(i % clipped.length));
    if (i === 0 || i === 2) await live.addPoints({ frame: i, object: 1, points: [i === 0 ? [60, 40] : [5, 5]] });
  }
  assert.ok(live.oldest > 2);
  assert.equal((await live.clear({ frame: 2, object: 1 })).frame, 2);
  const { objects: [{ id, score, prompted }] } = await live.pushFrame(await clipped.picture(0));
  assert.deepEqual([id, score !== null, prompted], [1, true, false]);
  await live.removeObject(1);
  assert.deepEqual((await live.pushFrame(await clipped.picture(1))).objects, []);
});
