/** What can be taken home from a clip: masks as pictures in a ZIP, and the video with its objects drawn in. */
import { isEven, rateOfTimes } from '../../sam2/video-times.js';
import { drawLayers, layersOf } from './overlay.js';
import { webm } from './webm.js';
import { Zip } from './zip.js';

/** @typedef {import('./tracks.js').Tracks} Tracks */
/** @typedef {import('./player.js').Player} Player */
/** @typedef {(done: number, total: number) => void} OnStep */

/** The longer side of a saved video. */
const LARGEST_SIDE = 1920;
/** Enough for outlines to stay sharp. */
const BITS_PER_PIXEL_AND_FRAME = 0.16;
/** Frames from one key frame to the next: how far a player has to decode when it seeks. */
const KEY_EVERY = 30;
/** Frames that wait in the encoder: each is a picture in memory. */
const MOST_QUEUED = 4;

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

/** Whether this browser encodes video at all. */
export const canSaveVideo = () => typeof VideoEncoder !== 'undefined';

/**
 * The clip with its objects drawn in, each frame at the clip's own time.
 * @param {{ tracks: Tracks, player: Player, width: number, height: number, length: number }} clip
 * @param {AbortSignal} signal
 * @param {OnStep} onStep
 * @returns {Promise<Blob>}
 */
export async function overlayVideo({ tracks, player, width, height, length }, signal, onStep) {
  const scale = Math.min(1, LARGEST_SIDE / Math.max(width, height));
  // Encoders want even sides.
  const even = (/** @type {number} */ side) => Math.max(2, 2 * Math.round((side * scale) / 2));
  const canvas = new OffscreenCanvas(even(width), even(height));
  const context = canvas.getContext('2d');
  if (context === null) throw new Error('The browser has no room for a picture of this size.');
  const { times } = player;
  const fps = rateOfTimes(times) ?? 1;
  const settings = { width: canvas.width, height: canvas.height, framerate: fps, bitrate: Math.round(canvas.width * canvas.height * fps * BITS_PER_PIXEL_AND_FRAME) };
  const { codec, config } = await encoderFor(settings);
  /** @type {import('./webm.js').Frame[]} */
  const frames = [];
  /** @type {Error | null} */
  let failure = null;
  const encoder = new VideoEncoder({
    output: (chunk) => {
      const data = new Uint8Array(chunk.byteLength);
      chunk.copyTo(data);
      frames.push({ data, ms: chunk.timestamp / 1000, key: chunk.type === 'key' });
    },
    error: (error) => {
      failure = error;
    },
  });
  try {
    encoder.configure(config);
    for (let frame = 0; frame < length; frame += 1) {
      const bitmap = await player.bitmap(frame);
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
      context.setTransform(canvas.width / width, 0, 0, canvas.height / height, 0, 0);
      drawLayers(context, layersOf(tracks, frame), canvas.width / width);
      const picture = new VideoFrame(canvas, { timestamp: Math.round(times[frame] * 1e6), duration: Math.round((times[frame + 1] - times[frame]) * 1e6) });
      encoder.encode(picture, { keyFrame: frame % KEY_EVERY === 0 });
      picture.close();
      while (encoder.encodeQueueSize > MOST_QUEUED && failure === null) await new Promise((resolve) => setTimeout(resolve, 5));
      if (failure !== null) throw failure;
      signal.throwIfAborted();
      onStep(frame + 1, length);
    }
    await encoder.flush();
  } finally {
    if (encoder.state !== 'closed') encoder.close();
  }
  return webm({ codec, width: canvas.width, height: canvas.height, fps: isEven(times) ? fps : null, ms: times[length] * 1000, frames });
}

/** The first format that this browser writes. @param {{ width: number, height: number, framerate: number, bitrate: number }} settings */
async function encoderFor(settings) {
  for (const [codec, name] of /** @type {const} */ ([['V_VP9', 'vp09.00.41.08'], ['V_VP8', 'vp8']])) {
    const { supported, config } = await VideoEncoder.isConfigSupported({ codec: name, ...settings });
    if (supported && config !== undefined) return { codec, config };
  }
  throw new Error('This browser writes no WebM video of this size.');
}
