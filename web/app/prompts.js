/**
 * What has been asked about the picture, step by step, with the answers: the history that undo
 * walks back. Nothing here knows of the engine or the screen.
 *
 * The rules are those of SAM2ImagePredictor's example: one click alone asks for three masks and
 * takes the one with the best IoU; whatever follows asks for one mask, with all clicks so far and
 * the low-resolution logits of the mask before.
 */

/** @typedef {import('./types.js').ImagePx} ImagePx */
/** @typedef {import('./types.js').ImageBox} ImageBox */
/** @typedef {import('../sam2/index.d.ts').Mask} Mask */
/** @typedef {ImagePx & { label: 0 | 1 }} Click */
/** @typedef {{ masks: Mask[], decodeMs: number }} Answer */

/**
 * @typedef {object} Step
 * @property {readonly Click[]} clicks all that hold at this step
 * @property {ImageBox | null} box
 * @property {Step | null} refines the step whose mask goes in
 * @property {Answer | null} answer
 * @property {boolean} faulty its answers are damaged on every device; what comes after it is answered all the same
 * @property {number} chosen which of the answer's masks
 */

export class Prompts {
  /** @type {Step[]} */
  #steps = [];

  /** @returns {Step | null} the last step, answered or not */
  get last() {
    return this.#steps.at(-1) ?? null;
  }

  get isEmpty() {
    return this.#steps.length === 0;
  }

  /** The first step that waits for its answer. @returns {Step | null} */
  get unanswered() {
    return this.#steps.find((step) => step.answer === null && !step.faulty) ?? null;
  }

  /** The newest step with an answer: what is shown. @returns {Step | null} */
  get shown() {
    return this.#steps.findLast((step) => step.answer !== null) ?? null;
  }

  /** @param {Step} step */
  has(step) {
    return this.#steps.includes(step);
  }

  /** @param {Click} click */
  addClick(click) {
    const last = this.last;
    this.#push([...(last?.clicks ?? []), click], last?.box ?? null, last);
  }

  /**
   * A box says which thing is meant, so it starts anew; clicks inside it still hold.
   * @param {ImageBox} box
   */
  addBox(box) {
    const inside = (/** @type {Click} */ { x, y }) => x >= box.x0 && x <= box.x1 && y >= box.y0 && y <= box.y1;
    this.#push((this.last?.clicks ?? []).filter(inside), box, null);
  }

  /** @returns {boolean} whether there was anything to undo */
  undo() {
    return this.#steps.pop() !== undefined;
  }

  reset() {
    this.#steps = [];
  }

  /** Another model answers differently: every question is asked again. */
  forgetAnswers() {
    for (const step of this.#steps) {
      step.answer = null;
      step.faulty = false;
      step.chosen = 0;
    }
  }

  /** Takes out a step that the engine refuses, with what later ones have from it: they would be refused too. @param {Step} step */
  drop(step) {
    const at = this.#steps.indexOf(step);
    if (at < 0) return;
    const before = this.#steps[at - 1] ?? null;
    const own = step.clicks.filter((click) => !before?.clicks.includes(click));
    this.#steps.splice(at, 1);
    for (const later of this.#steps.slice(at)) {
      later.clicks = later.clicks.filter((click) => !own.includes(click));
      if (later.box === step.box) later.box = before?.box ?? null;
      if (later.refines === step) later.refines = before;
    }
  }

  /** @param {Step} step @param {Answer} answer */
  answer(step, answer) {
    step.answer = answer;
    step.chosen = bestOf(answer.masks);
  }

  /** @param {readonly Click[]} clicks @param {ImageBox | null} box @param {Step | null} refines */
  #push(clicks, box, refines) {
    this.#steps.push({ clicks, box, refines, answer: null, faulty: false, chosen: 0 });
  }
}

/** @param {readonly { iou: number }[]} masks @returns {number} the index of the best estimate */
export function bestOf(masks) {
  return masks.reduce((best, mask, index) => (mask.iou > masks[best].iou ? index : best), 0);
}

/** @param {Step} step @returns {Mask | null} */
export function chosenMask(step) {
  return step.answer?.masks[step.chosen] ?? null;
}

/** What the engine is asked at this step. @param {Step} step @returns {import('../sam2/index.d.ts').Prompt} */
export function promptOf(step) {
  const mask = step.refines === null ? null : chosenMask(step.refines);
  return {
    points: step.clicks.map(({ x, y }) => /** @type {const} */ ([x, y])),
    labels: step.clicks.map(({ label }) => label),
    box: step.box === null ? null : [step.box.x0, step.box.y0, step.box.x1, step.box.y1],
    mask,
    multimask: step.clicks.length === 1 && step.box === null && mask === null,
  };
}
