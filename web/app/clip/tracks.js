/**
 * What is known of a clip: the objects, what was asked about them frame by frame, and where they were
 * found. Nothing here knows of the engine or the screen.
 */

/** @typedef {import('../types.js').ImageBox} ImageBox */
/** @typedef {import('../prompts.js').Click} Click */
/** @typedef {import('../../sam2/index.d.ts').TrackedObject} TrackedObject */
/** @typedef {import('../../sam2/index.d.ts').FrameResult} FrameResult */
/** @typedef {import('../../sam2/index.d.ts').RleObject} RleObject */

/** Told apart also by those who see few colours, on light ground and dark. */
export const COLORS = ['#0a84e0', '#f07c12', '#1f9d57', '#d6336c', '#7a4fe0', '#d9a406', '#0ea5a5', '#a8553a'];

/** What was said on one frame: clicks and a box, and the mask that they correct where it was loaded from a file. @typedef {{ clicks: Click[], box: ImageBox | null, mask: RleObject | null }} FramePrompt */
/** @typedef {{ id: number, name: string, color: string, prompts: Map<number, FramePrompt> }} ClipObject */
/** @typedef {'prompted' | 'tracked' | 'absent' | 'none'} LaneState */
/** What one undo takes back: the prompt as it was before. @typedef {{ object: number, frame: number, before: FramePrompt | null }} Change */
/** A change that was taken back, and the prompt that it had made. @typedef {Change & { after: FramePrompt | null }} Undone */

export class Tracks {
  /** @type {ClipObject[]} */
  objects = [];
  /** The object that clicks are about. */
  active = 0;
  #nextId = 1;
  /** @type {Map<number, Map<number, TrackedObject>>} by frame, then object */
  #found = new Map();
  /** What was loaded from a file and is not prompted with: the engine has not heard of it. @type {Map<number, Map<number, TrackedObject>>} */
  #loaded = new Map();
  /** @type {Change[]} */
  #changes = [];
  /** Frames prompted since the last whole pass. @type {Set<number>} */
  changed = new Set();

  /** @param {number} [id] @returns {ClipObject} the new object, which is then the active one */
  add(id = this.#nextId) {
    this.#nextId = Math.max(this.#nextId, id + 1);
    const object = { id, name: `Object ${id}`, color: COLORS[(id - 1 + COLORS.length) % COLORS.length], prompts: new Map() };
    this.objects = [...this.objects, object];
    this.active = id;
    return object;
  }

  /** @param {number} id @returns {ClipObject | undefined} */
  object(id) {
    return this.objects.find((object) => object.id === id);
  }

  get activeObject() {
    return this.object(this.active) ?? null;
  }

