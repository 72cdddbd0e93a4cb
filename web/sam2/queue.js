/**
 * One job at a time, in order, because the engine does one thing at a time. A job of kind `hover`
 * is worth nothing once there is anything newer, so every newer prediction cancels it.
 */
import { abortReason } from './errors.js';

/**
 * @typedef {object} Job
 * @property {(signal: AbortSignal) => Promise<void>} run
 * @property {AbortController} controller
 * @property {boolean} hover
 */

export class JobQueue {
  /** @type {Job[]} */
  #waiting = [];
  /** @type {Job | null} */
  #running = null;
  /** @type {unknown} */
  #closed = null;

  /**
   * The promise settles with the work's outcome, or rejects at once when it is cancelled.
   * @template T
   * @param {(signal: AbortSignal) => Promise<T>} work
   * @param {{ signal?: AbortSignal, hover?: boolean }} [options]
   * @returns {Promise<T>}
   */
  add(work, { signal, hover = false } = {}) {
    if (this.#closed !== null) return Promise.reject(this.#closed);
    if (signal?.aborted) return Promise.reject(abortReason(signal));
    this.cancelHover();
    return new Promise((resolve, reject) => {
      const controller = new AbortController();
      const onAbort = () => controller.abort(abortReason(signal));
      signal?.addEventListener('abort', onAbort, { once: true });
      controller.signal.addEventListener('abort', () => {
        signal?.removeEventListener('abort', onAbort);
        reject(controller.signal.reason);
      }, { once: true });
      const run = async () => {
        try {
          resolve(await work(controller.signal));
        } catch (error) {
          reject(error);
        } finally {
          signal?.removeEventListener('abort', onAbort);
        }
      };
      this.#waiting.push({ run, controller, hover });
      this.#next();
    });
  }

  /** Cancels previews that wait or run. */
  cancelHover() {
    for (const job of [this.#running, ...this.#waiting]) {
      if (job?.hover) job.controller.abort(abortReason());
    }
    this.#waiting = this.#waiting.filter((job) => !job.hover);
  }

  /** Rejects what waits and runs, and everything after. @param {unknown} reason */
  close(reason) {
    this.#closed = reason;
    for (const job of [this.#running, ...this.#waiting]) job?.controller.abort(reason);
    this.#waiting = [];
  }

  #next() {
    if (this.#running !== null) return;
    const job = this.#waiting.shift();
    if (job === undefined) return;
    if (job.controller.signal.aborted) {
      this.#next();
      return;
    }
    this.#running = job;
    void job.run(job.controller.signal).finally(() => {
      this.#running = null;
      this.#next();
    });
  }
}
