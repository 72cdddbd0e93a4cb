/**
 * The page with a clip, on the sources and the stand-in engine: prompts, passes, corrections, moving about. What
 * is tested is the page and the package.
 */
import assert from 'node:assert/strict';
import { FRAMES, beside, clipTests, disc } from './clip-page.mjs';
import { stage } from './stage.mjs';

const clipTest = clipTests(stage());

clipTest('two objects are tracked, lanes say where, each frame has its masks', async (hooks) => {
  const { page } = hooks;
  await hooks.openClip();
  assert.equal(await hooks.counter(), `Frame 1 of ${FRAMES} · 0.00 s`);
  for (const id of ['track', 'add-object', 'reset']) assert.equal(await page.locator(`#${id}`).isDisabled(), true, `${id}: nothing to track yet`);
  assert.equal(await page.locator('#toolbar').evaluate((toolbar) => toolbar.inert), false, 'the tools are there before the first click');
  await page.locator('#remove').click();
  await page.locator('#add').click();
  await hooks.promptBoth();
  await page.keyboard.press('1');
  const [left, top, width, height] = await hooks.bbox();
  assert.ok(Math.abs(left + width / 2 - 50) < 3 && Math.abs(top + height / 2 - 120) < 3, String([left, top, width, height]));
  await page.keyboard.press('2');
  assert.match(await page.getByTestId('estimate').innerText(), /per frame, .* for 20 frames/, 'said before it starts');
  await hooks.track();
  assert.deepEqual(await hooks.lane(1), { prompted: 1, tracked: FRAMES - 1, absent: 0 });
  assert.deepEqual(await hooks.lane(2), { prompted: 1, tracked: FRAMES - 1, absent: 0 });
  for (const frame of [4, 17]) {
    await hooks.go(frame);
    const [x, , w] = await hooks.bbox();
    assert.ok(Math.abs(x + w / 2 - 240) < 3, 'the square, which is the active one');
    await page.keyboard.press('1');
    const [discX, , discW] = await hooks.bbox();
    assert.ok(Math.abs(discX + discW / 2 - (50 + 9 * frame)) < 4, `frame ${frame}: ${discX + discW / 2}`);
    await page.keyboard.press('2');
  }
});

clipTest('the keyboard goes through frames and key frames, playing ends at the end', async (hooks) => {
  const { page } = hooks;
  await hooks.openClip();
  await hooks.prompt(disc(0));
  await page.keyboard.press('.');
  await page.keyboard.press('.');
  assert.match(await hooks.counter(), /^Frame 3 /);
  await page.keyboard.press(',');
  assert.match(await hooks.counter(), /^Frame 2 /);
  await hooks.go(7);
  await hooks.clickAt(...disc(7));
  await hooks.waitFor('idle');
  await page.keyboard.press('[');
  assert.match(await hooks.counter(), /^Frame 1 /);
  await page.keyboard.press(']');
  assert.match(await hooks.counter(), /^Frame 8 /);
  await hooks.go(15);
  await page.locator('#play').evaluate((play) => {
    globalThis.labels = [];
    new MutationObserver(() => globalThis.labels.push(play.getAttribute('aria-label'))).observe(play, { attributeFilter: ['aria-label'] });
  });
  await page.keyboard.press('p');
  await page.waitForFunction(() => globalThis.labels.includes('Pause') && globalThis.labels.at(-1) === 'Play');
  assert.match(await hooks.counter(), /^Frame 20 /);
});

clipTest('cancelled, a pass goes on where it was; a correction holds on its frame and after', async (hooks) => {
  const { page } = hooks;
  await hooks.openClip();
  await hooks.prompt(disc(0));
  const letGo = await hooks.holdAt(5);
  await page.locator('#track').click();
  await hooks.tracked(5);
  assert.match(await hooks.status.innerText(), /Tracking/);
  await page.locator('#track-stop').click();
  await letGo();
  await hooks.waitFor('idle');
  const { tracked } = await hooks.lane(1);
  assert.ok(tracked >= 5 && tracked < FRAMES - 1, `${tracked} tracked`);
  assert.match(await hooks.status.innerText(), new RegExp(`Stopped at frame ${tracked + 2}\\.`));
  assert.match(await page.getByTestId('estimate').innerText(), new RegExp(`for ${FRAMES - 1 - tracked} frames`));
  await hooks.go(3);
  await hooks.clickAt(...disc(3));
  const before = await hooks.carve(beside(3));
  assert.match(await page.getByTestId('estimate').innerText(), /for 17 frames/, 'nothing before the correction is owed');
  await page.keyboard.press('z');
  await page.waitForFunction((area) => Number(document.querySelector('[data-testid=mask]').dataset.area) >= area, before);
  await hooks.track('#track-both');
  assert.deepEqual(await hooks.lane(1), { prompted: 2, tracked: FRAMES - 2, absent: 0 });
  await hooks.go(10);
  await hooks.prompt(disc(10));
  assert.match(await page.getByTestId('estimate').innerText(), /for 10 frames/, 'only what the correction touches');
  const whole = await hooks.carve(beside(10));
  await hooks.track();
  const areas = [];
  for (const frame of [9, 10, 11]) {
    await hooks.go(frame);
    areas.push(await hooks.area());
  }
  assert.ok(areas[0] > whole - 30 && areas[1] < whole - 100 && areas[2] < whole - 100, `${areas} of ${whole}`);
});

