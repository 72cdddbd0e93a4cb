/** One worker: its requests, their answers, and the moment when it dies. */
import { Sam2Error, abortReason, errorFromPlain, plainError } from './errors.js';

/** @typedef {import('./protocol.js').RequestTable} RequestTable */
/** @typedef {import('./protocol.js').FromWorker} FromWorker */
/** @typedef {import('./protocol.js').WorkerPort} WorkerPort */
/** @typedef {import('./protocol.js').Picture} Picture */
/** @typedef {import('./index.d.ts').Progress} Progress */

/** The worker is gone; the request may be tried again in a new one. */
export class WorkerDied extends Sam2Error {
  /** The engine said so itself, or trapped: it was not the browser that ended it. */
  failed = false;

  /** @param {string} reason @param {import('./index.d.ts').Sam2ErrorCode} [code] @param {string} [hint] */
  constructor(reason, code = 'device_lost', hint = 'Try again; if it stays so, load the page again.') {
    super(code, reason, hint);
  }
}

/** What each request carries that a message may not take, its code, and what to do. */
const HANDED_OVER = /** @type {const} */ ({
  picture: ['bad_image', 'It was closed or moved elsewhere; give a fresh one.'],
  model: ['bad_model', 'Give a File or Blob of this page, its bytes, or an address.'],
  video: ['unsupported_video', 'Give a File or Blob of this page, pictures, or { frames, width, height, read }.'],
  request: ['bad_setting', 'Give plain values: numbers, strings, arrays.'],
});

/**
 * The browser would not clone what a request carries: a closed bitmap, a detached buffer, an object with
 * methods.
 * @param {keyof RequestTable} type
 * @param {unknown} error
 */
function notHandedOver(type, error) {
  const what = type === 'load' ? 'model' : type === 'openVideo' ? 'video' : ['setImage', 'decode', 'pushFrame'].includes(type) ? 'picture' : 'request';
  const [code, hint] = HANDED_OVER[what];
  return new Sam2Error(code, `The ${what} cannot be handed to the engine: ${error instanceof Error ? error.message : error}.`, hint);
}

/**
 * @typedef {object} RequestOptions
 * @property {AbortSignal} [signal]
 * @property {(progress: Progress) => void} [onProgress]
 * @property {Transferable[]} [transfer]
 */

/**
 * @typedef {object} Waiting
 * @property {(body: any) => void} resolve
 * @property {(error: unknown) => void} reject
 * @property {((progress: Progress) => void) | undefined} onProgress
 */

export class Connection {
  /** @type {WorkerPort} */
  #port;
  /** @type {Map<number, Waiting>} */
  #waiting = new Map();
  #nextId = 1;
  /** @type {WorkerDied | null} */
  #death = null;
  /** @type {(level: string, text: string) => void} */
  #onLog;
  /** @type {(death: WorkerDied) => void} */
  #onDeath;
  /** @type {(device: import('./index.d.ts').DeviceInfo) => void} */
  #onDevice;
  #watch = new AbortController();
  #watched = false;
  /** What gives the frames of each open video. @type {Map<number, (index: number) => Promise<Picture>>} */
  #readers = new Map();

