/**
 * The official code's answers for micro.yaml (tests/fixtures/micro), and how far ours are from them:
 * the measures of reference/compare.py. Used in Node and, by the browser tests, in Chromium.
 */
import { readFile, readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { inflateRawSync } from 'node:zlib';
import { maskFromCounts } from '../rle.js';

const FOLDER = new URL('../../../tests/fixtures/micro/', import.meta.url);

/** @param {string} name */
export const fixture = (name) => fileURLToPath(new URL(name, FOLDER));

/** @returns {Promise<{ bounds: { logits: number, iou: number, mask: number }, images: any[] }>} */
export async function goldenCases() {
  const { bounds, images } = JSON.parse(await readFile(fixture('cases.json'), 'utf8'));
  return { bounds: bounds.image, images };
}

/** @returns {Promise<{ bounds: { logits: number, mask: number }, videos: any[] }>} */
export async function goldenVideos() {
  const { bounds, videos } = JSON.parse(await readFile(fixture('cases.json'), 'utf8'));
  return { bounds: bounds.video, videos };
}

/** The frames of a case in order, as PNG files. @param {string} folder */
export async function framesOf(folder) {
  const names = (await readdir(fixture(folder))).sort();
  return Promise.all(names.map((name) => readFile(fixture(`${folder}/${name}`))));
}

/** The steps of a case, masks read. @param {string} prompts @returns {Promise<any[]>} */
export async function stepsOf(prompts) {
  const steps = JSON.parse(await readFile(fixture(prompts), 'utf8'));
  for (const step of steps) if (step.mask) step.mask = [...await readFile(fixture(`sessions/${step.mask}`))];
  return steps;
}

/**
 * Takes the steps of a case as reference.py does, and collects the last mask of each object on each
 * frame, and its logits at the end. It uses nothing but its arguments, because the browser tests send
 * its source into the page.
 * @param {import('../index.d.ts').Sam2} sam
 * @param {Blob[]} frames
 * @param {any[]} steps
 * @param {boolean} bothWays
 * @param {(mask: Uint8Array, height: number, width: number) => string} countsFromMask
 * @param {number | null} [most] frames of the last pass after its first
 */
export async function trackedBy(sam, frames, steps, bothWays, countsFromMask, most = null) {
  const video = await sam.openVideo(frames, { maxFrames: 0, correctionsStand: false });
  /** @type {Record<string, string>} */
  let masks = {};
  const keep = ({ frame, objects }, only) => {
    for (const { id, mask } of objects) if (only === undefined || id === only) masks[`${frame}_${id}`] = mask.toRle().counts;
  };
  const pass = async (options) => {
    for await (const frame of video.propagate(options)) keep(frame);
  };
  for (const { frame, object, mask, propagate, start, max_frames: maxFrames, remove, clear, ...prompt } of steps) {
    if (propagate) await pass({ start, maxFrames, reverse: propagate === 'backward' });
    else if (remove !== undefined) {
      await video.removeObject(remove);
      masks = Object.fromEntries(Object.entries(masks).filter(([key]) => !key.endsWith(`_${remove}`)));
    } else if (clear !== undefined) await video.clear({ frame, object: clear });
    else if (mask) {
      const still = await sam.openVideo([new Blob([Uint8Array.from(mask)])]);
      const { data, width, height } = await still.picture(0);
      still.close();
      const inside = Uint8Array.from({ length: width * height }, (_, i) => (data[i * 4] >= 128 ? 1 : 0));
      keep(await video.addMask({ frame, object, mask: { size: [height, width], counts: countsFromMask(inside, height, width) } }), object);
    } else keep(await video.addPoints({ frame, object, ...prompt }), object);
  }
  if (!steps.at(-1).propagate) {
    await pass({ maxFrames: most });
    if (bothWays) await pass({ reverse: true });
  }
  /** @type {Record<string, number[]>} */
  const logits = {};
  for (const key of Object.keys(masks)) {
    const [frame, object] = key.split('_').map(Number);
    const values = await video.lowRes(frame, object);
    if (values !== null) logits[key] = Array.from(values);
  }
  const stats = await video.stats();
  video.close();
  return { masks, logits, stats };
}

/**
 * @param {Awaited<ReturnType<typeof readNpz>>} reference
 * @param {Awaited<ReturnType<typeof trackedBy>>} tracked
 * @param {(frame: number, object: number) => boolean} [compares] which of the reference's; all by default
 * @returns {{ logits: number, mask: number, compared: number }} the worst of each
 */
export function worstOfVideo(reference, { masks, logits }, compares = () => true) {
  const worst = { logits: 0, mask: 1, compared: 0 };
  for (const [name, { shape, data }] of Object.entries(reference)) {
    const [kind, frame, object] = name.split('_');
    if (!compares(Number(frame), Number(object))) continue;
    const key = `${frame}_${object}`;
    worst.compared += 1;
    if (kind === 'logits') {
      if (logits[key] === undefined) throw new Error(`there are no logits of ${key}`);
      worst.logits = Math.max(worst.logits, relative(data, logits[key]));
    } else {
      if (masks[key] === undefined) throw new Error(`there is no mask of ${key}`);
      worst.mask = Math.min(worst.mask, overlap(maskFromCounts(masks[key], shape[0], shape[1]), data));
    }
  }
  return worst;
}

/** Reads the arrays of an .npz: a zip of .npy files. @param {string} path */
export async function readNpz(path) {
  const bytes = await readFile(path);
  /** @type {Record<string, { shape: number[], data: Float32Array | Uint8Array }>} */
  const arrays = {};
  const end = bytes.lastIndexOf('PK\x05\x06', undefined, 'latin1');
  let at = bytes.readUInt32LE(end + 16);
  for (let left = bytes.readUInt16LE(end + 10); left > 0; left -= 1) {
    const name = bytes.toString('latin1', at + 46, at + 46 + bytes.readUInt16LE(at + 28));
    const local = bytes.readUInt32LE(at + 42);
    const start = local + 30 + bytes.readUInt16LE(local + 26) + bytes.readUInt16LE(local + 28);
    const packed = bytes.subarray(start, start + bytes.readUInt32LE(at + 20));
    arrays[name.replace(/\.npy$/, '')] = readNpy(bytes.readUInt16LE(at + 10) === 8 ? inflateRawSync(packed) : packed);
    at += 46 + bytes.readUInt16LE(at + 28) + bytes.readUInt16LE(at + 30) + bytes.readUInt16LE(at + 32);
  }
  return arrays;
}

/** @param {Buffer} bytes */
function readNpy(bytes) {
  const start = 10 + bytes.readUInt16LE(8);
  const header = bytes.toString('latin1', 10, start);
  const shape = (/'shape': \(([^)]*)\)/.exec(header)?.[1] ?? '').split(',').filter((part) => part.trim() !== '').map(Number);
  const data = Uint8Array.from(bytes.subarray(start));
  return { shape, data: header.includes("'<f4'") ? new Float32Array(data.buffer) : data };
}

