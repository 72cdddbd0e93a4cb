/**
 * What happens when in a clip: opening, prompts, tracking. Prompts are drawn at once and wait for their turn
 * (asking.js); tracking goes frame by frame and lets them in between.
 */
import { isAbort } from '../../sam2/errors.js';
import { sentence } from '../words.js';
import { Asking } from './asking.js';
import { Estimate, timeInWords } from './estimate.js';
import { NO_REST, spanOf } from './span.js';
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
/** What the server's owner allows (the package's own limits where it says nothing), and whether masks are snapped to edges. @typedef {{ maxFrames?: number, maxFrameDimension?: number, snap?: boolean }} VideoLimits */
/** @typedef {{ abort: AbortController, done: number, total: number, paused: boolean }} Tracking */

/**
 * @typedef {object} ClipListeners
 * @property {() => void} onChange something to be shown has changed
 * @property {(progress: Progress) => void} onProgress
 * @property {(frame: number) => void} onTracked a frame was tracked
 * @property {(objectCost: number) => Estimate} [estimateOf] what is known of the engine's speed
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
  #asking;
  /** Frames that the engine has encoded, and may have kept. @type {Set<number>} */
  #encoded = new Set();
  /** Where a pass that was stopped goes on. @type {import('./span.js').Rest} */
  #rest = NO_REST;
  #opening = true;
  /** @type {{ error: unknown, retry: (() => void) | null } | null} */
  #failure = null;
  #closed = false;

  /** @param {string} name @param {ClipListeners} listeners */
  constructor(name, listeners) {
    this.name = name;
    this.#on = listeners;
    this.#asking = new Asking({
      tracks: this.tracks,
      attempt: (work, retry) => this.#try(work, retry),
      fail: (error) => this.fail(error),
      onAsk: () => this.goOn(),
      onChange: () => {
        if (!this.#closed) listeners.onChange();
      },
      onProgress: listeners.onProgress,
      onAnswer: ({ frame, ms }, asked) => {
        if (asked === 'points' && !this.#encoded.has(frame) && this.video?.live === false) this.estimate.prompted(ms);
        this.#encoded.add(frame);
        listeners.onTracked(frame);
      },
    });
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
      this.#estimate(video);
      return true;
    } catch (error) {
      if (!this.#closed && !isAbort(error)) this.#failure = { error, retry };
      return false;
    } finally {
      this.#opening = false;
      if (!this.#closed) this.#on.onChange();
    }
  }

  /** @param {Sam2Video} video */
  #estimate({ objectCost }) {
    this.estimate = this.#on.estimateOf?.(objectCost) ?? new Estimate(objectCost);
    this.#encoded.clear();
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
    this.#beginAnew();
    this.tracks.addClick(frame, { ...at, label: negative ? 0 : 1 });
    this.#asking.ask(frame, this.tracks.active);
  }

  /** @param {number} frame @param {ImageBox} box */
  box(frame, box) {
    if (this.video === null) return;
    this.#beginAnew();
    // It says which thing is meant: a mask that was loaded does not count beside it.
    const anew = this.tracks.prompt(frame, this.tracks.active).mask !== null;
    this.tracks.addBox(frame, box);
    this.#asking.ask(frame, this.tracks.active, { anew });
  }

  /** @returns {number | null} the frame on which something was taken back */
  undo() {
    const change = this.tracks.undo();
    if (change === null) return null;
    this.#asking.ask(change.frame, change.object, { anew: true, undone: change });
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
    if (this.tracks.objects.length === 0) this.cancel();
    this.goOn();
    await this.#asking.remove(id, () => void this.remove(id));
  }

  /** Forgets all objects. */
  async reset() {
    this.cancel();
    this.#asking.forget();
    this.#rest = NO_REST;
    this.tracks.reset();
    this.goOn();
    await this.#try((video) => video.reset(), () => void this.reset());
  }

  /** Frames that a pass would go over. @param {boolean} both */
  span(both) {
    const { changed } = this.tracks;
    return spanOf({ keys: this.video === null ? [] : this.tracks.keyFrames(), changed, rest: this.#rest, length: this.video?.length ?? 0 }, both);
  }

  /** @param {boolean} both */
  async track(both) {
    const { video } = this;
    const { frames } = this.span(both);
    if (video === null || frames === 0 || this.tracking !== null) return;
    const tracking = { abort: new AbortController(), done: 0, total: frames, paused: false };
    this.tracking = tracking;
    this.goOn();
    try {
      // What was said until now counts in this pass, and more may be said until it is answered.
      if (!await Promise.race([this.#asking.answerForPass(), stopped(tracking.abort.signal)])) return;
      const { forward, backward, frames: total } = this.span(both);
      tracking.total = total;
      this.#rest = { forward, backward: backward ?? this.#rest.backward };
      this.tracks.changed.clear();
      if (forward !== null) await this.#pass(video, tracking, { start: forward, reverse: false });
      if (backward !== null) await this.#pass(video, tracking, { start: backward, reverse: true });
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

  /** @param {Sam2Video} video @param {Tracking} tracking @param {{ start: number, reverse: boolean }} options */
  async #pass(video, tracking, { start, reverse }) {
    const { signal } = tracking.abort;
    const { onProgress, onTracked, onChange } = this.#on;
    // What was loaded on the frame where the pass begins is what it goes on from: the engine has not heard of it.
    for (const { id, mask } of this.tracks.loadedAt(start)) await video.addMask({ frame: start, object: id, mask: mask.toRle() }, { signal, onProgress });
    /** @type {number | null} */
    let encodes = null;
    for await (const answer of video.propagate({ start, reverse, signal, onProgress })) {
      const { frame } = answer;
      tracking.done += 1;
      this.#encoded.add(frame);
      this.tracks.track(answer);
      // Backward it begins with the frame before once more: from the first alone there is nothing backward.
      if (reverse) this.#rest = { ...this.#rest, backward: frame > 0 ? frame : null };
      else this.#rest = { ...this.#rest, forward: frame + 1 < video.length ? frame + 1 : null };
      onTracked(frame);
      onProgress({ stage: 'tracking', done: tracking.done, total: tracking.total });
      onChange();
      const now = await video.stats({ signal });
      this.estimate.tracked(answer, encodes !== null && now.encodes !== encodes);
      encodes = now.encodes;
      if (document.hidden) await this.#seen(tracking, signal);
    }
    this.#rest = { ...this.#rest, [reverse ? 'backward' : 'forward']: null };
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
    if (this.video?.live) { // its earlier frames are gone: it goes on from the masks that there are
      const there = await this.#try((video) => video.ready({ onProgress: this.#on.onProgress }), () => void this.modelChanged());
      if (there) await this.#asking.answerAll();
      return;
    }
    this.cancel();
    this.tracks.forgetAnswers();
    this.#rest = NO_REST;
    this.#asking.forget();
    this.#asking.queueAll();
    const ready = await this.#try((video) => video.reset({ onProgress: this.#on.onProgress }), () => void this.modelChanged());
    if (ready && this.video !== null) {
      this.#estimate(this.video);
      await this.#asking.answerAll();
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
      this.tracks.load(frame);
    }
    this.#on.onChange();
    this.#asking.queueAll();
    await this.#asking.answerAll();
    this.tracks.changed.clear();
    this.#on.onChange();
  }

  /** With its first prompt a clip without any begins anew: what a stopped pass left was of others. */
  #beginAnew() {
    if (this.tracks.keyFrames().length === 0) this.#rest = NO_REST;
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

  /** What went wrong is over: something else is done about it, or it is tried again. */
  goOn() {
    this.#failure = null;
    this.#on.onChange();
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
    if (this.#asking.busy) return { state: 'decoding', message: { text: 'Finding the object…', hint: 'You can go on clicking.' } };
    const { tracks, video } = this;
    const live = video?.live === true;
    if (tracks.keyFrames().length === 0) return { state: 'idle', message: { text: 'Click a thing to track.', hint: live ? 'It is followed from then on.' : 'On any frame; a drag draws a box around it.' } };
    if (live) return { state: 'idle', message: { text: 'Tracking live.', hint: 'Click to correct, or add another object.' } };
    if (tracks.changed.size > 0) return { state: 'idle', message: { text: 'Ready to track.', hint: 'Add objects, correct them, then press Track.' } };
    const { forward, backward } = this.#rest;
    if (forward !== null) return { state: 'idle', message: { text: `Stopped at frame ${forward + 1}.`, hint: 'Track goes on. Or click where it went wrong.' } };
    return { state: 'idle', message: { text: `Tracked ${tracks.frames().length} of ${video?.length ?? 0} frames.`, hint: backward === null ? 'Click where it went wrong, then track again.' : `Both ways goes on backward from frame ${backward + 1}.` } };
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

/** @param {AbortSignal} signal @returns {Promise<false>} */
function stopped(signal) {
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(false), { once: true });
  });
}