  /**
   * @param {WorkerPort} port
   * @param {{ onLog: (level: string, text: string) => void, onDeath: (death: WorkerDied) => void, onDevice: (device: import('./index.d.ts').DeviceInfo) => void }} listeners
   */
  constructor(port, { onLog, onDeath, onDevice }) {
    this.#port = port;
    this.#onLog = onLog;
    this.#onDeath = onDeath;
    this.#onDevice = onDevice;
    port.listen((message) => this.#receive(message), (reason) => this.#die(new WorkerDied(`The engine stopped: ${reason}.`)));
  }

  /** False once the worker is gone or was closed. */
  get alive() {
    return this.#death === null;
  }

  /**
   * Asks, once, for a named lock that the worker holds for life. It is granted when the worker is gone,
   * also when the browser ended it without any event.
   * @param {string} lock
   */
  watchLock(lock) {
    if (lock === '' || this.#watched) return;
    this.#watched = true;
    navigator.locks
      .request(lock, { signal: this.#watch.signal }, () => this.#die(new WorkerDied('The engine stopped without a word.')))
      .catch(() => undefined); // the watch ended with close()
  }

  /**
   * Sends a request. Aborting rejects at once and tells the worker, which may still finish; the
   * late answer is thrown away.
   * @template {keyof RequestTable} K
   * @param {K} type
   * @param {RequestTable[K]['body']} body
   * @param {RequestOptions} [options]
   * @returns {Promise<RequestTable[K]['reply']>}
   */
  request(type, body, { signal, onProgress, transfer = [] } = {}) {
    if (this.#death !== null) return Promise.reject(this.#death);
    if (signal?.aborted) return Promise.reject(abortReason(signal));
    const id = this.#nextId;
    this.#nextId += 1;
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        this.#port.post({ kind: 'cancel', id }, []);
        waiting.reject(abortReason(signal));
      };
      const settled = () => {
        signal?.removeEventListener('abort', onAbort);
        this.#waiting.delete(id);
      };
      /** @type {Waiting} */
      const waiting = {
        resolve: (answer) => { settled(); resolve(answer); },
        reject: (error) => { settled(); reject(error); },
        onProgress,
      };
      this.#waiting.set(id, waiting);
      signal?.addEventListener('abort', onAbort, { once: true });
      try {
        this.#port.post(/** @type {any} */ ({ kind: 'request', id, type, body }), transfer);
      } catch (error) {
        waiting.reject(notHandedOver(type, error));
      }
    });
  }

  /** Lets the worker read frames. @param {number} reader its number in `openVideo` @param {(index: number) => Promise<Picture>} read */
  serveFrames(reader, read) {
    this.#readers.set(reader, read);
  }

  /** @param {number} reader */
  endFrames(reader) {
    this.#readers.delete(reader);
  }

  /** Whatever happens, the worker gets its answer: it waits for it. @param {{ ask: number, reader: number, index: number }} wanted */
  async #giveFrame({ ask, reader, index }) {
    try {
      const read = this.#readers.get(reader);
      if (read === undefined) throw new Sam2Error('unsupported_video', 'the video was closed');
      const picture = await read(index);
      if (this.#death !== null) return;
      this.#port.post({ kind: 'frame', ask, picture }, picture.kind === 'bitmap' ? [picture.bitmap] : []);
    } catch (error) {
      if (this.#death === null) this.#port.post({ kind: 'frame', ask, error: plainError(error, 'unsupported_video') }, []);
    }
  }

  /** Ends the worker. Everything that waits is rejected. @param {unknown} [reason] */
  close(reason = abortReason()) {
    this.#end(new WorkerDied('The engine was closed.'), reason);
  }

  /** @param {FromWorker} message */
  #receive(message) {
    if (this.#death !== null) return;
    switch (message.kind) {
      case 'log':
        this.#onLog(message.level, message.text);
        return;
      case 'device':
        this.#onDevice(message.device);
        return;
      case 'fatal':
        this.#fail(message.error);
        return;
      case 'wanted':
        void this.#giveFrame(message);
        return;
      case 'progress':
        this.#waiting.get(message.id)?.onProgress?.({ stage: message.stage, done: message.done, total: message.total });
        return;
      case 'reply':
        this.#waiting.get(message.id)?.resolve(message.body);
        return;
      case 'error':
        if (message.error.fatal) this.#fail(message.error);
        else this.#waiting.get(message.id)?.reject(errorFromPlain(message.error));
    }
  }

  /** @param {import('./errors.js').PlainError} error */
  #fail({ message, code, hint }) {
    this.#die(Object.assign(new WorkerDied(message, code, hint), { failed: true }));
  }

  /** @param {WorkerDied} death */
  #die(death) {
    if (this.#death !== null) return;
    this.#end(death, death);
    this.#onDeath(death);
  }

  /** @param {WorkerDied} death @param {unknown} reason what the waiting promises reject with */
  #end(death, reason) {
    if (this.#death !== null) return;
    this.#death = death;
    this.#watch.abort();
    this.#readers.clear();
    this.#port.terminate();
    for (const waiting of [...this.#waiting.values()]) waiting.reject(reason);
  }
}
