/** How long tracking will take, in numbers and words. No DOM here. */
import { durationInWords } from '../words.js';

/** From here on a faster model is proposed. */
export const LONG_MS = 120_000;

/**
 * What an object takes on a frame, decode and memory's encode with it, for each operation of its memory attention, in operations
 * of the encoder: 0.8 for sam2-nano and tiny natively (benches/TRACKING.md), 0.86 for sam2-nano in wasm.
 */
const ATTENTION = 0.8;

/** So many frames count, the latest: a machine that others keep busy now is not as fast as it was. */
const LATEST = 8;

/**
 * Goes by frames that were tracked, as soon as there are some; before, by prompts. The first prompt of all is the slowest: what
 * runs for the first time is compiled on the way, and memory is taken. So of several the quickest counts.
 */
export class Estimate {
  /** What one object adds, in encodes. */
  #objectCost;
  /** Of a frame, without objects, from the quickest prompt. @type {number | null} */
  #prompted = null;
  /** The same, from each of the latest frames that were tracked. @type {number[]} */
  #tracked = [];

  /** @param {number} objectCost operations of an object on a frame, in encodes */
  constructor(objectCost) {
    this.#objectCost = ATTENTION * objectCost;
  }

  /** A prompt on a frame that was encoded for it: others take a fraction, and do not tell. @param {number} ms */
  prompted(ms) {
    this.#prompted = Math.min(ms, this.#prompted ?? ms);
  }

  /**
   * A frame of a pass. Where everything was prompted nothing is tracked, and what was encoded before costs no
   * encode: neither tells what the others will cost.
   * @param {{ ms: number, objects: readonly { score: number | null, prompted: boolean }[] }} answer
   * @param {boolean} encoded for this answer, not before
   */
  tracked({ ms, objects }, encoded) {
    const tracked = objects.filter(({ score, prompted }) => score !== null && !prompted).length;
    if (tracked === 0 || !encoded) return;
    this.#tracked.push(ms / (1 + tracked * this.#objectCost));
    if (this.#tracked.length > LATEST) this.#tracked.shift();
  }

  /** Of a frame, without objects: the middle one of those tracked, so that one that was held up does not count. @returns {number | null} */
  get #encodeMs() {
    const sorted = [...this.#tracked].sort((a, b) => a - b);
    return sorted[(sorted.length - 1) >> 1] ?? this.#prompted;
  }

  /** @param {number} objects @returns {number | null} milliseconds */
  perFrame(objects) {
    const encode = this.#encodeMs;
    return encode === null ? null : encode * (1 + objects * this.#objectCost);
  }

  /** @param {number} frames @param {number} objects @returns {number | null} milliseconds */
  total(frames, objects) {
    const each = this.perFrame(objects);
    return each === null ? null : each * frames;
  }

  /** Before a frame was tracked it is a guess, and says so. @param {number} frames @param {number} objects */
  inWords(frames, objects) {
    const each = this.perFrame(objects);
    if (each === null || frames === 0) return '';
    return `${this.#tracked.length > 0 ? 'about' : 'roughly'} ${durationInWords(each)} per frame, ${timeInWords(each * frames)} for ${frames} ${frames === 1 ? 'frame' : 'frames'}`;
  }
}

/** @param {number} ms */
export function timeInWords(ms) {
  const seconds = Math.max(1, Math.round(ms / 1000));
  if (seconds < 90) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${(minutes / 60).toFixed(1)} h`;
}
