/** The page against the stand-in engine: everything that does not depend on what a model answers. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { inflateSync } from 'node:zlib';
import { openPage } from './browser.mjs';
import { FAKE_MODELS, startServer } from './server.mjs';
import { stage } from './stage.mjs';

const sample = (name) => fileURLToPath(new URL(`../app/samples/${name}`, import.meta.url));
/** 451 x 300 */
const CAT = sample('cat.jpg');
/** 640 x 427 */
const ROCKET = sample('rocket.jpg');

const on = stage();

/** A test with a page of its own, whose console must stay empty and whose requests must stay at home. */
function pageTest(name, body, options = {}) {
  test(name, async () => {
    const hooks = await openPage(on.browser, on.server, options);
    try {
      await body(hooks);
      assert.deepEqual(hooks.complaints, [], 'the console is empty');
      assert.deepEqual(hooks.elsewhere, [], 'nothing leaves the origin');
    } finally {
      await hooks.context.close();
    }
  });
}

async function openCat(hooks) {
  await hooks.input.setInputFiles(CAT);
  await hooks.waitFor('idle');
}

pageTest('hooks: each exists once, and says what it should', async (hooks) => {
  for (const id of ['open', 'canvas', 'status', 'device', 'mask', 'download']) {
    assert.equal(await hooks.page.getByTestId(id).count(), 1, id);
  }
  assert.equal(await hooks.page.getByTestId('device').getAttribute('data-device'), 'cpu');
  assert.equal(await hooks.status.getAttribute('aria-live'), 'polite');
  assert.equal(await hooks.mask.getAttribute('data-area'), null);
  assert.equal(await hooks.page.getByTestId('download').isDisabled(), true);
});

pageTest('the state leaves ready and idle in the task of the change event', async (hooks) => {
  await hooks.page.evaluate(() => {
    const states = [];
    Object.assign(window, { statesAfterChange: states });
    const input = document.querySelector('[data-testid=open]');
    const status = document.querySelector('[data-testid=status]');
    // Runs after the page's own listener, still in the same task.
    input.addEventListener('change', () => states.push(status.dataset.state));
  });
  await openCat(hooks);
  await hooks.input.setInputFiles(ROCKET);
  assert.deepEqual(await hooks.page.evaluate(() => window.statesAfterChange), ['encoding', 'encoding']);
  await hooks.waitFor('idle');
});

pageTest('at fit the canvas has the shape of the picture and lies in the window', async (hooks) => {
  for (const [file, width, height] of [[CAT, 451, 300], [sample('astronaut.jpg'), 512, 512], [ROCKET, 640, 427]]) {
    await hooks.input.setInputFiles(file);
    await hooks.waitFor('idle');
    const box = await hooks.canvas.boundingBox();
    assert.ok(Math.abs(box.width / box.height / (width / height) - 1) < 0.005, `${box.width} x ${box.height}`);
    assert.ok(box.x >= 0 && box.y >= 0 && box.x + box.width <= 1280 && box.y + box.height <= 720);
  }
});

pageTest('a click is where it was made: the mask lies around that pixel', async (hooks) => {
  await openCat(hooks);
  for (const [x, y] of [[0.25, 0.7], [0.8, 0.3]]) {
    await hooks.page.keyboard.press('Escape');
    await hooks.clickAt(x, y);
    await hooks.page.waitForFunction(() => document.querySelector('[data-testid=mask]').dataset.area !== undefined);
    await hooks.waitFor('idle');
    const [left, top, width, height] = (await hooks.mask.getAttribute('data-bbox')).split(',').map(Number);
    assert.ok(Math.abs(left + width / 2 - x * 451) < 6, `x ${left + width / 2}`);
    assert.ok(Math.abs(top + height / 2 - y * 300) < 8, `y ${top + height / 2}`);
    assert.equal(await hooks.mask.getAttribute('data-iou'), '0.93', 'the best of three');
  }
});

