/**
 * The built page (web/dist) with the real engine, in Chromium: CPU, and WebGPU on the software
 * adapter. Where it has not been built the tests are skipped, unless SAM2_REQUIRE_WASM is set.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { answersOf, fixture, goldenCases, readNpz, worstOf } from '../sam2/test/golden.mjs';
import { launch, openPage } from './browser.mjs';
import { BLANK_PAGE, MICRO_PAGE, NOT_BUILT, microModels, stage } from './stage.mjs';

/** Compiling the module and its shaders on a busy machine of two cores takes a while. */
const PATIENCE_MS = 240_000;
const MICRO = 'weights/seed4.safetensors';

const on = stage(async () => {
  const files = { ...BLANK_PAGE, ...MICRO_PAGE, ...await microModels() };
  for (const { weights } of (await goldenCases()).images) files[`models/${weights.split('/').pop()}`] ??= await readFile(fixture(weights));
  return { engine: 'built', files };
}, { webgpu: true }, NOT_BUILT);

/** What is asked of a device. A click takes the software adapter seconds, and it knows nothing of a picture's size. */
const ASKED = {
  cpu: { clicks: [[0.41, 0.57], [0.2, 0.3], [0.7, 0.6]], cases: ({ weights }) => weights === MICRO },
  webgpu: { clicks: [[0.41, 0.57]], cases: ({ name }) => name === 'seed4_wide' },
};

for (const device of ['cpu', 'webgpu']) {
  test(`${device}: the whole way on the page, with an empty console`, { skip: NOT_BUILT }, async (t) => {
    const hooks = await openPage(on.browser, on.server, { path: `?device=${device}`, timeout: PATIENCE_MS });
    assert.equal(await hooks.page.getByTestId('device').getAttribute('data-device'), device);
    await hooks.input.setInputFiles(fixture('images/wide.png'));
    assert.equal(await hooks.status.getAttribute('data-state'), 'encoding');
    await hooks.waitFor('idle', PATIENCE_MS);
    const milliseconds = [];
    for (const [x, y] of ASKED[device].clicks) {
      await hooks.page.keyboard.press('Escape');
      const began = performance.now();
      await hooks.clickAt(x, y);
      await hooks.page.waitForFunction(() => document.querySelector('[data-testid=mask]').dataset.area !== undefined, null, { timeout: PATIENCE_MS });
      await hooks.waitFor('idle', PATIENCE_MS);
      milliseconds.push(Math.round(performance.now() - began));
    }
    assert.ok(await hooks.area() > 0 && await hooks.area() < 200 * 120);
    const before = await hooks.area();
    await hooks.clickAt(0.3, 0.3, { button: 'right' });
    await hooks.waitFor('idle', PATIENCE_MS);
    await hooks.page.keyboard.press('z');
    assert.equal(await hooks.area(), before, 'undo brings the mask back');
    t.diagnostic(`clicks answered in ${milliseconds.join(', ')} ms`);
    assert.deepEqual(hooks.complaints, []);
    assert.deepEqual(hooks.elsewhere, []);
    await hooks.context.close();
  });

  test(`${device}: answers are the official code's`, { skip: NOT_BUILT }, async (t) => {
    const hooks = await openPage(on.browser, on.server, { path: 'blank.html', state: '', timeout: PATIENCE_MS });
    const { bounds, images } = await goldenCases();
    const cases = images.filter(ASKED[device].cases);
    assert.ok(cases.length > 0);
    const configYaml = await readFile(fixture('micro.yaml'), 'utf8');
    const overall = { logits: 0, iou: 0, mask: 1 };
    await hooks.page.evaluate(`globalThis.answersOf = ${answersOf}; undefined`);
    for (const { name, weights, image, prompts, reference } of cases) {
      const answers = await hooks.page.evaluate(async ([file, yaml, png, list, wanted]) => {
        const { Sam2 } = await import(new URL('web/sam2/client.js', document.baseURI).href);
        const { js, wasm } = await (await fetch('pkg/assets.json')).json();
        globalThis.sam ??= await Sam2.load({
          model: { url: `models/${file}`, configYaml: yaml }, device: wanted, assets: { js: `pkg/${js}`, wasm: `pkg/${wasm}` },
        });
        if (globalThis.sam.device !== wanted) throw new Error(`it runs on ${globalThis.sam.device}: ${globalThis.sam.deviceInfo.why}`);
        const picture = await globalThis.sam.setImage(new Blob([Uint8Array.from(png)]));
        const found = await globalThis.answersOf(picture, list);
        picture.dispose();
        return found;
      }, [
        weights.split('/').pop(), configYaml,
        [...await readFile(fixture(image))], JSON.parse(await readFile(fixture(prompts), 'utf8')), device,
      ]);
      const worst = worstOf(await readNpz(fixture(reference)), answers);
      assert.ok(worst.logits <= bounds.logits && worst.iou <= bounds.iou && worst.mask >= bounds.mask, `${name}: ${JSON.stringify(worst)}`);
      overall.logits = Math.max(overall.logits, worst.logits);
      overall.iou = Math.max(overall.iou, worst.iou);
      overall.mask = Math.min(overall.mask, worst.mask);
    }
    t.diagnostic(`worst: ${JSON.stringify(overall)}`);
    await hooks.context.close();
  });
}

test('without WebGPU, auto runs on the CPU and says why', { skip: NOT_BUILT }, async () => {
  const plain = await launch();
  const hooks = await openPage(plain, on.server, { timeout: PATIENCE_MS });
  assert.equal(await hooks.page.getByTestId('device').getAttribute('data-device'), 'cpu');
  assert.match(await hooks.page.locator('#facts').innerText(), /CPU/);
  assert.deepEqual(hooks.complaints, []);
  await hooks.context.close();
  const asked = await openPage(plain, on.server, { path: '?device=webgpu', state: 'error', timeout: PATIENCE_MS });
  assert.match(await asked.status.innerText(), /WebGPU|GPU/i);
  await asked.context.close();
  await plain.close();
});

test('the worker dies: the real engine comes back with the picture', { skip: NOT_BUILT }, async () => {
  const hooks = await openPage(on.browser, on.server, { path: '?device=cpu', timeout: PATIENCE_MS });
  await hooks.input.setInputFiles(fixture('images/tall.png'));
  await hooks.waitFor('idle', PATIENCE_MS);
  await hooks.clickAt(0.5, 0.5);
  await hooks.page.waitForFunction(() => document.querySelector('[data-testid=mask]').dataset.area !== undefined, null, { timeout: PATIENCE_MS });
  const area = await hooks.area();
  await hooks.through('encoding', () => hooks.page.workers()[0].evaluate(() => self.close()).catch(() => undefined));
  await hooks.waitFor('idle', PATIENCE_MS);
  assert.equal(await hooks.area(), area);
  await hooks.page.keyboard.press('Escape');
  await hooks.clickAt(0.5, 0.5);
  await hooks.page.waitForFunction(() => document.querySelector('[data-testid=mask]').dataset.area !== undefined, null, { timeout: PATIENCE_MS });
  await hooks.waitFor('idle', PATIENCE_MS);
  assert.equal(await hooks.area(), area, 'the same click, the same mask');
  await hooks.context.close();
});
