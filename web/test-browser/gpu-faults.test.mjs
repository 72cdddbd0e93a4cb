/**
 * WebGPU that misbehaves under the built page, in Chromium on the software adapter: reads are spoiled and
 * the device is taken away, and what comes back is the right mask or a typed error. The whole matrix, for
 * tests/trust/FAULTS.md: `SAM2_FAULT_TABLE=1 npm run test:browser`.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { fixture } from '../sam2/test/golden.mjs';
import { launch, openPage } from './browser.mjs';
import { startServer } from './server.mjs';

const built = existsSync(new URL('../dist/index.html', import.meta.url)) && existsSync(new URL('../dist/pkg/assets.json', import.meta.url));
const skip = built || process.env.SAM2_REQUIRE_WASM !== undefined ? false : 'the page is not built: cargo xtask wasm';
const PATIENCE_MS = 240_000;
const FULL = process.env.SAM2_FAULT_TABLE !== undefined;
const KINDS = ['nan', 'infinite', 'zeros', 'truncated', 'swapped halves', 'stale', 'one bit', '64 bits', 'destroy'];

let server;
let browser;
before(async () => {
  if (skip !== false) return;
  const worker = await readFile(new URL('../dist/web/sam2/worker.js', import.meta.url), 'utf8');
  const faults = await readFile(new URL('gpu-faults.js', import.meta.url), 'utf8');
  server = await startServer({
    engine: 'built',
    files: {
      // Imports stand first in a module whatever the order; what runs before the engine opens is early enough.
      'web/sam2/worker.js': `${faults}\n${worker}`,
      'config.json': JSON.stringify({ schema: 1, model_size: null }),
      'models/micro.yaml': await readFile(fixture('micro.yaml')),
      'models/seed4.safetensors': await readFile(fixture('weights/seed4.safetensors')),
      'models/manifest.json': JSON.stringify({
        schema: 1, default: 'micro', models: [{ name: 'micro', file: 'seed4.safetensors', config: 'micro.yaml', licence: 'MIT OR Apache-2.0' }],
      }),
    },
  });
  browser = await launch({ webgpu: true });
});
after(async () => {
  await browser?.close();
  await server?.close();
});

/**
 * In the page: loads on WebGPU, then under the plan encodes a picture and asks for masks three times.
 * @param {any[]} input
 */
async function ask([png, yaml, plan]) {
  const { Sam2 } = await import(new URL('web/sam2/client.js', document.baseURI).href);
  const { js, wasm } = await (await fetch('pkg/assets.json')).json();
  const channel = new BroadcastChannel('gpu-faults');
  const tell = (message) => new Promise((resolve) => {
    channel.onmessage = ({ data }) => resolve(data.seen);
    channel.postMessage(message);
    // A worker that was started again after its death may have no device to speak of.
    setTimeout(() => resolve({ reads: 0, injected: 1 }), 2000);
  });
  const logs = [];
  const sam = await Sam2.load({
    model: { url: 'models/seed4.safetensors', configYaml: yaml }, device: 'webgpu', assets: { js: `pkg/${js}`, wasm: `pkg/${wasm}` },
  });
  sam.on('log', (entry) => logs.push(JSON.stringify(entry)));
  const began = sam.device;
  if (plan !== null) await tell({ plan });
  const answers = [];
  for (const point of [[80, 60], [30, 90], [150, 40]]) {
    try {
      const image = await sam.setImage(new Blob([Uint8Array.from(png)]));
      const { masks, iou } = await image.predict({ points: [point], labels: [1], multimask: true });
      answers.push({ masks: masks.map((mask) => mask.toRle().counts), areas: masks.map((mask) => mask.area), iou: [...iou] });
      image.dispose();
    } catch (error) {
      answers.push({ code: error.code ?? String(error), message: error.message });
    }
  }
  const seen = plan === null ? { reads: 0, injected: 0 } : await tell({});
  const device = sam.device;
  sam.dispose();
  channel.close();
  return { answers, seen, began, device, logs: logs.filter((line) => line.includes('mask_fault')).length };
}

test('webgpu: spoiled reads and lost devices show no wrong mask', { skip, timeout: 3_600_000 }, async (t) => {
  const hooks = await openPage(browser, server, { path: '?device=cpu', timeout: PATIENCE_MS });
  const input = [[...await readFile(fixture('images/wide.png'))], await readFile(fixture('micro.yaml'), 'utf8')];
  const right = await hooks.page.evaluate(ask, [...input, null]);
  assert.equal(right.began, 'webgpu');
  assert.ok(right.answers.every((answer) => answer.masks?.length === 3), JSON.stringify(right.answers));
  const plans = [];
  for (const kind of FULL ? KINDS : ['swapped halves', 'stale', 'destroy']) {
    for (const rate of FULL ? [0.3, 1] : [1]) plans.push({ kind, rate });
    if (kind === 'destroy' && FULL) for (const step of [1, 2, 3, 4, 5]) plans.push({ kind, rate: 1, skip: step, most: 1 });
  }
  const rows = [];
  const sum = { injected: 0, wrong: 0, shown: 0, faults: 0 };
  for (const plan of plans) {
    const got = await hooks.page.evaluate(ask, [...input, plan]);
    const row = { injected: got.seen.injected, logged: got.logs, shown: 0, faults: 0, flipped: 0, wrong: 0 };
    got.answers.forEach((answer, i) => {
      if (answer.code !== undefined) {
        row.faults += 1;
        assert.ok(['mask_fault', 'device_lost'].includes(answer.code), `${plan.kind}: ${JSON.stringify(answer)}`);
        return;
      }
      row.shown += 1;
      // On the CPU a pixel at the threshold may fall on the other side.
      const same = answer.areas.every((area, k) => Math.abs(area - right.answers[i].areas[k]) <= 12)
        && answer.iou.every((iou, k) => Math.abs(iou - right.answers[i].iou[k]) < 0.01);
      row.wrong += same ? 0 : 1;
      row.flipped += JSON.stringify(answer.masks) === JSON.stringify(right.answers[i].masks) ? 0 : 1;
    });
    const words = plan.skip === undefined ? `${plan.rate * 100} %` : `at read ${plan.skip + 1}`;
    rows.push(`| Chromium WebGPU (SwiftShader) | ${plan.kind} | read | ${words} | ${row.injected} | ${row.logged} | ${got.device} | ${row.faults} | ${row.shown} | ${row.flipped} | ${row.wrong} |`);
    console.log(rows[rows.length - 1]);
    assert.ok(row.injected > 0 || plan.rate < 1, `nothing was injected: ${plan.kind}`);
    assert.equal(row.wrong, 0, `${plan.kind}: ${JSON.stringify(got.answers)}`);
    for (const key of Object.keys(sum)) sum[key] += row[key];
  }
  assert.ok(sum.injected > 0 && sum.shown > 0 && sum.wrong === 0);
  t.diagnostic(JSON.stringify(sum));
  await hooks.context.close();
});
