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
/** Stages of a load in which its engine has not been given the model yet. */
const FETCHING = new Set(['download', 'verify']);

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

  /** @param {WorkerDied} death @param {boolean} [opening] before the engine could say which device it has */
  #died(death, opening = false) {
    this.#deaths += 1;
    // Of all that happens while an engine is opened under `auto`, the GPU is what can end a worker: its
    // driver, or the runtime's panic over it.
    if (opening && this.#options.device === 'auto' && death.code !== 'out_of_memory') this.#withoutGpu = `the GPU failed while it was opened: ${death.message}`;
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
    let opening = true;
    const connection = new Connection(port, {
      onLog: (level, text) => this.#options.emit('log', { level, text }),
      onDeath: (death) => this.#died(death, opening),
      onDevice: (device) => {
        this.deviceInfo = device;
      },
    });
    const device = this.#withoutGpu === '' ? this.#options.device : 'cpu';
    const lock = globalThis.navigator?.locks === undefined ? '' : `sam2-worker-${crypto.randomUUID()}`;
    try {
      this.deviceInfo = await connection.request('open', { assets: this.#options.assets, device, lock }, {
        signal,
        onProgress: (progress) => {
          connection.watchLock(lock); // the worker holds it now
          onProgress?.(progress);
        },
      });
    } catch (error) {
      connection.close(error);
      throw error;
    }
    opening = false;
    signal.throwIfAborted();
    connection.watchLock(lock);
    this.#connection = connection;
    this.#epoch += 1;
    return connection;
  }

  /** @param {Connection} connection @param {ModelRequest} model @param {AbortSignal} signal @param {OnProgress} [onProgress] */
  async #load(connection, model, signal, onProgress) {
    const witness = this.#loadedIn === connection ? await openWitness(connection) : null;
    let fetching = true;
    const heard = (/** @type {Progress} */ progress) => {
      fetching = FETCHING.has(progress.stage);
      onProgress?.(progress);
    };
    try {
      const info = await connection.request('load', { model, cache: this.#options.cache }, { signal, onProgress: heard });
      // Pictures and masks of the model before are not this model's.
      this.#epoch += 1;
      this.#loadedIn = connection;
      this.modelInfo = info;
      this.deviceInfo = info.device;
      return info;
    } catch (error) {
      // Cut off in the middle, the engine may hold the new model, the old one, or neither; a worker
      // opened afresh holds the old one for certain. Cut off before, it holds what it held, with the
      // pictures and videos that took minutes: it is kept where that is certain.
      const kept = witness !== null && (!isAbort(error) || (fetching && await isOpen(connection, witness)));
      if (kept) connection.request('closeVideo', { video: witness }).catch(() => undefined);
      else if (isAbort(error)) connection.close(error);
      throw error;
    }
  }
}

/**
 * A live video of one pixel: an engine that takes in a model drops all videos before it, so it tells whether
 * one was taken in. A cancelled load does not tell: its answer is thrown away.
 * @param {Connection} connection
 * @returns {Promise<number | null>} null where the model cannot track
 */
async function openWitness(connection) {
  try {
    return (await connection.request('openVideo', { source: { kind: 'live', width: 1, height: 1 }, maxDimension: 0, maxFrames: 0, correctionsStand: true, snap: false })).id;
  } catch (error) {
    if (error instanceof WorkerDied) throw error;
    return null;
  }
}

/** Answered after what the worker was at before, a cancelled load included. @param {Connection} connection @param {number} video @returns {Promise<boolean>} */
function isOpen(connection, video) {
  return connection.request('videoStats', { video }).then(() => true, () => false);
}
