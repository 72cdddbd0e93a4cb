/**
 * What happens when in a clip: opening, prompts, tracking. Prompts are drawn at once, wait for their
 * turn and are answered in order; tracking goes frame by frame and lets them in between.
 */
import { codeOf, isAbort } from '../../sam2/errors.js';
import { sentence } from '../words.js';
import { Estimate, timeInWords } from './estimate.js';
import { Tracks } from './tracks.js';

/** @typedef {import('../../sam2/client.js').Sam2} Sam2 */
/** @typedef {import('../../sam2/index.d.ts').Sam2Video} Sam2Video */
/** @typedef {import('../../sam2/index.d.ts').VideoSource} VideoSource */
/** @typedef {import('../../sam2/index.d.ts').FrameResult} FrameResult */
/** @typedef {import('../../sam2/index.d.ts').Progress} Progress */
/** @typedef {import('../types.js').ImagePx} ImagePx */
/** @typedef {import('../types.js').ImageBox} ImageBox */
/** @typedef {import('../types.js').PageState} PageState */
/** @typedef {import('../status.js').Message} Message */
/** What the server's owner allows; the package's own limits where it says nothing. @typedef {{ maxFrames?: number, maxFrameDimension?: number }} VideoLimits */
/** @typedef {{ abort: AbortController, done: number, total: number, paused: boolean }} Tracking */

/**
 * @typedef {object} ClipListeners
 * @property {() => void} onChange something to be shown has changed
 * @property {(progress: Progress) => void} onProgress
 * @property {(frame: number) => void} onTracked a frame was tracked
 */

export class Clip {
  tracks = new Tracks();
  estimate = new Estimate(1);
  name;
  /** @type {Sam2Video | null} */
  video = null;
  /** @type {Tracking | null} */
  tracking = null;
  /** @type {ClipListeners} */
  #on;
  #open = new AbortController();
  /** `frame:object` of prompts that wait for their answer. @type {Set<string>} */
  #waiting = new Set();
  /** Those of them that start anew instead of refining what was answered before. @type {Set<string>} */
  #anew = new Set();
  /** Objects that the engine has heard of. @type {Set<number>} */
  #inEngine = new Set();
  #answering = false;
  #opening = true;
  /** @type {{ error: unknown, retry: (() => void) | null } | null} */
  #failure = null;
  #closed = false;

  /** @param {string} name @param {ClipListeners} listeners */
  constructor(name, listeners) {
    this.name = name;
    this.#on = listeners;
  }

