/**
 * Stands in for the wasm in tests of the page alone: the same surface, ellipses for masks. Served
 * by the test server only; the built page does not contain it.
 */
import { countsFromMask, maskFromCounts } from '../sam2/rle.js';

const SIDE = 64;
/** Pictures that a live video keeps. */
const LIVE_KEPT = 16;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** A test says 'hold' and 'go', so that "while encoding" lasts as long as it needs. */
let held = false;
const orders = new BroadcastChannel('fake-engine');
orders.onmessage = ({ data }) => {
  held = data === 'hold';
};
orders.unref?.(); // in Node an open channel keeps the process alive

function failure(code, message, hint) {
  return Object.assign(new Error(message), { code, hint });
}

export default async function init({ module_or_path: source }) {
  if (source instanceof Response) await source.arrayBuffer();
}

export function decode_image() {
  throw failure('bad_image', 'This file is not a picture that the engine can read.', 'Use PNG, JPEG or WebP.');
}

/** The boundary between inside and outside, as closed rings along the pixels' edges. */
function rings(mask, width, height) {
  const at = (x, y) => x >= 0 && y >= 0 && x < width && y < height && mask[y * width + x] === 1;
  const next = new Map();
  const push = (x0, y0, x1, y1) => {
    const key = `${x0},${y0}`;
    if (!next.has(key)) next.set(key, []);
    next.get(key).push([x1, y1]);
  };
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      if (!at(x, y)) continue;
      if (!at(x, y - 1)) push(x, y, x + 1, y);
      if (!at(x + 1, y)) push(x + 1, y, x + 1, y + 1);
      if (!at(x, y + 1)) push(x + 1, y + 1, x, y + 1);
      if (!at(x - 1, y)) push(x, y + 1, x, y);
    }
  }
  const found = [];
  while (next.size > 0) {
    const [start] = next.keys();
    const ring = [];
    let key = start;
    do {
      const ends = next.get(key);
      const end = ends.pop();
      if (ends.length === 0) next.delete(key);
      ring.push(key.split(',').map(Number));
      key = end.join(',');
    } while (key !== start && next.has(key));
    found.push(ring.filter(([x, y], i) => {
      const [px, py] = ring[(i + ring.length - 1) % ring.length];
      const [nx, ny] = ring[(i + 1) % ring.length];
      return (x - px) * (ny - y) !== (y - py) * (nx - x);
    }));
  }
  return found;
}

class Prediction {
  constructor(masks, width, height) {
    Object.assign(this, { masks, width, height });
  }
  count() { return this.masks.length; }
  iou(i) { return this.masks[i].iou; }
  area(i) { return this.masks[i].mask.reduce((sum, value) => sum + value, 0); }
  bbox(i) {
    const { mask } = this.masks[i];
    let [x0, y0, x1, y1] = [this.width, this.height, -1, -1];
    mask.forEach((value, p) => {
      if (value === 0) return;
      const [x, y] = [p % this.width, Math.floor(p / this.width)];
      x0 = Math.min(x0, x); y0 = Math.min(y0, y); x1 = Math.max(x1, x); y1 = Math.max(y1, y);
    });
    return x1 < 0 ? new Uint32Array(4) : Uint32Array.of(x0, y0, x1 - x0 + 1, y1 - y0 + 1);
  }
  mask(i) { return this.masks[i].mask.slice(); }
  rle(i) {
    return JSON.stringify({ size: [this.height, this.width], counts: countsFromMask(this.masks[i].mask, this.height, this.width) });
  }
  low_res(i) {
    const { mask } = this.masks[i];
    return Float32Array.from({ length: SIDE * SIDE }, (_, p) => {
      const x = Math.floor(((p % SIDE) + 0.5) * this.width / SIDE);
      const y = Math.floor((Math.floor(p / SIDE) + 0.5) * this.height / SIDE);
      return mask[y * this.width + x] === 1 ? 8 : -8;
    });
  }
  mask_id(i) { return this.masks[i].id; }
  polygons(i) { return JSON.stringify(rings(this.masks[i].mask, this.width, this.height).map((outer) => ({ outer, holes: [] }))); }
  svg(i) {
    return rings(this.masks[i].mask, this.width, this.height).map((ring) => `M${ring.map((p) => p.join(' ')).join('L')}Z`).join('');
  }
  decode_ms() { return 20; }
  free() {}
}

