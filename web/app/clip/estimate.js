/** How long tracking will take, in numbers and words. No DOM here. */
import { durationInWords } from '../words.js';

/** From here on a faster model is proposed. */
export const LONG_MS = 120_000;

export class Estimate {
  /** What one object adds, in encodes. */
  #objectCost;
  /** Of a frame, without objects. @type {number | null} */
  #encodeMs = null;
  #measured = false;

  /** @param {number} objectCost */
  constructor(objectCost) {
    this.#objectCost = objectCost;
  }

  /** A first prompt on a frame encodes it; of later ones only the quickest say anything. @param {number} ms */
  prompted(ms) {
    if (!this.#measured && this.#encodeMs === null) this.#encodeMs = ms;
  }

  /** @param {number} ms of one frame @param {number} objects */
  tracked(ms, objects) {
    const encode = ms / (1 + objects * this.#objectCost);
    // Slowly, because frames differ: one may have been encoded before.
    this.#encodeMs = this.#measured && this.#encodeMs !== null ? 0.8 * this.#encodeMs + 0.2 * encode : encode;
    this.#measured = true;
  }

  /** @param {number} objects @returns {number | null} milliseconds */
  perFrame(objects) {
    return this.#encodeMs === null ? null : this.#encodeMs * (1 + objects * this.#objectCost);
  }

  /** @param {number} frames @param {number} objects @returns {number | null} milliseconds */
  total(frames, objects) {
    const each = this.perFrame(objects);
    return each === null ? null : each * frames;
  }

  /** @param {number} frames @param {number} objects */
  inWords(frames, objects) {
    const each = this.perFrame(objects);
    if (each === null || frames === 0) return '';
    return `about ${durationInWords(each)} per frame, ${timeInWords(each * frames)} for ${frames} ${frames === 1 ? 'frame' : 'frames'}`;
  }
}

/** @param {number} ms */
export function timeInWords(ms) {
  const seconds = Math.max(1, Math.round(ms / 1000));
  if (seconds < 90) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${(minutes / 60).toFixed(1)} h`;
}
