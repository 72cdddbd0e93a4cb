/** The side panel: the masks to choose from, and what the engine is and how fast. */
import { byId, make } from './dom.js';
import { countInWords, durationInWords, oneLine, sentence, trustInWords } from './words.js';

/** @typedef {import('../sam2/index.d.ts').Mask} Mask */
/** @typedef {import('../sam2/index.d.ts').DeviceInfo} DeviceInfo */
/** @typedef {import('../sam2/index.d.ts').ModelInfo} ModelInfo */
/** @typedef {import('./prompts.js').Step} Step */

/** CSS pixels of a mask's small picture. */
const THUMBNAIL = { width: 56, height: 44 };

export class Panel {
  #mask = byId('mask', HTMLElement);
  #choices = byId('choices', HTMLElement);
  #placeholder = byId('mask-placeholder', HTMLElement);
  #facts = byId('facts', HTMLElement);
  #chip = byId('device', HTMLElement);
  #note = byId('model-note', HTMLElement);
  /** @type {(index: number) => void} */
  #onChoose;
  /** @type {Step | null} */
  #step = null;

  /** @param {(index: number) => void} onChoose */
  constructor(onChoose) {
    this.#onChoose = onChoose;
    this.#choices.addEventListener('keydown', (event) => this.#arrows(event));
  }

  /** @param {Step | null} step an answered step, or null for no mask */
  showMasks(step) {
    const changed = step !== this.#step;
    this.#step = step;
    const masks = step?.answer?.masks ?? [];
    const mask = step === null ? undefined : masks[step.chosen];
    this.#choices.hidden = mask === undefined;
    this.#placeholder.hidden = mask !== undefined;
    if (mask === undefined || step === null) {
      for (const name of ['area', 'iou', 'bbox']) delete this.#mask.dataset[name];
      this.#choices.replaceChildren();
      return;
    }
    if (changed) {
      const names = masks.length === 1 ? ['Selected'] : masks.map((_, i) => `Mask ${i + 1}`);
      this.#choices.replaceChildren(...masks.map((each, i) => this.#choice(each, names[i], i)));
    }
    for (const [i, row] of [...this.#choices.children].entries()) {
      row.setAttribute('aria-checked', String(i === step.chosen));
      row.setAttribute('tabindex', i === step.chosen ? '0' : '-1');
    }
    this.#mask.dataset.area = String(mask.area);
    this.#mask.dataset.iou = String(mask.iou);
    this.#mask.dataset.bbox = mask.bbox.join(',');
  }

  /** @param {Mask} mask @param {string} name @param {number} index */
  #choice(mask, name, index) {
    const share = (100 * mask.area) / (mask.width * mask.height);
    const percent = share > 0 && share < 0.1 ? '< 0.1' : share.toFixed(1);
    const iou = mask.iou.toFixed(2);
    const row = make('button', { type: 'button', class: 'choice', role: 'radio', 'aria-label': `${name}, expected IoU ${iou}, ${percent} % of the picture` },
      thumbnail(mask),
      make('span', {},
        make('span', { class: 'choice-top' }, make('span', {}, name), make('span', { title: 'Intersection over union that the model expects' }, `IoU ${iou}`)),
        make('progress', { class: 'iou-bar', max: '1', value: String(Math.max(0, Math.min(1, mask.iou))), 'aria-hidden': 'true' }),
        make('span', { class: 'choice-area' }, `${mask.area.toLocaleString('en')} px · ${percent} %`)));
    row.addEventListener('click', () => this.#onChoose(index));
    return row;
  }

  /** Arrow keys move the choice, as in any radio group. @param {KeyboardEvent} event */
  #arrows(event) {
    const by = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    const count = this.#step?.answer?.masks.length ?? 0;
    if (by === undefined || this.#step === null || count < 2) return;
    event.preventDefault();
    const next = (this.#step.chosen + by + count) % count;
    this.#onChoose(next);
    /** @type {HTMLElement} */ (this.#choices.children[next]).focus();
  }

  /**
   * @param {object} facts
   * @param {DeviceInfo | null} facts.device
   * @param {ModelInfo | null} facts.model
   * @param {{ width: number, height: number, encodeMs: number } | null} facts.image
   * @param {number | null} facts.decodeMs
   * @param {string} facts.note
   */
  showFacts({ device, model, image, decodeMs, note }) {
    this.#note.textContent = note;
    this.#note.hidden = note === '';
    if (device !== null) {
      this.#chip.dataset.device = device.device;
      this.#chip.textContent = device.device === 'webgpu' ? 'WebGPU' : 'CPU';
      this.#chip.title = oneLine(device.why ?? '');
    }
    const threads = device?.threads ?? 1;
    /** @type {[string, string][]} */
    const rows = [];
    if (device !== null) {
      rows.push(['Device', device.device === 'webgpu' ? `WebGPU${device.adapter ? `, ${device.adapter}` : ''}` : 'CPU']);
      if (device.device === 'cpu') rows.push(['Threads', String(threads)]);
      const trust = trustInWords(device);
      if (trust !== '') rows.push(['Checked', sentence(trust)]);
    }
    if (model !== null) {
      rows.push(['Model', model.architecture || model.name]);
      rows.push(['Parameters', [countInWords(model.parameters), model.precision].filter(Boolean).join(', ')]);
      rows.push(['Input size', `${model.imageSize} × ${model.imageSize}`]);
    }
    if (image !== null) {
      rows.push(['Picture', `${image.width} × ${image.height}`]);
      rows.push(['Encoded in', durationInWords(image.encodeMs)]);
    }
    if (decodeMs !== null) rows.push(['Last click', durationInWords(decodeMs)]);
    this.#facts.replaceChildren(...rows.flatMap(([term, value]) => [make('dt', {}, term), make('dd', {}, value)]));
    if (device?.why) this.#facts.append(make('dd', { class: 'why' }, sentence(oneLine(device.why))));
  }
}

/** A small picture of a mask, from its low-resolution logits: cheap at every size. @param {Mask} mask */
function thumbnail(mask) {
  const side = Math.round(Math.sqrt(mask.lowRes.length));
  const small = document.createElement('canvas');
  small.width = side;
  small.height = side;
  const pixels = new ImageData(side, side);
  const [r, g, b] = [62, 148, 226];
  mask.lowRes.forEach((logit, i) => {
    if (logit > 0) pixels.data.set([r, g, b, 255], i * 4);
  });
  small.getContext('2d')?.putImageData(pixels, 0, 0);
  // The logits are those of the squashed square; the thumbnail has the picture's shape again.
  const scale = Math.min(THUMBNAIL.width / mask.width, THUMBNAIL.height / mask.height);
  const canvas = document.createElement('canvas');
  canvas.width = Math.max(1, Math.round(mask.width * scale * 2));
  canvas.height = Math.max(1, Math.round(mask.height * scale * 2));
  canvas.getContext('2d')?.drawImage(small, 0, 0, canvas.width, canvas.height);
  return canvas;
}
