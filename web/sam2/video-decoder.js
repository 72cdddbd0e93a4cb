/**
 * Frames of a video file by their number, decoded with WebCodecs: each frame that the file holds, once, in the
 * order in which they are shown.
 */
import { Sam2Error } from './errors.js';

/** @typedef {import('./video-file.js').VideoFile} VideoFile */
/** @typedef {import('./video-file.js').Sample} Sample */

/** Decoded pictures that are kept, for whoever asks for the same frame again or goes backward. */
const CACHE_BYTES = 128 * 2 ** 20;
const MOST_CACHED = 64;
/** Samples in the decoder at once. */
const QUEUE = 4;
/** After this, a decoder that has nothing to do waits for more before it gives the frame. */
const GRACE_MS = 40;
/** A decoder that holds more frames back than this is emptied instead. */
const MOST_HELD = 32;
/** A frame that takes longer than this is broken. */
const PATIENCE_MS = 20_000;

export class FrameDecoder {
  /** @type {Blob} */
  #blob;
  /** @type {VideoFile} */
  #file;
  /** Where in the file each frame lies, in the order in which they are shown. @type {number[]} */
  #order;
  /** The frame of a stamp, in whole microseconds. @type {Map<number, number>} */
  #frames;
  /** @type {VideoDecoder | null} */
  #decoder = null;
  /** The sample that comes next; nothing goes on from here after the decoder was emptied. */
  #next = 0;
  #emptied = false;
  /** The stamp of the key frame that it began with. */
  #first = 0;
  /** The frame that came last since it began. */
  #latest = -1;
  /** Samples that it takes in before a frame comes out. */
  #held = 0;
  /** @type {Error | null} */
  #failure = null;
  #wake = () => {};
  /** @type {Map<number, Promise<ImageBitmap>>} */
  #cache = new Map();
  /** The frame that is wanted now: what is kept lies around it. */
  #wanted = 0;
  /** Somebody goes backward: what is decoded on the way to the frame is wanted next. */
  #backward = false;
  /** One frame at a time. @type {Promise<unknown>} */
  #turn = Promise.resolve();
  #closed = false;
  width = 0;
  height = 0;

  /** @param {Blob} blob @param {VideoFile} file */
  constructor(blob, file) {
    this.#blob = blob;
    this.#file = file;
    /** Of samples with one stamp the last one is seen. @type {Map<number, number>} */
    const at = new Map();
    for (const [i, { time, shown }] of file.samples.entries()) if (shown) at.set(stampOf(time), i);
    const stamps = [...at.keys()].sort((a, b) => a - b);
    this.#order = stamps.map((stamp) => /** @type {number} */ (at.get(stamp)));
    this.#frames = new Map(stamps.map((stamp, frame) => [stamp, frame]));
  }

  /** Seconds at which each frame is shown, in order. */
  get shown() {
    return this.#order.map((at) => this.#file.samples[at].time);
  }

