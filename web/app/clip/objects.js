/** The list of objects in the side panel. */
import { byId, make } from '../dom.js';

/** @typedef {import('./tracks.js').Tracks} Tracks */
/** @typedef {{ select: (id: number) => void, remove: (id: number) => void }} ObjectActions */

export class ObjectList {
  #list = byId('objects', HTMLElement);
  #placeholder = byId('objects-placeholder', HTMLElement);
  /** @type {ObjectActions} */
  #actions;
  #key = '';

  /** @param {ObjectActions} actions */
  constructor(actions) {
    this.#actions = actions;
  }

  /** @param {Tracks} tracks @param {number} frame */
  show(tracks, frame) {
    this.#placeholder.hidden = tracks.objects.length > 0;
    const rows = tracks.objects.map(({ id, name, color, prompts }) => {
      const found = tracks.found(frame, id);
      const here = found === null ? 'not looked for here' : found.visible ? `${found.mask.area.toLocaleString('en')} px` : 'absent here';
      const said = prompts.size === 0 ? 'click it in the video' : `${prompts.size} ${prompts.size === 1 ? 'key frame' : 'key frames'} · ${here}`;
      return { id, name, color, said, active: tracks.active === id };
    });
    const key = JSON.stringify(rows);
    if (key === this.#key) return;
    this.#key = key;
    const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.focus : undefined;
    this.#list.replaceChildren(...rows.map(({ id, name, color, said, active }) => {
      const choose = make('button', { type: 'button', class: 'object-choose', 'aria-pressed': String(active), 'data-focus': `choose-${id}` },
        make('span', { class: 'swatch' }), make('span', { class: 'object-text' }, make('strong', {}, name), make('span', {}, said)));
      choose.addEventListener('click', () => this.#actions.select(id));
      const remove = make('button', { type: 'button', class: 'button quiet round object-remove', 'aria-label': `Remove ${name}`, title: `Remove ${name}`, 'data-focus': `remove-${id}` }, '×');
      remove.addEventListener('click', () => this.#actions.remove(id));
      const row = make('div', { class: 'object', 'data-object': String(id) }, choose, remove);
      row.style.setProperty('--object', color);
      return row;
    }));
    if (focused !== undefined) this.#list.querySelector(/** @type {'button'} */ (`[data-focus="${focused}"]`))?.focus();
  }
}
