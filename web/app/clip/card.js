/** The panel's card while a clip is open: its objects, what tracking them would take, and what can be saved. */
import { byId } from '../dom.js';
import { LONG_MS, timeInWords } from './estimate.js';
import { canSaveVideo } from './exports.js';
import { ObjectList } from './objects.js';

/** @typedef {import('./clip.js').Clip} Clip */

const button = (/** @type {string} */ id) => byId(id, HTMLButtonElement);

export class ClipCard {
  #card = byId('clip-card', HTMLElement);
  #name = byId('clip-name', HTMLElement);
  #notes = byId('clip-notes', HTMLElement);
  #estimate = byId('estimate', HTMLElement);
  #small = byId('use-small', HTMLElement);
  #mask = byId('mask', HTMLElement);
  #objects;
  #engine;

  /** @param {import('./objects.js').ObjectActions} actions @param {() => { device: string, isSmall: boolean }} engine */
  constructor(actions, engine) {
    this.#objects = new ObjectList(actions);
    this.#engine = engine;
  }

  /** In place of the card of a picture's mask, or not. @param {boolean} shown */
  setShown(shown) {
    this.#card.hidden = !shown;
    byId('mask-card', HTMLElement).hidden = shown;
  }

  /** @param {Clip} clip @param {number} frame @param {boolean} busy something is being saved */
  show(clip, frame, busy) {
    const { tracks, name, video } = clip;
    this.#name.textContent = name;
    this.#notes.textContent = video?.notes.join(' · ') ?? '';
    this.#objects.show(tracks, frame);
    const found = tracks.found(frame, tracks.active);
    if (found === null) this.forgetMask();
    else Object.assign(this.#mask.dataset, { area: found.mask.area, iou: found.iou ?? '', bbox: found.mask.bbox.join(',') });
    this.#showTracking(clip, busy);
    const any = tracks.frames().length > 0;
    for (const id of ['save-masks', 'save-json', 'save-video']) button(id).disabled = !any || clip.tracking !== null || busy;
    button('save-video').hidden = !canSaveVideo();
  }

  /** No mask is shown any more. */
  forgetMask() {
    for (const name of ['area', 'iou', 'bbox']) delete this.#mask.dataset[name];
  }

  /** @param {Clip} clip @param {boolean} busy */
  #showTracking(clip, busy) {
    const { tracks, tracking, video, estimate } = clip;
    const span = clip.span(false);
    const objects = Math.max(1, tracks.objects.filter(({ prompts }) => prompts.size > 0).length);
    const can = video !== null && span.frames > 0 && tracking === null && !busy;
    for (const id of ['track', 'track-both']) {
      button(id).disabled = !can;
      button(id).hidden = tracking !== null;
    }
    button('track-stop').hidden = tracking === null;
    // On a phone the status is out of sight here.
    const text = tracking !== null ? `${tracking.done} of ${tracking.total} frames` : estimate.inWords(span.frames, objects);
    this.#estimate.textContent = text === '' ? '' : `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
    button('add-object').disabled = video === null || tracks.objects.length === 0;
    const total = estimate.total(span.frames, objects);
    const { device, isSmall } = this.#engine();
    this.#small.hidden = tracking !== null || total === null || total < LONG_MS || device !== 'cpu' || isSmall;
    if (total !== null) byId('use-small-text', HTMLElement).textContent = `This model takes ${timeInWords(total)} on a CPU.`;
  }
}