  /**
   * @param {Sam2} sam
   * @param {VideoSource} source
   * @param {{ limits: VideoLimits, retry: () => void }} options
   * @returns {Promise<boolean>} whether it is open
   */
  async open(sam, source, { limits, retry }) {
    this.#opening = true;
    this.#failure = null;
    this.#on.onChange();
    try {
      const options = { ...limits, signal: this.#open.signal, onProgress: this.#on.onProgress };
      const video = /** @type {Sam2Video} */ (/** @type {unknown} */ (await sam.openVideo(source, options)));
      if (this.#closed) {
        video.close();
        return false;
      }
      this.video = video;
      this.estimate = new Estimate(video.objectCost);
      return true;
    } catch (error) {
      if (!this.#closed && !isAbort(error)) this.#failure = { error, retry };
      return false;
    } finally {
      this.#opening = false;
      if (!this.#closed) this.#on.onChange();
    }
  }

  close() {
    this.#closed = true;
    this.#open.abort();
    this.tracking?.abort.abort();
    this.video?.close();
    this.video = null;
  }

  /** @param {number} frame @param {ImagePx} at @param {boolean} negative */
  click(frame, at, negative) {
    if (this.video === null) return;
    this.tracks.addClick(frame, { ...at, label: negative ? 0 : 1 });
    this.#ask(frame, this.tracks.active);
  }

  /** @param {number} frame @param {ImageBox} box */
  box(frame, box) {
    if (this.video === null) return;
    this.tracks.addBox(frame, box);
    this.#ask(frame, this.tracks.active);
  }

  /** @returns {number | null} the frame on which something was taken back */
  undo() {
    const change = this.tracks.undo();
    if (change === null) return null;
    this.#anew.add(`${change.frame}:${change.object}`);
    this.#ask(change.frame, change.object);
    return change.frame;
  }

  addObject() {
    // An object without a prompt is enough: it waits for its first click.
    const empty = this.tracks.objects.find(({ prompts }) => prompts.size === 0);
    if (empty === undefined) this.tracks.add();
    else this.tracks.active = empty.id;
    this.#on.onChange();
  }

  /** @param {number} id */
  select(id) {
    this.tracks.active = id;
    this.#on.onChange();
  }

  /** @param {number} id */
  async remove(id) {
    this.tracks.remove(id);
    this.#on.onChange();
    if (this.#inEngine.delete(id)) await this.#try(async (video) => void await video.removeObject(id), () => void this.remove(id));
  }

  /** Forgets all objects. */
  async reset() {
    this.cancel();
    this.#waiting.clear();
    this.#inEngine.clear();
    this.tracks.reset();
    this.#failure = null;
    this.#on.onChange();
    await this.#try((video) => video.reset(), () => void this.reset());
  }

  /** Frames that a pass would go over. @param {boolean} both */
  span(both) {
    const { video, tracks } = this;
    const keys = tracks.keyFrames();
    if (video === null || keys.length === 0) return { forward: null, backward: null, frames: 0 };
    // What was said since the last pass counts; where nothing was, all is tracked again.
    const changed = [...tracks.changed].filter((frame) => keys.includes(frame));
    const from = changed.length > 0 ? changed : keys;
    const forward = Math.min(...from);
    const backward = both && Math.max(...from) > 0 ? Math.max(...from) : null;
    return { forward, backward, frames: video.length - forward + (backward === null ? 0 : backward + 1) };
  }

  /** @param {boolean} both */
  async track(both) {
    const { video } = this;
    const { forward, backward, frames } = this.span(both);
    if (video === null || forward === null || this.tracking !== null) return;
    const abort = new AbortController();
    const tracking = { abort, done: 0, total: frames, paused: false };
    this.tracking = tracking;
    this.#failure = null;
    const changed = new Set(this.tracks.changed);
    this.#on.onChange();
    try {
      await this.#answerAll();
      await this.#pass(video, tracking, { start: forward });
      if (backward !== null) await this.#pass(video, tracking, { start: backward, reverse: true });
      for (const frame of changed) this.tracks.changed.delete(frame);
    } catch (error) {
      if (!isAbort(error)) this.#failure = { error, retry: () => void this.track(both) };
    } finally {
      this.tracking = null;
      if (!this.#closed) this.#on.onChange();
    }
  }

  cancel() {
    this.tracking?.abort.abort();
  }

  /** @param {Sam2Video} video @param {Tracking} tracking @param {{ start: number, reverse?: boolean }} options */
  async #pass(video, tracking, options) {
    const { signal } = tracking.abort;
    for await (const answer of video.propagate({ ...options, signal, onProgress: this.#on.onProgress })) {
      tracking.done += 1;
      this.tracks.put(answer);
      this.estimate.tracked(answer.ms, Math.max(1, answer.objects.length));
      this.#on.onTracked(answer.frame);
      this.#on.onProgress({ stage: 'tracking', done: tracking.done, total: tracking.total });
      this.#on.onChange();
      if (document.hidden) await this.#seen(tracking, signal);
    }
  }

  /** Browsers starve what is not looked at, and videos do not seek there: it goes on when somebody looks. @param {Tracking} tracking @param {AbortSignal} signal */
  async #seen(tracking, signal) {
    tracking.paused = true;
    this.#on.onChange();
    await new Promise((resolve) => {
      const look = () => {
        if (document.hidden && !signal.aborted) return;
        document.removeEventListener('visibilitychange', look);
        signal.removeEventListener('abort', look);
        resolve(undefined);
      };
      document.addEventListener('visibilitychange', look);
      signal.addEventListener('abort', look);
    });
    tracking.paused = false;
    this.#on.onChange();
  }

  /** Another model is loaded: the same prompts are asked again. */
  async modelChanged() {
    this.cancel();
    this.tracks.forgetAnswers();
    this.#waiting.clear();
    this.#inEngine.clear();
    for (const { id, prompts } of this.tracks.objects) for (const frame of prompts.keys()) this.#waiting.add(`${frame}:${id}`);
    const ready = await this.#try((video) => video.reset({ onProgress: this.#on.onProgress }), () => void this.modelChanged());
    if (ready && this.video !== null) {
      this.estimate = new Estimate(this.video.objectCost);
      await this.#answerAll();
    }
  }

  /** Loads results that were saved: masks where something was said become prompts, the others are shown. @param {FrameResult[]} frames @param {Map<number, Set<number>>} prompted by object */
  async restore(frames, prompted) {
    await this.reset();
    for (const frame of frames) {
      for (const { id, mask } of frame.objects) {
        if (this.tracks.object(id) === undefined) this.tracks.add(id);
        if (prompted.get(id)?.has(frame.frame)) this.tracks.addMask(frame.frame, id, mask.toRle());
      }
      this.tracks.put(frame);
    }
    this.#on.onChange();
    for (const { id, prompts } of this.tracks.objects) for (const frame of prompts.keys()) this.#waiting.add(`${frame}:${id}`);
    await this.#answerAll();
    this.tracks.changed.clear();
    this.#on.onChange();
  }

  /** @param {number} frame @param {number} object */
  #ask(frame, object) {
    this.#waiting.add(`${frame}:${object}`);
    this.#failure = null;
    this.#on.onChange();
    void this.#answerAll();
  }

  async #answerAll() {
    if (this.#answering) return;
    this.#answering = true;
    this.#on.onChange();
    /** A prompt that is refused twice is refused for something else than what was said last. @type {Set<string>} */
    const refused = new Set();
    for (const key of this.#waiting) {
      this.#waiting.delete(key);
      const [frame, object] = key.split(':').map(Number);
      /** @type {unknown} */
      let error = null;
      const answer = (/** @type {Sam2Video} */ video) => this.#answer(video, frame, object).catch((thrown) => {
        error = thrown;
        throw thrown;
      });
      if (await this.#try(answer, () => this.#ask(frame, object))) continue;
      const code = codeOf(error);
      if (code === 'bad_prompt' && !refused.has(key) && this.tracks.takeBack(frame, object)) {
        // Kept, it would be asked with every later click there, and refuse them all.
        refused.add(key);
        this.#waiting.add(key);
        this.fail(error);
      } else if (code !== 'bad_prompt' && code !== 'mask_fault') break; // those two are about the prompt, others about the engine
    }
    this.#answering = false;
    if (!this.#closed) this.#on.onChange();
  }

  /** @param {Sam2Video} video @param {number} frame @param {number} object */
  async #answer(video, frame, object) {
    const known = this.tracks.object(object);
    if (known === undefined) return;
    const { clicks, box, mask } = this.tracks.prompt(frame, object);
    const options = { onProgress: this.#on.onProgress };
    const asked = clicks.length > 0 || box !== null;
    /** @type {FrameResult} */
    let answer;
    const anew = this.#anew.delete(`${frame}:${object}`);
    if (anew && (asked || mask !== null) && this.#inEngine.has(object)) await video.clear({ frame, object });
    if (mask !== null) answer = await video.addMask({ frame, object, mask }, options);
    else if (asked) {
      answer = await video.addPoints({
        frame, object, points: clicks.map(({ x, y }) => /** @type {const} */ ([x, y])), labels: clicks.map(({ label }) => label),
        box: box === null ? null : [box.x0, box.y0, box.x1, box.y1],
      }, options);
      this.estimate.prompted(answer.ms);
    } else {
      this.tracks.forget(frame, object);
      // Its last prompt is gone: it is forgotten whole, for an object without prompts cannot be tracked.
      if (!this.#inEngine.has(object)) return;
      if (known.prompts.size > 0) this.tracks.put(await video.clear({ frame, object }));
      else {
        await video.removeObject(object);
        this.#inEngine.delete(object);
      }
      return;
    }
    this.#inEngine.add(object);
    this.tracks.put(answer);
    this.#on.onTracked(frame);
  }

  /** @param {(video: Sam2Video) => Promise<void>} work @param {() => void} retry @returns {Promise<boolean>} whether it went well */
  async #try(work, retry) {
    const { video } = this;
    if (video === null) return false;
    try {
      await work(video);
      return true;
    } catch (error) {
      if (!isAbort(error) && !this.#closed) {
        this.#failure = { error, retry };
        this.#on.onChange();
      }
      return false;
    }
  }

  /** @param {unknown} error @param {(() => void) | null} [retry] */
  fail(error, retry = null) {
    this.#failure = { error, retry };
    this.#on.onChange();
  }

  /** @returns {{ state: PageState, message: Message }} */
  describe() {
    if (this.#failure !== null) {
      const { message, hint } = /** @type {{ message?: string, hint?: string }} */ (this.#failure.error ?? {});
      return { state: 'error', message: { text: sentence(message ?? String(this.#failure.error)), hint: hint ? sentence(hint) : '', retry: this.#failure.retry } };
    }
    if (this.#opening) return { state: 'encoding', message: { text: 'Opening the video…' } };
    if (this.tracking !== null) return { state: 'decoding', message: this.#trackingMessage(this.tracking) };
    if (this.#answering) return { state: 'decoding', message: { text: 'Finding the object…', hint: 'You can go on clicking.' } };
    const { tracks, video } = this;
    const live = video?.live === true;
    if (tracks.keyFrames().length === 0) return { state: 'idle', message: { text: 'Click a thing to track.', hint: live ? 'It is followed from then on.' : 'On any frame; a drag draws a box around it.' } };
    if (live) return { state: 'idle', message: { text: 'Tracking live.', hint: 'Click to correct, or add another object.' } };
    if (tracks.changed.size > 0) return { state: 'idle', message: { text: 'Ready to track.', hint: 'Add objects, correct them, then press Track.' } };
    return { state: 'idle', message: { text: `Tracked ${tracks.frames().length} of ${video?.length ?? 0} frames.`, hint: 'Click where it went wrong, then track again.' } };
  }

  /** @param {Tracking} tracking @returns {Message} */
  #trackingMessage({ done, total, paused }) {
    const cancel = () => this.cancel();
    if (paused) return { text: `Paused at ${done} of ${total} frames.`, hint: 'It goes on when this tab is looked at.', cancel };
    const objects = Math.max(1, this.tracks.objects.length);
    const left = this.estimate.total(total - done, objects);
    return { text: `Tracking, ${done} of ${total} frames`, hint: left === null || done === 0 ? '' : `${timeInWords(left)} left`, cancel };
  }
}
