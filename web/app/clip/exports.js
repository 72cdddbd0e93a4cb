/** What can be taken home from a clip: masks as pictures in a ZIP, and the video with its objects drawn in. */
import { drawLayers, layersOf } from './overlay.js';
import { Zip } from './zip.js';

/** @typedef {import('./tracks.js').Tracks} Tracks */
/** @typedef {import('./player.js').Player} Player */
/** @typedef {(done: number, total: number) => void} OnStep */

/** The longer side of a saved video: more than this few encoders do in real time. */
const LARGEST_SIDE = 1280;
const BITS_PER_PIXEL = 4;

/** `OBJECT/FRAME.png` as `sam2 track --out` writes them. @param {Tracks} tracks @param {AbortSignal} signal @param {OnStep} onStep @returns {Promise<Blob>} */
export async function masksZip(tracks, signal, onStep) {
  const zip = new Zip();
  const frames = tracks.frames();
  for (const [done, frame] of frames.entries()) {
    for (const { id, mask } of tracks.at(frame)) {
      await zip.add(`${id}/${String(frame).padStart(5, '0')}.png`, await mask.toPng());
    }
    signal.throwIfAborted();
    onStep(done + 1, frames.length);
  }
  return zip.finish();
}

/** A format that this browser writes, or null. */
export function recordingType() {
  if (typeof MediaRecorder === 'undefined' || typeof HTMLCanvasElement.prototype.captureStream !== 'function') return null;
  const known = ['video/webm;codecs=vp9', 'video/webm;codecs=vp8', 'video/webm', 'video/mp4'];
  return known.find((type) => MediaRecorder.isTypeSupported(type)) ?? null;
}

/**
 * Plays the clip onto a canvas and records it: it takes as long as the clip does.
 * @param {object} clip
 * @param {Tracks} clip.tracks
 * @param {Player} clip.player
 * @param {number} clip.width
 * @param {number} clip.height
 * @param {number} clip.length
 * @param {string} type
 * @param {AbortSignal} signal
 * @param {OnStep} onStep
 * @returns {Promise<Blob>}
 */
export async function overlayVideo({ tracks, player, width, height, length }, type, signal, onStep) {
  const scale = Math.min(1, LARGEST_SIDE / Math.max(width, height));
  // Encoders want even sides.
  const even = (/** @type {number} */ side) => Math.max(2, 2 * Math.round((side * scale) / 2));
  const canvas = document.createElement('canvas');
  Object.assign(canvas, { width: even(width), height: even(height) });
  const context = canvas.getContext('2d');
  if (context === null) throw new Error('The browser has no room for a picture of this size.');
  const draw = async (/** @type {number} */ frame) => {
    const bitmap = await player.bitmap(frame);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    context.setTransform(canvas.width / width, 0, 0, canvas.height / height, 0, 0);
    drawLayers(context, layersOf(tracks, frame), canvas.width / width);
  };
  await draw(0);
  const stream = canvas.captureStream(0);
  const [track] = /** @type {CanvasCaptureMediaStreamTrack[]} */ (stream.getVideoTracks());
  const recorder = new MediaRecorder(stream, { mimeType: type, videoBitsPerSecond: Math.round(canvas.width * canvas.height * BITS_PER_PIXEL) });
  /** @type {Blob[]} */
  const parts = [];
  recorder.addEventListener('dataavailable', ({ data }) => parts.push(data));
  const stopped = new Promise((resolve, reject) => {
    recorder.addEventListener('stop', resolve, { once: true });
    recorder.addEventListener('error', () => reject(new Error('The browser could not record the video.')), { once: true });
  });
  recorder.start(1000);
  try {
    let due = performance.now();
    for (let frame = 0; frame < length; frame += 1) {
      await draw(frame);
      track.requestFrame();
      onStep(frame + 1, length);
      due = Math.max(due + 1000 / player.fps, performance.now());
      await new Promise((resolve) => setTimeout(resolve, due - performance.now()));
      signal.throwIfAborted();
    }
  } finally {
    if (recorder.state !== 'inactive') recorder.stop();
    track.stop();
  }
  await stopped;
  return new Blob(parts, { type: type.replace(/;.*/, '') });
}
