/** A picture in the page against the stand-in engine: clicks, boxes, undo, the choice, what is saved. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { inflateSync } from 'node:zlib';
import { openPage } from './browser.mjs';
import { CAT, ROCKET, openCat, pageTests } from './picture-page.mjs';
import { startServer } from './server.mjs';
import { stage } from './stage.mjs';

const on = stage();
const pageTest = pageTests(on);

pageTest('hooks: each exists once, and says what it should', async (hooks) => {
  for (const id of ['open', 'canvas', 'status', 'device', 'mask', 'download']) {
    assert.equal(await hooks.page.getByTestId(id).count(), 1, id);
  }
  assert.equal(await hooks.page.getByTestId('device').getAttribute('data-device'), 'cpu');
  assert.equal(await hooks.status.getAttribute('aria-live'), 'polite');
  assert.equal(await hooks.mask.getAttribute('data-area'), null);
  assert.equal(await hooks.page.getByTestId('download').isDisabled(), true);
  assert.equal(await hooks.page.getByTestId('snap').isChecked(), false, 'with the small model alone');
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

pageTest('tools are of no use without a picture, and begin anew with each; the focus goes to what is opened', async (hooks) => {
  const { page } = hooks;
  const focused = () => page.evaluate(() => document.activeElement.id);
  assert.equal(await page.locator('#toolbar').evaluate((toolbar) => toolbar.inert), true);
  await page.locator('.sample', { hasText: 'Coffee' }).focus();
  await hooks.through('encoding', () => page.keyboard.press('Enter'));
  await hooks.waitFor('idle');
  assert.equal(await focused(), 'surface', 'the button that was pressed is gone');
  await page.keyboard.press('Enter');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.querySelector('[data-testid=mask]').dataset.area !== undefined);
  await page.locator('#remove').click();
  await page.locator('#box').click();
  await openCat(hooks);
  for (const [tool, pressed] of [['add', 'true'], ['remove', 'false'], ['box', 'false']]) assert.equal(await page.locator(`#${tool}`).getAttribute('aria-pressed'), pressed, tool);
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
    await hooks.through('encoding', () => hooks.page.evaluate(([type, data]) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([Uint8Array.from(data)], 'cat.jpg', { type: 'image/jpeg' }));
      const event = type === 'drop'
        ? new DragEvent('drop', { dataTransfer: transfer, bubbles: true, cancelable: true })
        : new ClipboardEvent('paste', { clipboardData: transfer, bubbles: true, cancelable: true });
      document.body.dispatchEvent(event);
    }, [kind, bytes]));
    await hooks.waitFor('idle');
    assert.match(await hooks.page.locator('#facts').innerText(), /451 × 300/, kind);
    await hooks.input.setInputFiles(ROCKET);
    await hooks.waitFor('idle');
  }
});

pageTest('saved masks without a video are answered in words', async (hooks) => {
  await hooks.input.setInputFiles({ name: 'masks.json', mimeType: 'application/json', buffer: Buffer.from('{}') });
  await hooks.waitFor('error');
  assert.match(await hooks.page.locator('#status-hint').innerText(), /Open the video first/);
  await openCat(hooks);
});

test('under a sub-path', async () => {
  const deep = await startServer({ prefix: '/some/sub/path/' });
  const hooks = await openPage(on.browser, deep);
  await openCat(hooks);
  assert.deepEqual(hooks.complaints, []);
  await hooks.context.close();
  await deep.close();
});

test('masks of the small model are snapped to edges, until the switch says otherwise', async () => {
  const models = [{ name: 'nano', title: 'Nano', url: 'first.safetensors', licence: 'MIT OR Apache-2.0' }];
  const server = await startServer({ files: { 'models/manifest.json': JSON.stringify({ schema: 1, default: 'nano', models }) } });
  const hooks = await openPage(on.browser, server);
  await openCat(hooks);
  const snap = hooks.page.getByTestId('snap');
  assert.equal(await snap.isChecked(), true);
  await hooks.clickAt(0.5, 0.5);
  await hooks.page.waitForFunction(() => document.querySelector('[data-testid=mask]').dataset.area !== undefined);
  await hooks.waitFor('idle');
  const snapped = await hooks.area();
  await hooks.clickAt(0.45, 0.5, { button: 'right' });
  await hooks.page.waitForFunction((area) => document.querySelector('[data-testid=mask]').dataset.area !== String(area), snapped);
  await hooks.waitFor('idle');
  const areas = [];
  for (const toggle of [() => hooks.page.keyboard.press('e'), () => snap.click()]) {
    const before = await hooks.area();
    await toggle();
    await hooks.page.waitForFunction((area) => ![String(area), undefined].includes(document.querySelector('[data-testid=mask]').dataset.area), before);
    await hooks.waitFor('idle');
    areas.push(await hooks.area());
  }
  assert.equal(await snap.isChecked(), true);
  assert.ok(areas[0] !== areas[1], 'both steps are answered anew');
  await hooks.page.keyboard.press('z');
  assert.equal(await hooks.area(), snapped, 'and the first of them is what it was');
  assert.deepEqual(hooks.complaints, []);
  await hooks.context.close();
  await server.close();
});