  /** @param {number} id */
  remove(id) {
    const frames = this.object(id)?.prompts.keys() ?? [];
    this.objects = this.objects.filter((object) => object.id !== id);
    this.#changes = this.#changes.filter(({ object }) => object !== id);
    for (const frames of [this.#found, this.#loaded]) for (const objects of frames.values()) objects.delete(id);
    // What was said of it does not concern the others.
    const keys = this.keyFrames();
    for (const frame of frames) if (!keys.includes(frame)) this.changed.delete(frame);
    if (this.active === id) this.active = this.objects.at(-1)?.id ?? 0;
  }

  /** Everything but the objects' names goes. */
  reset() {
    this.objects = [];
    this.#found.clear();
    this.#loaded.clear();
    this.#changes = [];
    this.changed.clear();
    this.active = 0;
    this.#nextId = 1;
  }

  /** Another model will say something else: answers go, prompts stay. */
  forgetAnswers() {
    this.#found.clear();
    this.#loaded.clear();
    this.changed = new Set(this.keyFrames());
  }

  /** @param {number} frame @param {number} id @returns {FramePrompt} what was said, or an empty prompt */
  prompt(frame, id) {
    return this.object(id)?.prompts.get(frame) ?? { clicks: [], box: null, mask: null };
  }

  /** @param {number} frame @param {Click} click */
  addClick(frame, click) {
    const { clicks, box, mask } = this.prompt(frame, this.active);
    const prompted = this.activeObject?.prompts.has(frame) ?? false;
    // A click on a mask that was loaded corrects it.
    const under = prompted ? mask : this.loadedAt(frame).find(({ id }) => id === this.active)?.mask.toRle() ?? null;
    this.#change(frame, { clicks: [...clicks, click], box, mask: under });
  }

  /** As in a picture: a box says which thing is meant, clicks inside it still hold. @param {number} frame @param {ImageBox} box */
  addBox(frame, box) {
    const inside = (/** @type {Click} */ { x, y }) => x >= box.x0 && x <= box.x1 && y >= box.y0 && y <= box.y1;
    this.#change(frame, { clicks: this.prompt(frame, this.active).clicks.filter(inside), box, mask: null });
  }

  /** @param {number} frame @param {number} id @param {RleObject} mask */
  addMask(frame, id, mask) {
    this.object(id)?.prompts.set(frame, { clicks: [], box: null, mask });
    this.changed.add(frame);
  }

  /** Masks from a file, which are shown as if they had been tracked. @param {FrameResult} frame */
  load({ frame, objects }) {
    this.put({ frame, objects, ms: 0 });
    for (const object of objects) {
      if (object.score === null || this.object(object.id)?.prompts.has(frame)) continue;
      this.#loaded.set(frame, (this.#loaded.get(frame) ?? new Map()).set(object.id, object));
    }
  }

  /** Masks of a file on a frame that the engine has not heard of. @param {number} frame @returns {TrackedObject[]} */
  loadedAt(frame) {
    const visible = [...this.#loaded.get(frame)?.values() ?? []].filter((object) => object.visible);
    return visible.filter(({ id }) => !this.object(id)?.prompts.has(frame));
  }

  get canUndo() {
    return this.#changes.length > 0;
  }

  /** @returns {Undone | null} what was taken back */
  undo() {
    const change = this.#changes.pop();
    if (change === undefined) return null;
    const after = this.object(change.object)?.prompts.get(change.frame) ?? null;
    this.#revert(change);
    return { ...change, after };
  }

  /** What was taken back cannot be: it holds as before, and counts no more as what an undo is about. @param {Undone} undone */
  keep({ object, frame, after }) {
    this.#revert({ object, frame, before: after });
  }

  /** Takes back what was said last about an object on a frame, which the engine refuses. @param {number} frame @param {number} id @returns {boolean} whether there was anything */
  takeBack(frame, id) {
    const at = this.#changes.findLastIndex((change) => change.frame === frame && change.object === id);
    if (at < 0) return false;
    this.#revert(this.#changes[at]);
    this.#changes.splice(at, 1);
    return true;
  }

  /** @param {FrameResult} answer @param {(id: number) => boolean} [counts] which of its objects */
  put({ frame, objects }, counts = () => true) {
    const found = this.#found.get(frame) ?? new Map();
    for (const object of objects) {
      if (object.score !== null && counts(object.id)) found.set(object.id, object);
    }
    this.#found.set(frame, found);
  }

  /** A frame of a pass. What was said on it since the pass began holds: the pass does not know it yet. @param {FrameResult} answer */
  track(answer) {
    const { frame } = answer;
    this.put(answer, (id) => !(this.changed.has(frame) && this.object(id)?.prompts.has(frame)));
    for (const { id } of answer.objects) this.#loaded.get(frame)?.delete(id);
  }

  /** Takes back what was found for an object on a frame; what a file told of it is there again. @param {number} frame @param {number} id */
  forget(frame, id) {
    const loaded = this.#loaded.get(frame)?.get(id);
    if (loaded === undefined) this.#found.get(frame)?.delete(id);
    else this.#found.get(frame)?.set(id, loaded);
  }

  /** Forgets the masks of a frame of a live video. What was said on it goes on counting. @param {number} frame */
  drop(frame) {
    this.#found.delete(frame);
  }

  /** @param {number} frame @returns {TrackedObject[]} in the order of the objects */
  at(frame) {
    const found = this.#found.get(frame);
    return this.objects.flatMap(({ id }) => found?.get(id) ?? []);
  }

  /** @param {number} frame @param {number} id */
  found(frame, id) {
    return this.#found.get(frame)?.get(id) ?? null;
  }

  /** @param {number} id @param {number} frame @returns {LaneState} */
  lane(id, frame) {
    if (this.object(id)?.prompts.has(frame)) return 'prompted';
    const found = this.found(frame, id);
    if (found === null) return 'none';
    return found.visible ? 'tracked' : 'absent';
  }

  /** Frames on which anything was said, in order. */
  keyFrames() {
    return [...new Set(this.objects.flatMap(({ prompts }) => [...prompts.keys()]))].sort((a, b) => a - b);
  }

  /** Frames with masks, in order. */
  frames() {
    return [...this.#found.keys()].filter((frame) => (this.#found.get(frame)?.size ?? 0) > 0).sort((a, b) => a - b);
  }

  /** On how many frames there are masks that tracking found, not the person. @param {ClipObject} [only] of one object */
  trackedFrames(only) {
    const keys = only === undefined ? new Set(this.keyFrames()) : only.prompts;
    return this.frames().filter((frame) => !keys.has(frame) && (only === undefined || this.found(frame, only.id) !== null)).length;
  }

  /** @param {Change} change */
  #revert({ object: id, frame, before }) {
    const object = this.object(id);
    if (before === null) object?.prompts.delete(frame);
    else object?.prompts.set(frame, before);
    this.changed.add(frame);
  }

  /** @param {number} frame @param {FramePrompt} prompt */
  #change(frame, prompt) {
    const object = this.activeObject ?? this.add();
    this.#changes.push({ object: object.id, frame, before: object.prompts.get(frame) ?? null });
    object.prompts.set(frame, prompt);
    this.changed.add(frame);
  }
}
