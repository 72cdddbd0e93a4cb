/**
 * Hostile worker messages: whatever arrives, the worker's side answers every request once, with a reply
 * or a typed error, and goes on working. `SAM2_FUZZ_CASES` sets the number of cases.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isErrorCode } from '../errors.js';
import { EngineHost } from '../host.js';

const CASES = Number(process.env.SAM2_FUZZ_CASES ?? 3000);
const TYPES = [
  'open', 'load', 'setImage', 'decode', 'predict', 'outline', 'dropImage', 'openVideo', 'videoPrompt', 'videoMask', 'videoRemove', 'videoClear', 'videoReset',
  'startPass', 'nextFrame', 'pushFrame', 'videoPicture', 'videoLowRes', 'videoStats', 'closeVideo', 'trace', 'nonsense', '__proto__', 'toString', undefined, 7,
];
/** A case that takes longer is a hang. */
const HANG_MS = 10_000;

/** Numbers from a seed (mulberry32). @param {number} seed */
function dice(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return {
    /** @param {number} n */
    below: (n) => Math.floor(next() * n),
    /** @template T @param {readonly T[]} list @returns {T} */
    one: (list) => list[Math.floor(next() * list.length)],
  };
}

/** @param {ReturnType<typeof dice>} d @param {number} depth @returns {unknown} */
function anything(d, depth = 0) {
  const kinds = [
    () => null, () => undefined, () => NaN, () => -1, () => 2 ** 53, () => 1e400, () => '', () => 'x'.repeat(d.below(2000)), () => true,
    () => d.below(300), () => d.below(300) / 7, () => new ArrayBuffer(d.below(400)), () => new Uint8ClampedArray(d.below(400)), () => new Blob(['no picture']),
    () => (depth > 2 ? 0 : Array.from({ length: d.below(6) }, () => anything(d, depth + 1))),
    () => (depth > 2 ? {} : Object.fromEntries(Array.from({ length: d.below(5) }, () => [d.one(KEYS), anything(d, depth + 1)]))),
  ];
  return d.one(kinds)();
}
const KEYS = [
  'assets', 'device', 'lock', 'model', 'cache', 'picture', 'image', 'prompt', 'points', 'labels', 'box', 'mask', 'multimask', 'prediction', 'index', 'format',
  'rgba', 'width', 'height', 'bytes', 'url', 'configYaml', 'imageSize', '__proto__', 'constructor', 'kind', 'source', 'video', 'frame', 'object', 'pass', 'size', 'counts', 'reader', 'frames', 'maxDimension', 'maxFrames',
];

/** A message that is right. @param {ReturnType<typeof dice>} d @param {string} type */
function sound(d, type) {
  const bodies = {
    open: { assets: { js: 'e.js', wasm: 'e.wasm' }, device: 'cpu', lock: '' },
    load: { model: { bytes: new ArrayBuffer(16), name: 'a' }, cache: false },
    setImage: { picture: { kind: 'rgba', rgba: new Uint8ClampedArray(16), width: 2, height: 2 } },
    decode: { picture: { kind: 'rgba', rgba: new Uint8ClampedArray(16), width: 2, height: 2 } },
    predict: { image: 1 + d.below(3), prompt: { points: [[1, 1]], labels: [1] } },
    outline: { prediction: 1 + d.below(3), index: 0, format: 'svg' },
    dropImage: { image: 1 + d.below(3) },
    openVideo: { source: { kind: 'reader', reader: 1, frames: 3, width: 2, height: 2 }, maxDimension: 0, maxFrames: 0 },
    videoPrompt: { video: 1, prompt: { frame: 0, object: 1, points: [[1, 1]], labels: [1], box: null, keep_old_points: false } },
    videoMask: { video: 1, prompt: { frame: 0, object: 1, size: [2, 2], counts: '04' } },
    videoRemove: { video: 1, object: 1 },
    videoClear: { video: 1, frame: 0, object: 1 },
    startPass: { video: 1, pass: { start: null, max_frames: null, reverse: false } },
    pushFrame: { video: 1, picture: { kind: 'rgba', rgba: new Uint8ClampedArray(16), width: 2, height: 2 } },
    videoPicture: { video: 1, frame: 0 },
    videoLowRes: { video: 1, frame: 0, object: 1 },
    trace: { size: [2, 2], counts: '04' },
  };
  return bodies[type] ?? { video: 1 };
}

const FRAME = '{"frame":0,"objects":[],"ms":1}';

