/**
 * What a video file says of its frames: where each lies, and when it is shown. A `<video>` element does not
 * tell, and finds a frame by time alone: where frames stay for different lengths of time, Chromium takes all for
 * equally long, and passes over some.
 */
import { FileBytes } from './file-bytes.js';
import { readMp4 } from './mp4-file.js';
import { readWebm } from './webm-file.js';

/** One frame as it is decoded, in the file's order; `time` in seconds. Not `shown`: others are computed from it. @typedef {{ offset: number, size: number, time: number, key: boolean, shown: boolean }} Sample */

/**
 * @typedef {object} VideoFile
 * @property {string} codec as WebCodecs names it
 * @property {Uint8Array<ArrayBuffer> | null} description what the decoder has to know besides
 * @property {{ width: number, height: number } | null} aspect shape of the pictures, where pixels are not square
 * @property {0 | 90 | 180 | 270} rotation clockwise, before they are shown
 * @property {Sample[]} samples
 * @property {number} end seconds at which the last one goes
 * @property {boolean} more the file goes on, beyond what was asked for
 */

/** Frames that are read beyond those asked for: files store them in another order than they are shown in. */
const REORDERED = 64;

/**
 * @param {Blob} blob
 * @param {number} maxFrames 0: all
 * @param {AbortSignal} [signal]
 * @returns {Promise<VideoFile | null>} null for what is neither MP4 nor WebM, and for files that say nothing clear
 */
export async function readVideoFile(blob, maxFrames, signal) {
  const bytes = new FileBytes(blob, signal);
  const head = await bytes.at(0, 12);
  const most = maxFrames > 0 ? maxFrames + REORDERED : Infinity;
  try {
    const file = isWebm(head) ? await readWebm(bytes, most) : isMp4(head) ? await readMp4(bytes) : null;
    return file !== null && file.samples.some(({ key }) => key) && file.samples.some(({ shown }) => shown) ? file : null;
  } catch (error) {
    if (signal?.aborted) throw error;
    return null; // a damaged file: the browser may make more of it, and says what is wrong
  }
}

/** @param {Uint8Array} head */
const isWebm = (head) => head[0] === 0x1a && head[1] === 0x45 && head[2] === 0xdf && head[3] === 0xa3;

/** @param {Uint8Array} head */
const isMp4 = (head) => ['ftyp', 'moov', 'mdat', 'wide', 'free', 'skip'].includes(String.fromCharCode(...head.subarray(4, 8)));