/**
 * The frames of an open video, and how the fake follows a thing: by its colour at the first click. What is
 * said on a frame counts there and on those after it.
 */
class FakeVideo {
  constructor(width, height, frames, read) {
    Object.assign(this, { width, height, frames, read, objects: new Map(), live: [], pass: null, encoded: new Set(), tracked: 0 });
  }

  async pixels(frame) {
    if (this.read !== null) return this.read(frame);
    if (frame < this.live.length - LIVE_KEPT) throw failure('bad_prompt', `frame ${frame} of the live video is gone`, 'prompt one of the latest frames');
    return this.live[frame];
  }

  /** Of an object's prompts by frame the one that holds on a frame. */
  said(prompts, frame) {
    const frames = [...prompts.keys()].sort((a, b) => a - b);
    return prompts.get(frames.findLast((at) => at <= frame) ?? frames[0]);
  }

  async answer(frame) {
    const { rgba } = await this.pixels(frame);
    this.encoded.add(frame);
    const began = performance.now();
    await sleep(8);
    const objects = [...this.objects].map(([id, prompts]) => {
      const mask = new Uint8Array(this.width * this.height);
      const said = this.said(prompts, frame);
      for (let p = 0; said !== undefined && p < mask.length; p += 1) {
        const { color, cleared } = said;
        if (Math.abs(rgba[p * 4] - color[0]) + Math.abs(rgba[p * 4 + 1] - color[1]) + Math.abs(rgba[p * 4 + 2] - color[2]) >= 130) continue;
        if (!cleared.some(([x, y]) => Math.hypot((p % this.width) - x, Math.floor(p / this.width) - y) < 10)) mask[p] = 1;
      }
      const { area, bbox, svg } = describe(mask, this.width, this.height);
      const visible = area > 20;
      return {
        id, score: said === undefined ? null : visible ? 4 : -4, iou: 0.9, visible, prompted: prompts.has(frame), area, bbox, svg,
        rle: countsFromMask(mask, this.height, this.width),
      };
    });
    return JSON.stringify({ frame, objects, ms: performance.now() - began });
  }

  async prompt({ frame, object, points, labels, box }) {
    const { rgba } = await this.pixels(frame);
    const at = ([x, y]) => [...rgba.subarray(4 * (Math.floor(y) * this.width + Math.floor(x)), 4 * (Math.floor(y) * this.width + Math.floor(x)) + 3)];
    const positive = points.find((_, i) => labels[i] === 1) ?? (box === null ? null : [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2]);
    const prompts = this.objects.get(object) ?? new Map();
    const color = positive === null ? this.said(prompts, frame)?.color ?? [0, 0, 0] : at(positive);
    this.objects.set(object, prompts.set(frame, { color, cleared: points.filter((_, i) => labels[i] === 0) }));
    return this.answer(frame);
  }
}

/** @param {Uint8Array} mask */
function describe(mask, width, height) {
  const prediction = new Prediction([{ mask }], width, height);
  return { area: prediction.area(0), bbox: [...prediction.bbox(0)], svg: prediction.svg(0), polygons: JSON.parse(prediction.polygons(0)) };
}

export function trace_rle(height, width, counts) {
  return JSON.stringify(describe(maskFromCounts(counts, height, width), width, height));
}

