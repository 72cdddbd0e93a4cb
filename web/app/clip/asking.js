/**
 * Prompts on their way to the engine: they wait for their turn and are answered in order. Meanwhile people go
 * on: an answer may come when its object was removed, or all was forgotten.
 */
import { Sam2Error, codeOf } from '../../sam2/errors.js';

/** @typedef {import('../../sam2/index.d.ts').Sam2Video} Sam2Video */
/** @typedef {import('../../sam2/index.d.ts').FrameResult} FrameResult */
/** @typedef {import('../../sam2/index.d.ts').Progress} Progress */
/** @typedef {import('./tracks.js').Tracks} Tracks */
/** @typedef {import('./tracks.js').ClipObject} ClipObject */
/** Whose prompt is answered, and whether anybody still waits for it. @typedef {{ object: ClipObject, still: () => boolean }} Wanted */

/**
 * @typedef {object} AskingOptions
 * @property {Tracks} tracks
 * @property {(work: (video: Sam2Video) => Promise<void>, retry: () => void) => Promise<boolean>} attempt tells what goes wrong; whether all went well
 * @property {(error: unknown) => void} fail tells of an error that nobody can try again
 * @property {() => void} onAsk something is asked: what went wrong before is over
 * @property {() => void} onChange
 * @property {(progress: Progress) => void} onProgress
 * @property {(answer: FrameResult, asked: 'points' | 'mask') => void} onAnswer it is in the tracks
 */

export class Asking {
  /** @type {AskingOptions} */
  #options;
  /** `frame:object` of prompts that wait for their answer. @type {Set<string>} */
  #waiting = new Set();
  /** Prompts whose answer is damaged on every device: asked again before the next pass, which needs them. @type {Set<string>} */
  #faulty = new Set();
  /** Prompts that start anew instead of refining what was answered before. @type {Set<string>} */
  #anew = new Set();
  /** What an undo has taken back and the engine not yet. @type {Map<string, import('./tracks.js').Undone>} */
  #undone = new Map();
  /** `frame:object` of masks that the engine was given, under the clicks that correct them. @type {Set<string>} */
  #given = new Set();
  /** Objects that the engine has heard of. @type {Set<number>} */
  #inEngine = new Set();
  /** Counts how often all was forgotten: an answer from before is of nothing that there is. */
  #generation = 0;
  /** The round of answers under way. @type {Promise<boolean> | null} */
  #round = null;

  /** @param {AskingOptions} options */
  constructor(options) {
    this.#options = options;
  }

  get busy() {
    return this.#round !== null;
  }

  /** @param {number} frame @param {number} object @param {{ anew?: boolean, undone?: import('./tracks.js').Undone }} [how] */
  ask(frame, object, { anew = false, undone } = {}) {
    const key = `${frame}:${object}`;
    this.#waiting.add(key);
    this.#faulty.delete(key);
    if (anew) this.#anew.add(key);
    if (undone !== undefined) this.#undone.set(key, undone);
    else this.#undone.delete(key);
    this.#options.onAsk();
    void this.answerAll();
  }

