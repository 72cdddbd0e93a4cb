/**
 * WebGPU that misbehaves under the built package, in Chromium on the software adapter: reads are spoiled
 * and the device is taken away, and what comes back is the right mask or a typed error.
 *
 * `SAM2_FAULT_TABLE=1 node --test test-browser/gpu-faults.test.mjs` runs the whole matrix and prints the
 * rows of tests/trust/FAULTS.md; with `SAM2_FAULT_TABLE=destroy` only those of lost devices.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { fixture } from '../sam2/test/golden.mjs';
import { openPage } from './browser.mjs';
import { BLANK_PAGE, NOT_BUILT, microModels, stage } from './stage.mjs';

const FULL = process.env.SAM2_FAULT_TABLE !== undefined;
const SPOILED = process.env.SAM2_FAULT_TABLE !== 'destroy';
const PATIENCE_MS = FULL ? 1_800_000 : 600_000;
const KINDS = ['nan', 'infinite', 'zeros', 'truncated', 'swapped halves', 'stale', 'one bit', '64 bits'];

const on = stage(async () => {
  const worker = await readFile(new URL('../dist/web/sam2/worker.js', import.meta.url), 'utf8');
  const faults = await readFile(new URL('gpu-faults.js', import.meta.url), 'utf8');
  // Imports stand first in a module whatever the order; what runs before the engine opens is early enough.
  return { engine: 'built', files: { 'web/sam2/worker.js': `${faults}\n${worker}`, ...BLANK_PAGE, ...await microModels('seed4') } };
}, { webgpu: true }, NOT_BUILT);

/** In the page: the tools of these tests, as `globalThis.rig`. @param {number[]} png */
async function makeRig(png) {
  const { Sam2 } = await import(new URL('web/sam2/client.js', document.baseURI).href);
  const { js, wasm } = await (await fetch('pkg/assets.json')).json();
  const configYaml = await (await fetch('models/micro.yaml')).text();
  const picture = new Blob([Uint8Array.from(png)]);
  const channel = new BroadcastChannel('gpu-faults');
  /** What a worker that starts is told. @type {object} */
  let plan = {};
  let asks = 0;
  /** @type {Map<number, (seen: object) => void>} */
  const waiting = new Map();
  channel.onmessage = ({ data }) => {
    if (data.started) channel.postMessage({ plan });
    else waiting.get(data.answer)?.(data.seen);
  };
  const tell = (message) => new Promise((resolve) => {
    asks += 1;
    waiting.set(asks, resolve);
    channel.postMessage({ ...message, ask: asks });
    setTimeout(() => resolve(null), 10_000);
  });
  const rig = {
    sam: null, image: null, log: [], lost: 0, seen: null,
    // A small input: the checks are the same, and the software adapter is slow.
    model: { url: 'models/seed4.safetensors', configYaml, imageSize: 64 },
    async load(device, first = {}) {
      rig.sam?.dispose();
      Object.assign(rig, { image: null, log: [], lost: 0 });
      plan = first;
      rig.sam = await Sam2.load({ model: rig.model, device, assets: { js: `pkg/${js}`, wasm: `pkg/${wasm}` }, onLog: ({ text }) => rig.log.push(text) });
      rig.sam.on('device-lost', ({ message }) => {
        rig.lost += 1;
        rig.log.push(`worker lost: ${message}`);
      });
      return rig.sam.device;
    },
    async arm(next) {
      plan = {};
      rig.log.length = 0;
      return tell(next);
    },
    async encode() {
      rig.image?.dispose();
      rig.image = await rig.sam.setImage(picture);
    },
    /** Answers as numbers, or the code of the error. */
    async ask(points) {
      const answers = [];
      for (const point of points) {
        try {
          if (rig.image === null) await rig.encode();
          const { masks, iou } = await rig.image.predict({ points: [point], labels: [1], multimask: true });
          answers.push({ counts: masks.map((mask) => mask.toRle().counts), iou: [...iou], lowRes: masks.map((mask) => [...mask.lowRes]) });
        } catch (error) {
          answers.push({ code: error.code ?? String(error), message: error.message });
        }
      }
      return answers;
    },
    /** The first frames of a clip, as `ask` answers. */
    async clip(destroyAt) {
      const frames = Array.from({ length: 3 }, () => picture);
      const answers = [];
      try {
        const video = await rig.sam.openVideo(frames);
        const take = ({ objects }) => answers.push({ counts: objects.map(({ mask }) => mask.toRle().counts), iou: [], lowRes: [] });
        if (destroyAt === 'video prompt') await tell({ plan: { kind: 'destroy', at: 'submit', skip: 3, most: 1 } });
        take(await video.addPoints({ frame: 0, object: 1, points: [[80, 60]] }));
        if (destroyAt === 'propagation') await tell({ plan: { kind: 'destroy', at: 'submit', skip: 5, most: 1 } });
        for await (const answer of video.propagate()) take(answer);
        video.close();
      } catch (error) {
        answers.push({ code: error.code ?? String(error), message: error.message });
      }
      return answers;
    },
    tell,
    /** What came of it. */
    async outcome() {
      const ends = (words) => rig.log.filter((line) => line.includes('mask_fault') && line.includes(words)).length;
      const moved = rig.log.filter((line) => line.includes('moving to the CPU')).length;
      return {
        seen: await tell({}), log: rig.log.filter((line) => line.includes('worker lost')), device: rig.sam.device, why: rig.sam.deviceInfo.why, lost: rig.lost, moved,
        again: ends('read again'), anew: ends('computed again'), cpu: ends('computed on the CPU'), given: ends('given up'),
      };
    },
  };
  globalThis.rig = rig;
}

