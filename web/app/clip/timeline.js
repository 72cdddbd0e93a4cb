/**
 * The timeline: moving through the frames, and a lane for each object that shows where it was prompted,
 * found, and absent.
 */
import { byId, make } from '../dom.js';

/** @typedef {import('./tracks.js').Tracks} Tracks */
/** @typedef {import('./tracks.js').ClipObject} ClipObject */

/** CSS pixels. */
const LANE_HEIGHT = 22;
const BAR_HEIGHT = 10;

/**
 * @typedef {object} TimelineActions
 * @property {(frame: number) => void} go
 * @property {() => void} togglePlay
 * @property {(id: number) => void} select
 */

export class Timeline {
  #section = byId('timeline', HTMLElement);
  #scrub = byId('scrub', HTMLInputElement);
  #counter = byId('frame-counter', HTMLElement);
  #play = byId('play', HTMLButtonElement);
  #lanes = byId('lanes', HTMLElement);
  /** @type {TimelineActions} */
  #actions;
  /** @type {Map<number, { row: HTMLElement, name: HTMLButtonElement, canvas: HTMLCanvasElement }>} */
  #rows = new Map();
  #frames = 1;

  /** @param {TimelineActions} actions */
  constructor(actions) {
    this.#actions = actions;
    this.#scrub.addEventListener('input', () => actions.go(Number(this.#scrub.value)));
    this.#play.addEventListener('click', actions.togglePlay);
    new ResizeObserver(() => this.#onResize()).observe(this.#lanes);
  }

  /** @type {() => void} */
  #onResize = () => undefined;

  /** @param {boolean} shown */
  setShown(shown) {
    this.#section.hidden = !shown;
  }

  /**
   * @param {object} state
   * @param {number} state.frame
   * @param {number} state.frames
   * @param {number | null} state.seconds at which the frame comes on, where it is known
   * @param {boolean} state.playing
   * @param {Tracks} state.tracks
   */
  show(state) {
    const { frame, frames, seconds, playing, tracks } = state;
    this.#onResize = () => this.show(state);
    this.#frames = frames;
    this.#scrub.max = String(frames - 1);
    this.#scrub.style.setProperty('--frames', String(frames));
    if (this.#scrub.value !== String(frame)) this.#scrub.value = String(frame);
    this.#counter.textContent = `Frame ${frame + 1} of ${frames}${seconds === null ? '' : ` · ${seconds.toFixed(2)} s`}`;
    this.#scrub.setAttribute('aria-valuetext', this.#counter.textContent);
    this.#play.setAttribute('aria-pressed', String(playing));
    this.#play.setAttribute('aria-label', playing ? 'Pause' : 'Play');
    this.#play.dataset.playing = String(playing);
    this.#sync(tracks.objects);
    for (const object of tracks.objects) this.#draw(object, tracks, frame);
  }

  /** One row for each object, kept while it lives: a row made anew would lose the focus. @param {ClipObject[]} objects */
  #sync(objects) {
    const ids = new Set(objects.map(({ id }) => id));
    for (const [id, { row }] of this.#rows) {
      if (ids.has(id)) continue;
      row.remove();
      this.#rows.delete(id);
    }
    for (const object of objects) {
      if (this.#rows.has(object.id)) continue;
      const name = make('button', { type: 'button', class: 'lane-name', title: `${object.name}: click to make it the one that clicks are about` },
        make('span', { class: 'swatch' }), make('span', { class: 'lane-title' }, object.name));
      name.style.setProperty('--object', object.color);
      name.addEventListener('click', () => this.#actions.select(object.id));
      const canvas = make('canvas', { class: 'lane-bar', height: String(LANE_HEIGHT) });
      canvas.addEventListener('pointerdown', (event) => this.#pointer(event, canvas));
      canvas.addEventListener('pointermove', (event) => {
        if (canvas.hasPointerCapture(event.pointerId)) this.#pointer(event, canvas);
      });
      const row = make('div', { class: 'lane', 'data-object': String(object.id) }, name, canvas);
      this.#rows.set(object.id, { row, name, canvas });
      this.#lanes.append(row);
    }
  }

  /** @param {PointerEvent} event @param {HTMLCanvasElement} canvas */
  #pointer(event, canvas) {
    canvas.setPointerCapture(event.pointerId);
    const { left, width } = canvas.getBoundingClientRect();
    const part = Math.min(Math.max((event.clientX - left) / width, 0), 1);
    this.#actions.go(Math.min(this.#frames - 1, Math.floor(part * this.#frames)));
  }

  /** @param {ClipObject} object @param {Tracks} tracks @param {number} frame */
  #draw(object, tracks, frame) {
    const parts = this.#rows.get(object.id);
    if (parts === undefined) return;
    const { row, name, canvas } = parts;
    row.toggleAttribute('data-active', tracks.active === object.id);
    name.setAttribute('aria-pressed', String(tracks.active === object.id));
    const ratio = window.devicePixelRatio || 1;
    const width = Math.max(1, canvas.clientWidth);
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(LANE_HEIGHT * ratio);
    const context = canvas.getContext('2d');
    if (context === null) return;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const step = width / this.#frames;
    const top = (LANE_HEIGHT - BAR_HEIGHT) / 2;
    const colors = getComputedStyle(canvas);
    context.fillStyle = colors.getPropertyValue('--line');
    context.globalAlpha = 0.5;
    context.fillRect(0, top, width, BAR_HEIGHT);
    context.globalAlpha = 1;
    const counts = { prompted: 0, tracked: 0, absent: 0, none: 0 };
    /** @type {number[]} */
    const prompted = [];
    for (let i = 0; i < this.#frames; i += 1) {
      const state = tracks.lane(object.id, i);
      counts[state] += 1;
      const found = tracks.found(i, object.id);
      if (state === 'prompted') prompted.push(i);
      if (found === null) continue;
      context.fillStyle = object.color;
      // Absent is a thin line as well as another shade: not everybody sees shades.
      if (found.visible) context.fillRect(i * step, top, step + 0.5, BAR_HEIGHT);
      else context.fillRect(i * step, LANE_HEIGHT / 2 - 1, step + 0.5, 2);
    }
    for (const i of prompted) drawDiamond(context, (i + 0.5) * step, object.color, colors.getPropertyValue('--card'));
    context.fillStyle = colors.getPropertyValue('--ink');
    context.fillRect(Math.round((frame + 0.5) * step) - 1, 0, 2, LANE_HEIGHT);
    canvas.setAttribute('role', 'img');
    canvas.setAttribute('aria-label', `${object.name}: prompted on ${counts.prompted}, found on ${counts.tracked}, absent on ${counts.absent} of ${this.#frames} frames`);
    Object.assign(row.dataset, { prompted: counts.prompted, tracked: counts.tracked, absent: counts.absent });
  }
}

/** @param {CanvasRenderingContext2D} context @param {number} x @param {string} color @param {string} edge */
function drawDiamond(context, x, color, edge) {
  const [y, r] = [LANE_HEIGHT / 2, 7];
  context.beginPath();
  context.moveTo(x, y - r);
  context.lineTo(x + r, y);
  context.lineTo(x, y + r);
  context.lineTo(x - r, y);
  context.closePath();
  context.fillStyle = color;
  context.strokeStyle = edge;
  context.lineWidth = 2;
  context.fill();
  context.stroke();
}
