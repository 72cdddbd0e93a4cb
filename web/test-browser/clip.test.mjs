/**
 * The page with a clip, on the sources and the stand-in engine, which follows a thing by its colour: what
 * is tested is the page and the package.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { launch, openPage } from './browser.mjs';
import { stage } from './stage.mjs';

const CLIP = fileURLToPath(new URL('clips/two.webm', import.meta.url));
/** Where the disc and the square are on a frame of the clip, as parts of the picture (clips/make.py). */
const disc = (frame) => [(50 + 9 * frame) / 320, 120 / 180];
const square = (frame) => [240 / 320, (36 + 4 * frame) / 180];
const FRAMES = 20;

const on = stage();

/** @param {string} name @param {(hooks: any) => Promise<void>} body @param {object} [options] */
function clipTest(name, body, { complaints = true, ...options } = {}) {
  test(name, async () => {
    const hooks = await openPage(on.browser, on.server, options);
    const { page } = hooks;
    const more = {
      ...hooks,
      lane: async (object) => Object.fromEntries(await Promise.all(['prompted', 'tracked', 'absent']
        .map(async (what) => [what, Number(await page.locator(`.lane[data-object="${object}"]`).getAttribute(`data-${what}`))]))),
      counter: () => page.locator('#frame-counter').innerText(),
      bbox: async () => (await hooks.mask.getAttribute('data-bbox')).split(',').map(Number),
      async openClip(file = CLIP) {
        await hooks.input.setInputFiles(file);
        assert.equal(await hooks.status.getAttribute('data-state'), 'encoding', 'in the same task');
        await page.locator('#timeline').waitFor();
        await hooks.waitFor('idle');
      },
      /** Clicks, and waits for the answer. */
      async prompt([x, y], clickOptions) {
        const before = await page.evaluate(() => performance.now());
        await hooks.clickAt(x, y, clickOptions);
        await page.waitForFunction((since) => document.querySelector('[data-testid=mask]').dataset.area !== undefined && performance.now() > since, before);
        await hooks.waitFor('idle');
      },
      async track(id = '#track') {
        await page.locator(id).click();
        await page.locator('#track-stop').waitFor();
        await hooks.waitFor('idle');
      },
      async go(frame) {
        await page.locator('#scrub').fill(String(frame));
        await page.waitForFunction((n) => document.querySelector('#frame-counter').textContent.startsWith(`Frame ${n + 1} `), frame);
        await page.waitForTimeout(150); // the picture follows the number
      },
    };
    await body(more);
    if (complaints) assert.deepEqual(hooks.complaints, []);
    assert.deepEqual(hooks.elsewhere, []);
    await hooks.context.close();
  });
}

clipTest('two objects are tracked, lanes say where, each frame has its masks', async (hooks) => {
  const { page } = hooks;
  await hooks.openClip();
  assert.equal(await hooks.counter(), `Frame 1 of ${FRAMES} · 0.00 s`);
  assert.equal(await page.locator('#track').isDisabled(), true, 'nothing to track yet');
  await hooks.prompt(disc(0));
  const [left, top, width, height] = await hooks.bbox();
  assert.ok(Math.abs(left + width / 2 - 50) < 3 && Math.abs(top + height / 2 - 120) < 3, String([left, top, width, height]));
  await page.keyboard.press('a');
  await hooks.clickAt(...square(0));
  await page.waitForFunction(() => document.querySelectorAll('.lane').length === 2);
  await hooks.waitFor('idle');
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
  await page.keyboard.press('p');
  assert.equal(await page.locator('#play').getAttribute('aria-label'), 'Pause');
  await page.waitForFunction(() => document.querySelector('#play').getAttribute('aria-label') === 'Play');
  assert.match(await hooks.counter(), /^Frame 20 /);
});