  /** All prompts there are, from the next round on. */
  queueAll() {
    for (const { id, prompts } of this.#options.tracks.objects) for (const frame of prompts.keys()) this.#waiting.add(`${frame}:${id}`);
  }

  /** Everything the engine was told: it is told to forget it, too. */
  forget() {
    this.#generation += 1;
    for (const known of [this.#waiting, this.#faulty, this.#anew, this.#undone, this.#given, this.#inEngine]) known.clear();
  }

  /** @returns {Promise<boolean>} whether all that waits, and what is asked meanwhile, was answered */
  answerAll() {
    if (this.#round === null) {
      this.#round = this.#answerInOrder().finally(() => {
        this.#round = null;
        this.#options.onChange();
      });
      this.#options.onChange();
    }
    return this.#round;
  }

  /** Before a pass, which goes by the answers. @returns {Promise<boolean>} whether there is none missing */
  answerForPass() {
    for (const key of this.#faulty) this.#waiting.add(key);
    this.#faulty.clear();
    return this.answerAll();
  }

  /** An object that is gone from the tracks. @param {number} object @param {() => void} retry */
  async remove(object, retry) {
    for (const keys of [this.#waiting, this.#faulty]) for (const key of keys) if (key.endsWith(`:${object}`)) keys.delete(key);
    if (!this.#inEngine.has(object)) return; // a prompt of it that is under way takes it out again
    await this.#options.attempt((video) => this.#removeFromEngine(video, object), retry);
  }

  async #answerInOrder() {
    const { tracks, attempt, fail } = this.#options;
    /** A prompt that is refused twice is refused for something else than what was said last. @type {Set<string>} */
    const refused = new Set();
    let well = true;
    for (const key of this.#waiting) {
      this.#waiting.delete(key);
      const [frame, object] = key.split(':').map(Number);
      /** @type {unknown} */
      let error = null;
      const [generation, known] = [this.#generation, tracks.object(object)];
      const answer = (/** @type {Sam2Video} */ video) => this.#answer(video, frame, object).catch((thrown) => {
        if (generation !== this.#generation || tracks.object(object) !== known) return; // nobody waits for it
        error = thrown;
        throw thrown;
      });
      const [anew, undone] = [this.#anew.has(key), this.#undone.get(key)];
      if (await attempt(answer, () => this.ask(frame, object, { anew, undone }))) {
        if (this.#undone.get(key) === undone) this.#undone.delete(key);
        continue;
      }
      well = false;
      const code = codeOf(error);
      if (anew && code !== 'bad_prompt' && error !== null) this.#anew.add(key);
      if (code === 'mask_fault') this.#faulty.add(key);
      else if (code === 'bad_prompt' && undone !== undefined) {
        this.#undone.delete(key);
        tracks.keep(undone);
        fail(error);
      } else if (code === 'bad_prompt') {
        if (refused.has(key) || !tracks.takeBack(frame, object)) continue;
        // Kept, it would be asked with every later click there, and refuse them all.
        refused.add(key);
        this.#waiting.add(key);
        fail(error);
      } else { // those two are about the prompt, others about the engine
        this.#waiting.add(key);
        break;
      }
    }
    return well;
  }

  /** @param {Sam2Video} video @param {number} frame @param {number} id */
  async #answer(video, frame, id) {
    const { tracks, onProgress, onAnswer } = this.#options;
    const key = `${frame}:${id}`;
    const anew = this.#anew.delete(key);
    const object = tracks.object(id);
    if (object === undefined) return;
    const generation = this.#generation;
    const wanted = { object, still: () => generation === this.#generation && tracks.object(id) === object };
    const { clicks, box, mask } = tracks.prompt(frame, id);
    const asked = clicks.length > 0 || box !== null;
    if (!asked && mask === null) {
      await this.#takenBack(video, frame, wanted);
      return;
    }
    if (anew && frame < video.oldest) { // before anything is cleared
      throw new Sam2Error('bad_prompt', 'The frame of that click is out of memory: of several clicks on it, one alone cannot be taken back any more.',
        'Undo once more takes back all of them. Or click where it is wrong now.');
    }
    const options = { onProgress };
    if (anew && this.#inEngine.has(id)) {
      await video.clear({ frame, object: id });
      if (!wanted.still()) return;
      this.#given.delete(key);
    }
    if (mask !== null && !(asked && this.#given.has(key))) {
      const answer = await this.#add(video, wanted, () => video.addMask({ frame, object: id, mask }, options));
      if (answer === null) return;
      this.#given.add(key);
      if (!asked) {
        tracks.put(answer);
        onAnswer(answer, 'mask');
        return;
      }
    }
    const answer = await this.#add(video, wanted, () => video.addPoints({
      frame, object: id, points: clicks.map(({ x, y }) => /** @type {const} */ ([x, y])), labels: clicks.map(({ label }) => label),
      box: box === null ? null : [box.x0, box.y0, box.x1, box.y1],
    }, options));
    if (answer === null) return;
    tracks.put(answer);
    onAnswer(answer, 'points');
  }

  /** @param {Sam2Video} video @param {Wanted} wanted @param {() => Promise<FrameResult>} ask @returns {Promise<FrameResult | null>} null where it is of nothing that there is */
  async #add(video, { object, still }, ask) {
    const generation = this.#generation;
    const heard = this.#inEngine.has(object.id);
    const answer = await ask();
    if (still()) {
      this.#inEngine.add(object.id);
      return answer;
    }
    // It was removed when the engine had not heard of it, and now it has: it would be tracked unseen.
    if (generation === this.#generation && !heard) await video.removeObject(object.id);
    return null;
  }

  /** Nothing is said on the frame any more. @param {Sam2Video} video @param {number} frame @param {Wanted} wanted */
  async #takenBack(video, frame, { object, still }) {
    const { tracks } = this.#options;
    tracks.forget(frame, object.id);
    this.#given.delete(`${frame}:${object.id}`);
    if (!this.#inEngine.has(object.id)) return;
    if (object.prompts.size > 0) {
      const answer = await video.clear({ frame, object: object.id });
      if (still()) tracks.put(answer);
      return;
    }
    // Its last prompt is gone: it is forgotten whole, for an object without prompts cannot be tracked.
    await this.#removeFromEngine(video, object.id);
  }

  /** @param {Sam2Video} video @param {number} id */
  async #removeFromEngine(video, id) {
    const generation = this.#generation;
    this.#inEngine.delete(id); // at once: nobody else removes it
    try {
      await video.removeObject(id);
    } catch (error) {
      if (generation === this.#generation) this.#inEngine.add(id);
      throw error;
    }
  }
}
