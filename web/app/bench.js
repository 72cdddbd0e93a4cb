/**
 * The page's benchmark: `bench.html?model=NAME|URL&device=auto|webgpu|cpu&runs=3&frames=0`, started at once
 * with `&start`. Prints a table, and one JSON object with the names of `sam2 bench --json`.
 */
import { Sam2 } from '../sam2/client.js';
import { byId, make } from './dom.js';
import { engineAssets } from './engine-assets.js';
import { chooseModel, parseDevice, parseManifest } from './models.js';
import { bytesInWords, durationInWords, progressInWords, sentence } from './words.js';

/** What the other contestants of benches/ get. */
const SIZE = { width: 1280, height: 853 };
/** Frames of the clip that is tracked: a person's video, not a poster. */
const CLIP_SIZE = { width: 640, height: 360 };

const query = new URLSearchParams(location.search);
const state = byId('state', HTMLElement);
const facts = byId('facts', HTMLElement);
const output = byId('json', HTMLElement);
const modelChoice = byId('model', HTMLSelectElement);
const fileChoice = byId('file', HTMLInputElement);
const number = (/** @type {string} */ id) => byId(id, HTMLInputElement).valueAsNumber;

/** @type {import('./models.js').Manifest} */
let manifest = { entries: [], preferred: null };

/** @param {'ready' | 'running' | 'done' | 'error'} name @param {string} text */
function show(name, text) {
  state.dataset.state = name;
  state.textContent = text;
}

/** A picture that is not flat and not noise. @param {{ width: number, height: number }} size @param {number} shift */
function picture({ width, height }, shift = 0) {
  const data = new Uint8ClampedArray(width * height * 4);
  for (let y = 0, i = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1, i += 4) {
      const disc = (x - width * 0.3 - shift) ** 2 + (y - height * 0.5) ** 2 < (height * 0.2) ** 2;
      data[i] = disc ? 210 : 110 + 60 * Math.sin(x / 37);
      data[i + 1] = disc ? 50 : 120 + 50 * Math.cos(y / 29);
      data[i + 2] = disc ? 40 : 100 + 40 * Math.sin((x + y) / 53);
      data[i + 3] = 255;
    }
  }
  return { data, width, height };
}

/** @param {number} runs @param {string} what @param {() => Promise<unknown>} work @returns {Promise<number>} the median in milliseconds */
async function median(runs, what, work) {
  const times = [];
  for (let run = 0; run <= runs; run += 1) {
    show('running', run === 0 ? `${what}, warming up…` : `${what}, ${run} of ${runs}…`);
    const began = performance.now();
    await work();
    if (run > 0) times.push(performance.now() - began);
  }
  return times.sort((a, b) => a - b)[times.length >> 1];
}

/** @param {import('../sam2/index.d.ts').ModelSource} source @param {'auto' | 'webgpu' | 'cpu'} device @param {number} runs @param {number} frames */
async function measure(source, device, runs, frames) {
  const began = performance.now();
  const sam = await Sam2.load({
    model: source, device, assets: await engineAssets(), cache: false, onProgress: (progress) => show('running', progressInWords(progress)),
  });
  const load_ms = performance.now() - began;
  try {
    const { width, height } = SIZE;
    const pixels = picture(SIZE);
    /** @type {import('../sam2/index.d.ts').Sam2Image | undefined} */
    let image;
    const encode_ms = await median(runs, 'Encoding', async () => {
      image?.dispose();
      image = await sam.setImage(pixels);
    });
    const decode_ms = await median(runs, 'Decoding', async () => {
      const answer = await image?.predict({ points: [[width * 0.3, height * 0.5]], labels: [1], multimask: true });
      if (answer?.masks.length !== 3) throw new Error('the decoder answered something else than three masks');
    });
    const track_ms = frames > 0 ? await trackMs(sam, frames) : null;
    const info = sam.model;
    const memory = sam.deviceInfo?.memoryBytes;
    const gflop = info?.encodeGflop ?? null;
    return {
      model: info?.name ?? '', architecture: info?.architecture ?? '', image_size: info?.imageSize ?? 0, device: sam.device, adapter: sam.deviceInfo?.adapter ?? null,
      threads: sam.threads, load_ms, encode_ms, decode_ms, track_ms, gflop, gflops: gflop === null ? null : gflop / (encode_ms / 1000), engine_mb: memory === undefined ? null : memory / 2 ** 20,
    };
  } finally {
    sam.dispose();
  }
}

