/** The files that are made of a clip, one at a time. */
import { isAbort } from '../../sam2/errors.js';
import { save, stemOf } from '../exports.js';
import { masksZip, overlayVideo } from './exports.js';
import { savedJson } from './saved.js';

/** @typedef {import('./clip.js').Clip} Clip */
/** @typedef {import('./player.js').Player} Player */
/** @typedef {{ abort: AbortController, text: string, done: number, total: number }} Save */

/**
 * @typedef {object} SavingOptions
 * @property {() => { device: string, model: string }} engine
 * @property {() => void} onChange
 * @property {(progress: import('../../sam2/index.d.ts').Progress) => void} onProgress
 */

export class Saving {
  /** The one under way. @type {Save | null} */
  now = null;
  /** @type {SavingOptions} */
  #options;

  /** @param {SavingOptions} options */
  constructor(options) {
    this.#options = options;
  }

  /** @param {Clip} clip */
  masks(clip) {
    return this.#save(clip, 'Writing masks', '_masks.zip', (signal, onStep) => masksZip(clip.tracks, signal, onStep));
  }

  /** @param {Clip} clip */
  json(clip) {
    if (clip.video === null) return;
    const { width, height, length, fps, times } = clip.video;
    save(savedJson(clip.tracks, { name: clip.name, width, height, length, fps, times, ...this.#options.engine() }), `${stemOf(clip.name)}_masks.json`);
  }

  /** @param {Clip} clip @param {Player | null} player */
  async video(clip, player) {
    if (clip.video === null || player === null) return;
    const { width, height, length } = clip.video;
    await this.#save(clip, 'Encoding', '_tracked.webm', (signal, onStep) => overlayVideo({ tracks: clip.tracks, player, width, height, length }, signal, onStep));
  }

  /** @param {Clip} clip @param {string} text @param {string} suffix @param {(signal: AbortSignal, onStep: (done: number, total: number) => void) => Promise<Blob>} work */
  async #save(clip, text, suffix, work) {
    if (this.now !== null) return;
    const { onChange, onProgress } = this.#options;
    const saving = { abort: new AbortController(), text, done: 0, total: 0 };
    this.now = saving;
    try {
      const blob = await work(saving.abort.signal, (done, total) => {
        Object.assign(saving, { done, total });
        onChange();
        onProgress({ stage: 'saving', done, total });
      });
      save(blob, stemOf(clip.name) + suffix);
    } catch (error) {
      if (!isAbort(error)) clip.fail(error);
    } finally {
      this.now = null;
      onChange();
    }
  }
}
