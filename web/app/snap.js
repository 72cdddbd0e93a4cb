/** Whether masks are snapped to edges: with the small model, until the person says otherwise. */
import { byId } from './dom.js';

export class SnapSwitch {
  #box = byId('snap', HTMLInputElement);
  /** @type {boolean | null} */
  #chosen = null;
  /** @type {() => boolean} */
  #isSmallModel;

  /** @param {() => boolean} isSmallModel @param {(on: boolean) => void} onChange */
  constructor(isSmallModel, onChange) {
    this.#isSmallModel = isSmallModel;
    this.#box.addEventListener('change', () => {
      this.#chosen = this.#box.checked;
      onChange(this.on);
    });
  }

  get on() {
    return this.#chosen ?? this.#isSmallModel();
  }

  /** Another model may be there. */
  show() {
    this.#box.checked = this.on;
  }

  toggle() {
    this.#box.click();
  }
}