clipTest('cancelled, a pass goes on where it was; a correction holds on its frame and after', async (hooks) => {
  const { page } = hooks;
  await hooks.openClip();
  await hooks.prompt(disc(0));
  await page.evaluate(() => {
    // Holds the engine in the middle of the pass.
    const orders = new BroadcastChannel('fake-engine');
    new MutationObserver((_, observer) => {
      if (Number(document.querySelector('.lane')?.dataset.tracked) >= 5) {
        orders.postMessage('hold');
        observer.disconnect();
      }
    }).observe(document.querySelector('#lanes'), { subtree: true, attributes: true });
    globalThis.letGo = () => orders.postMessage('go');
  });
  await page.locator('#track').click();
  await page.waitForFunction(() => Number(document.querySelector('.lane')?.dataset.tracked) >= 5);
  assert.match(await hooks.status.innerText(), /Tracking/);
  await page.locator('#track-stop').click();
  await page.evaluate(() => globalThis.letGo());
  await hooks.waitFor('idle');
  const { tracked } = await hooks.lane(1);
  assert.ok(tracked >= 5 && tracked < FRAMES - 1, `${tracked} tracked`);
  assert.match(await hooks.status.innerText(), new RegExp(`Stopped at frame ${tracked + 2}\\.`));
  assert.match(await page.getByTestId('estimate').innerText(), new RegExp(`for ${FRAMES - 1 - tracked} frames`));
  await hooks.go(3);
  const before = await hooks.area();
  await hooks.clickAt(...disc(3));
  await hooks.clickAt(disc(3)[0] + 0.03, disc(3)[1], { button: 'right' });
  await page.waitForFunction((area) => Number(document.querySelector('[data-testid=mask]').dataset.area) < area, before);
  await hooks.waitFor('idle');
  assert.ok(await hooks.area() < before, 'the correction took something away');
  assert.match(await page.getByTestId('estimate').innerText(), /for 17 frames/, 'nothing before the correction is owed');
  await page.keyboard.press('z');
  await page.waitForFunction((area) => Number(document.querySelector('[data-testid=mask]').dataset.area) >= area, before);
  await hooks.track('#track-both');
  assert.deepEqual(await hooks.lane(1), { prompted: 2, tracked: FRAMES - 2, absent: 0 });
  await hooks.go(10);
  await hooks.prompt(disc(10));
  assert.match(await page.getByTestId('estimate').innerText(), /for 10 frames/, 'only what the correction touches');
  const whole = await hooks.area();
  await hooks.clickAt(disc(10)[0] + 0.03, disc(10)[1], { button: 'right' });
  await page.waitForFunction((area) => Number(document.querySelector('[data-testid=mask]').dataset.area) < area, whole);
  await hooks.waitFor('idle');
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
  await hooks.prompt(disc(0));
  await page.keyboard.press('a');
  await hooks.clickAt(...square(0));
  await page.waitForFunction(() => document.querySelectorAll('.lane').length === 2);
  await hooks.waitFor('idle');
  const dialog = page.locator('#forget');
  await page.getByRole('button', { name: 'Remove Object 2' }).click();
  await page.waitForFunction(() => document.querySelectorAll('.lane').length === 1);
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
  await page.waitForFunction(() => document.querySelectorAll('.lane').length === 0);
  await hooks.waitFor('idle');
});

clipTest('a clip that could not be opened is opened by Try again', async (hooks) => {
  const { page } = hooks;
  await page.evaluate(() => {
    const { createObjectURL } = URL;
    URL.createObjectURL = () => {
      URL.createObjectURL = createObjectURL;
      throw new Error('The file could not be read just now');
    };
  });
  await hooks.input.setInputFiles(CLIP);
  await hooks.waitFor('error');
  await page.locator('#retry').click();
  await page.locator('#timeline').waitFor();
  await hooks.waitFor('idle');
  await hooks.prompt(disc(0));
  await hooks.track();
  assert.deepEqual(await hooks.lane(1), { prompted: 1, tracked: FRAMES - 1, absent: 0 });
});

