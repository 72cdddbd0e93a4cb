/** Checks a prompt once, at the edge; inside the package it is known to be right. */
import { Sam2Error } from './errors.js';

/** @typedef {import('./index.d.ts').Prompt} Prompt */
/** @typedef {Omit<import('./protocol.js').WirePrompt, 'mask_id'>} CheckedPrompt */

/** @param {string} message @param {string} hint @returns {never} */
function refuse(message, hint) {
  throw new Sam2Error('bad_prompt', message, hint);
}

/**
 * @param {Prompt} prompt
 * @param {{ width: number, height: number }} size of the oriented picture
 * @returns {CheckedPrompt}
 */
export function checkPrompt(prompt, size) {
  const { points, labels } = checkPoints(prompt, size);
  const box = prompt.box == null ? null : checkBox(prompt.box, size);
  const hasMask = prompt.mask != null;
  if (points.length === 0 && box === null && !hasMask) {
    refuse('The prompt is empty.', 'Give a point, a box or a mask.');
  }
  // One click may mean a part or the whole, so three answers; anything more says which it is.
  const multimask = prompt.multimask ?? (points.length === 1 && box === null && !hasMask);
  return { points, labels, box, multimask, snap: prompt.snap ?? false };
}

/**
 * @param {{ points?: Prompt['points'], labels?: Prompt['labels'] }} prompt
 * @param {{ width: number, height: number }} size
 * @returns {{ points: [number, number][], labels: number[] }}
 */
export function checkPoints(prompt, { width, height }) {
  const points = Array.from(prompt.points ?? [], (point) => checkPoint(point, width, height));
  const labels = Array.from(prompt.labels ?? points.map(() => 1));
  if (labels.length !== points.length) {
    refuse(`There are ${points.length} points and ${labels.length} labels.`, 'Give one label for each point.');
  }
  for (const label of labels) {
    if (label !== 0 && label !== 1) refuse(`The label ${label} is not known.`, 'Use 1 for positive and 0 for negative.');
  }
  return { points, labels };
}

/**
 * As the engine checks it (crates/sam2-image, space.rs): the far edges belong to no pixel, and what rounds up
 * to one in its 32-bit floats lies on it.
 * @param {ArrayLike<number>} point @param {number} width @param {number} height @returns {[number, number]}
 */
function checkPoint(point, width, height) {
  const [x, y] = Array.from(point);
  if (point.length !== 2 || !Number.isFinite(x) || !Number.isFinite(y)) {
    refuse('A point is not two finite numbers.', 'Give points as [x, y] in image pixels.');
  }
  if (x < 0 || y < 0 || Math.fround(x) >= width || Math.fround(y) >= height) {
    refuse(`The point ${x}, ${y} is outside the picture of ${width} × ${height} pixels.`, 'Points count from the top left corner, from 0 to below the size.');
  }
  return [x, y];
}

/** @param {ArrayLike<number>} box @param {{ width: number, height: number }} size @returns {[number, number, number, number]} */
export function checkBox(box, { width, height }) {
  const [x0, y0, x1, y1] = Array.from(box);
  if (box.length !== 4 || ![x0, y0, x1, y1].every(Number.isFinite)) {
    refuse('The box is not four finite numbers.', 'Give it as [x0, y0, x1, y1] in image pixels.');
  }
  if (Math.fround(x1) <= Math.fround(x0) || Math.fround(y1) <= Math.fround(y0)) refuse('The box has no area.', 'Its second corner must lie right of and below the first.');
  if (x0 < 0 || y0 < 0 || x1 > width || y1 > height) {
    refuse(`The box reaches outside the picture of ${width} × ${height} pixels.`, 'Cut it to the picture.');
  }
  return [x0, y0, x1, y1];
}

/** @param {number} frame @param {{ length: number }} video */
export function checkFrame(frame, { length }) {
  if (!Number.isSafeInteger(frame) || frame < 0 || frame >= length) {
    throw new Sam2Error('bad_prompt', `The video has no frame ${frame}.`, `It has ${length} frames, counted from 0.`);
  }
  return frame;
}

/** @param {{ frame: number, object: number }} target @param {{ length: number, oldest: number }} video the oldest frame that will do */
export function checkTarget({ frame, object }, { length, oldest }) {
  if (!Number.isSafeInteger(object) || object < 0 || object > 0xffff_ffff) {
    throw new Sam2Error('bad_prompt', `The object ${object} is not a number from 0 to 4294967295.`, 'Number the objects yourself, from 1 on.');
  }
  checkFrame(frame, { length });
  if (frame < oldest) throw new Sam2Error('bad_prompt', `Frame ${frame} of the live video is gone.`, `Prompt one of the latest frames, from ${oldest} on.`);
  return { frame, object };
}
