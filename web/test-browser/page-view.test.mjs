/** How a picture lies in the page, against the stand-in engine: fit, zoom, a phone, what is drawn over it. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CAT, ROCKET, openCat, pageTests, sample } from './picture-page.mjs';
import { stage } from './stage.mjs';

const pageTest = pageTests(stage());

pageTest('at fit the canvas has the shape of the picture and lies in the window', async (hooks) => {
  for (const [file, width, height] of [[CAT, 451, 300], [sample('astronaut.jpg'), 512, 512], [ROCKET, 640, 427]]) {
    await hooks.input.setInputFiles(file);
    await hooks.waitFor('idle');
    const box = await hooks.canvas.boundingBox();
    assert.ok(Math.abs(box.width / box.height / (width / height) - 1) < 0.005, `${box.width} x ${box.height}`);
    assert.ok(box.x >= 0 && box.y >= 0 && box.x + box.width <= 1280 && box.y + box.height <= 720);
  }
});

pageTest('zoomed in, a click still meets its pixel; 0 brings the fit back', async (hooks) => {
  await openCat(hooks);
  const fit = await hooks.canvas.boundingBox();
  await hooks.page.mouse.move(fit.x + fit.width * 0.8, fit.y + fit.height * 0.2);
  for (let i = 0; i < 4; i += 1) await hooks.page.mouse.wheel(0, -300);
  await hooks.page.waitForFunction(() => document.querySelector('#zoom-fit').textContent !== 'Fit');
  // What was under the pointer is still there, so this is the same pixel as before.
  await hooks.page.mouse.click(fit.x + fit.width * 0.8, fit.y + fit.height * 0.2);
  await hooks.page.waitForFunction(() => document.querySelector('[data-testid=mask]').dataset.area !== undefined);
  const [left, top, width, height] = (await hooks.mask.getAttribute('data-bbox')).split(',').map(Number);
  assert.ok(Math.abs(left + width / 2 - 0.8 * 451) < 6 && Math.abs(top + height / 2 - 0.2 * 300) < 8);
  await hooks.page.keyboard.press('0');
  await hooks.page.waitForFunction((w) => Math.abs(document.querySelector('[data-testid=canvas]').getBoundingClientRect().width - w) < 0.5, fit.width);
});

pageTest('a preview under the pointer, only when asked for, gone with the pointer', async (hooks) => {
  await openCat(hooks);
  await hooks.page.locator('#hover').check();
  const shot = () => hooks.canvas.screenshot();
  await hooks.page.mouse.move(5, 300);
  const plain = await shot();
  const box = await hooks.canvas.boundingBox();
  await hooks.page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
  const becomes = async (/** @type {boolean} */ same) => {
    for (let tries = 0; tries < 60; tries += 1) {
      await hooks.page.waitForTimeout(200);
      if ((await shot()).equals(plain) === same) return true;
    }
    return false;
  };
  assert.ok(await becomes(false), 'something is drawn under the pointer');
  assert.equal(await hooks.mask.getAttribute('data-area'), null, 'a preview is not an answer');
  await hooks.page.mouse.move(5, 300);
  assert.ok(await becomes(true), 'it is gone with the pointer');
});

pageTest('a phone: nothing wider than the screen; tap adds, long press removes', async (hooks) => {
  await openCat(hooks);
  assert.equal(await hooks.page.evaluate(() => document.documentElement.scrollWidth), 360);
  const box = await hooks.canvas.boundingBox();
  assert.ok(Math.abs(box.width - 340) < 1);
  await hooks.canvas.tap({ position: { x: box.width / 2, y: box.height / 2 } });
  await hooks.page.waitForFunction(() => document.querySelector('[data-testid=mask]').dataset.area !== undefined);
  await hooks.waitFor('idle');
  const area = await hooks.area();
  const touch = await hooks.context.newCDPSession(hooks.page);
  const point = { x: box.x + box.width / 2, y: box.y + box.height / 2 };
  await touch.send('Input.dispatchTouchEvent', { type: 'touchStart', touchPoints: [point] });
  await hooks.page.waitForTimeout(700);
  await touch.send('Input.dispatchTouchEvent', { type: 'touchEnd', touchPoints: [] });
  await hooks.page.waitForFunction((before) => Number(document.querySelector('[data-testid=mask]').dataset.area) < before, area);
}, { context: { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 } });

for (const [width, height] of [[1280, 720], [800, 420], [360, 740]]) {
  pageTest(`nothing moves the picture while it is worked on, at ${width} x ${height}`, async (hooks) => {
    await hooks.input.setInputFiles(CAT);
    await hooks.canvas.waitFor({ state: 'visible' });
    const place = await hooks.canvas.boundingBox();
    const same = async (when) => assert.deepEqual(await hooks.canvas.boundingBox(), place, when);
    await hooks.waitFor('idle');
    await same('encoded');
    await hooks.clickAt(0.5, 0.5);
    await hooks.waitFor('idle');
    await same('answered');
    await hooks.clickAt(0.6, 0.5, { button: 'right' });
    await same('decoding');
    await hooks.waitFor('idle');
    await hooks.page.keyboard.press('Escape');
    await same('reset');
  }, { context: { viewport: { width, height } } });
}

/**
 * How far two PNGs are apart: the share of samples that differ by more than 24 of 255. Other versions
 * of Chromium scale photographs and smooth edges a little differently; a mask that is missing,
 * moved by two pixels or of another colour is far more than 1 %.
 */
async function difference(page, one, other) {
  return page.evaluate(async (pictures) => {
    const [a, b] = await Promise.all(pictures.map(async (base64) => {
      const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
      const bitmap = await createImageBitmap(new Blob([bytes]));
      const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d');
      context.drawImage(bitmap, 0, 0);
      return context.getImageData(0, 0, bitmap.width, bitmap.height);
    }));
    if (a.width !== b.width || a.height !== b.height) return 1;
    return a.data.filter((value, i) => Math.abs(value - b.data[i]) > 24).length / a.data.length;
  }, [one.toString('base64'), other.toString('base64')]);
}

pageTest('the canvas looks as it should: picture, mask, outline, marks, box', async (hooks) => {
  const expected = new URL('expected/canvas.png', import.meta.url);
  await openCat(hooks);
  const box = await hooks.canvas.boundingBox();
  await hooks.page.mouse.move(box.x + 0.1 * box.width, box.y + 0.2 * box.height);
  await hooks.page.mouse.down();
  await hooks.page.mouse.move(box.x + 0.8 * box.width, box.y + 0.9 * box.height, { steps: 3 });
  await hooks.page.mouse.up();
  await hooks.clickAt(0.3, 0.4, { button: 'right' });
  await hooks.clickAt(0.85, 0.2);
  await hooks.page.waitForTimeout(400);
  await hooks.waitFor('idle');
  await hooks.page.mouse.move(2, 2);
  const shot = await hooks.canvas.screenshot();
  if (process.env.UPDATE_SCREENSHOTS !== undefined) await writeFile(expected, shot);
  const reference = await readFile(expected);
  const apart = await difference(hooks.page, shot, reference);
  if (apart >= 0.01) await writeFile(join(tmpdir(), 'sam2-canvas-differs.png'), shot);
  assert.ok(apart < 0.01, `${apart} of the samples differ; see sam2-canvas-differs.png in the temporary folder`);
  await hooks.page.keyboard.press('z');
  await hooks.page.waitForTimeout(100);
  assert.ok(await difference(hooks.page, await hooks.canvas.screenshot(), reference) > 0.01, 'without the last click it is another picture');
}, { context: { viewport: { width: 800, height: 420 } } });
