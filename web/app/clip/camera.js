/** A camera as a live video: frames go to the engine one after the other, as fast as it takes them. */
import { Sam2Error, isAbort } from '../../sam2/errors.js';

/** @typedef {import('../../sam2/index.d.ts').FrameResult} FrameResult */
/** @typedef {import('../../sam2/index.d.ts').Sam2Video} Sam2Video */

/** Larger frames cost time on their way, and the network sees squares of 512 or 1024. */
const WANTED = { width: { ideal: 640 }, height: { ideal: 480 } };
/** Frames over which the speed is taken. */
const SPEED_FRAMES = 12;
/** One frame that fails is followed by others; so many in a row are no chance. */
const FAILURES = 4;
/** Longer after each of them: an engine may be starting anew. */
const FAILURE_PAUSE_MS = 150;

export class Camera {
  #element = document.createElement('video');
  /** @type {MediaStream | null} */
  #stream = null;
  #running = false;
  /** Times of the last frames. @type {number[]} */
  #times = [];

  /** Asks the person for the camera. */
  async open() {
    if (navigator.mediaDevices?.getUserMedia === undefined) {
      throw new Sam2Error('unsupported_video', 'This page may not use a camera.', 'Open it over https, or on localhost.');
    }
    try {
      this.#stream = await navigator.mediaDevices.getUserMedia({ video: WANTED, audio: false });
    } catch (error) {
      const refused = error instanceof DOMException && error.name === 'NotAllowedError';
      throw new Sam2Error('unsupported_video', refused ? 'The camera was not allowed.' : 'There is no camera that can be used.',
        refused ? 'Allow it in the address bar, then try again.' : 'Connect one, or close the program that uses it.', { cause: error });
    }
    Object.assign(this.#element, { muted: true, playsInline: true, srcObject: this.#stream });
    await this.#element.play();
  }

  get running() {
    return this.#running;
  }

  /** Frames a second that were tracked. */
  get speed() {
    const { length } = this.#times;
    return length < 2 ? null : (1000 * (length - 1)) / (this.#times[length - 1] - this.#times[0]);
  }

  /**
   * Until it is closed, or frames fail again and again; then it can be called once more.
   * @param {Sam2Video} video
   * @param {(bitmap: ImageBitmap, answer: FrameResult) => void} onFrame owns the bitmap
   */
  async run(video, onFrame) {
    this.#running = true;
    for (let failures = 0; this.#running;) {
      /** @type {ImageBitmap | null} */
      let bitmap = null;
      /** @type {FrameResult} */
      let answer;
      try {
        bitmap = await createImageBitmap(this.#element);
        answer = await video.pushFrame(bitmap);
      } catch (error) {
        bitmap?.close();
        if (!this.#running) return;
        failures += 1;
        if (isAbort(error) || failures >= FAILURES) {
          this.#running = false;
          throw error;
        }
        await pause(failures * FAILURE_PAUSE_MS);
        continue;
      }
      if (!this.#running) {
        bitmap.close();
        return;
      }
      failures = 0;
      this.#times = [...this.#times.slice(-SPEED_FRAMES), performance.now()];
      onFrame(bitmap, answer);
      // Nothing to track yet: the picture is shown at the camera's speed, not the processor's.
      if (answer.objects.length === 0) await pause(60);
      if (document.hidden) await new Promise((resolve) => document.addEventListener('visibilitychange', resolve, { once: true }));
    }
  }

  close() {
    this.#running = false;
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#element.srcObject = null;
  }
}

/** @param {number} ms */
function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
