/**
 * The worker's side: owns the wasm engine and answers the messages of protocol.js. It runs in a
 * browser Worker (worker.js) and in a Node worker thread (worker-node.js).
 */
import { Sam2Error, plainError } from './errors.js';
import { forgetBytes, modelBytes } from './model-bytes.js';
import { decodedFromPicture, pixelsFromPicture } from './picture.js';
import { VideoHost } from './host-video.js';

/** @typedef {import('./engine.d.ts').EngineModule} EngineModule */
/** @typedef {import('./engine.d.ts').Engine} Engine */
/** @typedef {import('./engine.d.ts').Prediction} Prediction */
/** @typedef {import('./protocol.js').ToWorker} ToWorker */
/** @typedef {import('./protocol.js').FromWorker} FromWorker */
/** @typedef {import('./protocol.js').RequestMessage} RequestMessage */
/** @typedef {import('./protocol.js').EngineAssets} EngineAssets */
/** @typedef {(stage: string, done: number, total: number) => void} OnProgress */

/** Predictions kept for a later outline: the depth of an undo that costs nothing. */
const KEPT_PREDICTIONS = 32;

/**
 * @typedef {object} HostPlatform what differs between the browser and Node
 * @property {(message: FromWorker, transfer: Transferable[]) => void} post
 * @property {(assets: EngineAssets, onProgress: OnProgress, signal: AbortSignal) => Promise<EngineModule>} loadModule
 * @property {(lock: string) => Promise<void>} holdLock
 * @property {() => Promise<string>} [whyNoGpu] why the engine must not open the GPU; empty where it may try
 */

export class EngineHost {
  /** @type {HostPlatform} */
  #platform;
  /** @type {EngineModule | null} */
  #module = null;
  /** @type {Engine | null} */
  #engine = null;
  /** Requests that a `cancel` can still reach. @type {Map<number, AbortController>} */
  #running = new Map();
  /** In order of use, the oldest first. @type {Map<number, { prediction: Prediction, image: number }>} */
  #predictions = new Map();
  #nextPrediction = 1;
  /** The device of the last answer. */
  #device = '';
  /** Why `auto` did not ask the engine for the GPU; empty where it did. */
  #whyNoGpu = '';
  #videos = new VideoHost((message) => this.#platform.post(message, []));
  /** Settles when the request before is done. @type {Promise<unknown>} */
  #turn = Promise.resolve();

  /** @param {HostPlatform} platform */
  constructor(platform) {
    this.#platform = platform;
  }

  /** @param {ToWorker} message */
  receive(message) {
    if (message.kind === 'cancel') this.#running.get(message.id)?.abort();
    else if (message.kind === 'frame') this.#videos.receive(message);
    else void this.#answer(message);
  }

  /** @param {unknown} error an error that no request waits for */
  fail(error) {
    this.#platform.post({ kind: 'fatal', error: this.#told(plainError(error, 'device_lost')) }, []);
  }