clipTest('Escape stops a pass, and asks before it forgets what was tracked', async (hooks) => {
  const { page } = hooks;
  await hooks.openClip();
  await hooks.prompt(disc(0));
  await page.locator('#track').click();
  await page.waitForFunction(() => Number(document.querySelector('.lane')?.dataset.tracked) >= 2);
  await page.keyboard.press('Escape');
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
  await page.waitForFunction(() => document.querySelectorAll('.lane').length === 0);
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

clipTest('masks are saved as ZIP, JSON and video, and the JSON is read back', async (hooks) => {
  const { page } = hooks;
  await hooks.openClip();
  await hooks.prompt(disc(0));
  await page.keyboard.press('a');
  await hooks.clickAt(...square(0));
  await page.waitForFunction(() => document.querySelectorAll('.lane').length === 2);
  await hooks.track();
  const saved = async (id) => {
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByTestId(id).click()]);
    await hooks.waitFor('idle');
    return { name: download.suggestedFilename(), path: await download.path(), bytes: await readFile(await download.path()) };
  };
  const zip = await saved('save-masks');
  assert.equal(zip.name, 'two_masks.zip');
  assert.equal(zip.bytes.readUInt32LE(0), 0x04034b50);
  assert.equal(zip.bytes.readUInt16LE(zip.bytes.length - 12), 2 * FRAMES, 'a picture for each object and frame');
  assert.ok(zip.bytes.includes('1/00000.png') && zip.bytes.includes('2/00019.png'));
  const json = await saved('save-json');
  const [head, ...frames] = json.bytes.toString().trim().split('\n').map((line) => JSON.parse(line));
  assert.deepEqual(head.video, { width: 320, height: 180, frames: FRAMES, fps: 10 });
  assert.deepEqual(head.objects, [{ object: 1, prompted: [0] }, { object: 2, prompted: [0] }]);
  assert.equal(frames.length, FRAMES);
  assert.deepEqual(frames[3].objects[0].segmentation.size, [180, 320]);
  const video = await saved('save-video');
  assert.equal(video.name, 'two_tracked.webm');
  assert.equal(video.bytes.readUInt32BE(0), 0x1a45dfa3, 'a WebM file');
  // What was saved, opened again.
  await hooks.openClip({ name: 'again.webm', mimeType: 'video/webm', buffer: video.bytes });
  assert.equal(await hooks.counter(), `Frame 1 of ${FRAMES} · 0.00 s`, 'every frame, at its own time');
  const colorAt = ([x, y]) => hooks.canvas.evaluate((canvas, [px, py]) => {
    const at = [Math.round(px * canvas.width), Math.round(py * canvas.height), 1, 1];
    const copy = new OffscreenCanvas(1, 1).getContext('2d');
    copy.drawImage(canvas, ...at, 0, 0, 1, 1);
    return [...copy.getImageData(0, 0, 1, 1).data.slice(0, 3)];
  }, [x, y]);
  const isSquare = ([r, g, b]) => b > g + 15 && r > g + 15; // blue under the orange of its object
  assert.ok(isSquare(await colorAt(square(0))), String(await colorAt(square(0))));
  await hooks.go(14);
  assert.ok(isSquare(await colorAt(square(14))) && !isSquare(await colorAt(square(0))), 'seeking shows that very frame');
  await hooks.openClip();
  await page.getByTestId('open-json').setInputFiles({ name: 'two_masks.json', mimeType: 'application/json', buffer: json.bytes });
  await page.waitForFunction(() => document.querySelectorAll('.lane').length === 2);
  await hooks.waitFor('idle');
  assert.deepEqual(await hooks.lane(1), { prompted: 1, tracked: FRAMES - 1, absent: 0 });
  await hooks.go(12);
  const [x, , w] = await hooks.bbox();
  assert.ok(Math.abs(x + w / 2 - 240) < 3);
  assert.equal(await hooks.area(), frames[12].objects[1].area);
  // A click corrects what is shown, and it goes on from there: the masks were prompts.
  await page.keyboard.press('1');
  const loaded = await hooks.area();
  await hooks.clickAt(disc(12)[0] + 0.03, disc(12)[1], { button: 'right' });
  await page.waitForFunction((area) => Number(document.querySelector('[data-testid=mask]').dataset.area) < area, loaded);
  await hooks.waitFor('idle');
  assert.ok(await hooks.area() > loaded / 4, `${await hooks.area()} of ${loaded}: not what a single click on nothing gives`);
  assert.match(await page.getByTestId('estimate').innerText(), /for 8 frames/);
  await hooks.track();
  await page.getByTestId('open-json').setInputFiles({ name: 'other.json', mimeType: 'application/json', buffer: Buffer.from('{"schema": 1, "frame": 99, "objects": []}') });
  await hooks.waitFor('error');
  assert.match(await hooks.status.innerText(), /frame 99/);
});

clipTest('what is no video is refused in words, and the page goes on', async (hooks) => {
  await hooks.input.setInputFiles({ name: 'broken.mp4', mimeType: 'video/mp4', buffer: Buffer.from('no video at all') });
  await hooks.waitFor('error');
  assert.match(await hooks.status.innerText(), /cannot be opened/);
  await hooks.openClip();
  await hooks.page.locator('#close-clip').click();
  await hooks.waitFor('ready');
  assert.equal(await hooks.page.locator('#timeline').isHidden(), true);
  await hooks.input.setInputFiles(fileURLToPath(new URL('../app/samples/cat.jpg', import.meta.url)));
  await hooks.waitFor('idle');
  await hooks.prompt([0.5, 0.5]);
  assert.ok(await hooks.area() > 0, 'pictures as before');
}, { complaints: false });

clipTest('the worker dies while it tracks: it goes on, nothing is lost', async (hooks) => {
  const { page } = hooks;
  await hooks.openClip();
  await hooks.prompt(disc(0));
  await page.locator('#track').click();
  await page.waitForFunction(() => Number(document.querySelector('.lane')?.dataset.tracked) >= 4);
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

clipTest('on a phone nothing is wider than the screen', async (hooks) => {
  await hooks.openClip();
  await hooks.prompt(disc(0));
  await hooks.track();
  const wide = await hooks.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.equal(wide, 0);
}, { context: { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true } });