  /** @returns {Promise<boolean>} whether this browser decodes it; its size is known then */
  async open() {
    try {
      const { supported } = await VideoDecoder.isConfigSupported(this.#config());
      if (!supported) return false;
      const first = await this.read(0);
      [this.width, this.height] = [first.width, first.height];
      first.close();
      return true;
    } catch {
      return false;
    }
  }

  /** @param {number} frame @returns {Promise<ImageBitmap>} the caller's own */
  read(frame) {
    const mine = this.#turn.then(async () => createImageBitmap(await this.#picture(frame)));
    this.#turn = mine.catch(() => undefined);
    return mine;
  }

  close() {
    this.#closed = true;
    if (this.#decoder !== null && this.#decoder.state !== 'closed') this.#decoder.close();
    this.#decoder = null;
    this.#wake();
    for (const picture of this.#cache.values()) picture.then((bitmap) => bitmap.close(), () => undefined);
    this.#cache.clear();
  }

  /** @returns {VideoDecoderConfig} */
  #config() {
    const { codec, description, aspect } = this.#file;
    return {
      codec, ...(description === null ? {} : { description }), ...(aspect === null ? {} : { displayAspectWidth: aspect.width, displayAspectHeight: aspect.height }),
    };
  }

  /** @param {number} frame @returns {Promise<ImageBitmap>} */
  async #picture(frame) {
    if (frame !== this.#wanted) this.#backward = frame < this.#wanted && frame > this.#wanted - MOST_CACHED;
    this.#wanted = frame;
    const known = this.#cache.get(frame);
    if (known !== undefined) return known;
    const at = this.#order[frame];
    const { samples } = this.#file;
    for (;;) {
      const key = this.#keyBefore(at);
      if (this.#mustBegin(frame, key)) this.#begin(key);
      try {
        await this.#decode(frame, at);
        break;
      } catch (error) {
        // Some files mark frames as key frames with which no decoder can begin.
        const refused = this.#latest < 0 && key > 0 && this.#next <= key + 1 + QUEUE;
        this.#stop();
        if (this.#closed || !refused) throw error;
        samples[key].key = false;
      }
    }
    return /** @type {Promise<ImageBitmap>} */ (this.#cache.get(frame));
  }

  /** The key frame from which a sample can be decoded. What is shown before that key frame but stored after it needs the one before. @param {number} at */
  #keyBefore(at) {
    const { samples } = this.#file;
    let key = at;
    while (key > 0 && !(samples[key].key && samples[key].time <= samples[at].time)) key -= 1;
    return key;
  }

  /** Whether going on would not come to the frame, or later than from its key frame. @param {number} frame @param {number} key */
  #mustBegin(frame, key) {
    if (this.#decoder === null || this.#decoder.state !== 'configured' || this.#emptied) return true;
    return this.#latest >= frame || this.#next < key;
  }

  /** @param {number} key */
  #begin(key) {
    this.#stop();
    const decoder = new VideoDecoder({
      output: (picture) => this.#take(decoder, picture),
      error: (error) => {
        if (decoder !== this.#decoder) return;
        this.#failure = error;
        this.#wake();
      },
    });
    decoder.addEventListener('dequeue', () => this.#wake());
    decoder.configure(this.#config());
    this.#decoder = decoder;
    this.#next = key;
    this.#first = stampOf(this.#file.samples[key].time);
  }

  #stop() {
    if (this.#decoder !== null && this.#decoder.state !== 'closed') this.#decoder.close();
    this.#decoder = null;
    [this.#failure, this.#emptied, this.#latest] = [null, false, -1];
  }

  /** Until the frame is there. @param {number} frame @param {number} at */
  async #decode(frame, at) {
    const { samples } = this.#file;
    const broken = (/** @type {string} */ reason) => new Sam2Error('unsupported_video', `Frame ${frame} cannot be read: ${reason}.`, 'Save the video as MP4 (H.264) or WebM.');
    while (!this.#cache.has(frame)) {
      const decoder = this.#decoder;
      if (this.#closed || decoder === null) throw new DOMException('The video was closed.', 'AbortError');
      if (this.#failure !== null) throw broken(this.#failure.message.replace(/\.$/, ''));
      if (this.#latest > frame || this.#emptied) throw broken('it is damaged');
      const busy = decoder.decodeQueueSize > 0;
      if (this.#next < Math.min(samples.length, at + 1 + this.#held) && decoder.decodeQueueSize < QUEUE) await this.#feed(decoder);
      else if (!busy && (this.#next >= samples.length || this.#held >= MOST_HELD)) {
        this.#emptied = true;
        await decoder.flush();
      } else if (!await this.#something(busy ? PATIENCE_MS : GRACE_MS)) {
        if (busy) throw broken('the browser did not answer');
        this.#held += 1;
      }
    }
  }

  /** @param {VideoDecoder} decoder */
  async #feed(decoder) {
    const { offset, size, time, key } = this.#file.samples[this.#next];
    if (stampOf(time) < this.#first) { // it leans on frames from before the one that was begun with, and nothing on it
      this.#next += 1;
      return;
    }
    const data = await this.#blob.slice(offset, offset + size).arrayBuffer();
    if (decoder !== this.#decoder || decoder.state !== 'configured') return;
    this.#next += 1;
    decoder.decode(new EncodedVideoChunk({ type: key ? 'key' : 'delta', timestamp: stampOf(time), data }));
  }

  /** @param {VideoDecoder} decoder @param {VideoFrame} picture */
  #take(decoder, picture) {
    const frame = decoder === this.#decoder ? this.#frames.get(picture.timestamp) : undefined;
    const room = Math.max(2, Math.min(MOST_CACHED, Math.floor(CACHE_BYTES / (picture.displayWidth * picture.displayHeight * 4))));
    if (frame === undefined || frame <= this.#wanted - (this.#backward ? room : 2)) {
      picture.close();
    } else {
      const bitmap = this.#bitmapOf(picture).finally(() => picture.close());
      bitmap.catch(() => undefined); // whoever asks for the frame hears of it
      this.#cache.set(frame, bitmap);
      for (const far of [...this.#cache.keys()].sort((a, b) => Math.abs(b - this.#wanted) - Math.abs(a - this.#wanted)).slice(0, -room)) {
        this.#cache.get(far)?.then((old) => old.close(), () => undefined);
        this.#cache.delete(far);
      }
    }
    if (frame !== undefined) this.#latest = Math.max(this.#latest, frame);
    this.#wake();
  }

  /** Upright, and of the size of the first. @param {VideoFrame} picture @returns {Promise<ImageBitmap>} */
  async #bitmapOf(picture) {
    const { rotation } = this.#file;
    const { displayWidth: across, displayHeight: down } = picture;
    const [width, height] = this.width > 0 ? [this.width, this.height] : rotation % 180 === 0 ? [across, down] : [down, across];
    const [before, after] = rotation % 180 === 0 ? [width, height] : [height, width];
    if (rotation === 0) {
      const bitmap = await createImageBitmap(picture);
      if (bitmap.width === width && bitmap.height === height) return bitmap;
      bitmap.close();
    }
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext('2d');
    if (context === null) throw new Error('the browser has no room for a picture of this size');
    context.translate(width / 2, height / 2);
    context.rotate((rotation * Math.PI) / 180);
    context.drawImage(picture, -before / 2, -after / 2, before, after);
    return canvas.transferToImageBitmap();
  }

  /** @param {number} ms @returns {Promise<boolean>} whether the decoder did something in that time */
  #something(ms) {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve(true);
      };
    });
  }
}

/** @param {number} seconds @returns {number} microseconds, as decoders want them */
function stampOf(seconds) {
  return Math.round(seconds * 1e6);
}
