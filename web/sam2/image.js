/** A picture in the engine. Its pixels are kept here too, so that a new engine can be given them. */
import { Mask } from './mask.js';
import { Sam2Error } from './errors.js';
import { checkPrompt } from './prompt.js';

/** @typedef {import('./session.js').EngineSession} EngineSession */
/** @typedef {import('./session.js').Engine} Engine */
/** @typedef {import('./protocol.js').Picture} Picture */
/** @typedef {import('./index.d.ts').Prompt} Prompt */
/** @typedef {import('./index.d.ts').Progress} Progress */
/** @typedef {{ signal?: AbortSignal, onProgress?: (progress: Progress) => void }} CallOptions */
/** @typedef {{ masks: Mask[], iou: number[], lowRes: Float32Array[], decodeMs: number }} Answer */

/** Which mask a low-resolution array came with, so that either can be given as `prompt.mask`. @type {WeakMap<Float32Array, Mask>} */
const maskOfLowRes = new WeakMap();

export class Sam2Image {
  /** @type {EngineSession} */
  #session;
  /** @type {Picture | null} */
  #picture;
  /** 0: never encoded. The session counts from 1, and says -1 while it has no engine. */
  #epoch = 0;
  #id = 0;
  width = 0;
  height = 0;
  encodeMs = 0;

  /** @param {EngineSession} session @param {Picture} picture */
  constructor(session, picture) {
    this.#session = session;
    this.#picture = picture;
  }

  /**
   * Resolves when the engine holds this picture: at once, or after encoding it again when the engine
   * was started again or has another model.
   * @param {CallOptions} [options]
   */
  async ready({ signal, onProgress } = {}) {
    if (this.#epoch === this.#session.epoch) return;
    await this.#session.run((engine, jobSignal) => this.#encode(engine, jobSignal, onProgress), { signal, onProgress });
  }

  /**
   * @param {Prompt} prompt
   * @param {{ signal?: AbortSignal, hover?: boolean, onProgress?: (progress: Progress) => void }} [options]
   * @returns {Promise<Answer>}
   */
  async predict(prompt, { signal, hover = false, onProgress } = {}) {
    this.#present();
    checkPrompt(prompt, this); // refused before it waits behind other work
    // A copy: the caller's arrays may change while this waits, and it may be asked again later.
    const own = copyPrompt(prompt);
    return this.#session.run((engine, jobSignal) => this.#predict(engine, own, jobSignal, onProgress), { signal, hover, onProgress });
  }

  /** Forgets the picture, here and in the engine. */
  dispose() {
    if (this.#picture === null) return;
    if (this.#picture.kind === 'bitmap') this.#picture.bitmap.close();
    this.#picture = null;
    const [id, epoch] = [this.#id, this.#epoch];
    if (epoch !== this.#session.epoch) return;
    this.#session
      .run(async (engine) => (engine.epoch === epoch ? engine.connection.request('dropImage', { image: id }) : null))
      .catch(() => undefined); // the engine is gone, and the picture with it
  }

  /** For Mask. @param {Mask} mask @param {'svg' | 'polygons'} format @returns {Promise<string>} */
  outline(mask, format) {
    return this.#session.run(async (engine, signal) => {
      const origin = Mask.origin(mask);
      const ask = () => engine.connection.request('outline', { prediction: origin.prediction, index: origin.index, format }, { signal });
      const known = origin.epoch === engine.epoch ? await ask() : null;
      if (known !== null) return known;
      await this.#predictAgain(engine, mask, signal);
      const outline = await ask();
      if (outline === null) throw new Sam2Error('device_lost', 'The engine lost the mask twice.', 'Try again.');
      return outline;
    });
  }

  #present() {
    if (this.#picture === null) throw new Sam2Error('bad_image', 'The picture was disposed.', 'Call setImage again.');
    return this.#picture;
  }

  /** @param {Engine} engine @param {AbortSignal} signal @param {(progress: Progress) => void} [onProgress] */
  async #encode(engine, signal, onProgress) {
    if (this.#epoch === engine.epoch) return;
    const picture = this.#present();
    const info = await engine.connection.request('setImage', { picture }, { signal, onProgress });
    this.#id = info.id;
    this.#epoch = engine.epoch;
    this.width = info.width;
    this.height = info.height;
    this.encodeMs = info.encodeMs;
    this.#session.deviceInfo = info.device;
  }

  /** @param {Engine} engine @param {Prompt} prompt @param {AbortSignal} signal @param {(progress: Progress) => void} [onProgress] @returns {Promise<Answer>} */
  async #predict(engine, prompt, signal, onProgress) {
    await this.#encode(engine, signal, onProgress);
    const mask_id = prompt.mask == null ? null : await this.#maskId(engine, maskFrom(prompt.mask), signal);
    const wire = { ...checkPrompt(prompt, this), mask_id };
    const reply = await engine.connection.request('predict', { image: this.#id, prompt: wire }, { signal });
    this.#session.deviceInfo = reply.device;
    const masks = reply.masks.map((mask, index) => new Mask(this, mask, {
      image: this, prompt, index, epoch: engine.epoch, prediction: reply.prediction, maskId: mask.maskId,
    }));
    for (const mask of masks) maskOfLowRes.set(mask.lowRes, mask);
    return { masks, iou: masks.map((mask) => mask.iou), lowRes: masks.map((mask) => mask.lowRes), decodeMs: reply.decodeMs };
  }

  /** The engine's handle of an earlier mask. @param {Engine} engine @param {Mask} mask @param {AbortSignal} signal @returns {Promise<number>} */
  async #maskId(engine, mask, signal) {
    const origin = Mask.origin(mask);
    if (origin.image !== this) throw new Sam2Error('bad_prompt', 'The mask belongs to another picture.', 'Give a mask of this picture.');
    if (origin.epoch !== engine.epoch) await this.#predictAgain(engine, mask, signal);
    return origin.maskId;
  }

  /** Makes a mask's handles valid again, by its own prompt and, before it, those it was refined from. @param {Engine} engine @param {Mask} mask @param {AbortSignal} signal */
  async #predictAgain(engine, mask, signal) {
    const origin = Mask.origin(mask);
    const again = Mask.origin((await this.#predict(engine, origin.prompt, signal)).masks[origin.index]);
    origin.epoch = again.epoch;
    origin.prediction = again.prediction;
    origin.maskId = again.maskId;
  }
}

/** @param {Prompt} prompt @returns {Prompt} */
function copyPrompt(prompt) {
  return {
    ...prompt,
    points: prompt.points?.map((point) => /** @type {[number, number]} */ ([point[0], point[1]])),
    labels: prompt.labels?.slice(),
    mask: prompt.mask == null ? null : maskFrom(prompt.mask),
  };
}

/** @param {NonNullable<Prompt['mask']>} mask @returns {Mask} */
function maskFrom(mask) {
  const found = mask instanceof Float32Array ? maskOfLowRes.get(mask) : mask;
  if (found instanceof Mask) return found;
  throw new Sam2Error('bad_prompt', 'The mask is not one that predict() returned.', 'Give one of its masks or lowRes arrays.');
}
