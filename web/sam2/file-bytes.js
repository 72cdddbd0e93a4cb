/** A file that is walked from header to header: it is read in windows, and what lies between is passed over. */
import { abortReason } from './errors.js';

const WINDOW = 1 << 20;

export class FileBytes {
  /** @type {Blob} */
  #blob;
  #start = 0;
  #window = new Uint8Array(0);
  /** @type {AbortSignal | undefined} */
  #signal;
  /** Bytes that are read at once. */
  #least;

  /** @param {Blob} blob @param {AbortSignal} [signal] @param {number} [window] */
  constructor(blob, signal, window = WINDOW) {
    this.#blob = blob;
    this.#signal = signal;
    this.#least = window;
  }

  get size() {
    return this.#blob.size;
  }

  /** @param {number} offset @param {number} length @returns {Promise<Uint8Array>} fewer at the file's end; valid until the next call */
  async at(offset, length) {
    const has = () => offset >= this.#start && offset + length <= this.#start + this.#window.length;
    if (!has()) {
      if (this.#signal?.aborted) throw abortReason(this.#signal);
      this.#window = new Uint8Array(await this.#blob.slice(offset, offset + Math.max(length, this.#least)).arrayBuffer());
      this.#start = offset;
    }
    return this.#window.subarray(offset - this.#start, offset - this.#start + length);
  }
}