/** One object through a clip whose memory is full before the count begins. @param {InstanceType<typeof Sam2>} sam @param {number} frames */
async function trackMs(sam, frames) {
  const { width, height } = CLIP_SIZE;
  const video = await sam.openVideo({ frames, width, height, read: async (index) => picture(CLIP_SIZE, index * 3) });
  try {
    await video.addPoints({ frame: 0, object: 1, points: [[width * 0.3, height * 0.5]] });
    const times = [];
    for await (const { frame, ms, done, total } of video.propagate()) {
      show('running', `Tracking, ${done} of ${total} frames…`);
      if (frame > Math.min(7, frames / 2)) times.push(ms);
    }
    return times.length === 0 ? null : times.sort((a, b) => a - b)[times.length >> 1];
  } finally {
    video.close();
  }
}

/** @param {Awaited<ReturnType<typeof measure>>} result */
function showResult(result) {
  const rows = [
    ['Model', `${result.architecture || result.model}, ${result.image_size} × ${result.image_size}`],
    ['Device', `${result.device === 'webgpu' ? `WebGPU${result.adapter ? `, ${result.adapter}` : ''}` : 'CPU'}, ${result.threads} ${result.threads === 1 ? 'thread' : 'threads'}`],
    ['Load and warm up', durationInWords(result.load_ms)],
    ['Encode a picture', durationInWords(result.encode_ms)],
    ...(result.gflops === null ? [] : [['Encoder', `${result.gflops.toFixed(1)} GFLOP/s (${result.gflop?.toFixed(1)} GFLOP)`]]),
    ['Decode a click', durationInWords(result.decode_ms)],
    ...(result.track_ms === null ? [] : [['Track a frame', `${durationInWords(result.track_ms)} with one object`]]),
    ...(result.engine_mb === null ? [] : [[result.device === 'webgpu' ? 'Engine’s memory, beside the GPU’s' : 'Engine’s memory at most', bytesInWords(result.engine_mb * 2 ** 20)]]),
  ];
  facts.replaceChildren(...rows.flatMap(([term, value]) => [make('dt', {}, term), make('dd', {}, value)]));
  output.textContent = JSON.stringify(result);
  output.hidden = false;
}

async function run() {
  const start = byId('start', HTMLButtonElement);
  start.disabled = true;
  try {
    const device = parseDevice(byId('device-choice', HTMLSelectElement).value) ?? 'auto';
    const file = fileChoice.files?.[0];
    /** @type {import('../sam2/index.d.ts').ModelSource} */
    let source;
    if (file !== undefined) source = { file, name: file.name };
    else {
      const choice = chooseModel(new URLSearchParams({ model: modelChoice.value }), manifest, document.baseURI);
      if (choice?.kind === 'url') source = choice.model;
      else if (choice?.kind === 'entry' && choice.entry.url !== null) {
        const { url, name, sha256, bytes, config } = choice.entry;
        source = { url, name, sha256, bytes, configYaml: config === undefined ? undefined : await (await fetch(config)).text() };
      } else throw new Error(`there is no model ${modelChoice.value} here: choose a file`);
    }
    const result = await measure(source, device, number('runs'), number('frames'));
    byId('device', HTMLElement).textContent = result.device === 'webgpu' ? 'WebGPU' : 'CPU';
    showResult(result);
    show('done', 'Measured');
  } catch (error) {
    const { message, hint } = /** @type {{ message?: string, hint?: string }} */ (error ?? {});
    show('error', [message ?? String(error), hint].filter(Boolean).map((text) => sentence(String(text))).join(' '));
  } finally {
    start.disabled = false;
  }
}

async function prepare() {
  const address = new URL('../../models/manifest.json', import.meta.url);
  const response = await fetch(address, { cache: 'no-cache' });
  if (response.ok) manifest = parseManifest(await response.json(), address.href);
  const asked = query.get('model') ?? manifest.preferred?.name ?? '';
  const names = manifest.entries.filter(({ url }) => url !== null).map(({ name }) => name);
  modelChoice.replaceChildren(...[...new Set([...names, asked])].filter(Boolean).map((name) => make('option', { value: name }, name)));
  modelChoice.value = asked;
  byId('device-choice', HTMLSelectElement).value = parseDevice(query.get('device') ?? '') ?? 'auto';
  for (const id of ['runs', 'frames']) if (query.has(id)) byId(id, HTMLInputElement).value = query.get(id) ?? '';
  if (query.has('start')) await run();
}

byId('form', HTMLFormElement).addEventListener('submit', (event) => {
  event.preventDefault();
  void run();
});
prepare().catch((error) => show('error', String(error)));