pageTest('negative by right click, Alt and the switch; undo and reset bring masks back and away', async (hooks) => {
  await openCat(hooks);
  const areas = [];
  const step = async (action) => {
    await action();
    await hooks.page.waitForTimeout(50);
    await hooks.waitFor('idle');
    areas.push(await hooks.area());
  };
  await step(() => hooks.clickAt(0.5, 0.5));
  await step(() => hooks.clickAt(0.45, 0.5, { button: 'right' }));
  await step(() => hooks.clickAt(0.55, 0.45, { modifiers: ['Alt'] }));
  await step(async () => {
    await hooks.page.locator('#remove').click();
    assert.equal(await hooks.page.locator('#remove').getAttribute('aria-pressed'), 'true');
    await hooks.clickAt(0.5, 0.6);
  });
  await step(async () => {
    await hooks.page.locator('#add').click();
    await hooks.clickAt(0.2, 0.3);
  });
  assert.ok(areas[0] > areas[1] && areas[1] > areas[2] && areas[2] > areas[3] && areas[4] > areas[3], String(areas));
  const before = on.server.requests.length;
  for (const expected of [areas[3], areas[2], areas[1]]) {
    await hooks.page.keyboard.press('z');
    assert.equal(await hooks.area(), expected, 'in the same moment: nothing is computed again');
  }
  await hooks.page.locator('#undo').click();
  assert.equal(await hooks.area(), areas[0]);
  assert.equal(on.server.requests.length, before);
  await hooks.clickAt(0.2, 0.3);
  await hooks.page.keyboard.press('Escape');
  assert.equal(await hooks.mask.getAttribute('data-area'), null);
  assert.equal(await hooks.page.locator('#undo').isDisabled(), true);
  await hooks.waitFor('idle');
});

pageTest('a drag is a box, also backwards, and is cut to the picture; two clicks do the same', async (hooks) => {
  await openCat(hooks);
  const box = await hooks.canvas.boundingBox();
  const at = (x, y) => [box.x + x * box.width, box.y + y * box.height];
  const drag = async (from, to) => {
    await hooks.page.mouse.move(...at(...from));
    await hooks.page.mouse.down();
    await hooks.page.mouse.move(...at(...to), { steps: 4 });
    await hooks.page.mouse.up();
    await hooks.page.waitForTimeout(50);
    await hooks.waitFor('idle');
    return (await hooks.mask.getAttribute('data-bbox')).split(',').map(Number);
  };
  const forward = await drag([0.2, 0.3], [0.6, 0.8]);
  assert.ok(Math.abs(forward[0] - 0.2 * 451) < 3 && Math.abs(forward[2] - 0.4 * 451) < 4, String(forward));
  assert.deepEqual(await drag([0.6, 0.8], [0.2, 0.3]), forward);
  const [x, y, w, h] = await drag([0.7, 0.6], [1.1, 1.2]);
  assert.ok(x + w <= 451 && y + h <= 300);
  await hooks.page.keyboard.press('Escape');
  await hooks.page.keyboard.press('b');
  await hooks.clickAt(0.2, 0.3);
  await hooks.clickAt(0.6, 0.8);
  await hooks.page.waitForTimeout(50);
  await hooks.waitFor('idle');
  assert.equal(await hooks.page.locator('#box').getAttribute('aria-pressed'), 'false', 'the tool is put away');
  assert.deepEqual((await hooks.mask.getAttribute('data-bbox')).split(',').map(Number), forward);
});

pageTest('clicks made while the picture is encoded are drawn, queued and answered in order', async (hooks) => {
  const order = (word) => hooks.page.evaluate((data) => {
    (window.orders ??= new BroadcastChannel('fake-engine')).postMessage(data);
  }, word);
  await order('hold');
  await hooks.input.setInputFiles(CAT);
  await hooks.canvas.waitFor({ state: 'visible' });
  await hooks.clickAt(0.4, 0.5);
  await hooks.clickAt(0.7, 0.5);
  assert.equal(await hooks.status.getAttribute('data-state'), 'encoding', 'still');
  assert.equal(await hooks.page.locator('#undo').isDisabled(), false, 'they are there already');
  await order('go');
  await hooks.waitFor('idle');
  const [, , width] = (await hooks.mask.getAttribute('data-bbox')).split(',').map(Number);
  assert.ok(width > 0.3 * 451, 'both are in the mask');
  await hooks.page.keyboard.press('z');
  const [, , single] = (await hooks.mask.getAttribute('data-bbox')).split(',').map(Number);
  assert.ok(single < width);
});