/** An engine that answers what the real one would, and throws what it would. */
function module(d) {
  const failing = () => {
    if (d.below(20) === 0) throw Object.assign(new Error('refused'), { code: d.one(['bad_prompt', 'mask_fault', 'device_lost', 'no such code', undefined]) });
    if (d.below(200) === 0) throw new WebAssembly.RuntimeError('unreachable');
  };
  const prediction = {
    count: () => 1, low_res: () => new Float32Array(4), iou: () => 0.5, area: () => 3, bbox: () => new Uint32Array(4), rle: () => '{"counts":"04"}', mask_id: () => 9,
    decode_ms: () => 1, svg: (i) => { if (i !== 0) throw new Error('no mask'); return 'M0 0'; }, polygons: () => '[]', free: () => undefined,
  };
  let picture = 0;
  /** @type {(index: number) => Promise<unknown>} */
  let read = async () => { throw new Error('no video'); };
  const engine = {
    device: () => 'cpu', device_info: () => '{"adapter":"a"}', drop_image: () => undefined,
    load_model: async () => { failing(); return '{"name":"n","image_size":64}'; },
    set_image: async () => { failing(); picture += 1; return JSON.stringify({ id: picture, encode_ms: 1 }); },
    set_decoded: async () => { failing(); picture += 1; return JSON.stringify({ id: picture, encode_ms: 1 }); },
    predict: async () => { failing(); return prediction; },
    open_video: (_, give) => { failing(); read = give; return '{"id":1,"frames":3}'; },
    open_animation: () => { failing(); return '{"id":1,"frames":3}'; },
    open_live: () => { failing(); return '{"id":1,"frames":0}'; },
    video_add: async () => { failing(); await read(d.below(3)); return FRAME; },
    video_add_mask: async () => { failing(); return FRAME; },
    video_remove_object: () => { failing(); return '[]'; },
    video_clear: () => { failing(); return FRAME; },
    video_reset: failing, close_video: failing,
    video_start_pass: () => { failing(); return '{"total":3}'; },
    video_next: async () => { failing(); await read(d.below(3)); return d.below(3) === 0 ? undefined : FRAME; },
    video_push: async () => { failing(); return FRAME; },
    video_picture: async () => { failing(); return { width: 1, height: 1, rgba: new Uint8Array(4) }; },
    video_low_res: () => { failing(); return d.below(2) === 0 ? undefined : new Float32Array(4); },
    video_stats: () => { failing(); return '{}'; },
  };
  return { trace_rle: () => { failing(); return '{}'; }, take_refused_bytes: () => (d.below(3) === 0 ? 5e9 : 0), memory_bytes: () => 4e9, Engine: { create: async () => { failing(); return engine; } }, decode_image: () => { failing(); return { width: 1, height: 1, rgba: new Uint8Array(4) }; } };
}

test(`${CASES} hostile messages are each answered once`, { timeout: CASES * 20 + 60_000 }, async (t) => {
  const endings = new Map();
  let slowest = 0;
  /** @type {EngineHost} */
  let host;
  /** @type {Map<unknown, (message: any) => void>} */
  const waiting = new Map();
  const d = dice(41);
  const fresh = () => {
    host = new EngineHost({
      post: (message) => {
        if (message.kind === 'reply' || message.kind === 'error') {
          const settle = waiting.get(message.id);
          assert.ok(settle, `an answer that nobody waits for: ${JSON.stringify(message)}`);
          waiting.delete(message.id);
          settle(message);
        } else if (message.kind === 'wanted') {
          // The page answers with a frame, an error, or rubbish; and once more, which nobody waits for.
          const answer = d.one([
            { picture: { kind: 'rgba', rgba: new Uint8ClampedArray(16), width: 2, height: 2 } }, { picture: anything(d) }, { error: anything(d) }, {},
            { error: { code: 'unsupported_video', message: 'gone', hint: '' } },
          ]);
          for (const ask of [message.ask, d.below(CASES)]) host.receive(/** @type {any} */ ({ kind: 'frame', ask, ...answer }));
        }
      },
      loadModule: async () => /** @type {any} */ (module(d)),
      holdLock: async () => undefined,
    });
  };
  fresh();
  for (let i = 0; i < CASES; i += 1) {
    if (i % 100 === 0) fresh();
    const type = d.one(TYPES);
    const id = i;
    /** @type {any} */
    const body = d.below(3) === 0 ? anything(d) : sound(d, String(type));
    if (body !== null && typeof body === 'object' && d.below(2) === 0) {
      // One field of a right message is something else.
      const keys = Object.keys(body);
      if (keys.length > 0) Object.defineProperty(body, d.one(keys), { value: anything(d), configurable: true, enumerable: true, writable: true });
    }
    const began = performance.now();
    const answered = new Promise((resolve) => waiting.set(id, resolve));
    host.receive(/** @type {any} */ ({ kind: 'request', id, type, body }));
    if (d.below(10) === 0) host.receive({ kind: 'cancel', id: d.below(2) === 0 ? id : d.below(CASES) });
    let timer;
    const message = /** @type {any} */ (await Promise.race([
      answered,
      new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`case ${i} hangs: ${String(type)} ${JSON.stringify(body)}`)), HANG_MS); }),
    ]));
    clearTimeout(timer);
    slowest = Math.max(slowest, performance.now() - began);
    if (message.kind === 'error') {
      assert.ok(isErrorCode(message.error.code), `case ${i}: ${JSON.stringify(message)}`);
      assert.equal(typeof message.error.message, 'string');
    }
    const ending = message.kind === 'reply' ? `${String(type)}: reply` : `${String(type)}: ${message.error.code}`;
    endings.set(ending, (endings.get(ending) ?? 0) + 1);
  }
  assert.equal(waiting.size, 0);
  assert.ok(endings.size > 12, `too few endings to tell anything: ${[...endings.keys()].join(', ')}`);
  t.diagnostic(`| worker messages | ${CASES} | ${CASES} | ${endings.size} | ${slowest.toFixed(1)} |`);
});
