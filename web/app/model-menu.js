/** The menu of models, and the question before anything is fetched from another host. */
import { byId, make } from './dom.js';
import { bytesInWords, sentence } from './words.js';

/** @typedef {import('./models.js').ModelEntry} ModelEntry */

/**
 * @typedef {object} MenuActions
 * @property {(entry: ModelEntry) => void} entry
 * @property {(address: string) => void} address
 * @property {(files: FileList) => void} files
 */

export class ModelMenu {
  #menu = byId('model-menu', HTMLElement);
  #list = byId('model-list', HTMLElement);
  #name = byId('model-name', HTMLElement);
  /** @type {MenuActions} */
  #actions;

  /** @param {MenuActions} actions */
  constructor(actions) {
    this.#actions = actions;
    const file = byId('model-file', HTMLInputElement);
    file.addEventListener('change', () => {
      if (file.files !== null && file.files.length > 0) actions.files(file.files);
      file.value = '';
      this.close();
    });
    const address = byId('model-url', HTMLInputElement);
    byId('model-url-form', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault();
      this.close();
      actions.address(address.value);
    });
  }

  close() {
    if (this.#menu.matches(':popover-open')) this.#menu.hidePopover();
  }

  /** @param {readonly ModelEntry[]} entries */
  showEntries(entries) {
    this.#list.replaceChildren(...entries.map((entry) => {
      const size = entry.bytes === undefined ? '' : bytesInWords(entry.bytes);
      // The list of models begins a description with the name, which stands above it here.
      const about = sentence((entry.description ?? '').replace(/^SAM 2(?:\.1)? [\w+]+, /, ''));
      const details = [about, entry.url === null ? 'Open its file yourself.' : '', entry.licence && `Licence: ${entry.licence}`].filter(Boolean).join(' ');
      const item = make('button', { type: 'button', class: 'model-item', 'data-name': entry.name },
        make('strong', {}, entry.title), make('span', {}, size), make('span', { class: 'model-note' }, details));
      item.addEventListener('click', () => {
        this.close();
        if (entry.url === null) byId('model-file', HTMLInputElement).click();
        else this.#actions.entry(entry);
      });
      return item;
    }));
  }

  /** @param {string} name the model in use @param {string} title */
  showCurrent(name, title) {
    this.#name.textContent = title;
    for (const item of this.#list.children) {
      item.setAttribute('aria-pressed', String(/** @type {HTMLElement} */ (item).dataset.name === name));
    }
  }
}

/**
 * Asks before another host is contacted: the address may come from a link that somebody sent.
 * @param {{ url: string, bytes?: number | undefined }} model
 * @returns {Promise<boolean>}
 */
export function askBeforeFetching({ url, bytes }) {
  const dialog = byId('ask', HTMLDialogElement);
  const { host } = new URL(url);
  const size = bytes === undefined
    ? 'Its size is not known before asking there; it is shown while loading, and you can cancel.'
    : `It is ${bytesInWords(bytes)} large.`;
  byId('ask-text', HTMLElement).textContent = `The model comes from ${host}. ${size} That host will see your address, never your pictures.\n\n${url}`;
  dialog.returnValue = 'no';
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'), { once: true });
  });
}
