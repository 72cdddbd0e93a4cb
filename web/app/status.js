/** The line that says what goes on, its progress, and errors in words with a way on. */
import { byId } from './dom.js';
import { progressInWords } from './words.js';

/** @typedef {import('./types.js').PageState} PageState */
/** @typedef {import('../sam2/index.d.ts').Progress} Progress */

/** Speaking every step of a download would drown everything else a screen reader says. */
const ANNOUNCE_EVERY_MS = 4000;

/** @typedef {{ text: string, hint?: string, retry?: (() => void) | null, cancel?: (() => void) | null }} Message */

export class Status {
  #bar = byId('status-bar', HTMLElement);
  #text = byId('status', HTMLElement);
  #hint = byId('status-hint', HTMLElement);
  #progress = byId('progress', HTMLProgressElement);
  #retry = byId('retry', HTMLButtonElement);
  #cancel = byId('cancel', HTMLButtonElement);
  /** @type {Message | null} */
  #message = null;
  #announced = 0;

  constructor() {
    this.#retry.addEventListener('click', () => this.#message?.retry?.());
    this.#cancel.addEventListener('click', () => this.#message?.cancel?.());
  }

  get state() {
    return /** @type {PageState} */ (this.#text.dataset.state);
  }

  /** @param {PageState} state @param {Message} message */
  show(state, message) {
    const busy = state === 'loading' || state === 'encoding';
    const goesOn = busy && this.#message !== null && state === this.state;
    this.#message = message;
    this.#retry.hidden = message.retry == null;
    this.#cancel.hidden = message.cancel == null;
    if (goesOn) return; // its progress says more than the message does
    this.#text.dataset.state = state;
    this.#bar.dataset.state = state;
    this.#text.textContent = message.text;
    this.#hint.textContent = message.hint ?? '';
    this.#announced = performance.now();
    this.#progress.hidden = !busy;
    if (busy) this.#progress.removeAttribute('value');
  }

  /** @param {Progress} progress */
  progress(progress) {
    if (this.#progress.hidden) return;
    // A stage of one step, or not begun, has nothing to show but that it goes on.
    if (progress.total > 1 && progress.done > 0) this.#progress.value = progress.done / progress.total;
    else this.#progress.removeAttribute('value');
    const now = performance.now();
    this.#text.setAttribute('aria-live', now - this.#announced > ANNOUNCE_EVERY_MS ? 'polite' : 'off');
    if (now - this.#announced > ANNOUNCE_EVERY_MS) this.#announced = now;
    this.#text.textContent = progressInWords(progress);
    this.#text.setAttribute('aria-live', 'polite');
  }
}
