/** The model in the page, against the stand-in engine: which one, from where, kept, refused, and a worker that dies with it. */
import assert from 'node:assert/strict';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openPage } from './browser.mjs';
import { CAT, openCat, pageTests } from './picture-page.mjs';
import { FAKE_MODELS, startServer } from './server.mjs';
import { stage } from './stage.mjs';

const on = stage();
const pageTest = pageTests(on);

pageTest('another model: the picture is encoded again, the clicks are asked again', async (hooks) => {
  await openCat(hooks);
  await hooks.clickAt(0.5, 0.5);
  await hooks.waitFor('idle');
  await hooks.page.locator('#model-button').click();
  await hooks.through('loading', () => hooks.page.locator('.model-item', { hasText: 'Nano, second' }).click());
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
    await hooks.through('encoding', () => hooks.page.workers()[0].evaluate(crash).catch(() => undefined));
    await hooks.waitFor('idle');
    assert.equal(await hooks.area(), area, 'what was found is still there');
    await hooks.clickAt(0.2, 0.4);
    await hooks.page.waitForFunction((before) => Number(document.querySelector('[data-testid=mask]').dataset.area) > before, area);
    await hooks.waitFor('idle');
    assert.equal(hooks.page.workers().length, 1);
    await hooks.context.close();
  });
}
