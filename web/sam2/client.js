/**
 * The package's front door: `Sam2.load()`. Everything heavy runs in a worker; importing this module
 * touches nothing.
 */
import { addressOf, fileNameOf } from './address.js';
import { Sam2Image } from './image.js';
import { Sam2Error } from './errors.js';
import { EngineSession } from './session.js';
import { Sam2Video } from './video.js';
import { sourceOf } from './video-source.js';

export { ERROR_CODES, Sam2Error } from './errors.js';
export { Mask, VideoMask } from './mask.js';
export { Sam2Image } from './image.js';
export { Sam2Video } from './video.js';

/** @typedef {import('./index.d.ts').LoadOptions} LoadOptions */
/** @typedef {import('./index.d.ts').ModelSource} ModelSource */
/** @typedef {import('./index.d.ts').PictureSource} PictureSource */
/** @typedef {import('./index.d.ts').Progress} Progress */
/** @typedef {import('./index.d.ts').VideoSource} VideoSource */
/** @typedef {import('./protocol.js').ModelRequest} ModelRequest */
/** @typedef {import('./protocol.js').Picture} Picture */
/** @typedef {import('./protocol.js').WorkerPort} WorkerPort */
/** @typedef {{ signal?: AbortSignal, onProgress?: (progress: Progress) => void }} CallOptions */

export class Sam2 {
  /** @type {EngineSession} */
  #session;
  /** @type {Map<string, Set<(detail: any) => void>>} */
  #listeners = new Map();

  /** @param {LoadOptions & { openPort?: () => Promise<WorkerPort> }} options */
  constructor(options) {
    this.#session = new EngineSession({
      assets: resolveAssets(options.assets),
      device: options.device ?? 'auto',
      cache: options.cache ?? true,
      openPort: options.openPort,
      emit: (event, detail) => {
        for (const listener of this.#listeners.get(event) ?? []) listener(detail);
      },
    });
    if (options.onLog !== undefined) this.on('log', options.onLog);
  }

  /**
   * Starts a worker, opens the device and loads a model.
   * @param {LoadOptions & { openPort?: () => Promise<WorkerPort> }} options
   * @returns {Promise<Sam2>}
   */
  static async load(options) {
    const sam = new Sam2(options);
    try {
      await sam.loadModel(options.model, options);
      return sam;
    } catch (error) {
      sam.dispose();
      throw error;
    }
  }

  /** Loads another model in place of the present one, which stays if the new one is refused. @param {ModelSource} model @param {CallOptions} [options] */
  async loadModel(model, options = {}) {
    return this.#session.loadModel(modelRequest(model), options);
  }

  /**
   * @param {PictureSource} source
   * @param {CallOptions} [options]
   * @returns {Promise<Sam2Image>} once the picture is encoded
   */
  async setImage(source, options = {}) {
    const image = new Sam2Image(this.#session, await pictureFromSource(source));
    try {
      await image.ready(options);
      return image;
    } catch (error) {
      image.dispose();
      throw error;
    }
  }

  /**
   * Opens a video; no frame is encoded yet. Its frames are read when they are needed.
   * @param {VideoSource} source
   * @param {CallOptions & { maxFrameDimension?: number, maxFrames?: number, correctionsStand?: boolean, snap?: boolean }} [options]
   * @returns {Promise<Sam2Video>}
   */
  async openVideo(source, { maxFrameDimension = 1920, maxFrames = 300, correctionsStand = true, snap = false, ...options } = {}) {
    const measure = (/** @type {Picture} */ picture) => this.#session.run(({ connection }, signal) => connection.request('decode', { picture }, { signal }), options);
    const opened = await sourceOf(source, { maxFrames, maxFrameDimension, toPicture: pictureFromSource, measure, signal: options.signal });
    const video = new Sam2Video(this.#session, opened.source, { maxFrameDimension, maxFrames, correctionsStand, snap, fps: opened.fps, times: opened.times, notes: opened.notes });
    try {
      await video.ready(options);
      return video;
    } catch (error) {
      video.close();
      throw error;
    }
  }

  /** Resolves when the engine runs and holds the model, after starting it again if it died. @param {CallOptions} [options] */
  async ready(options = {}) {
    await this.#session.run(async () => undefined, options);
  }

  /**
   * Decodes a picture as the engine would, for showing what a browser cannot.
   * @param {Blob} blob
   * @param {CallOptions} [options]
   * @returns {Promise<ImageData>}
   */
  async decodeImage(blob, options = {}) {
    const reply = await this.#session.run(({ connection }, signal) => connection.request('decode', { picture: { kind: 'blob', blob } }, { signal }), options);
    return new ImageData(new Uint8ClampedArray(reply.rgba), reply.width, reply.height);
  }

  /** The device in use. */
  get device() {
    return this.#session.deviceInfo?.device ?? 'cpu';
  }

  get deviceInfo() {
    return this.#session.deviceInfo;
  }

  get threads() {
    return this.#session.deviceInfo?.threads ?? 1;
  }

  get model() {
    return this.#session.modelInfo;
  }

  /**
   * @param {'fault' | 'device-lost' | 'log'} event
   * @param {(detail: any) => void} listener
   * @returns {() => void} stops listening
   */
  on(event, listener) {
    const listeners = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, listeners.add(listener));
    return () => void listeners.delete(listener);
  }

  /** Ends the worker. What is under way rejects with an AbortError; `load` works again after it. */
  dispose() {
    this.#session.dispose();
    this.#listeners.clear();
  }
}

