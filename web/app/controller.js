/**
 * What happens when: the model, the picture, the questions about it, and the one state that the
 * page shows. Every answer carries the generation of the picture it belongs to and is thrown away
 * when that is over.
 */
import { Sam2 } from '../sam2/client.js';
import { codeOf, isAbort } from '../sam2/errors.js';
import { failureMessage, maskMessage } from './messages.js';
import { knownOutline, outlineOf } from './outlines.js';
import { showable } from './picture.js';
import { Prompts, chosenMask, promptOf } from './prompts.js';

/** @typedef {import('../sam2/index.d.ts').ModelSource} ModelSource */
/** @typedef {import('../sam2/index.d.ts').EngineAssets} EngineAssets */
/** @typedef {import('../sam2/index.d.ts').Progress} Progress */
/** @typedef {import('../sam2/index.d.ts').Sam2Image} Sam2Image */
/** @typedef {import('../sam2/index.d.ts').Mask} Mask */
/** @typedef {import('./types.js').PageState} PageState */
/** @typedef {import('./types.js').ImagePx} ImagePx */
/** @typedef {import('./types.js').ImageBox} ImageBox */
/** @typedef {import('./status.js').Message} Message */

/** @typedef {{ source: ModelSource, name: string, title: string, note: string }} ModelRequest */
/** `read`: whether the browser has decoded it, or cannot. @typedef {{ blob: Blob, name: string, shown: import('./picture.js').Shown | null, read: boolean }} Picture */
/** @typedef {{ error: unknown, retry: (() => void) | null }} Failure */
/** Whether a file is a clip, opened elsewhere; `onKnown` unless something else was opened meanwhile. @typedef {{ isClip: Promise<boolean>, onKnown: (isClip: boolean) => void }} Look */

/**
 * @typedef {object} ControllerOptions
 * @property {(signal: AbortSignal) => Promise<EngineAssets>} assets
 * @property {typeof Sam2.load} [load] tests bring their own
 * @property {'auto' | 'webgpu' | 'cpu'} device
 * @property {() => boolean} [snap] whether masks are snapped to edges; asked for every answer
 * @property {(state: PageState, message: Message) => void} onState
 * @property {(progress: Progress) => void} onProgress
 * @property {() => void} onChange something to be drawn has changed
 * @property {(text: string) => void} onWarning
 */

export class Controller {
  prompts = new Prompts();
  /** @type {Picture | null} */
  picture = null;
  /** @type {Sam2Image | null} */
  image = null;
  /** @type {ModelRequest | null} */
  model = null;
  /** @type {ControllerOptions} */
  #options;
  /** @type {InstanceType<typeof Sam2> | null} */
  #sam = null;
  #generation = 0;
  /** What is under way; the first of these that is true names the page's state. */
  #busy = { loading: true, encoding: false, decoding: false };
  /** What went wrong last; the next thing that a person does clears it. @type {Failure | null} */
  #failure = null;
  /** Why there is no engine: shown for as long as there is none. @type {Failure | null} */
  #noEngine = null;
  /** Why the picture is not in the engine: shown until it is. @type {Failure | null} */
  #notEncoded = null;
  #loadAbort = new AbortController();
  #loadRunning = false;
  /** @type {((value?: unknown) => void)[]} */
  #loadWaiters = [];
  #pictureAbort = new AbortController();
  /** The generation whose picture is on its way into the engine. */
  #encoding = -1;
  #stepAbort = new AbortController();

  /** @param {ControllerOptions} options */
  constructor(options) {
    this.#options = options;
  }

  get sam() {
    return this.#sam;
  }

