/** The camera's picture while a live video is open: what it sees is tracked and shown, one frame after the other. */
import { isAbort } from '../../sam2/errors.js';
import { Camera } from './camera.js';

/** @typedef {import('./clip.js').Clip} Clip */

export class Live {
  #camera = new Camera();
  /** On the screen. @type {ImageBitmap | null} */
  #bitmap = null;
  /** @type {(bitmap: ImageBitmap, frame: number) => void} */
  #onShow;
  /** The frame on the screen. */
  frame = 0;

  /** @param {(bitmap: ImageBitmap, frame: number) => void} onShow */
  constructor(onShow) {
    this.#onShow = onShow;
  }

  /** Frames a second that were tracked. */
  get speed() {
    return this.#camera.speed;
  }

  /** Asks the person for the camera. */
  open() {
    return this.#camera.open();
  }

  /** Shows and tracks what the camera sees, until it is closed or frames fail again and again: then that is said, and can be tried again. @param {Clip} clip */
  async follow(clip) {
    const { video, tracks } = clip;
    if (video === null || this.#camera.running) return;
    try {
      await this.#camera.run(video, (bitmap, answer) => {
        tracks.put(answer);
        for (const frame of tracks.frames()) if (frame < answer.frame) tracks.drop(frame);
        this.#bitmap?.close();
        this.#bitmap = bitmap;
        this.frame = answer.frame;
        this.#onShow(bitmap, answer.frame);
      });
    } catch (error) {
      if (isAbort(error)) return;
      // With the objects that there are: nothing of them is lost.
      clip.fail(error, () => {
        clip.goOn();
        void this.follow(clip);
      });
    }
  }

  close() {
    this.#camera.close();
    this.#bitmap?.close();
    this.#bitmap = null;
  }
}
