/** The preview under the pointer: asked after the pointer rests, thrown away by anything newer. */
import { isAbort } from '../sam2/errors.js';
import { bestOf } from './prompts.js';
import { outlineOf } from './outlines.js';

/** @typedef {import('./types.js').ImagePx} ImagePx */
/** @typedef {import('../sam2/index.d.ts').Sam2Image} Sam2Image */

const REST_MS = 60;

export class HoverPreview {
  #timer = 0;
  /** Counts up; an answer with an older number is thrown away. */
  #turn = 0;
  /** @type {(path: Path2D | null) => void} */
  #show;

  /** @param {(path: Path2D | null) => void} show */
  constructor(show) {
    this.#show = show;
  }

  /** @param {Sam2Image} image @param {ImagePx} at @param {boolean} snap */
  ask(image, at, snap) {
    clearTimeout(this.#timer);
    this.#turn += 1;
    const turn = this.#turn;
    this.#timer = window.setTimeout(async () => {
      try {
        const { masks } = await image.predict({ points: [[at.x, at.y]], labels: [1], multimask: true, snap }, { hover: true });
        const path = turn === this.#turn ? await outlineOf(masks[bestOf(masks)]) : null;
        if (turn === this.#turn) this.#show(path);
      } catch (error) {
        // A preview that fails says nothing: the click at the same place will, in words.
        if (!isAbort(error) && turn === this.#turn) this.#show(null);
      }
    }, REST_MS);
  }

  stop() {
    clearTimeout(this.#timer);
    this.#turn += 1;
    this.#show(null);
  }
}
