/** A camera as a live video, on the sources and the stand-in engine. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { launch, openPage } from './browser.mjs';
import { stage } from './stage.mjs';

const on = stage();

test('the camera: a thing is clicked and followed', async () => {
  const withCamera = await launch({ args: ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'] });
  const hooks = await openPage(withCamera, on.server);
  await hooks.page.locator('#camera').click();
  await hooks.canvas.waitFor();
  await hooks.waitFor('idle');
  await hooks.clickAt(0.5, 0.5);
  const tracking = () => hooks.page.waitForFunction(() => /Tracking live, .* frames a second/.test(document.querySelector('[data-testid=status]').textContent));
  await tracking();
  assert.equal(await hooks.page.locator('.object').count(), 1);
  // A correction is taken back long after its frame has left the memory.
  await hooks.page.evaluate(() => {
    const { createImageBitmap } = globalThis;
    globalThis.framesSeen = 0;
    globalThis.createImageBitmap = (source, ...more) => {
      if (source instanceof HTMLVideoElement) globalThis.framesSeen += 1;
      return createImageBitmap(source, ...more);
    };
  });
  const frames = (count) => hooks.page.waitForFunction((wanted) => globalThis.framesSeen >= wanted, count);
  const said = () => hooks.page.locator('.object-text').innerText();
  await frames(2);
  await hooks.clickAt(0.1, 0.9, { button: 'right' });
  await hooks.page.locator('.object-text', { hasText: '2 key frames' }).waitFor();
  await frames(30);
  await hooks.page.keyboard.press('z');
  await hooks.page.locator('.object-text', { hasText: '1 key frame ' }).waitFor();
  await tracking();
  assert.match(await said(), /px/, 'it is followed still');
  await hooks.page.locator('#undo').click();
  await hooks.page.locator('.object-text', { hasText: 'click it in the video' }).waitFor();
  await hooks.clickAt(0.5, 0.5);
  await tracking();
  // Frames fail for a while: it stands still, and goes on with the object.
  await hooks.page.evaluate(() => {
    const { createImageBitmap } = globalThis;
    let left = 4;
    globalThis.createImageBitmap = (...args) => {
      if (left === 0) return createImageBitmap(...args);
      left -= 1;
      return Promise.reject(new Error('The camera gave no frame'));
    };
  });
  await hooks.waitFor('error');
  await hooks.page.locator('#retry').click();
  await hooks.waitFor('idle');
  await tracking();
  assert.equal(await hooks.page.locator('.object').count(), 1);
  assert.deepEqual(hooks.complaints, []);
  await hooks.page.locator('#close-clip').click();
  await hooks.waitFor('ready');
  await hooks.context.close();
  await withCamera.close();
});