/** The masks of a picture, and those of a clip. */
const POINTS = [[80, 60], [30, 90], [150, 40]];

/**
 * How many of `answers` are typed faults, are right, have logits off by more than rounding under the right
 * mask, or are wrong: any pixel whose logit is farther from 0 than a hundredth of the largest is on the
 * other side, or an IoU is off by more than 0.01.
 */
function judge(answers, right) {
  const row = { faults: 0, shown: 0, moved: 0, wrong: 0 };
  answers.forEach((answer, i) => {
    if (answer.code !== undefined) {
      assert.ok(['mask_fault', 'device_lost'].includes(answer.code), JSON.stringify(answer));
      row.faults += 1;
      return;
    }
    row.shown += 1;
    let [off, flipped] = [0, answer.counts.length !== right[i].counts.length];
    right[i].lowRes.forEach((logits, m) => {
      const largest = Math.max(...logits.map(Math.abs));
      logits.forEach((logit, p) => {
        const got = answer.lowRes[m][p];
        if (!Number.isFinite(got)) flipped = true;
        off = Math.max(off, Math.abs(got - logit) / largest);
        if (Math.abs(logit) > largest / 100 && got > 0 !== logit > 0) flipped = true;
      });
    });
    if (right[i].iou.some((iou, m) => Math.abs(iou - answer.iou[m]) > 0.01)) flipped = true;
    // Of frames of a clip there are the masks alone.
    if (right[i].lowRes.length === 0 && right[i].counts.some((counts, m) => counts !== answer.counts[m])) flipped = true;
    row.wrong += flipped ? 1 : 0;
    row.moved += !flipped && off > 1e-3 ? 1 : 0;
  });
  return row;
}

const sum = { injected: 0, faults: 0, shown: 0, moved: 0, wrong: 0 };
const rows = [];

/** Adds a row of the table and holds it to the rule. */
function note({ kind, where, rate }, outcome, answers, right) {
  const row = judge(answers, right);
  const injected = outcome.lost > 0 ? 1 : outcome.seen?.injected ?? 0; // a worker that is gone has told nothing
  rows.push(`| Chromium WebGPU (SwiftShader) | ${kind} | ${where} | ${rate} | ${injected} | ${outcome.again} | ${outcome.anew} | ${Math.max(outcome.cpu, outcome.moved)} | ${row.faults} | ${row.shown} | ${row.moved} | ${row.wrong} |`);
  console.log(rows.at(-1));
  sum.injected += injected;
  for (const key of ['faults', 'shown', 'moved', 'wrong']) sum[key] += row[key];
  assert.equal(row.wrong, 0, `${kind} at ${where}: a wrong mask`);
  return { ...row, injected };
}

