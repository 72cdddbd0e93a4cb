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

  /**
   * A frame of a pass. Where everything was prompted nothing is tracked, and what was encoded before costs no
   * encode: neither tells what the others will cost.
   * @param {{ ms: number, objects: readonly { score: number | null, prompted: boolean }[] }} answer
   * @param {boolean} encoded for this answer, not before
   */
  tracked({ ms, objects }, encoded) {
    const tracked = objects.filter(({ score, prompted }) => score !== null && !prompted).length;
    if (tracked === 0 || !encoded) return;
    const encode = ms / (1 + tracked * this.#objectCost);
    // Slowly, because frames differ.
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