pageTest('the choice among three masks, by mouse and by key', async (hooks) => {
  await openCat(hooks);
  await hooks.clickAt(0.5, 0.5);
  await hooks.waitFor('idle');
  const radios = hooks.page.getByRole('radio');
  await radios.nth(2).waitFor();
  assert.equal(await radios.count(), 3);
  const best = await hooks.area();
  await radios.nth(2).click();
  await hooks.page.waitForFunction((area) => Number(document.querySelector('[data-testid=mask]').dataset.area) > area, best);
  await radios.nth(2).press('ArrowDown');
  assert.equal(await radios.nth(0).getAttribute('aria-checked'), 'true', 'round to the first');
  assert.ok(await hooks.area() < best);
});

pageTest('downloads: the mask is a PNG of the picture\'s size, the RLE is the same mask', async (hooks) => {
  await openCat(hooks);
  await hooks.clickAt(0.5, 0.5);
  await hooks.page.locator('[data-testid=download]:enabled').waitFor();
  await hooks.waitFor('idle');
  const save = async (id) => {
    const [download] = await Promise.all([hooks.page.waitForEvent('download'), hooks.page.locator(id).click()]);
    return { name: download.suggestedFilename(), bytes: await readFile(await download.path()) };
  };
  const mask = await save('[data-testid=download]');
  assert.equal(mask.name, 'cat_mask.png');
  assert.deepEqual([mask.bytes.readUInt32BE(16), mask.bytes.readUInt32BE(20)], [451, 300]);
  const cutout = await save('#download-cutout');
  const [, , width, height] = (await hooks.mask.getAttribute('data-bbox')).split(',').map(Number);
  assert.deepEqual([cutout.bytes.readUInt32BE(16), cutout.bytes.readUInt32BE(20), cutout.bytes[25]], [width, height, 6], 'RGBA, cut to the box');
  const line = JSON.parse((await save('#download-rle')).bytes.toString());
  assert.equal(line.masks[0].area, await hooks.area());
  assert.deepEqual(line.masks[0].segmentation.size, [300, 451]);
  assert.match((await save('#download-svg')).bytes.toString(), /viewBox="0 0 451 300"/);
  // Our PNG has one IDAT chunk, and rows that each begin with filter 0.
  const start = mask.bytes.indexOf('IDAT') + 4;
  const rows = inflateSync(mask.bytes.subarray(start, start + mask.bytes.readUInt32BE(start - 8)));
  assert.equal(rows.filter((value, i) => i % 452 !== 0 && value === 255).length, await hooks.area());
});

pageTest('by keyboard alone', async (hooks) => {
  await openCat(hooks);
  await hooks.canvas.focus();
  await hooks.page.keyboard.press('ArrowRight');
  for (let i = 0; i < 10; i += 1) await hooks.page.keyboard.press('ArrowRight');
  await hooks.page.keyboard.press('Enter');
  await hooks.page.waitForFunction(() => document.querySelector('[data-testid=mask]').dataset.area !== undefined);
  const [left, , width] = (await hooks.mask.getAttribute('data-bbox')).split(',').map(Number);
  assert.ok(left + width / 2 > 451 / 2 + 30, 'right of the middle');
  const area = await hooks.area();
  await hooks.page.keyboard.press('Shift+Enter');
  await hooks.page.waitForFunction((before) => Number(document.querySelector('[data-testid=mask]').dataset.area) < before, area);
  await hooks.page.keyboard.press('z');
  assert.equal(await hooks.area(), area);
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

pageTest('a newer picture throws away the older one, its clicks and its answers', async (hooks) => {
  await hooks.input.setInputFiles(CAT);
  await hooks.canvas.waitFor({ state: 'visible' });
  await hooks.clickAt(0.5, 0.5);
  await hooks.input.setInputFiles(ROCKET);
  await hooks.waitFor('idle');
  assert.equal(await hooks.mask.getAttribute('data-area'), null);
  assert.match(await hooks.page.locator('#facts').innerText(), /640 × 427/);
});

pageTest('a picture that nobody can read is an error in words, and the next one works', async (hooks) => {
  await hooks.input.setInputFiles({ name: 'torn.png', mimeType: 'image/png', buffer: Buffer.from('not a picture at all') });
  await hooks.waitFor('error');
  assert.match(await hooks.status.innerText(), /not a picture/);
  assert.match(await hooks.page.locator('#status-hint').innerText(), /PNG, JPEG/);
  await openCat(hooks);
});

pageTest('samples, drop and paste', async (hooks) => {
  await hooks.page.locator('.sample', { hasText: 'Coffee' }).click();
  await hooks.waitFor('idle');
  assert.match(await hooks.page.locator('#facts').innerText(), /600 × 400/);
  const bytes = [...await readFile(CAT)];
  for (const kind of ['drop', 'paste']) {
    await hooks.page.evaluate(([type, data]) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([Uint8Array.from(data)], 'cat.jpg', { type: 'image/jpeg' }));
      const event = type === 'drop'
        ? new DragEvent('drop', { dataTransfer: transfer, bubbles: true, cancelable: true })
        : new ClipboardEvent('paste', { clipboardData: transfer, bubbles: true, cancelable: true });
      document.body.dispatchEvent(event);
    }, [kind, bytes]);
    await hooks.waitFor('encoding');
    await hooks.waitFor('idle');
    assert.match(await hooks.page.locator('#facts').innerText(), /451 × 300/, kind);
    await hooks.input.setInputFiles(ROCKET);
    await hooks.waitFor('idle');
  }
});

