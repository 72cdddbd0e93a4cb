/**
 * Frames of a video file through a `<video>` element, where they cannot be decoded one by one: it is set to a
 * frame's time, and its picture is taken. The element is never in the page.
 */
import { Sam2Error, abortReason } from './errors.js';
import { rateOfTimes, timesOf, usualRate } from './video-times.js';

/** @typedef {import('./protocol.js').Picture} Picture */
/** @typedef {import('./video.js').Source} Source */

/** A frame that takes longer than this is broken. */
const PATIENCE_MS = 20_000;
/** How long, and over how many frames, the frame rate is looked at. */
const MEASURE = { ms: 2500, frames: 14 };
/** Where nothing says otherwise. */
const USUAL_FPS = 30;
/** A frame is looked at shortly after it comes on: browsers are least sure of long ones near their end. */
const LOOK_S = 0.02;

/**
 * @param {Blob} blob
 * @param {import('./video-file.js').VideoFile | null} held what is known of its frames; the rate is measured where nothing is
 * @param {AbortSignal} [signal]
 * @returns {Promise<{ source: Extract<Source, { kind: 'reader' }>, frames: number, fps: number, times: number[] | null, notes: string[] }>}
 */
export async function openElement(blob, held, signal) {
  const video = document.createElement('video');
  const url = URL.createObjectURL(blob);
  const close = () => {
    video.pause();
    video.removeAttribute('src');
    video.load();
    URL.revokeObjectURL(url);
  };
  try {
    Object.assign(video, { muted: true, playsInline: true, preload: 'auto', disableRemotePlayback: true });
    const loaded = event(video, 'loadeddata', 'The video cannot be opened', signal);
    video.src = url;
    await loaded;
    if (video.videoWidth === 0 || video.videoHeight === 0) throw new Sam2Error('unsupported_video', 'The file has sound only.', 'Choose one with pictures.');
    const { frames, fps, times, lookAt, notes } = held === null ? await measured(video, signal) : known(held);
    /** One frame at a time. @type {Promise<unknown>} */
    let turn = Promise.resolve();
    const read = (/** @type {number} */ index) => {
      const mine = turn.then(() => frameAt(video, lookAt(index), index));
      turn = mine.catch(() => undefined);
      return mine;
    };
    return { source: { kind: 'reader', frames, width: video.videoWidth, height: video.videoHeight, read, close }, frames, fps, times, notes };
  } catch (error) {
    close();
    throw error;
  }
}

/** @param {import('./video-file.js').VideoFile} file */
function known({ samples, end }) {
  const shown = samples.filter((sample) => sample.shown).map(({ time }) => time);
  const times = timesOf(shown, end);
  const first = Math.min(...shown.slice(0, 100));
  const lookAt = (/** @type {number} */ index) => first + times[index] + Math.min(LOOK_S, (times[index + 1] - times[index]) / 2);
  return { frames: times.length - 1, fps: rateOfTimes(times) ?? USUAL_FPS, times, lookAt, notes: [] };
}

/** Frames that are taken for equally long, as nobody says how long they are. @param {HTMLVideoElement} video @param {AbortSignal} [signal] */
async function measured(video, signal) {
  const duration = await durationOf(video, signal);
  const rate = await measureRate(video, signal);
  const fps = rate ?? USUAL_FPS;
  const frames = Math.max(1, Math.round(duration * fps));
  const lookAt = (/** @type {number} */ index) => Math.min((index + 0.5) / fps, Math.max(0, duration - 1e-3));
  const notes = rate === null && frames > 1 ? [`The browser does not say how many frames there are in a second; ${USUAL_FPS} are assumed`] : [];
  return { frames, fps, times: null, lookAt, notes };
}

/** @param {HTMLVideoElement} video @param {number} seconds @param {number} index @returns {Promise<Picture>} */
async function frameAt(video, seconds, index) {
  if (Math.abs(video.currentTime - seconds) > 1e-6 || video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) {
    const seeked = event(video, 'seeked', `Frame ${index} cannot be read`);
    video.currentTime = seconds;
    await seeked;
  }
  return { kind: 'bitmap', bitmap: await createImageBitmap(video) };
}