  /** @param {RequestMessage} message */
  async #answer(message) {
    const { id } = message;
    const controller = new AbortController();
    this.#running.set(id, controller);
    /** @type {Transferable[]} */
    const transfer = [];
    /** @type {OnProgress} */
    const onProgress = (stage, done, total) => this.#platform.post({ kind: 'progress', id, stage, done, total }, []);
    // The engine is borrowed for as long as a call runs, and a second call would throw. The client sends
    // one request at a time, but it goes on at once when it cancels one.
    const before = this.#turn;
    /** @type {() => void} */
    let done = () => undefined;
    this.#turn = new Promise((resolve) => {
      done = () => resolve(undefined);
    });
    try {
      await before;
      controller.signal.throwIfAborted();
      this.#module?.take_refused_bytes?.(); // of an earlier request, which has told it
      const body = await this.#handle(message, { onProgress, signal: controller.signal, transfer });
      this.#tellDevice();
      this.#platform.post({ kind: 'reply', id, body }, transfer);
    } catch (error) {
      this.#platform.post({ kind: 'error', id, error: this.#told(plainError(error, fallbackCode(message.type))) }, []);
    } finally {
      this.#running.delete(id);
      done();
    }
  }

  /**
   * @param {RequestMessage} message
   * @param {{ onProgress: OnProgress, signal: AbortSignal, transfer: Transferable[] }} context
   * @returns {Promise<unknown>} the reply of this type in the message table
   */
  async #handle(message, context) {
    switch (message.type) {
      case 'open': return this.#open(message.body, context);
      case 'load': return this.#load(message.body, context);
      case 'setImage': return this.#setImage(message.body, context);
      case 'decode': return this.#decode(message.body, context);
      case 'predict': return this.#predict(message.body, context);
      case 'outline': return this.#outline(message.body);
      case 'dropImage': return this.#dropImage(message.body);
      default: {
        const { engine, module } = this.#ready();
        return this.#videos.handle(message, { engine, module, decode: decoder(module), transfer: context.transfer });
      }
    }
  }

  /**
   * Rust traps where memory cannot be had, and says no more than "unreachable": the size that was refused
   * says what it was.
   * @param {import('./errors.js').PlainError} error
   * @returns {import('./errors.js').PlainError}
   */
  #told(error) {
    const refused = error.fatal ? this.#module?.take_refused_bytes?.() ?? 0 : 0;
    if (refused === 0) return error;
    const mb = (/** @type {number} */ bytes) => Math.ceil(bytes / 2 ** 20);
    return {
      ...error, code: 'out_of_memory',
      message: `The engine ran out of memory: it asked for ${mb(refused)} MB more, has ${mb(this.#module?.memory_bytes?.() ?? 0)} MB, and may have 4096 MB.`,
      hint: 'Choose a smaller model or a smaller picture.',
    };
  }

  #ready() {
    if (this.#engine === null || this.#module === null) {
      throw new Sam2Error('device_lost', 'The engine is not open.', 'Load the page again.');
    }
    return { engine: this.#engine, module: this.#module };
  }

  /** @param {import('./protocol.js').RequestTable['open']['body']} body @param {{ onProgress: OnProgress, signal: AbortSignal }} context */
  async #open(body, { onProgress, signal }) {
    // The client waits for this lock from the first sign of progress on: it is granted when this worker is
    // gone, however it went.
    await this.#platform.holdLock(body.lock);
    onProgress('engine', 0, body.assets?.wasmBytes ?? 0);
    this.#module = await this.#platform.loadModule(body.assets, onProgress, signal);
    const device = await this.#usableDevice(body.device);
    signal.throwIfAborted();
    this.#engine = await this.#module.Engine.create(device, (level, text) => this.#log(level, text));
    return this.#deviceInfo(this.#engine);
  }

  /** @param {'auto' | 'webgpu' | 'cpu'} asked */
  async #usableDevice(asked) {
    this.#whyNoGpu = '';
    const why = asked === 'cpu' ? '' : await this.#platform.whyNoGpu?.() ?? '';
    if (why === '') return asked;
    if (asked === 'webgpu') throw new Sam2Error('no_webgpu', `The GPU cannot be used: ${why}.`, 'Ask for the device auto or cpu, or use another browser.');
    this.#whyNoGpu = `no GPU is used: ${why}`;
    return 'cpu';
  }

  /** @param {Engine} engine */
  #deviceInfo(engine) {
    const { memory_bytes: memoryBytes, ...info } = JSON.parse(engine.device_info());
    // An engine that was given the CPU knows only that it was asked for it.
    const why = this.#whyNoGpu === '' ? {} : { why: this.#whyNoGpu };
    return { ...info, ...why, ...(memoryBytes == null ? {} : { memoryBytes }), device: engine.device() };
  }

  /** Before an answer that another device gave: any call may have gone over to the CPU. */
  #tellDevice() {
    const now = this.#engine?.device() ?? '';
    if (this.#engine !== null && this.#device !== '' && now !== this.#device) {
      this.#platform.post({ kind: 'device', device: this.#deviceInfo(this.#engine) }, []);
    }
    this.#device = now;
  }

  /** @param {string} level @param {string} text */
  #log(level, text) {
    this.#platform.post({ kind: 'log', level, text }, []);
  }

  /** @param {import('./protocol.js').RequestTable['load']['body']} body @param {{ onProgress: OnProgress, signal: AbortSignal }} context */
  async #load({ model, cache }, { onProgress, signal }) {
    const { engine } = this.#ready();
    const bytes = await modelBytes(model, {
      signal, cache,
      log: (level, text) => this.#log(level, text),
      onProgress: ({ stage, done, total }) => onProgress(stage, done, total),
    });
    signal.throwIfAborted();
    const options = JSON.stringify({ config_yaml: model.configYaml, image_size: model.imageSize });
    let info;
    try {
      info = JSON.parse(await engine.load_model(bytes, options, onProgress));
    } catch (error) {
      const { code } = plainError(error, 'bad_model');
      if (code === 'bad_model' || code === 'checksum') await forgetBytes(model, cache);
      throw error;
    }
    this.#forget(() => true);
    return {
      name: model.name,
      architecture: String(info.name ?? ''),
      imageSize: info.image_size,
      parameters: info.parameters,
      precision: info.precision,
      encodeGflop: info.encode_gflop,
      bytes: bytes.length,
      // The engine may have changed its device while it checked the model's answers.
      device: this.#deviceInfo(engine),
    };
  }

  /** @param {import('./protocol.js').RequestTable['setImage']['body']} body @param {{ onProgress: OnProgress, signal: AbortSignal }} context */
  async #setImage({ picture }, { onProgress, signal }) {
    const { engine, module } = this.#ready();
    onProgress('reading', 0, 1);
    // What the engine decodes stays in its memory: a large picture would not fit beside copies of itself.
    const source = await decodedFromPicture(picture, (bytes) => ({ decoded: module.decode_image(bytes) }));
    if (signal.aborted && 'decoded' in source) source.decoded.free?.();
    signal.throwIfAborted();
    const info = JSON.parse(await ('decoded' in source
      ? engine.set_decoded(source.decoded, onProgress)
      : engine.set_image(source.rgba, source.width, source.height, onProgress)));
    return { id: info.id, width: info.width, height: info.height, encodeMs: info.encode_ms, device: this.#deviceInfo(engine) };
  }

  /** @param {import('./protocol.js').RequestTable['decode']['body']} body @param {{ transfer: Transferable[] }} context */
  async #decode({ picture }, { transfer }) {
    const { rgba, width, height } = await pixelsFromPicture(picture, decoder(this.#ready().module));
    const buffer = rgba.byteLength === rgba.buffer.byteLength ? rgba.buffer : rgba.slice().buffer;
    transfer.push(/** @type {ArrayBuffer} */ (buffer));
    return { rgba: buffer, width, height };
  }

  /** @param {import('./protocol.js').RequestTable['predict']['body']} body @param {{ transfer: Transferable[] }} context */
  async #predict({ image, prompt }, { transfer }) {
    const { engine } = this.#ready();
    const prediction = await engine.predict(image, JSON.stringify(prompt));
    const id = this.#nextPrediction;
    this.#nextPrediction += 1;
    this.#predictions.set(id, { prediction, image });
    for (const oldest of this.#predictions.keys()) {
      if (this.#predictions.size <= KEPT_PREDICTIONS) break;
      this.#free(oldest);
    }
    const masks = Array.from({ length: prediction.count() }, (_, i) => {
      const lowRes = prediction.low_res(i);
      transfer.push(/** @type {ArrayBuffer} */ (lowRes.buffer));
      return {
        iou: prediction.iou(i),
        area: prediction.area(i),
        bbox: Array.from(prediction.bbox(i)),
        rle: JSON.parse(prediction.rle(i)).counts,
        maskId: prediction.mask_id(i),
        lowRes,
      };
    });
    // The engine may have gone over to the CPU to answer.
    return { prediction: id, decodeMs: prediction.decode_ms(), masks, device: this.#deviceInfo(engine) };
  }

  /** @param {import('./protocol.js').RequestTable['outline']['body']} body */
  #outline({ prediction: id, index, format }) {
    const kept = this.#predictions.get(id);
    if (kept === undefined) return null;
    return format === 'svg' ? kept.prediction.svg(index) : kept.prediction.polygons(index);
  }

  /** @param {import('./protocol.js').RequestTable['dropImage']['body']} body */
  #dropImage({ image }) {
    this.#forget((kept) => kept.image === image);
    this.#ready().engine.drop_image(image);
    return null;
  }

  /** @param {(kept: { image: number }) => boolean} which */
  #forget(which) {
    for (const [id, kept] of this.#predictions) if (which(kept)) this.#free(id);
  }

  /** @param {number} id */
  #free(id) {
    this.#predictions.get(id)?.prediction.free();
    this.#predictions.delete(id);
  }
}

/** The code of an error that carries none. @param {RequestMessage['type']} type */
function fallbackCode(type) {
  switch (type) {
    case 'open': return 'device_lost';
    case 'load': return 'bad_model';
    case 'setImage': case 'decode': return 'bad_image';
    case 'openVideo': case 'pushFrame': case 'videoPicture': return 'unsupported_video';
    default: return 'bad_prompt';
  }
}

/**
 * The engine's decoder with its result copied out of the wasm object, which is freed.
 * @param {EngineModule} module
 * @returns {import('./picture.js').Decode}
 */
function decoder(module) {
  return (bytes) => {
    const image = module.decode_image(bytes);
    const { width, height, rgba } = image;
    image.free?.();
    return { width, height, rgba };
  };
}