test('webgpu: spoiled reads and lost devices show no wrong mask', { skip: NOT_BUILT, timeout: PATIENCE_MS * 3 }, async () => {
  const { page, context } = await openPage(on.browser, on.server, { path: 'blank.html', state: '', timeout: PATIENCE_MS });
  page.on('console', (message) => message.type() === 'error' && console.log(`console: ${message.text()}`));
  await page.evaluate(makeRig, [...await readFile(fixture('images/wide.png'))]);
  const rig = (work, ...args) => page.evaluate(work, args);
  const ask = (points) => rig(([list]) => globalThis.rig.ask(list), points);
  const arm = (plan) => rig(([next]) => globalThis.rig.arm({ plan: next }), plan);
  const outcome = () => rig(() => globalThis.rig.outcome());
  const began = performance.now();
  const step = (words) => console.log(`${Math.round((performance.now() - began) / 1000)} s: ${words}`);

  await rig(() => globalThis.rig.load('cpu'));
  const right = await ask(POINTS);
  const rightClip = await rig(() => globalThis.rig.clip());
  assert.ok(right.every(({ counts }) => counts?.length === 3) && rightClip.length === 4, JSON.stringify([right, rightClip]).slice(0, 300));
  step('answers of the CPU');

  assert.equal(await rig(() => globalThis.rig.load('webgpu')), 'webgpu');
  step('loaded on WebGPU');
  const loadSeen = (await outcome()).seen;
  await arm({});
  const few = FULL ? POINTS : POINTS.slice(0, 1);
  assert.deepEqual(judge(await ask(few), right), { faults: 0, shown: few.length, moved: 0, wrong: 0 }, 'undisturbed');
  const perClick = Math.ceil(((await outcome()).seen.reads) / (few.length + 1));
  step(`${loadSeen.submits} submissions and ${loadSeen.reads} reads to load, ${perClick} reads a click`);

  // One read spoiled: it is read again, or computed again, where it was, and the GPU is kept.
  let turn = 0;
  for (const kind of !SPOILED ? [] : FULL ? KINDS : ['swapped halves']) {
    for (const at of FULL ? Array.from({ length: perClick }, (_, i) => i) : [0]) {
      await arm({ kind, most: 1, skip: at });
      turn = (turn + 1) % POINTS.length; // another than the one before, or stale would be right
      const answers = await ask([POINTS[turn]]);
      const result = await outcome();
      const row = note({ kind, where: 'read', rate: `once, read ${at + 1}` }, result, answers, [right[turn]]);
      assert.equal(result.device, 'webgpu', 'one fault is no reason to leave the GPU');
      if (!kind.includes('bit') && row.injected > 0) assert.equal(result.again + result.anew, 1, `${kind}: ${JSON.stringify(result)}`);
      assert.equal(row.faults, 0);
    }
  }
  step('single faults');

  // Every read spoiled, or every third: the CPU takes over, and its answer is right.
  for (const kind of FULL && SPOILED ? KINDS : []) {
    await arm({});
    if ((await outcome()).device !== 'webgpu') {
      await rig(() => globalThis.rig.sam.loadModel(globalThis.rig.model));
      await rig(() => globalThis.rig.encode());
    }
    await arm({ kind });
    const answers = await ask(POINTS);
    const result = await outcome();
    note({ kind, where: 'read', rate: '100 %' }, result, answers, right);
    if (kind !== 'stale' && !kind.includes('bit')) assert.equal(result.device, 'cpu', JSON.stringify(result));
  }
  step('every read');

  // The device goes away: the CPU takes over in the same worker, or a new worker does.
  const destroyed = async (where, body, reference) => {
    const from = performance.now();
    const answers = await body();
    const seconds = (performance.now() - from) / 1000;
    const result = await outcome();
    const row = note({ kind: 'GPUDevice.destroy()', where, rate: 'once' }, result, answers, reference);
    step(`destroyed at ${where}: ${seconds.toFixed(1)} s, then on ${result.device} (${result.why}), ${result.lost} workers lost ${result.log.join(' ')}`);
    assert.ok(row.injected > 0 && row.faults === 0, JSON.stringify(answers).slice(0, 500));
    assert.equal(result.device, 'cpu', result.why);
  };
  const fresh = async () => {
    await rig(() => globalThis.rig.load('webgpu'));
    await rig(() => globalThis.rig.encode());
    await arm({});
  };
  if (FULL && SPOILED) await fresh();
  // Not inside `getMappedRange`: that would take the mapped bytes from under wgpu in the middle of a call,
  // which no device that is lost can do.
  await destroyed('a click', async () => {
    await arm({ kind: 'destroy', at: 'submit', most: 1, skip: 2 });
    return ask(POINTS);
  }, right);
  // Every engine that follows takes this adapter minutes to start.
  if (FULL) {
    await fresh();
    await destroyed('encode', async () => {
      await arm({ kind: 'destroy', at: 'submit', most: 1, skip: 1 });
      await rig(() => globalThis.rig.encode());
      return ask(POINTS);
    }, right);
    await fresh();
    await destroyed('rest, between two clicks', async () => {
      await rig(() => globalThis.rig.tell({ destroy: true }));
      return ask(POINTS);
    }, right);
    for (const where of ['propagation', 'video prompt']) {
      await fresh();
      await destroyed(where, () => rig(([at]) => globalThis.rig.clip(at), where), rightClip);
    }
    for (const part of [0.5, 0.1, 0.95]) {
      await destroyed(`load, at ${part * 100} % of its submissions`, async () => {
        await rig(([plan]) => globalThis.rig.load('webgpu', plan), { kind: 'destroy', at: 'submit', most: 1, skip: Math.floor(loadSeen.submits * part) });
        return ask(POINTS);
      }, right);
    }
  }
  assert.ok(sum.injected > 0 && sum.shown > 0 && sum.wrong === 0);
  console.log(`${sum.injected} faults injected, ${sum.faults} typed faults, ${sum.shown} masks shown, ${sum.moved} with moved logits, ${sum.wrong} wrong`);
  await context.close();
});
