/**
 * A video in the engine. What was asked of it is kept here too, so that a new engine (the worker died)
 * is brought to the same state, and another model answers the same prompts.
 */
import { Sam2Error } from './errors.js';
import { VideoMask } from './mask.js';
import { checkBox, checkFrame, checkPoints, checkTarget } from './prompt.js';
import { VideoLog } from './video-log.js';
import { ownPicture, release, sizeOf } from './video-picture.js';
import { rateOfTimes } from './video-times.js';

/** @typedef {import('./session.js').EngineSession} EngineSession */
/** @typedef {import('./session.js').Engine} Engine */
/** @typedef {import('./protocol.js').Picture} Picture */
/** @typedef {import('./protocol.js').WireFrame} WireFrame */
/** @typedef {import('./protocol.js').OpenedVideo} OpenedVideo */
/** @typedef {import('./index.d.ts').CallOptions} CallOptions */
/** @typedef {import('./index.d.ts').VideoPrompt} VideoPrompt */
/** @typedef {import('./index.d.ts').VideoMaskPrompt} VideoMaskPrompt */
/** @typedef {import('./index.d.ts').PassOptions} PassOptions */
/** @typedef {{ frame: number, objects: { id: number, mask: VideoMask, score: number | null, iou: number | null, visible: boolean, prompted: boolean }[], ms: number }} FrameAnswer */

/**
 * What frames come from: a reader here, or the file itself for the engine.
 * @typedef {{ kind: 'reader', frames: number, width: number, height: number, read: (index: number) => Promise<Picture>, close?: () => void }
 *   | { kind: 'animation', blob: Blob } | { kind: 'live' }} Source
 */

/** Of a live video so many of the latest frames can be prompted: some fewer than the engine keeps, for others come in before the prompt's turn. */
const LIVE_REACH = 12;
/** Numbers of readers, different in all videos of the page. */
let nextReader = 1;

export class Sam2Video {
  /** @type {EngineSession} */
  #session;
  /** @type {Source | null} */
  #source;
  #reader = nextReader++;
  #log = new VideoLog();
  /** The pass under way; an older iterator finds that it is not its own. @type {object | null} */
  #pass = null;
  /** 0: never opened. */
  #epoch = 0;
  #id = 0;
  /** With which model it was tracked. @type {unknown} */
  #model = null;
  /** The latest frame of a live video and what was on it: what a new engine goes on from. @type {{ picture: Picture, answer: FrameAnswer | null } | null} */
  #latest = null;
  /** Live frames that an engine before this one saw. */
  #offset = 0;
  /** Objects of a live video that were out of sight when their engine died: the one after it never heard of them. @type {Set<number>} */
  #lost = new Set();
  width = 0;
  height = 0;
  /** Frames; of a live video, those seen so far. */
  length = 0;
  /** What tracking one object costs, in encodes of a frame. */
  objectCost = 0;
  #limits;

  /**
   * @param {EngineSession} session
   * @param {Source} source
   * @param {{ maxFrameDimension: number, maxFrames: number, correctionsStand: boolean, snap: boolean, fps: number | null, times: number[] | null, notes: string[] }} settings
   */
  constructor(session, source, { maxFrameDimension, maxFrames, correctionsStand, snap, fps, times, notes }) {
    this.#session = session;
    this.#source = source;
    this.#limits = { maxDimension: maxFrameDimension, maxFrames, correctionsStand, snap };
    this.fps = fps;
    /** Seconds at which each frame comes on, and at last that at which the clip ends; null where only `fps` tells. */
    this.times = times;
    /** Lines for people: frames made smaller, frames cut off. */
    this.notes = notes;
  }

  get live() {
    return this.#source?.kind === 'live';
  }