export class Engine {
  static async create(device, onLog) {
    if (device === 'webgpu') throw failure('no_webgpu', 'This browser offers no WebGPU.', 'Use ?device=auto to run on the CPU.');
    onLog('info', 'fake engine');
    const engine = new Engine();
    Object.assign(engine, { images: new Map(), videos: new Map(), masks: new Set(), nextId: 1, model: null, predictions: 0 });
    return engine;
  }
  device() { return 'cpu'; }
  device_info() {
    return JSON.stringify({ device: 'cpu', why: 'no WebGPU adapter was found', adapter: null, threads: 1, simd: true });
  }
  /** wasm-bindgen lends the object to one call at a time. */
  async borrowed(work) {
    if (this.borrowing) throw new Error('recursive use of an object detected which would lead to unsafe aliasing in rust');
    this.borrowing = true;
    try {
      return await work();
    } finally {
      this.borrowing = false;
    }
  }
  load_model(...call) { return this.borrowed(() => this.load(...call)); }
  set_image(...call) { return this.borrowed(() => this.encode(...call)); }
  set_decoded({ rgba, width, height }, onProgress) { return this.set_image(rgba, width, height, onProgress); }
  predict(...call) { return this.borrowed(() => this.decode(...call)); }
  async load(bytes, options, onProgress) {
    JSON.parse(options);
    const text = new TextDecoder().decode(bytes.subarray(0, 64));
    if (text.startsWith('bad')) throw failure('bad_model', 'This file is not a SAM 2 model: 3 tensors are missing.', 'Choose an official .pt file.');
    for (let done = 0; done <= 4; done += 1) {
      onProgress('warming up', done, 4);
      await sleep(20);
    }
    this.model = text;
    this.images.clear();
    this.videos.clear();
    return JSON.stringify({ name: 'sam2.1_hiera_nano', image_size: 256, parameters: 3_400_000, precision: 'f32' });
  }
  async encode(rgba, width, height, onProgress) {
    if (this.model === null) throw failure('bad_model', 'No model is loaded.', '');
    if (rgba.length !== width * height * 4) throw failure('bad_image', 'Wrong length.', '');
    for (let done = 0; done <= 8; done += 1) {
      onProgress('encoding', done, 8);
      await sleep(50);
    }
    while (held) await sleep(20);
    const id = this.nextId;
    this.nextId += 1;
    this.images.set(id, { width, height });
    return JSON.stringify({ id, encode_ms: 412.5, width, height });
  }
  async decode(id, json) {
    const image = this.images.get(id);
    if (image === undefined) throw failure('bad_prompt', `There is no picture ${id}.`, '');
    const prompt = JSON.parse(json);
    if (prompt.mask_id !== null && !this.masks.has(prompt.mask_id)) throw failure('bad_prompt', `There is no mask ${prompt.mask_id}.`, '');
    await sleep(20);
    const { width, height } = image;
    const radius = Math.min(width, height) * 0.16;
    const grow = prompt.multimask ? [0.6, 1, 1.5] : [1];
    const masks = grow.map((factor, index) => {
      const mask = new Uint8Array(width * height);
      for (let p = 0; p < mask.length; p += 1) {
        const [x, y] = [(p % width) + 0.5, Math.floor(p / width) + 0.5];
        let inside = false;
        if (prompt.box !== null) {
          const [x0, y0, x1, y1] = prompt.box;
          inside = ((x - (x0 + x1) / 2) / ((x1 - x0) / 2)) ** 2 + ((y - (y0 + y1) / 2) / ((y1 - y0) / 2)) ** 2 < 1;
        }
        prompt.points.forEach(([px, py], i) => {
          const wobble = prompt.snap ? 1 : 1 + 0.12 * Math.sin(5 * Math.atan2(y - py, x - px));
          if (prompt.labels[i] === 1 && Math.hypot((x - px) / 1.3, y - py) < radius * factor * wobble) inside = true;
        });
        prompt.points.forEach(([px, py], i) => {
          if (prompt.labels[i] === 0 && Math.hypot(x - px, y - py) < radius * 0.6) inside = false;
        });
        mask[p] = inside ? 1 : 0;
      }
      const maskId = this.nextId;
      this.nextId += 1;
      this.masks.add(maskId);
      return { mask, id: maskId, iou: [0.71, 0.93, 0.62][prompt.multimask ? index : 1] };
    });
    this.predictions += 1;
    return new Prediction(masks, width, height);
  }
  drop_image(id) { this.images.delete(id); }

