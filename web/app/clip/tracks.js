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

/** What was said on one frame: clicks and a box, or a mask (from an imported file). @typedef {{ clicks: Click[], box: ImageBox | null, mask: RleObject | null }} FramePrompt */
/** @typedef {{ id: number, name: string, color: string, prompts: Map<number, FramePrompt> }} ClipObject */
/** @typedef {'prompted' | 'tracked' | 'absent' | 'none'} LaneState */
/** What one undo takes back: the prompt as it was before. @typedef {{ object: number, frame: number, before: FramePrompt | null }} Change */

export class Tracks {
  /** @type {ClipObject[]} */
  objects = [];
  /** The object that clicks are about. */
  active = 0;
  #nextId = 1;
  /** @type {Map<number, Map<number, TrackedObject>>} by frame, then object */
  #found = new Map();
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
    this.objects = this.objects.filter((object) => object.id !== id);
    this.#changes = this.#changes.filter(({ object }) => object !== id);
    for (const objects of this.#found.values()) objects.delete(id);
    if (this.active === id) this.active = this.objects.at(-1)?.id ?? 0;
  }

  /** Everything but the objects' names goes. */
  reset() {
    this.objects = [];
    this.#found.clear();
    this.#changes = [];
    this.changed.clear();
    this.active = 0;
    this.#nextId = 1;
  }

  /** Another model will say something else: answers go, prompts stay. */
  forgetAnswers() {
    this.#found.clear();
    this.changed = new Set(this.keyFrames());
  }

  /** @param {number} frame @param {number} id @returns {FramePrompt} what was said, or an empty prompt */
  prompt(frame, id) {
    return this.object(id)?.prompts.get(frame) ?? { clicks: [], box: null, mask: null };
  }

  /** @param {number} frame @param {Click} click */
  addClick(frame, click) {
    const { clicks, box } = this.prompt(frame, this.active);
    this.#change(frame, { clicks: [...clicks, click], box, mask: null });
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

  get canUndo() {
    return this.#changes.length > 0;
  }

  /** @returns {Change | null} what was taken back */
  undo() {
    const change = this.#changes.pop();
    if (change === undefined) return null;
    this.#revert(change);
    return change;
  }

  /** Takes back what was said last about an object on a frame, which the engine refuses. @param {number} frame @param {number} id @returns {boolean} whether there was anything */
  takeBack(frame, id) {
    const at = this.#changes.findLastIndex((change) => change.frame === frame && change.object === id);
    if (at < 0) return false;
    this.#revert(this.#changes[at]);
    this.#changes.splice(at, 1);
    return true;
  }

  /** @param {FrameResult} answer @param {ReadonlySet<number>} [only] objects of it that count */
  put({ frame, objects }, only) {
    const found = this.#found.get(frame) ?? new Map();
    for (const object of objects) {
      if (object.score === null || (only !== undefined && !only.has(object.id))) continue;
      found.set(object.id, object);
    }
    this.#found.set(frame, found);
  }

  /** Takes back what was found for an object on a frame. @param {number} frame @param {number} id */
  forget(frame, id) {
    this.#found.get(frame)?.delete(id);
  }

  /** Forgets a frame of a live video. @param {number} frame */
  drop(frame) {
    this.#found.delete(frame);
    for (const { prompts } of this.objects) if (prompts.size > 1) prompts.delete(frame);
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
