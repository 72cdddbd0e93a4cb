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
  await hooks.page.waitForFunction(() => /Tracking live, .* frames a second/.test(document.querySelector('[data-testid=status]').textContent));
  assert.equal(await hooks.page.locator('.object').count(), 1);
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
  await hooks.page.waitForFunction(() => /Tracking live, .* frames a second/.test(document.querySelector('[data-testid=status]').textContent));
  assert.equal(await hooks.page.locator('.object').count(), 1);
  assert.deepEqual(hooks.complaints, []);
  await hooks.page.locator('#close-clip').click();
  await hooks.waitFor('ready');
  await hooks.context.close();
  await withCamera.close();
});