pageTest('another model: the picture is encoded again, the clicks are asked again', async (hooks) => {
  await openCat(hooks);
  await hooks.clickAt(0.5, 0.5);
  await hooks.waitFor('idle');
  await hooks.page.locator('#model-button').click();
  await hooks.page.locator('.model-item', { hasText: 'Nano, second' }).click();
  await hooks.waitFor('loading');
  await hooks.waitFor('idle');
  assert.ok(await hooks.area() > 0);
  assert.equal(await hooks.page.locator('#model-name').innerText(), 'Nano, second');
  assert.equal(await hooks.page.locator('#model-note').isVisible(), false, 'the note was the first model\'s');
});

pageTest('a refused model is said, and the one before goes on working', async (hooks) => {
  await openCat(hooks);
  await hooks.page.locator('#model-button').click();
  await hooks.page.locator('.model-item', { hasText: 'Broken' }).click();
  await hooks.waitFor('error');
  assert.match(await hooks.status.innerText(), /not a SAM 2 model/);
  assert.equal(await hooks.page.locator('#retry').isVisible(), true);
  await hooks.clickAt(0.5, 0.5);
  await hooks.waitFor('idle');
  assert.ok(await hooks.area() > 0);
  assert.equal(await hooks.page.locator('#model-name').innerText(), 'Nano');
});

pageTest('a dropped model file is loaded', async (hooks) => {
  const folder = await mkdtemp(join(tmpdir(), 'sam2-'));
  await writeFile(join(folder, 'mine.safetensors'), 'good mine');
  await hooks.input.setInputFiles(join(folder, 'mine.safetensors'));
  await hooks.page.locator('#model-name', { hasText: 'mine.safetensors' }).waitFor();
  await hooks.waitFor('ready');
});

pageTest('the model is kept: the second visit fetches nothing, a damaged copy is fetched again', async (hooks) => {
  const fetched = () => on.server.requests.filter(({ path }) => path === '/models/first.safetensors').length;
  const before = fetched();
  await hooks.page.reload();
  await hooks.waitFor('ready');
  assert.equal(fetched(), before);
  await hooks.page.evaluate(async () => {
    const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle('sam2-models');
    for await (const [name, handle] of folder.entries()) {
      if (!/^[0-9a-f]{64}$/.test(name)) continue;
      const file = await handle.createWritable({ keepExistingData: true });
      await file.write({ type: 'write', position: 5, data: 'x' });
      await file.close();
    }
  });
  await hooks.page.reload();
  await hooks.waitFor('ready');
  assert.equal(fetched(), before + 1);
});

test('a cut download goes on where it ended', async () => {
  on.server.trouble.cutAfter = 100_000;
  on.server.requests.length = 0;
  const hooks = await openPage(on.browser, on.server, { path: '?model=second' });
  const parts = on.server.requests.filter(({ path }) => path === '/models/second.safetensors');
  // Chromium's own cache may ask for a byte of the rest first.
  assert.ok(parts.length >= 2);
  assert.match(parts[1].range, /^bytes=100000-/);
  await hooks.context.close();
});