clipTest('an object with tracked masks is not removed without a question', async (hooks) => {
  const { page } = hooks;
  await hooks.openClip();
  await hooks.promptBoth();
  const dialog = page.locator('#forget');
  await page.getByRole('button', { name: 'Remove Object 2' }).click();
  await hooks.lanes(1);
  assert.equal(await dialog.isVisible(), false, 'a click is soon made again');
  await hooks.track();
  await page.getByRole('button', { name: 'Remove Object 1' }).click();
  await dialog.waitFor();
  assert.match(await dialog.innerText(), /Object 1 and its masks on 19 tracked frames go/);
  await page.getByRole('button', { name: 'Keep it' }).click();
  await dialog.waitFor({ state: 'hidden' });
  assert.deepEqual(await hooks.lane(1), { prompted: 1, tracked: FRAMES - 1, absent: 0 });
  await page.getByRole('button', { name: 'Remove Object 1' }).click();
  await page.getByRole('button', { name: 'Forget it' }).click();
  await hooks.lanes(0);
  await hooks.waitFor('idle');
});

clipTest('Escape stops a pass, and asks before it forgets what was tracked', async (hooks) => {
  const { page } = hooks;
  await hooks.openClip();
  await hooks.prompt(disc(0));
  const letGo = await hooks.holdAt(2);
  await page.locator('#track').click();
  await hooks.tracked(2);
  await page.keyboard.press('Escape');
  await letGo();
  await hooks.waitFor('idle');
  const { tracked } = await hooks.lane(1);
  assert.ok(tracked >= 2 && tracked < FRAMES - 1, `${tracked}: stopped, nothing lost`);
  const dialog = page.locator('#forget');
  for (const answer of ['key', 'button']) {
    await page.keyboard.press('Escape');
    await dialog.waitFor();
    assert.match(await dialog.innerText(), new RegExp(`1 object and their masks on ${tracked} tracked frames? go`));
    if (answer === 'key') await page.keyboard.press('Escape');
    else await page.getByRole('button', { name: 'Keep it' }).click();
    await dialog.waitFor({ state: 'hidden' });
    assert.equal((await hooks.lane(1)).tracked, tracked, 'kept');
  }
  await page.locator('#reset').click();
  await page.getByRole('button', { name: 'Forget it' }).click();
  await hooks.lanes(0);
  await hooks.waitFor('idle');
});

clipTest('the slider stands over its frame in the lanes', async (hooks) => {
  const { page } = hooks;
  await hooks.openClip();
  await hooks.prompt(disc(0));
  const scrub = await page.locator('#scrub').boundingBox();
  const lane = await page.locator('.lane-bar').boundingBox();
  for (const frame of [0, 7, FRAMES - 1]) {
    const thumb = scrub.x + 8 + (frame / (FRAMES - 1)) * (scrub.width - 16);
    assert.ok(Math.abs(thumb - (lane.x + ((frame + 0.5) / FRAMES) * lane.width)) < 1.5, `frame ${frame}`);
  }
});

clipTest('the worker dies while it tracks: it goes on, nothing is lost', async (hooks) => {
  const { page } = hooks;
  await hooks.openClip();
  await hooks.prompt(disc(0));
  await page.locator('#track').click();
  await hooks.tracked(4);
  const [worker] = page.workers();
  await worker.evaluate(() => self.close());
  await page.waitForFunction(() => Number(document.querySelector('.lane')?.dataset.tracked) === 19, null, { timeout: 60_000 });
  await hooks.waitFor('idle');
  assert.deepEqual(await hooks.lane(1), { prompted: 1, tracked: FRAMES - 1, absent: 0 });
});

clipTest('another model asks the same prompts again', async (hooks) => {
  const { page } = hooks;
  await hooks.openClip();
  await hooks.prompt(disc(0));
  await hooks.track();
  await page.locator('#model-button').click();
  await page.getByRole('button', { name: /Nano, second/ }).click();
  await page.waitForFunction(() => Number(document.querySelector('.lane')?.dataset.tracked) === 0);
  await hooks.go(0);
  await page.waitForFunction(() => document.querySelector('[data-testid=mask]').dataset.area !== undefined);
  await hooks.waitFor('idle');
  assert.deepEqual(await hooks.lane(1), { prompted: 1, tracked: 0, absent: 0 });
  assert.ok(await hooks.area() > 1000, 'the prompt was answered by the new model');
});

clipTest('on a phone nothing is wider than the screen', async (hooks) => {
  await hooks.openClip();
  await hooks.prompt(disc(0));
  await hooks.track();
  const wide = await hooks.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.equal(wide, 0);
  const canvas = await hooks.canvas.boundingBox();
  const timeline = await hooks.page.locator('#timeline').boundingBox();
  assert.ok(timeline.y - canvas.y - canvas.height < 60, 'the timeline lies under the picture, not under what a higher one would need');
  // Adding an object is asked for under the picture, and goes on in it.
  await hooks.page.locator('#add-object').scrollIntoViewIfNeeded();
  await hooks.page.locator('#add-object').tap();
  await hooks.page.waitForFunction(() => window.scrollY === 0);
}, { context: { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true } });
