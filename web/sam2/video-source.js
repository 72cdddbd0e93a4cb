/** From whatever `openVideo` is given to the frames of a video. */
import { Sam2Error, abortReason } from './errors.js';
import { FrameDecoder } from './video-decoder.js';
import { openElement } from './video-element.js';
import { readVideoFile } from './video-file.js';
import { rateOfTimes, timesOf } from './video-times.js';

/** @typedef {import('./index.d.ts').VideoSource} VideoSource */
/** @typedef {import('./index.d.ts').PictureSource} PictureSource */
/** @typedef {import('./protocol.js').Picture} Picture */
/** @typedef {import('./video.js').Source} Source */
/** `times`: when each frame comes on and the last one goes, as video-times.js has them. @typedef {{ source: Source, fps: number | null, times: number[] | null, notes: string[] }} Opened */
/** @typedef {(picture: Picture) => Promise<{ width: number, height: number }>} Measure */

/**
 * @param {VideoSource} source
 * @param {object} tools
 * @param {number} tools.maxFrames 0: all
 * @param {number} tools.maxFrameDimension
 * @param {(picture: PictureSource) => Promise<Picture>} tools.toPicture
 * @param {Measure} tools.measure the size of a picture as the engine decodes it
 * @param {AbortSignal} [tools.signal]
 * @returns {Promise<Opened>}
 */
export async function sourceOf(source, { maxFrames, maxFrameDimension, toPicture, measure, signal }) {
  const opened = await open(source, { maxFrames, toPicture, measure, signal });
  if (signal?.aborted) {
    if (opened.source.kind === 'reader') opened.source.close?.();
    throw abortReason(signal);
  }
  if (opened.source.kind === 'reader') {
    const { width, height } = opened.source;
    const scale = maxFrameDimension / Math.max(width, height);
    if (maxFrameDimension > 0 && scale < 1) opened.notes.push(`${width}x${height} -> ${Math.round(width * scale)}x${Math.round(height * scale)}`);
  }
  return opened;
}

/** @param {VideoSource} source @param {{ maxFrames: number, toPicture: (picture: PictureSource) => Promise<Picture>, measure: Measure, signal?: AbortSignal }} tools @returns {Promise<Opened>} */
async function open(source, { maxFrames, toPicture, measure, signal }) {
  if (Array.isArray(source)) return pictures(source, maxFrames, toPicture, measure);
  if (source instanceof Blob) return file(source, maxFrames, toPicture, measure, signal);
  if (typeof source === 'string' || source instanceof URL) return file(await fetched(source, signal), maxFrames, toPicture, measure, signal);
  if (typeof HTMLVideoElement !== 'undefined' && source instanceof HTMLVideoElement) {
    if (source.currentSrc === '') {
      throw new Sam2Error('unsupported_video', 'The video element plays a stream.', 'Use openVideo({ live: true }) and pushFrame(element).');
    }
    return file(await fetched(source.currentSrc, signal), maxFrames, toPicture, measure, signal);
  }
  if (source !== null && typeof source === 'object') {
    if ('live' in source) return { source: { kind: 'live' }, fps: null, times: null, notes: [] };
    if ('read' in source) return reader(source, maxFrames, toPicture);
  }
  throw new Sam2Error('unsupported_video', 'This video is of no known kind.', 'Give a file, pictures, a video element, { live: true } or { frames, width, height, read }.');
}

/** Frames that a program of the caller's reads. @param {import('./index.d.ts').FrameReader} source @param {number} maxFrames @param {(picture: PictureSource) => Promise<Picture>} toPicture @returns {Opened} */
function reader({ frames, width, height, fps, read }, maxFrames, toPicture) {
  if (![frames, width, height].every((n) => Number.isSafeInteger(n) && n > 0)) {
    throw new Sam2Error('unsupported_video', 'The frames have no number or size.', 'Give frames, width and height, each at least 1.');
  }
  const cut = cutTo(frames, maxFrames);
  return { source: { kind: 'reader', frames: cut.frames, width, height, read: async (index) => toPicture(await read(index)) }, fps: fps ?? null, times: null, notes: cut.notes };
}