for (const [how, crash] of [
  ['ended by the browser without a word', () => self.close()],
  ['with an uncaught error', () => setTimeout(() => { throw new Error('a crash for the test'); })],
]) {
  test(`the worker dies, ${how}: the page recovers with picture and clicks`, async () => {
    const hooks = await openPage(on.browser, on.server);
    await openCat(hooks);
    await hooks.clickAt(0.5, 0.5);
    await hooks.waitFor('idle');
    const area = await hooks.area();
    await hooks.page.workers()[0].evaluate(crash).catch(() => undefined);
    await hooks.waitFor('encoding');
    await hooks.waitFor('idle');
    assert.equal(await hooks.area(), area, 'what was found is still there');
    await hooks.clickAt(0.2, 0.4);
    await hooks.page.waitForFunction((before) => Number(document.querySelector('[data-testid=mask]').dataset.area) > before, area);
    await hooks.waitFor('idle');
    assert.equal(hooks.page.workers().length, 1);
    await hooks.context.close();
  });
}

test('?device= and ?model=: obeyed, or an error that says what is accepted', async () => {
  for (const [path, words] of [
    ['?device=webgpu', /no WebGPU/], ['?device=tpu', /tpu is not known/], ['?model=nanoo', /no model named nanoo/], ['?model=gone.pt', /404/],
    ['?model=http://[', /is not an address/], ['?model=gone%25.pt', /404/], ['?model=http://models.example/a.pt', /over https only/],
  ]) {
    const hooks = await openPage(on.browser, on.server, { path, state: 'error' });
    assert.match(await hooks.status.innerText(), words, path);
    await hooks.context.close();
  }
  const hooks = await openPage(on.browser, on.server, { path: '?model=second&device=cpu' });
  assert.equal(await hooks.page.locator('#model-name').innerText(), 'Nano, second');
  await hooks.context.close();
});

test('a model from another host: asked first with host and size, nothing fetched before yes; over https alone', async () => {
  const { length } = FAKE_MODELS['second.safetensors'];
  const address = 'https://models.example/second.safetensors';
  const hooks = await openPage(on.browser, on.server, { path: `?model=${encodeURIComponent(address)}&bytes=${length}`, state: 'loading' });
  const dialog = hooks.page.locator('#ask');
  await dialog.waitFor();
  assert.match(await dialog.innerText(), /models\.example.*200 kB/s);
  await hooks.page.getByRole('button', { name: 'No', exact: true }).click();
  await hooks.waitFor('error');
  // Without a model the error stays, with its way on, whatever is opened.
  await hooks.input.setInputFiles(CAT);
  await hooks.canvas.waitFor({ state: 'visible' });
  await hooks.clickAt(0.5, 0.5);
  assert.match(await hooks.status.innerText(), /No model is loaded/);
  assert.equal(await hooks.status.getAttribute('data-state'), 'error');
  await hooks.page.locator('#retry').click();
  await dialog.waitFor();
  await hooks.page.getByRole('button', { name: 'No', exact: true }).click();
  await hooks.page.locator('#model-button').click();
  await hooks.page.locator('#model-url').fill('http://models.example/second.safetensors');
  await hooks.page.locator('#model-url-form button').click();
  await hooks.page.locator('[data-testid=status]', { hasText: 'over https only' }).waitFor();
  assert.equal(await dialog.isVisible(), false);
  await hooks.page.locator('#model-button').click();
  await hooks.page.locator('.model-item', { hasText: 'Nano, second' }).click();
  await hooks.waitFor('idle');
  assert.ok(await hooks.area() > 0, 'the picture and the click that waited');
  assert.deepEqual(hooks.elsewhere, []);
  assert.deepEqual(hooks.complaints, []);
  await hooks.context.close();
});

test('the first load can be cancelled', async () => {
  const context = await on.browser.newContext({ viewport: { width: 1280, height: 720 } });
  const page = await context.newPage();
  let hold = true;
  await page.route('**/models/first.safetensors', async (route) => {
    if (!hold) await route.continue();
  });
  await page.goto(on.server.url);
  await page.locator('#cancel').click();
  await page.locator('[data-testid=status][data-state=error]', { hasText: 'cancelled' }).waitFor();
  hold = false;
  await page.locator('#retry').click();
  await page.locator('[data-testid=status][data-state=ready]').waitFor();
  assert.equal(await page.locator('#model-name').innerText(), 'Nano');
  await context.close();
});

