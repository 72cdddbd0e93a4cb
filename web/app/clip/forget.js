/** The question before minutes of tracking are thrown away. */
import { byId } from '../dom.js';

/** @param {number} objects @param {number} frames @returns {Promise<boolean>} */
export function mayForget(objects, frames) {
  const dialog = byId('forget', HTMLDialogElement);
  const many = (/** @type {number} */ n, /** @type {string} */ what) => `${n.toLocaleString('en')} ${what}${n === 1 ? '' : 's'}`;
  byId('forget-text', HTMLElement).textContent = `${many(objects, 'object')} and their masks on ${many(frames, 'tracked frame')} go. Save them first if you need them.`;
  dialog.returnValue = 'no';
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'), { once: true });
  });
}
