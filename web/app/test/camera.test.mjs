/** A camera's frames on their way: what fails once is followed by the next. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { Camera } from '../clip/camera.js';

const open = new Set();
globalThis.document = /** @type {any} */ ({ hidden: false, createElement: () => ({}) });
globalThis.createImageBitmap = /** @type {any} */ (async () => {
  const bitmap = { close: () => open.delete(bitmap) };
  open.add(bitmap);
  return bitmap;
});

/** @param {(frame: number) => boolean} fails @param {Camera} camera */
function follow(camera, fails, until = 20) {
  const shown = [];
  let pushed = -1;
  const video = /** @type {any} */ ({
    pushFrame: async () => {
      pushed += 1;
      if (fails(pushed)) throw new Error(`frame ${pushed}`);
      return { frame: pushed, objects: [{ id: 1 }] };
    },
  });
  const run = () => camera.run(video, (bitmap, answer) => {
    bitmap.close();
    shown.push(answer.frame);
    if (shown.length === until) camera.close();
  });
  return { run, shown };
}

test('frames that fail now and then are left out', async () => {
  const camera = new Camera();
  const { run, shown } = follow(camera, (frame) => [2, 5, 6].includes(frame), 6);
  await run();
  assert.deepEqual([shown, open.size, camera.running], [[0, 1, 3, 4, 7, 8], 0, false]);
});

test('when all fail it is told, and can go on', async () => {
  const camera = new Camera();
  const { run, shown } = follow(camera, (frame) => frame >= 2 && frame < 6, 4);
  await assert.rejects(run(), /frame 5/);
  assert.deepEqual([shown, open.size, camera.running], [[0, 1], 0, false]);
  await run();
  assert.deepEqual(shown, [0, 1, 6, 7]);
});

test('closed while a frame is under way, it tells nothing', async () => {
  const camera = new Camera();
  const { run, shown } = follow(camera, (frame) => {
    if (frame === 1) camera.close();
    return frame === 1;
  });
  await run();
  assert.deepEqual([shown, open.size], [[0], 0]);
});
