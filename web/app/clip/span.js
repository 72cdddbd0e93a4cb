/** Which frames the next pass goes over. Nothing here knows of the engine or the screen. */

/** Frames on which a pass that was stopped goes on; null where that direction is done or was not asked for. @typedef {{ forward: number | null, backward: number | null }} Rest */
/** Where the pass begins in each direction, and its frames together. @typedef {{ forward: number | null, backward: number | null, frames: number }} Span */

/** Nothing was stopped. @type {Readonly<Rest>} */
export const NO_REST = Object.freeze({ forward: null, backward: null });

/**
 * What was said since the last pass counts, and what a stopped one has left; where there is neither, all is
 * tracked again.
 * @param {object} known
 * @param {readonly number[]} known.keys frames on which something is said, in order
 * @param {Iterable<number>} known.changed frames on which something was said or taken back since the last pass
 * @param {Readonly<Rest>} known.rest
 * @param {number} known.length frames of the clip
 * @param {boolean} both
 * @returns {Span}
 */
export function spanOf({ keys, changed, rest, length }, both) {
  if (keys.length === 0) return { forward: null, backward: null, frames: 0 };
  const said = [...changed].filter((frame) => keys.includes(frame));
  const gone = [...changed].filter((frame) => !keys.includes(frame));
  const owed = (/** @type {number | null} */ left) => (left === null ? said : [...said, left]);

  const first = Math.min(...owed(rest.forward));
  // What was tracked with a prompt that is gone is tracked anew, without it.
  const fromFirst = first < Infinity && !gone.some((frame) => frame < first);
  const onlyBack = first === Infinity && gone.length === 0 && rest.backward !== null;
  const forward = onlyBack ? null : fromFirst ? first : keys[0];

  const last = Math.max(...owed(rest.backward));
  const fromLast = last > -Infinity && !gone.some((frame) => frame > last);
  const back = fromLast ? last : keys[keys.length - 1];
  // From the first frame there is nothing backward.
  const backward = (both || onlyBack) && back > 0 ? back : null;

  return { forward, backward, frames: (forward === null ? 0 : length - forward) + (backward === null ? 0 : backward + 1) };
}