test('a server without the mark is asked for no settings, nor is its start page taken for them', async () => {
  const plain = await startServer({ marked: false, files: { 'config.json': '<!doctype html>' } });
  const hooks = await openPage(on.browser, plain);
  assert.equal(plain.requests.some(({ path }) => path === '/config.json'), false);
  assert.deepEqual(hooks.complaints, []);
  await hooks.context.close();
  await plain.close();
  const broken = await startServer({ files: { 'config.json': '{"schema"' } });
  const other = await openPage(on.browser, broken);
  assert.deepEqual(other.complaints, []);
  await other.context.close();
  await broken.close();
});

pageTest('the keyboard clicks on the picture\'s far edges', async (hooks) => {
  await openCat(hooks);
  await hooks.canvas.focus();
  await hooks.page.keyboard.press('ArrowRight');
  for (let i = 0; i < 60; i += 1) await hooks.page.keyboard.press('ArrowRight');
  for (let i = 0; i < 60; i += 1) await hooks.page.keyboard.press('ArrowDown');
  await hooks.page.keyboard.press('Enter');
  await hooks.page.waitForFunction(() => document.querySelector('[data-testid=mask]').dataset.area !== undefined);
  await hooks.waitFor('idle');
  const [left, top, width, height] = (await hooks.mask.getAttribute('data-bbox')).split(',').map(Number);
  assert.deepEqual([left + width, top + height], [451, 300]);
});

pageTest('saved masks without a video are answered in words', async (hooks) => {
  await hooks.input.setInputFiles({ name: 'masks.json', mimeType: 'application/json', buffer: Buffer.from('{}') });
  await hooks.waitFor('error');
  assert.match(await hooks.page.locator('#status-hint').innerText(), /Open the video first/);
  await openCat(hooks);
});

pageTest('a preview under the pointer, only when asked for, gone with the pointer', async (hooks) => {
  await openCat(hooks);
  await hooks.page.locator('#hover').check();
  const shot = () => hooks.canvas.screenshot();
  await hooks.page.mouse.move(5, 300);
  const plain = await shot();
  const box = await hooks.canvas.boundingBox();
  await hooks.page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
  let seen = false;
  for (let tries = 0; tries < 60 && !seen; tries += 1) {
    await hooks.page.waitForTimeout(200);
    seen = !(await shot()).equals(plain);
  }
  assert.ok(seen, 'something is drawn under the pointer');
  assert.equal(await hooks.mask.getAttribute('data-area'), null, 'a preview is not an answer');
  await hooks.page.mouse.move(5, 300);
  await hooks.page.waitForTimeout(200);
  assert.deepEqual(await shot(), plain);
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

test('under a sub-path', async () => {
  const deep = await startServer({ prefix: '/some/sub/path/' });
  const hooks = await openPage(on.browser, deep);
  await openCat(hooks);
  assert.deepEqual(hooks.complaints, []);
  await hooks.context.close();
  await deep.close();
});

for (const [what, sabotage, words] of [
  ['refused', "navigator.storage.getDirectory = () => Promise.reject(new DOMException('refused', 'SecurityError'));", /gives this page no storage/],
  ['full', "FileSystemSyncAccessHandle.prototype.write = () => { throw new DOMException('full', 'QuotaExceededError'); };", /storage is full/],
]) {
  test(`storage that is ${what}: the model is kept in memory and the page says so`, async () => {
    const context = await on.browser.newContext({ viewport: { width: 1280, height: 720 } });
    const page = await context.newPage();
    // A worker has no init scripts, so its own script is served with the sabotage in front.
    await page.route('**/web/sam2/worker.js', async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, body: `${sabotage}\n${await response.text()}` });
    });
    await page.goto(on.server.url);
    await page.locator('[data-testid=status][data-state=ready]').waitFor({ state: 'attached' });
    assert.match(await page.locator('#model-note').innerText(), words);
    await page.reload();
    await page.locator('[data-testid=status][data-state=ready]').waitFor({ state: 'attached' });
    await context.close();
  });
}

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