/** @param {readonly PictureSource[]} list @param {number} maxFrames @param {(picture: PictureSource) => Promise<Picture>} toPicture @param {Measure} measure @returns {Promise<Opened>} */
async function pictures(list, maxFrames, toPicture, measure) {
  if (list.length === 0) throw new Sam2Error('unsupported_video', 'There are no pictures.', 'Give at least one.');
  const { width, height } = await measure(await toPicture(list[0]));
  const cut = cutTo(list.length, maxFrames);
  return { source: { kind: 'reader', frames: cut.frames, width, height, read: (index) => toPicture(list[index]) }, fps: null, times: null, notes: cut.notes };
}

/** The content decides, not the name. @param {Blob} blob @param {number} maxFrames @param {(picture: PictureSource) => Promise<Picture>} toPicture @param {Measure} measure @param {AbortSignal} [signal] @returns {Promise<Opened>} */
async function file(blob, maxFrames, toPicture, measure, signal) {
  if (blob.size === 0) throw new Sam2Error('unsupported_video', 'The file is empty.', 'Choose another video.');
  const head = new Uint8Array(await blob.slice(0, 16).arrayBuffer());
  if (isAnimation(head)) return { source: { kind: 'animation', blob }, fps: null, times: null, notes: [] };
  if (head[0] === 0xff && head[1] === 0xd8 && head[2] === 0xff) return pictures([blob], maxFrames, toPicture, measure);
  const held = await readVideoFile(blob, maxFrames, signal);
  const decoded = held === null ? null : await decode(blob, held, maxFrames);
  if (decoded !== null) return decoded;
  if (typeof document === 'undefined') {
    throw new Sam2Error('unsupported_video', 'Outside of a page there is nothing that plays videos.', 'Give an animated GIF, WebP or PNG, or the pictures of the video.');
  }
  const element = await openElement(blob, held, signal);
  const cut = cutTo(element.frames, maxFrames, held?.more);
  return { source: { ...element.source, frames: cut.frames }, fps: element.fps, times: element.times?.slice(0, cut.frames + 1) ?? null, notes: [...element.notes, ...cut.notes] };
}

/** @param {Blob} blob @param {import('./video-file.js').VideoFile} held @param {number} maxFrames @returns {Promise<Opened | null>} null where this browser has no decoder for it */
async function decode(blob, held, maxFrames) {
  if (typeof VideoDecoder === 'undefined') return null;
  const decoder = new FrameDecoder(blob, held);
  if (!await decoder.open()) {
    decoder.close();
    return null;
  }
  const { width, height, shown } = decoder;
  const cut = cutTo(shown.length, maxFrames, held.more);
  const times = timesOf(shown, held.end).slice(0, cut.frames + 1);
  const read = async (/** @type {number} */ index) => /** @type {const} */ ({ kind: 'bitmap', bitmap: await decoder.read(index) });
  return { source: { kind: 'reader', frames: cut.frames, width, height, read, close: () => decoder.close() }, fps: rateOfTimes(times), times, notes: cut.notes };
}

/** GIF, PNG (which may be animated) and WebP, as the engine tells them apart. @param {Uint8Array} head */
export function isAnimation(head) {
  const text = String.fromCharCode(...head.subarray(0, 12));
  return text.startsWith('GIF8') || text.startsWith('\x89PNG') || (text.startsWith('RIFF') && text.slice(8) === 'WEBP');
}

/** @param {string | URL} url @param {AbortSignal} [signal] */
async function fetched(url, signal) {
  try {
    const response = await fetch(url, { signal });
    if (response.ok) return await response.blob();
    throw new Error(`the server answered ${response.status}`);
  } catch (error) {
    if (signal?.aborted) throw abortReason(signal);
    throw new Sam2Error('unsupported_video', `The video could not be fetched: ${error instanceof Error ? error.message : error}.`, 'Check its address, or open it as a file.', { cause: error });
  }
}

/** @param {number} frames @param {number} maxFrames @param {boolean} [more] there are more, which nobody counted */
function cutTo(frames, maxFrames, more = false) {
  if (maxFrames <= 0 || frames <= maxFrames) return { frames, notes: [] };
  return { frames: maxFrames, notes: [`the first ${maxFrames.toLocaleString('en')} of ${more ? 'more than ' : ''}${frames.toLocaleString('en')} frames are used`] };
}