  keep(video, more = {}) {
    const id = this.nextId;
    this.nextId += 1;
    this.videos.set(id, video);
    return JSON.stringify({ id, frames: video.frames, width: video.width, height: video.height, object_cost: 0.4, ...more });
  }
  open_video(options, read) {
    const { frames, width, height } = JSON.parse(options);
    return this.keep(new FakeVideo(width, height, frames, read));
  }
  open_animation() { throw failure('unsupported_video', 'The stand-in reads no animations.', ''); }
  open_live(options) {
    const { width, height } = JSON.parse(options);
    return this.keep(new FakeVideo(width, height, 0, null));
  }
  video_add(id, json) { return this.borrowed(() => this.videos.get(id).prompt(JSON.parse(json))); }
  video_add_mask(id, json) {
    const { frame, object, size: [height, width], counts } = JSON.parse(json);
    // Of the mask the pixel nearest to its middle: a thing has a hole, or something small beside it.
    const inside = Array.from(maskFromCounts(counts, height, width).entries()).filter(([, value]) => value === 1).map(([p]) => [p % width, Math.floor(p / width)]);
    const mean = (axis) => inside.reduce((sum, at) => sum + at[axis], 0) / inside.length;
    const [x, y] = [mean(0), mean(1)];
    const [middle = [0, 0]] = inside.sort((one, other) => Math.hypot(one[0] - x, one[1] - y) - Math.hypot(other[0] - x, other[1] - y));
    return this.borrowed(() => this.videos.get(id).prompt({ frame, object, points: [middle], labels: [1], box: null }));
  }
  video_remove_object(id, object) {
    const { objects } = this.videos.get(id);
    if (!objects.delete(object)) throw failure('bad_prompt', `there is no object ${object}`, '');
    return '[]';
  }
  video_clear(id, frame, object) {
    this.videos.get(id).objects.get(object).delete(frame);
    return JSON.stringify({ frame, objects: [] });
  }
  video_set_snap(id, on) { this.videos.get(id).snap = on; }
  video_reset(id) { this.videos.get(id).objects.clear(); }
  video_start_pass(id, json) {
    const { start, max_frames: most, reverse } = JSON.parse(json);
    const video = this.videos.get(id);
    if (video.objects.size === 0) throw failure('bad_prompt', 'nothing to track', 'prompt an object first');
    for (const [object, prompts] of video.objects) if (prompts.size === 0) throw failure('bad_prompt', `object ${object} has no prompt`, 'remove it');
    const from = start ?? Math.min(...[...video.objects.values()].flatMap((prompts) => [...prompts.keys()]));
    const all = reverse ? from + 1 : video.frames - from;
    video.pass = { next: from, reverse, left: most === null ? all : Math.min(all, most + 1) };
    return JSON.stringify({ total: video.pass.left });
  }
  video_next(id) {
    return this.borrowed(async () => {
      const video = this.videos.get(id);
      if (video.pass === null || video.pass.left === 0) return undefined;
      while (held) await sleep(20);
      const answer = await video.answer(video.pass.next);
      video.pass.next += video.pass.reverse ? -1 : 1;
      video.pass.left -= 1;
      video.tracked += 1;
      return answer;
    });
  }
  video_push(id, rgba, width, height) {
    return this.borrowed(async () => {
      const video = this.videos.get(id);
      if (width !== video.width || height !== video.height) throw failure('unsupported_video', 'another size', '');
      for (const [object, prompts] of video.objects) if (prompts.size === 0) throw failure('bad_prompt', `object ${object} has no prompt`, 'remove it');
      video.live.push({ rgba, width, height });
      delete video.live[video.live.length - 1 - LIVE_KEPT];
      return video.answer(video.live.length - 1);
    });
  }
  video_picture(id, frame) { return this.videos.get(id).pixels(frame); }
  video_low_res() { return undefined; }
  video_stats(id) {
    const video = this.videos.get(id);
    if (video === undefined) throw failure('unsupported_video', `video ${id} is not open`, 'open it again');
    return JSON.stringify({ encodes: video.encoded.size, tracked: video.tracked, memories: 0, memory: '' });
  }
  close_video(id) { this.videos.delete(id); }
}