  /** The oldest frame that can be prompted; what was said on older ones can only be cleared. */
  get oldest() {
    return this.live ? Math.max(this.#offset, this.length - LIVE_REACH, 0) : 0;
  }

  /** Resolves when the engine holds the video, after a restart or another model as it was before. @param {CallOptions} [options] */
  async ready(options = {}) {
    if (this.live && this.#latest === null) return; // its size comes with its first frame
    await this.#run(async () => undefined, options);
  }

  /** @param {VideoPrompt} prompt @param {CallOptions} [options] @returns {Promise<FrameAnswer>} */
  async addPoints({ frame, object, points, labels, box = null, keepOldPoints = false }, options) {
    const prompt = {
      ...checkTarget({ frame, object }, this), ...checkPoints({ points, labels }, this), box: box === null ? null : checkBox(box, this), keep_old_points: keepOldPoints,
    };
    if (prompt.points.length === 0 && prompt.box === null) throw new Sam2Error('bad_prompt', 'The prompt is empty.', 'Give a point, a box or a mask.');
    return this.#prompt({ kind: 'prompt', prompt }, options);
  }

  /** @param {{ frame: number, object: number, box: readonly [number, number, number, number] }} prompt @param {CallOptions} [options] */
  addBox({ frame, object, box }, options) {
    return this.addPoints({ frame, object, points: [], box }, options);
  }

  /** @param {VideoMaskPrompt} prompt @param {CallOptions} [options] */
  async addMask({ frame, object, mask }, options) {
    const { size, counts } = 'toRle' in mask ? mask.toRle() : mask;
    return this.#prompt({ kind: 'mask', prompt: { ...checkTarget({ frame, object }, this), size: [size[0], size[1]], counts } }, options);
  }

  /** Whether masks from the next answer on are snapped to edges. @param {boolean} on @param {CallOptions} [options] */
  async setSnap(on, options) {
    this.#limits = { ...this.#limits, snap: on };
    if (this.#epoch !== this.#session.epoch) return; // an engine that does not hold the video is told when it opens it
    await this.#run(({ connection }, signal) => connection.request('videoSnap', { video: this.#id, on }, { signal }), options);
  }

  /** @param {number} object @param {CallOptions} [options] @returns {Promise<FrameAnswer[]>} the frames on which it was prompted, without it */
  async removeObject(object, options) {
    const frames = await this.#run(async ({ connection }, signal) => {
      if (this.#lost.delete(object)) return [];
      return connection.request('videoRemove', { video: this.#id, object }, { signal });
    }, options);
    this.#log.push({ kind: 'remove', object });
    return frames.map((frame) => this.#answer(frame));
  }

  /** Takes back what an object was prompted with on a frame. @param {{ frame: number, object: number }} target @param {CallOptions} [options] */
  async clear({ frame, object }, options) {
    const body = checkTarget({ frame, object }, { length: this.length, oldest: 0 });
    const answer = await this.#run(async ({ connection }, signal) => {
      if (this.#lost.has(object)) return { ...this.#shifted({ frame }), objects: [], ms: 0 };
      if (frame < this.#offset) {
        throw new Sam2Error('bad_prompt', `What was said on frame ${frame} cannot be taken back: the engine that saw it is gone, and this one goes on from its masks.`,
          'Remove the object, or prompt it on one of the latest frames.');
      }
      return connection.request('videoClear', { video: this.#id, ...this.#shifted(body) }, { signal });
    }, options);
    this.#log.push({ kind: 'clear', ...body });
    return this.#answer(answer);
  }

  /** Forgets all objects and what was tracked; the frames stay open. @param {CallOptions} [options] */
  async reset(options) {
    this.#pass = null;
    this.#log.clear();
    if (this.live && this.#latest === null) return;
    await this.#run(({ connection }, signal) => connection.request('videoReset', { video: this.#id }, { signal }), options);
    this.#lost.clear();
    if (this.#latest !== null) this.#latest.answer = null;
  }

  /**
   * Tracks all objects from frame to frame; what a `signal` stops, or an early end of the loop, stays
   * tracked. Prompts given meanwhile count from the next pass on, which ends this one.
   * @param {PassOptions} [options]
   * @returns {AsyncGenerator<FrameAnswer & { done: number, total: number }, void, void>}
   */
  async *propagate({ signal, onProgress, reverse = false, start = null, maxFrames = null } = {}) {
    const mine = {};
    this.#pass = mine;
    const pass = { start, max_frames: maxFrames, reverse };
    const { total } = await this.#run(({ connection }, s) => connection.request('startPass', { video: this.#id, pass }, { signal: s }), { signal, onProgress });
    this.#log.push({ kind: 'pass', pass });
    try {
      for (let done = 1; ; done += 1) {
        const next = await this.#run(({ connection }, s) => {
          if (this.#pass !== mine) throw new DOMException('Another pass, or a reset, took the place of this one.', 'AbortError');
          return connection.request('nextFrame', { video: this.#id }, { signal: s });
        }, { signal, onProgress });
        if (next === null) return;
        this.#log.step();
        yield { ...this.#answer(next), done, total };
      }
    } finally {
      if (this.#pass === mine) this.#pass = null;
    }
  }

  /**
   * The next frame of a live video; answers with its number and the objects on it.
   * @param {import('./index.d.ts').PictureSource} frame
   * @param {CallOptions} [options]
   * @returns {Promise<FrameAnswer>}
   */
  async pushFrame(frame, options) {
    if (!this.live) throw new Sam2Error('unsupported_video', 'A clip takes no frames.', 'Open a live video for that: openVideo({ live: true }).');
    const picture = await ownPicture(frame);
    const size = sizeOf(picture);
    this.#latest ??= { picture, answer: null };
    if (this.width === 0) Object.assign(this, size);
    try {
      const next = await this.#run(({ connection }, signal) => connection.request('pushFrame', { video: this.#id, picture }, { signal }), options);
      const answer = this.#answer(next);
      if (this.#latest.picture !== picture) release(this.#latest.picture);
      this.#latest = { picture, answer };
      this.length = answer.frame + 1;
      return answer;
    } catch (error) {
      if (this.#latest?.picture !== picture) release(picture);
      throw error;
    }
  }

  /** The picture of a frame as the engine sees it. @param {number} frame @param {CallOptions} [options] @returns {Promise<import('./index.d.ts').RgbaPixels>} */
  async picture(frame, options) {
    const body = { video: 0, frame: checkFrame(frame, this) - this.#offset };
    const { rgba, width, height } = await this.#run(({ connection }, signal) => connection.request('videoPicture', { ...body, video: this.#id }, { signal }), options);
    return { data: new Uint8ClampedArray(rgba), width, height };
  }

  /**
   * A frame to show, at the video's own size where its frames are read here. Browsers only.
   * @param {number} frame
   * @param {CallOptions} [options]
   * @returns {Promise<ImageBitmap>}
   */
  async bitmap(frame, options) {
    const source = this.#source;
    if (source?.kind !== 'reader') {
      const { data, width, height } = await this.picture(frame, options);
      return createImageBitmap(new ImageData(/** @type {ImageDataArray} */ (data), width, height));
    }
    const picture = await source.read(checkFrame(frame, this));
    if (picture.kind === 'bitmap') return picture.bitmap;
    if (picture.kind === 'blob') return createImageBitmap(picture.blob, { imageOrientation: 'from-image' });
    return createImageBitmap(new ImageData(new Uint8ClampedArray(picture.rgba), picture.width, picture.height));
  }

  /** Logits [S/4, S/4] as the last pass left them, or null. @param {number} frame @param {number} object @param {CallOptions} [options] */
  lowRes(frame, object, options) {
    const at = checkFrame(frame, this) - this.#offset;
    return this.#run(({ connection }, signal) => connection.request('videoLowRes', { video: this.#id, frame: at, object }, { signal }), options);
  }

  /** A mask that was saved, of this video's size. @param {import('./index.d.ts').RleObject} rle @param {CallOptions} [options] */
  async maskFromRle(rle, options) {
    if (rle.size[0] !== this.height || rle.size[1] !== this.width) {
      throw new Sam2Error('bad_prompt', `The mask is ${rle.size[1]} × ${rle.size[0]} pixels, the video ${this.width} × ${this.height}.`, 'Give a mask of this video.');
    }
    return new VideoMask(this, { ...await this.#trace(rle, options), rle: rle.counts }, this.#polygons);
  }

  /** Counters, and what the caches hold in words. @param {CallOptions} [options] */
  stats(options) {
    return this.#run(({ connection }, signal) => connection.request('videoStats', { video: this.#id }, { signal }), options);
  }

  /** Forgets the video, here and in the engine. */
  close() {
    if (this.#source === null) return;
    if (this.#source.kind === 'reader') this.#source.close?.();
    if (this.#latest !== null) release(this.#latest.picture);
    this.#source = null;
    this.#pass = null;
    const [id, epoch] = [this.#id, this.#epoch];
    if (epoch !== this.#session.epoch) return;
    this.#session.run(async (engine) => {
      engine.connection.endFrames(this.#reader);
      if (engine.epoch === epoch) await engine.connection.request('closeVideo', { video: id });
    }).catch(() => undefined); // the engine is gone, and the video with it
  }

  /** @param {import('./video-log.js').PromptEntry} entry @param {CallOptions} [options] */
  async #prompt(entry, options) {
    const frame = await this.#run((engine, signal) => this.#ask(engine, entry, signal), options);
    this.#lost.delete(entry.prompt.object);
    this.#log.push(entry);
    return this.#answer(frame);
  }

  /** @param {Engine} engine @param {import('./video-log.js').PromptEntry} entry @param {AbortSignal} signal */
  #ask({ connection }, entry, signal) {
    return entry.kind === 'prompt'
      ? connection.request('videoPrompt', { video: this.#id, prompt: this.#shifted(entry.prompt) }, { signal })
      : connection.request('videoMask', { video: this.#id, prompt: this.#shifted(entry.prompt) }, { signal });
  }

  /** A live frame's number in the engine that sees it now. @template {{ frame: number }} T @param {T} body @returns {T} */
  #shifted(body) {
    return { ...body, frame: body.frame - this.#offset };
  }

  /**
   * @template T
   * @param {(engine: Engine, signal: AbortSignal) => Promise<T>} work
   * @param {CallOptions} [options]
   * @returns {Promise<T>}
   */
  #run(work, options = {}) {
    return this.#session.run(async (engine, signal) => {
      await this.#restore(engine, signal, options.onProgress);
      return work(engine, signal);
    }, options);
  }

  /** Opens the video in this engine and brings it to where it was. @param {Engine} engine @param {AbortSignal} signal @param {CallOptions['onProgress']} onProgress */
  async #restore(engine, signal, onProgress) {
    const source = this.#source;
    if (source === null) throw closed();
    if (this.#epoch === engine.epoch) return;
    const { connection } = engine;
    const model = this.#session.model;
    if (this.#model !== null && this.#model !== model) this.#log.forgetPasses();
    const first = this.#epoch === 0;
    let id = null;
    try {
      // Without the signal: the answer to what is cancelled is thrown away, and with it the number to close.
      const opened = await connection.request('openVideo', { source: this.#wire(source, engine), ...this.#limits });
      id = opened.id;
      signal.throwIfAborted();
      this.#id = id;
      Object.assign(this, { width: opened.width, height: opened.height, objectCost: opened.object_cost });
      if (source.kind === 'live') await this.#resumeLive(engine, signal);
      else {
        this.length = opened.frames;
        this.times = opened.times ?? this.times;
        this.fps = opened.times ? rateOfTimes(opened.times) : opened.fps ?? this.fps;
        if (first && opened.more) this.notes.push(`at most the first ${opened.frames} frames are used`);
        await this.#repeat(engine, signal, onProgress);
      }
      if (this.#source === null) throw closed(); // close() found nothing to close in this engine
    } catch (error) {
      // Half restored it is of no use: whoever asks next begins anew.
      connection.endFrames(this.#reader);
      if (id !== null) connection.request('closeVideo', { video: id }).catch(() => undefined); // the engine is gone, and the video with it
      throw error;
    }
    this.#epoch = engine.epoch;
    this.#model = model;
  }

  /** What was asked so far, once more. @param {Engine} engine @param {AbortSignal} signal @param {CallOptions['onProgress']} onProgress */
  async #repeat(engine, signal, onProgress) {
    const { connection } = engine;
    const video = this.#id;
    const total = this.#log.length;
    let done = 0;
    for (const entry of this.#log.entries()) {
      if (this.#source === null) throw closed();
      if (entry.kind === 'prompt' || entry.kind === 'mask') await this.#ask(engine, entry, signal);
      else if (entry.kind === 'remove') await connection.request('videoRemove', { video, object: entry.object }, { signal });
      else if (entry.kind === 'clear') await connection.request('videoClear', { video, frame: entry.frame, object: entry.object }, { signal });
      else if (entry.kind === 'pass') await connection.request('startPass', { video, pass: entry.pass }, { signal });
      else await connection.request('nextFrame', { video }, { signal });
      done += 1;
      onProgress?.({ stage: 'restoring', done, total });
    }
  }

  /** Earlier frames are gone with their engine: the latest masks become the prompts that it goes on from. @param {Engine} engine @param {AbortSignal} signal */
  async #resumeLive({ connection }, signal) {
    const answer = this.#latest?.answer ?? null;
    if (this.#latest === null || answer === null) return;
    this.#offset = answer.frame;
    await connection.request('pushFrame', { video: this.#id, picture: this.#latest.picture }, { signal });
    for (const { id, mask, visible } of answer.objects) {
      // An empty mask would teach that what comes back is not the object.
      if (visible) await connection.request('videoMask', { video: this.#id, prompt: { frame: 0, object: id, ...mask.toRle() } }, { signal });
      else this.#lost.add(id);
    }
  }

  /** @param {Source} source @param {Engine} engine @returns {import('./protocol.js').WireVideo} */
  #wire(source, { connection }) {
    if (source.kind === 'live') return { kind: 'live', width: this.width, height: this.height };
    if (source.kind === 'animation') return source;
    connection.serveFrames(this.#reader, source.read);
    return { kind: 'reader', reader: this.#reader, frames: source.frames, width: source.width, height: source.height };
  }

  /** @param {import('./index.d.ts').RleObject} rle @param {CallOptions} [options] */
  #trace({ size: [height, width], counts }, options) {
    return this.#session.run(({ connection }, signal) => connection.request('trace', { size: [height, width], counts }, { signal }), options);
  }

  #polygons = async (/** @type {VideoMask} */ mask) => (await this.#trace(mask.toRle())).polygons;

  /** @param {WireFrame} wire @returns {FrameAnswer} */
  #answer(wire) {
    const objects = wire.objects.map((object) => ({
      id: object.id, mask: new VideoMask(this, object, this.#polygons), score: object.score, iou: object.iou, visible: object.visible, prompted: object.prompted,
    }));
    const answer = { frame: wire.frame + this.#offset, objects, ms: wire.ms ?? 0 };
    // A prompt on the latest live frame changes what a new engine would go on from.
    if (this.#latest !== null && this.#latest.answer?.frame === answer.frame) this.#latest.answer = answer;
    return answer;
  }
}

function closed() {
  return new Sam2Error('unsupported_video', 'The video was closed.', 'Open it again.');
}
