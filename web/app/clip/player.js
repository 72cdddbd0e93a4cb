/** The frames of a clip on the screen: the one asked for last is shown, and playing goes through them. */

/** @typedef {import('../../sam2/index.d.ts').Sam2Video} Sam2Video */

/** Pictures kept for going back and playing again. */
const CACHE_BYTES = 256 * 2 ** 20;
/** Where the clip does not say how fast it goes. */
const USUAL_FPS = 12;

export class Player {
  /** @type {Sam2Video} */
  #video;
  /** The oldest first. @type {Map<number, ImageBitmap>} */
  #cache = new Map();
  /** @type {(bitmap: ImageBitmap, frame: number) => void} */
  #onShow;
  /** @type {(error: unknown) => void} */
  #onError;
  #closed = false;
  /** @type {number | null} */
  #wanted = null;
  #reading = false;
  /** The frame that is asked for; what is shown follows. */
  frame = 0;
  playing = false;

  /** @param {Sam2Video} video @param {{ onShow: (bitmap: ImageBitmap, frame: number) => void, onError: (error: unknown) => void }} listeners */
  constructor(video, { onShow, onError }) {
    this.#video = video;
    this.#onShow = onShow;
    this.#onError = onError;
  }

  /** Seconds at which each frame comes on, and at last those at which the clip ends. @returns {readonly number[]} */
  get times() {
    const { times, fps, length } = this.#video;
    return times ?? Array.from({ length: length + 1 }, (_, frame) => frame / (fps ?? USUAL_FPS));
  }

  /** Shows a frame as soon as it is there; a newer wish takes its place. @param {number} frame */
  show(frame) {
    this.frame = Math.max(0, Math.min(this.#video.length - 1, frame));
    this.#wanted = this.frame;
    void this.#serve();
  }

  /** @param {() => void} onFrame after each frame, and at the end */
  async play(onFrame) {
    if (this.playing) return;
    this.playing = true;
    if (this.frame >= this.#video.length - 1) this.frame = -1;
    const { times } = this;
    let due = performance.now();
    while (this.playing && !this.#closed && this.frame < this.#video.length - 1) {
      this.frame += 1;
      onFrame();
      const bitmap = await this.bitmap(this.frame).catch((error) => {
        this.playing = false;
        this.#onError(error);
        return null;
      });
      if (!this.playing || bitmap === null) break;
      this.#onShow(bitmap, this.frame);
      due = Math.max(due + 1000 * (times[this.frame + 1] - times[this.frame]), performance.now() - 200);
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - performance.now())));
    }
    this.playing = false;
    onFrame();
  }

  pause() {
    this.playing = false;
  }

  /** @param {number} frame @returns {Promise<ImageBitmap>} kept here: draw it at once, do not close it */
  async bitmap(frame) {
    const known = this.#cache.get(frame);
    if (known !== undefined) {
      this.#cache.delete(frame);
      this.#cache.set(frame, known);
      return known;
    }
    const bitmap = await this.#video.bitmap(frame);
    if (this.#closed) {
      bitmap.close();
      throw new DOMException('The clip was closed.', 'AbortError');
    }
    this.#cache.set(frame, bitmap);
    const most = Math.max(4, Math.floor(CACHE_BYTES / (bitmap.width * bitmap.height * 4)));
    for (const oldest of this.#cache.keys()) {
      if (this.#cache.size <= most) break;
      this.#cache.delete(oldest); // not closed: it may be the one on the screen
    }
    return bitmap;
  }

  close() {
    this.#closed = true;
    this.playing = false;
    for (const bitmap of this.#cache.values()) bitmap.close();
    this.#cache.clear();
  }

  async #serve() {
    if (this.#reading) return;
    this.#reading = true;
    try {
      while (this.#wanted !== null && !this.#closed) {
        const frame = this.#wanted;
        this.#wanted = null;
        const bitmap = await this.bitmap(frame);
        if (this.#wanted === null) this.#onShow(bitmap, frame);
      }
    } catch (error) {
      if (!this.#closed) this.#onError(error);
    } finally {
      this.#reading = false;
    }
  }
}