/** Relative addresses in a worker would be relative to the worker's script. @param {string | URL} url */
function absolute(url) {
  return addressOf(url, globalThis.document?.baseURI ?? import.meta.url);
}

/** @param {string | URL} url */
function assetAt(url) {
  const found = absolute(url);
  if (found === null) throw new Sam2Error('bad_setting', `“${url}” is not an address of the engine.`, 'Give { js, wasm } as addresses of the files in pkg/.');
  return found.href;
}

/** @param {LoadOptions['assets']} assets @returns {import('./protocol.js').EngineAssets} */
function resolveAssets(assets) {
  if (assets === undefined) {
    return { js: new URL('./pkg/sam2_wasm.js', import.meta.url).href, wasm: new URL('./pkg/sam2_wasm_bg.wasm', import.meta.url).href };
  }
  return { js: assetAt(assets.js), wasm: assetAt(assets.wasm), wasmBytes: assets.wasmBytes };
}

/** @param {ModelSource} source @returns {ModelRequest} */
function modelRequest(source) {
  if (source instanceof Blob) {
    return { name: /** @type {Partial<File>} */ (source).name ?? 'a file', blob: source };
  }
  if (source instanceof Uint8Array || source instanceof ArrayBuffer) {
    return { name: 'bytes', blob: new Blob([/** @type {BlobPart} */ (source)]) };
  }
  if (typeof source === 'string' || source instanceof URL) return modelRequest({ url: source });
  const { url, file, name, sha256, bytes, configYaml, imageSize } = source;
  if (sha256 !== undefined && !/^[0-9a-f]{64}$/i.test(sha256)) {
    throw new Sam2Error('checksum', 'The SHA-256 of the model is not 64 hex digits.', 'Copy it whole.');
  }
  const rest = { sha256, bytes, configYaml, imageSize };
  if (file !== undefined) return { ...modelRequest(file), ...(name === undefined ? {} : { name }), ...rest };
  if (url === undefined) throw new Sam2Error('bad_model', 'No model was named.', 'Give an address, a file or bytes.');
  const found = absolute(url);
  if (found === null) throw new Sam2Error('bad_model', `“${url}” is not an address of a model.`, 'Write it as https://host/path/model.pt.');
  return { name: name ?? (fileNameOf(found) || found.href), url: found.href, ...rest };
}

/** @param {PictureSource} source @returns {Promise<Picture>} */
async function pictureFromSource(source) {
  if (source instanceof Blob) return { kind: 'blob', blob: source };
  if (source !== null && typeof source === 'object' && 'data' in source && 'width' in source) {
    const { data, width, height } = source;
    if (!(width > 0 && height > 0) || data.length !== width * height * 4) {
      throw new Sam2Error('bad_image', `The picture has ${data?.length} bytes, not ${width} × ${height} × 4.`, 'Give RGBA bytes.');
    }
    return { kind: 'rgba', rgba: new Uint8Array(data).buffer, width, height };
  }
  if (typeof createImageBitmap === 'undefined') {
    throw new Sam2Error('bad_image', 'This picture is of no known kind.', 'Give a Blob, or { data, width, height } with RGBA bytes.');
  }
  try {
    return { kind: 'bitmap', bitmap: await createImageBitmap(/** @type {ImageBitmapSource} */ (source)) };
  } catch (error) {
    throw new Sam2Error('bad_image', `The picture cannot be read: ${error instanceof Error ? error.message : error}.`,
      'Give a Blob, ImageBitmap, ImageData, canvas or video frame that is still open.', { cause: error });
  }
}

