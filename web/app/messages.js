/** What the status line says about a failure and about a mask. */
import { isAbort } from '../sam2/errors.js';
import { sentence } from './words.js';

/** @typedef {import('../sam2/index.d.ts').Mask} Mask */
/** @typedef {import('./status.js').Message} Message */

/** @param {import('./controller.js').Failure} failure @returns {Message} */
export function failureMessage({ error, retry }) {
  if (isAbort(error)) return { text: 'Loading was cancelled.', hint: 'Choose a model from the Model menu, or try again.', retry };
  const { message, hint } = /** @type {{ message?: string, hint?: string }} */ (error ?? {});
  return { text: sentence(message ?? String(error)), hint: hint ? sentence(hint) : '', retry };
}

/** With no mask yet, what to do for one. @param {Mask | null} mask @returns {Message} */
export function maskMessage(mask) {
  if (mask === null) return { text: 'Click a thing in the picture.', hint: 'Or drag a box around it.' };
  if (mask.area === 0) return { text: 'Nothing found there.', hint: 'Try another place, or a box.' };
  return { text: `Mask of ${mask.area.toLocaleString('en')} pixels.`, hint: hintForMore() };
}

/** A finger has no right button. */
function hintForMore() {
  return window.matchMedia('(pointer: coarse)').matches
    ? 'Tap to add what is missing, hold to remove.'
    : 'Click to add what is missing, right-click what is too much.';
}
