/** The question before minutes of tracking are thrown away. */
import { byId } from '../dom.js';

/** @param {string} what for people, with its masks @param {number} frames on which it was tracked @returns {Promise<boolean>} */
export function mayForget(what, frames) {
  const dialog = byId('forget', HTMLDialogElement);
  byId('forget-text', HTMLElement).textContent = `${what} on ${frames.toLocaleString('en')} tracked ${frames === 1 ? 'frame' : 'frames'} go. Save them first if you need them.`;
  dialog.returnValue = 'no';
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'), { once: true });
  });
}