/**
 * Asks every prompt of a case; `refine` feeds the mask with the best IoU of the prompt before. It
 * uses nothing but its arguments, because the browser tests send its source into the page.
 * @param {import('../index.d.ts').Sam2Image} image
 * @param {any[]} prompts
 */
export async function answersOf(image, prompts) {
  const answers = [];
  let best = null;
  for (const { refine, multimask = true, ...prompt } of prompts) {
    const { masks, iou, lowRes } = await image.predict({ ...prompt, multimask, mask: refine ? best : null });
    best = masks[iou.indexOf(Math.max(...iou))];
    answers.push({ iou, lowRes: lowRes.map((logits) => Array.from(logits)), counts: masks.map((mask) => mask.toRle().counts) });
  }
  return answers;
}

/**
 * @param {Awaited<ReturnType<typeof readNpz>>} reference
 * @param {Awaited<ReturnType<typeof answersOf>>} answers
 * @returns {{ logits: number, iou: number, mask: number }} the worst of each
 */
export function worstOf(reference, answers) {
  const worst = { logits: 0, iou: 0, mask: 1 };
  answers.forEach((answer, i) => {
    worst.logits = Math.max(worst.logits, relative(reference[`low_${i}`].data, answer.lowRes.flat()));
    worst.iou = Math.max(worst.iou, relative(reference[`iou_${i}`].data, answer.iou));
    const { shape: [count, height, width], data } = reference[`mask_${i}`];
    if (count !== answer.counts.length) throw new Error(`prompt ${i}: ${answer.counts.length} masks, not ${count}`);
    answer.counts.forEach((counts, m) => {
      const theirs = data.subarray(m * height * width, (m + 1) * height * width);
      worst.mask = Math.min(worst.mask, overlap(maskFromCounts(counts, height, width), theirs));
    });
  });
  return worst;
}

/** Intersection over union. @param {Uint8Array} ours @param {ArrayLike<number>} theirs */
function overlap(ours, theirs) {
  if (ours.length !== theirs.length) throw new Error(`${ours.length} pixels, not ${theirs.length}`);
  let [both, either] = [0, 0];
  ours.forEach((value, p) => {
    both += value & theirs[p];
    either += value | theirs[p];
  });
  return either === 0 ? 1 : both / either;
}

/** Largest difference over the largest value; not finite is infinitely wrong. @param {ArrayLike<number>} theirs @param {number[]} ours */
function relative(theirs, ours) {
  if (theirs.length !== ours.length) throw new Error(`${ours.length} values, not ${theirs.length}`);
  let [difference, largest] = [0, 1e-6];
  for (let i = 0; i < ours.length; i += 1) {
    if (!Number.isFinite(ours[i])) return Infinity;
    difference = Math.max(difference, Math.abs(ours[i] - theirs[i]));
    largest = Math.max(largest, Math.abs(theirs[i]));
  }
  return difference / largest;
}
