/**
 * An engine that is there whenever it is needed: started on first use, started again when its
 * worker dies, with the same model. Handles of pictures and masks carry the `epoch` in which the
 * engine gave them; in a later epoch they are made again before use.
 */
import { Connection, WorkerDied } from './connection.js';
import { Sam2Error, isAbort } from './errors.js';
import { JobQueue } from './queue.js';
import { openPort } from './ports.js';

/** @typedef {import('./protocol.js').EngineAssets} EngineAssets */
/** @typedef {import('./protocol.js').ModelRequest} ModelRequest */
/** @typedef {import('./protocol.js').WorkerPort} WorkerPort */
/** @typedef {import('./index.d.ts').DeviceInfo} DeviceInfo */
/** @typedef {import('./index.d.ts').ModelInfo} ModelInfo */
/** @typedef {import('./index.d.ts').Progress} Progress */
/** @typedef {(progress: Progress) => void} OnProgress */

/** What a job works with. @typedef {{ connection: Connection, epoch: number }} Engine */

/** How often one job may find its engine dead before it is given up. */
const TRIES = 2;
/** After this many deaths without a word, `auto` stops asking for the GPU: it is the likelier culprit. */
const DEATHS_BEFORE_CPU = 2;

/**
 * @typedef {object} SessionOptions
 * @property {EngineAssets} assets
 * @property {'auto' | 'webgpu' | 'cpu'} device
 * @property {boolean} cache
 * @property {() => Promise<WorkerPort>} [openPort] tests bring their own
 * @property {(event: 'device-lost' | 'fault' | 'log', detail: any) => void} emit
 */

export class EngineSession {
  /** @type {SessionOptions} */
  #options;
  #queue = new JobQueue();
  /** @type {Connection | null} */
  #connection = null;
  #epoch = 0;
  #deaths = 0;
  /** @type {ModelRequest | null} */
  #model = null;
  /** The worker that holds `#model`. @type {Connection | null} */
  #loadedIn = null;
  /** @type {DeviceInfo | null} */
  #deviceInfo = null;
  /** Why the GPU is not asked for any more; empty while it is. */
  #withoutGpu = '';
  /** @type {ModelInfo | null} */
  modelInfo = null;

  /** @param {SessionOptions} options */
  constructor(options) {
    this.#options = options;
  }

  /** The model asked for last; another object is another model. */
  get model() {
    return this.#model;
  }

  /** The device in use, as the engine told it last. */
  get deviceInfo() {
    return this.#deviceInfo;
  }

  set deviceInfo(info) {
    // A new engine knows only that it was asked for the CPU.
    this.#deviceInfo = info === null || this.#withoutGpu === '' ? info : { ...info, why: this.#withoutGpu };
  }

  get epoch() {
    return this.#connection?.alive ? this.#epoch : -1;
  }

  /**
   * Runs one job after those before it. When the worker dies under it, the job runs once more in a
   * new worker.
   * @template T
   * @param {(engine: Engine, signal: AbortSignal) => Promise<T>} work
   * @param {{ signal?: AbortSignal, hover?: boolean, onProgress?: OnProgress }} [options]
   * @returns {Promise<T>}
   */
  run(work, { signal, hover, onProgress } = {}) {
    return this.#queue.add(async (jobSignal) => {
      for (let tries = 1; ; tries += 1) {
        try {
          return await work(await this.#engine(jobSignal, onProgress), jobSignal);
        } catch (error) {
          jobSignal.throwIfAborted();
          if (error instanceof Sam2Error && error.code === 'mask_fault') this.#options.emit('fault', error);
          if (!this.#restartable(error) || tries >= TRIES) throw error;
        }
      }
    }, { signal, hover });
  }

  /**
   * Loads a model in place of the present one, which stays when the new one is refused.
   * @param {ModelRequest} model
   * @param {{ signal?: AbortSignal, onProgress?: OnProgress }} options
   * @returns {Promise<ModelInfo>}
   */
  loadModel(model, { signal, onProgress }) {
    return this.run(async (engine, jobSignal) => {
      const info = await this.#load(engine.connection, model, jobSignal, onProgress);
      this.#model = model;
      return info;
    }, { signal, onProgress });
  }

  /** Ends the worker and rejects what is under way with an AbortError. */
  dispose() {
    const reason = new DOMException('The session was disposed.', 'AbortError');
    this.#queue.close(reason);
    this.#connection?.close(reason);
    this.#connection = null;
  }

  /** @param {unknown} error */
  #restartable(error) {
    if (error instanceof WorkerDied) return error.code !== 'out_of_memory';
    if (!(error instanceof Sam2Error) || error.code !== 'device_lost') return false;
    // The engine itself says that its device is gone: its worker is of no more use.
    this.#died(Object.assign(new WorkerDied(error.message), { failed: true }));
    this.#connection?.close(error);
    return true;
  }

  /** @param {WorkerDied} death */
  #died(death) {
    this.#deaths += 1;
    // A GPU that failed under an engine is not waited for again: a new one would take its time to warm up,
    // and fail. What the browser ended, it may have ended for other reasons, once.
    const suspect = (death.failed && death.code !== 'out_of_memory') || (this.#options.device === 'auto' && this.#deaths >= DEATHS_BEFORE_CPU);
    if (this.#deviceInfo?.device === 'webgpu' && suspect) this.#withoutGpu = `the GPU failed: ${death.message}`;
    this.#options.emit('device-lost', death);
  }

  /**
   * The living engine, with its model loaded.
   * @param {AbortSignal} signal
   * @param {OnProgress} [onProgress]
   * @returns {Promise<Engine>}
   */
  async #engine(signal, onProgress) {
    const connection = this.#connection?.alive ? this.#connection : await this.#open(signal, onProgress);
    if (this.#model !== null && this.#loadedIn !== connection) {
      await this.#load(connection, this.#model, signal, onProgress);
    }
    return { connection, epoch: this.#epoch };
  }

  /** @param {AbortSignal} signal @param {OnProgress} [onProgress] */
  async #open(signal, onProgress) {
    const port = await (this.#options.openPort ?? openPort)();
    if (signal.aborted) {
      port.terminate();
      signal.throwIfAborted();
    }
    const connection = new Connection(port, {
      onLog: (level, text) => this.#options.emit('log', { level, text }),
      onDeath: (death) => this.#died(death),
      onDevice: (device) => {
        this.deviceInfo = device;
      },
    });
    const device = this.#withoutGpu === '' ? this.#options.device : 'cpu';
    const lock = globalThis.navigator?.locks === undefined ? '' : `sam2-worker-${crypto.randomUUID()}`;
    try {
      this.deviceInfo = await connection.request('open', { assets: this.#options.assets, device, lock }, { signal, onProgress });
    } catch (error) {
      connection.close(error);
      throw error;
    }
    signal.throwIfAborted();
    connection.watchLock(lock);
    this.#connection = connection;
    this.#epoch += 1;
    return connection;
  }

  /** @param {Connection} connection @param {ModelRequest} model @param {AbortSignal} signal @param {OnProgress} [onProgress] */
  async #load(connection, model, signal, onProgress) {
    try {
      const info = await connection.request('load', { model, cache: this.#options.cache }, { signal, onProgress });
      // Pictures and masks of the model before are not this model's.
      this.#epoch += 1;
      this.#loadedIn = connection;
      this.modelInfo = info;
      this.deviceInfo = info.device;
      return info;
    } catch (error) {
      // Cut off in the middle, the engine may hold the new model, the old one, or neither; a worker
      // opened afresh holds the old one for certain.
      if (isAbort(error)) connection.close(error);
      throw error;
    }
  }
}