/** Recordings of a browser do not say how long they are; their end does. @param {HTMLVideoElement} video @param {AbortSignal} [signal] */
async function durationOf(video, signal) {
  if (Number.isFinite(video.duration)) return video.duration;
  const seeked = event(video, 'seeked', 'The end of the video cannot be found', signal);
  video.currentTime = Number.MAX_SAFE_INTEGER;
  await seeked;
  return Number.isFinite(video.duration) ? video.duration : video.currentTime;
}

/**
 * Frames per second, by playing a little: the element itself does not say. `null` where the browser
 * cannot tell one frame from the next.
 * @param {HTMLVideoElement} video
 * @param {AbortSignal} [signal]
 * @returns {Promise<number | null>}
 */
async function measureRate(video, signal) {
  if (typeof video.requestVideoFrameCallback !== 'function') return null;
  const back = event(video, 'seeked', 'The video cannot be rewound', signal);
  video.currentTime = 0;
  await back;
  /** @type {number[]} */
  const times = [];
  await new Promise((resolve) => {
    const stop = () => resolve(undefined);
    const timer = setTimeout(stop, MEASURE.ms);
    const watch = (/** @type {number} */ _, /** @type {VideoFrameCallbackMetadata} */ { mediaTime }) => {
      times.push(mediaTime);
      if (times.length < MEASURE.frames) video.requestVideoFrameCallback(watch);
      else {
        clearTimeout(timer);
        stop();
      }
    };
    video.requestVideoFrameCallback(watch);
    video.addEventListener('ended', stop, { once: true });
    signal?.addEventListener('abort', stop, { once: true });
    // Half speed: a machine that is busy misses fewer frames.
    video.playbackRate = 0.5;
    video.play().catch(stop);
  });
  video.pause();
  video.playbackRate = 1;
  if (signal?.aborted) throw abortReason(signal);
  return rateOf(times);
}

/** @param {number[]} times of frames that were seen, some missed @returns {number | null} */
export function rateOf(times) {
  const steps = times.slice(1).map((time, i) => time - times[i]).filter((step) => step > 1e-4);
  if (steps.length < 2) return null;
  const least = Math.min(...steps);
  const single = steps.filter((step) => step < least * 1.4);
  const usual = single.reduce((sum, step) => sum + step, 0) / single.length;
  // Steps over missed frames count as what they are: the longer the stretch, the less rounded stamps weigh.
  const frames = steps.reduce((sum, step) => sum + Math.round(step / usual), 0);
  return usualRate(frames / steps.reduce((sum, step) => sum + step, 0));
}

/**
 * @param {HTMLVideoElement} video
 * @param {string} name
 * @param {string} failure in words
 * @param {AbortSignal} [signal]
 * @returns {Promise<void>}
 */
function event(video, name, failure, signal) {
  return new Promise((resolve, reject) => {
    const settle = (/** @type {() => void} */ how) => {
      clearTimeout(timer);
      video.removeEventListener(name, done);
      video.removeEventListener('error', failed);
      signal?.removeEventListener('abort', aborted);
      how();
    };
    const done = () => settle(resolve);
    const failed = () => settle(() => reject(new Sam2Error('unsupported_video', `${failure}: ${reasonOf(video)}.`,
      'Save it as MP4 (H.264) or WebM, or as an animated GIF.')));
    const aborted = () => settle(() => reject(abortReason(signal)));
    const timer = setTimeout(() => settle(() => reject(new Sam2Error('unsupported_video', `${failure}: the browser did not answer.`, 'Try another file or browser.'))), PATIENCE_MS);
    video.addEventListener(name, done);
    video.addEventListener('error', failed);
    signal?.addEventListener('abort', aborted);
    if (signal?.aborted) aborted();
  });
}

/** @param {HTMLVideoElement} video */
function reasonOf({ error }) {
  if (error?.code === MediaError.MEDIA_ERR_SRC_NOT_SUPPORTED) return 'this browser does not know the format, or the file is damaged';
  return error?.message ? error.message : 'it is damaged';
}
