/** What stands before a clip: the server's limits, masks that come with it, a model that is not there. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { countsFromMask } from '../sam2/rle.js';
import { openPage } from './browser.mjs';
import { CLIP, FRAMES, clipHooks } from './clip-page.mjs';
import { stage } from './stage.mjs';

const on = stage(async () => ({ files: { 'config.json': JSON.stringify({ schema: 1, model_size: null, max_video_frames: 8, max_frame_dimension: 160 }) } }));

/** Masks of the disc on its first two frames, as the page saves them. */
function masks() {
  const disc = (frame) => Uint8Array.from({ length: 320 * 180 }, (_, p) => (Math.hypot((p % 320) - 50 - 9 * frame, Math.floor(p / 320) - 120) < 20 ? 1 : 0));
  const line = (frame) => ({
    schema: 1, frame, objects: [{ object: 1, visible: true, score: 4, iou: 0.9, segmentation: { size: [180, 320], counts: countsFromMask(disc(frame), 180, 320) } }],
  });
  return { name: 'two_masks.json', mimeType: 'application/json', buffer: Buffer.from([0, 1].map((frame) => JSON.stringify(line(frame))).join('\n')) };
}

test('the server\'s limits hold, and masks that come with a clip are loaded when it is open', async () => {
  const hooks = clipHooks(await openPage(on.browser, on.server));
  const { page } = hooks;
  assert.equal(await hooks.give([masks(), { name: 'two.webm', mimeType: 'video/webm', buffer: await readFile(CLIP) }]), 'encoding');
  await page.waitForFunction(() => document.querySelector('.lane')?.dataset.tracked === '1');
  await hooks.waitFor('idle');
  assert.match(await page.locator('#frame-counter').innerText(), /of 8 /);
  assert.match(await page.locator('#clip-notes').innerText(), new RegExp(`the first 8 of ${FRAMES} frames are used.*320x180 -> 160x90`));
  assert.deepEqual(hooks.complaints, []);
  await hooks.context.close();
});

test('a clip that waits for a model: the error stays, and it opens when there is one', async () => {
  const hooks = await openPage(on.browser, on.server, { path: '?model=broken', state: 'error' });
  const { page } = hooks;
  await hooks.input.setInputFiles(CLIP);
  assert.equal(await hooks.status.getAttribute('data-state'), 'error');
  assert.equal(await page.locator('#retry').isVisible(), true);
  await hooks.input.setInputFiles(masks()); // kept until it is open
  await hooks.through('loading', () => page.locator('#retry').click());
  await hooks.waitFor('error');
  await page.locator('#model-button').click();
  await page.locator('.model-item', { hasText: 'Nano, second' }).click();
  await page.waitForFunction(() => document.querySelector('.lane')?.dataset.tracked === '1');
  await hooks.waitFor('idle');
  // A model that is refused beside an open clip is said, until the person goes on.
  await page.locator('#model-button').click();
  await page.locator('.model-item', { hasText: 'Broken' }).click();
  await hooks.waitFor('error');
  await hooks.clickAt(0.75, 0.2);
  await hooks.waitFor('idle');
  assert.deepEqual(hooks.complaints, []);
  await hooks.context.close();
});