  /** The package, once a model is there: now, or when one was loaded. @returns {Promise<InstanceType<typeof Sam2>>} */
  async loaded() {
    while (this.#sam === null || this.#busy.loading) await new Promise((resolve) => this.#loadWaiters.push(resolve));
    return this.#sam;
  }

  /** @returns {Mask | null} */
  get mask() {
    const step = this.prompts.shown;
    return step === null ? null : chosenMask(step);
  }

  /** The outline to draw. */
  get outline() {
    return knownOutline(this.mask);
  }

  /** Nothing under way, a picture to ask about. */
  get isIdle() {
    return this.image !== null && !Object.values(this.#busy).some(Boolean);
  }

  /** @param {ModelRequest} request @param {() => void} [retry] */
  async loadModel(request, retry = () => void this.loadModel(request)) {
    this.#loadAbort.abort();
    const abort = new AbortController();
    this.#loadAbort = abort;
    this.#loadRunning = true;
    this.#set({ loading: true }, null);
    const options = { signal: abort.signal, onProgress: this.#options.onProgress };
    try {
      if (this.#sam === null) {
        const load = this.#options.load ?? Sam2.load;
        const sam = await load({
          ...options, model: request.source, device: this.#options.device, assets: await this.#options.assets(abort.signal),
          onLog: ({ level, text }) => {
            if (level === 'warn' || level === 'error') this.#options.onWarning(text);
          },
        });
        sam.on('device-lost', (death) => void this.#recover(death));
        this.#sam = sam;
      } else {
        await this.#sam.loadModel(request.source, options);
      }
    } catch (error) {
      if (abort !== this.#loadAbort) return; // another model was asked for meanwhile
      this.#loadRunning = false;
      if (this.#sam === null) this.#noEngine = { error, retry };
      await this.#goOn(this.#sam === null || isAbort(error) ? null : { error, retry });
      return;
    }
    this.#loadRunning = false;
    this.#noEngine = null;
    this.model = request;
    this.prompts.forgetAnswers();
    await this.#goOn(this.#failure);
  }

  /** After a load, with the model that is there now: what waited for one gets it. @param {Failure | null} failure */
  async #goOn(failure) {
    this.#set({ loading: false, encoding: this.#sam !== null && this.picture !== null }, failure);
    if (this.#sam === null) return; // what waits goes on waiting, for a load that succeeds
    for (const resolve of this.#loadWaiters.splice(0)) resolve();
    await this.#encode(failure);
  }

  /** No model was asked for: the list cannot be read, the address is none, the person said no. @param {unknown} error @param {(() => void) | null} retry */
  refuseModel(error, retry) {
    if (this.#sam === null) this.#noEngine = { error, retry };
    this.#set({ loading: this.#loadRunning }, { error, retry });
  }

  /** An error from outside, such as a file that cannot be saved. @param {unknown} error @param {(() => void) | null} retry */
  fail(error, retry) {
    this.#set({}, { error, retry });
  }

  /** A person goes on after an error. */
  dismiss() {
    if (this.#failure !== null) this.#set({}, null);
  }

  /**
   * @param {Blob} blob
   * @param {string} name
   * @param {Look} [look] first, where it may be no picture: the page is at work meanwhile
   */
  async openPicture(blob, name, look) {
    this.#forgetPicture();
    const generation = this.#generation;
    const picture = { blob, name, shown: /** @type {Picture['shown']} */ (null), read: false };
    this.picture = picture;
    this.#set({ encoding: true }, null);
    if (look !== undefined) {
      const isClip = await look.isClip;
      if (generation === this.#generation) look.onKnown(isClip);
      if (isClip || generation !== this.#generation) return;
    }
    try {
      const shown = await showable(blob);
      if (generation !== this.#generation) {
        shown.bitmap.close();
        return;
      }
      picture.shown = shown;
      this.#options.onChange();
    } catch {
      // The engine may read what the browser cannot; if not, its error says why.
    }
    if (generation !== this.#generation) return;
    picture.read = true;
    await this.#encode(this.#failure);
  }

  closePicture() {
    this.#forgetPicture();
    this.#set({}, null);
  }

  /** @param {ImagePx} at @param {boolean} negative */
  click(at, negative) {
    if (this.picture?.shown == null) return;
    this.prompts.addClick({ ...at, label: negative ? 0 : 1 });
    this.#asked();
  }

  /** @param {ImageBox} box */
  box(box) {
    if (this.picture?.shown == null) return;
    this.prompts.addBox(box);
    this.#asked();
  }

  undo() {
    const last = this.prompts.last;
    if (last?.answer === null) this.#stepAbort.abort();
    if (this.prompts.undo()) this.#set({}, null);
  }

  reset() {
    this.#stepAbort.abort();
    this.prompts.reset();
    this.#set({}, null);
  }

  /** @param {number} index */
  async choose(index) {
    const step = this.prompts.shown;
    if (step === null || step.chosen === index) return;
    step.chosen = index;
    this.#options.onChange();
    const mask = chosenMask(step);
    try {
      if (mask !== null) await outlineOf(mask);
      this.#set({}, this.#failure);
    } catch (error) {
      if (!isAbort(error)) this.#set({}, { error, retry: () => void this.choose(index) });
    }
  }

  /** Masks are made in another way from now on: every question is asked again. */
  askAgain() {
    if (this.prompts.isEmpty) return;
    this.#stepAbort.abort();
    this.prompts.forgetAnswers();
    this.#asked();
  }

  #forgetPicture() {
    this.#generation += 1;
    this.#pictureAbort.abort();
    this.#pictureAbort = new AbortController();
    this.#stepAbort.abort();
    this.image?.dispose();
    this.image = null;
    this.picture?.shown?.bitmap.close();
    this.picture = null;
    this.#notEncoded = null;
    this.prompts.reset();
    this.#busy.encoding = false;
    this.#busy.decoding = false;
  }

  /** Gives the picture to the engine, for the first time or again, then answers what waits. @param {Failure | null} [failure] of something else, to be shown still */
  async #encode(failure = null) {
    const { picture } = this;
    const sam = this.#sam;
    const generation = this.#generation;
    if (picture === null || !picture.read || this.#encoding === generation) return; // openPicture comes back here
    if (sam === null || this.#busy.loading) { // loadModel comes back here
      this.#set({ encoding: false }, failure);
      return;
    }
    const options = { signal: this.#pictureAbort.signal, onProgress: this.#options.onProgress };
    this.#encoding = generation;
    const kept = failure === this.#notEncoded ? null : failure;
    this.#notEncoded = null;
    this.#set({ encoding: true }, kept);
    try {
      if (this.image === null) {
        const image = await sam.setImage(picture.blob, options);
        if (generation !== this.#generation) {
          image.dispose();
          return;
        }
        this.image = image;
        await this.#showAsEngineSees(picture, image);
      }
      // At once, unless the engine or its model changed meanwhile.
      await this.image.ready(options);
    } catch (error) {
      if (generation !== this.#generation) return;
      this.#notEncoded = { error, retry: () => void this.#encode() };
      this.#set({ encoding: false }, this.#notEncoded);
      return;
    } finally {
      if (this.#encoding === generation) this.#encoding = -1;
    }
    if (generation !== this.#generation) return;
    this.#set({ encoding: false }, this.#failure);
    await this.#answerAll();
  }

  /** Where the browser shows nothing, or another size, the engine's pixels are shown instead. @param {Picture} picture @param {Sam2Image} image */
  async #showAsEngineSees(picture, image) {
    const { shown } = picture;
    if (shown !== null && shown.width === image.width && shown.height === image.height) return;
    shown?.bitmap.close();
    picture.shown = null;
    picture.shown = await showable(await /** @type {InstanceType<typeof Sam2>} */ (this.#sam).decodeImage(picture.blob));
    this.#options.onChange();
  }

  #asked() {
    this.#set({}, null);
    if (this.image === null || this.#notEncoded !== null) void this.#encode();
    else void this.#answerAll();
  }

  /** Answers the steps in order: a later one starts from the mask of the one before. */
  async #answerAll() {
    const { image } = this;
    if (image === null || !this.isIdle) return;
    const generation = this.#generation;
    for (let step = this.prompts.unanswered; step !== null; step = this.prompts.unanswered) {
      const asked = step;
      this.#set({ decoding: true }, this.#failure);
      this.#stepAbort = new AbortController();
      try {
        const answer = await image.predict({ ...promptOf(asked), snap: this.#options.snap?.() ?? false }, { signal: this.#stepAbort.signal, onProgress: this.#options.onProgress });
        if (generation !== this.#generation) return;
        if (this.prompts.has(asked)) {
          this.prompts.answer(asked, answer);
          const mask = chosenMask(asked);
          if (mask !== null) await outlineOf(mask);
        }
      } catch (error) {
        if (generation !== this.#generation) return;
        if (isAbort(error)) continue; // undone while it was being answered
        asked.answer = null; // a mask without its outline is not shown
        const retry = () => {
          asked.faulty = false;
          this.#asked();
        };
        // What is wrong with one step does not hold up those after it.
        if (codeOf(error) === 'bad_prompt') {
          this.prompts.drop(asked);
          this.#set({}, { error, retry: null });
        } else if (codeOf(error) === 'mask_fault') {
          asked.faulty = true;
          this.#set({}, { error, retry });
        } else {
          this.#set({ decoding: false }, { error, retry });
          return;
        }
      }
      if (generation !== this.#generation) return;
    }
    this.#set({ decoding: false }, this.#failure);
  }

  /** The worker died: the session starts another by itself, this waits until the picture is in it. @param {import('../sam2/index.d.ts').Sam2Error} death */
  async #recover(death) {
    if (this.#busy.loading || this.#busy.encoding || death.code === 'out_of_memory') return; // its own caller tells
    const generation = this.#generation;
    const wasDecoding = this.#busy.decoding;
    this.#set({ encoding: true }, null);
    try {
      await (this.image ?? /** @type {InstanceType<typeof Sam2>} */ (this.#sam)).ready({ onProgress: this.#options.onProgress });
    } catch (error) {
      if (generation === this.#generation) this.#set({ encoding: false }, { error, retry: () => void this.#recover(death) });
      return;
    }
    if (generation !== this.#generation) return;
    if (this.image !== null) this.#notEncoded = null;
    this.#set({ encoding: false }, this.#failure);
    if (!wasDecoding) await this.#answerAll();
  }

  /** @param {Partial<{ loading: boolean, encoding: boolean, decoding: boolean }>} busy @param {Failure | null} failure */
  #set(busy, failure) {
    Object.assign(this.#busy, busy);
    this.#failure = failure;
    const { state, message } = this.describe();
    this.#options.onState(state, message);
    this.#options.onChange();
  }

  /** @returns {{ state: PageState, message: Message }} */
  describe() {
    const { loading, encoding, decoding } = this.#busy;
    if (loading) {
      return { state: 'loading', message: { text: 'Starting…', cancel: this.#loadRunning ? () => this.#loadAbort.abort() : null } };
    }
    const failure = this.#failure ?? (this.#sam === null ? this.#noEngine : this.#notEncoded);
    if (failure !== null) return { state: 'error', message: failureMessage(failure) };
    if (encoding) {
      return { state: 'encoding', message: { text: 'Looking at the picture…', hint: 'You can click already.', cancel: () => this.closePicture() } };
    }
    if (decoding) return { state: 'decoding', message: { text: 'Finding the mask…' } };
    if (this.picture === null) return { state: 'ready', message: { text: 'Ready.', hint: 'Open a picture or try a sample.' } };
    return { state: 'idle', message: maskMessage(this.mask) };
  }
}
