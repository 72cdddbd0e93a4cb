/** Draws the picture, the mask and the prompts. It is told what to show and decides nothing. */
import { drawLayers } from './clip/overlay.js';

/** @typedef {import('./types.js').ImagePx} ImagePx */
/** @typedef {import('./types.js').ImageBox} ImageBox */
/** @typedef {import('./prompts.js').Click} Click */
/** @typedef {import('./view.js').View} View */

/**
 * @typedef {object} Scene
 * @property {ImageBitmap | null} picture may have fewer pixels than the picture itself
 * @property {Path2D | null} mask in image pixels, even-odd
 * @property {readonly import('./clip/overlay.js').Layer[] | null} layers objects of a video, in place of `mask`
 * @property {string | null} color of the object that clicks and boxes are about; null where there is one thing alone
 * @property {boolean} preview the mask is only what a click here would give
 * @property {readonly Click[]} clicks
 * @property {ImageBox | null} box
 * @property {ImageBox | null} drag a box being drawn
 * @property {ImagePx | null} cursor of the keyboard
 */

/** Device pixels per image pixel from which single pixels are shown as squares. */
const PIXELATED_FROM = 3;
const CLICK_RADIUS = 7;
const HALO = 'rgba(255, 255, 255, 0.95)';

export class Stage {
  /** @type {HTMLCanvasElement} */
  #canvas;
  /** @type {View} */
  #view;
  /** @type {Scene} */
  scene = { picture: null, mask: null, layers: null, color: null, preview: false, clicks: [], box: null, drag: null, cursor: null };
  /** Picture and mask as last drawn, so that moving a box edge does not fill a large mask again. */
  #layer = document.createElement('canvas');
  /** @type {unknown[]} */
  #layerKey = [];
  #frame = 0;

  /** @param {HTMLCanvasElement} canvas @param {View} view */
  constructor(canvas, view) {
    this.#canvas = canvas;
    this.#view = view;
  }

  /** @param {Partial<Scene>} change */
  show(change) {
    Object.assign(this.scene, change);
    this.redraw();
  }

  redraw() {
    if (this.#frame !== 0) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.draw();
    });
  }

  draw() {
    const { picture, clicks, box, drag, cursor, color } = this.scene;
    this.#canvas.hidden = picture === null;
    if (picture === null) return;
    const ratio = window.devicePixelRatio || 1;
    const { rect, scale, origin } = this.#view;
    const { style } = this.#canvas;
    style.left = `${rect.x}px`;
    style.top = `${rect.y}px`;
    style.width = `${rect.width}px`;
    style.height = `${rect.height}px`;
    const width = Math.max(1, Math.round(rect.width * ratio));
    const height = Math.max(1, Math.round(rect.height * ratio));
    if (this.#canvas.width !== width || this.#canvas.height !== height) Object.assign(this.#canvas, { width, height });
    this.#drawLayer(width, height, ratio);

    const context = this.#canvas.getContext('2d');
    if (context === null) return;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.drawImage(this.#layer, 0, 0);
    // From here in CSS pixels of the canvas: marks keep their size at every zoom.
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const at = (/** @type {ImagePx} */ p) => ({ x: p.x * scale + origin.x - rect.x, y: p.y * scale + origin.y - rect.y });
    const colors = getComputedStyle(this.#canvas);
    const line = color ?? colors.getPropertyValue('--mask');
    if (box !== null) drawBox(context, at({ x: box.x0, y: box.y0 }), at({ x: box.x1, y: box.y1 }), line, []);
    if (drag !== null) drawBox(context, at({ x: drag.x0, y: drag.y0 }), at({ x: drag.x1, y: drag.y1 }), line, [6, 4]);
    for (const click of clicks) drawClick(context, at(click), click.label, color, colors);
    if (cursor !== null) drawCursor(context, at(cursor));
  }

  /** @param {number} width @param {number} height @param {number} ratio */
  #drawLayer(width, height, ratio) {
    const { picture, mask, layers, preview } = this.scene;
    const { rect, scale, origin, picture: size } = this.#view;
    const color = getComputedStyle(this.#canvas).getPropertyValue('--mask');
    const key = [picture, mask, preview, layers?.length, ...(layers ?? []).flatMap(({ path, color: own, strong }) => [path, own, strong]), width, height, scale, origin.x, origin.y, color];
    if (picture === null || (key.length === this.#layerKey.length && key.every((value, i) => value === this.#layerKey[i]))) return;
    this.#layerKey = key;
    Object.assign(this.#layer, { width, height });
    const context = this.#layer.getContext('2d');
    if (context === null) return;
    const device = scale * ratio;
    context.setTransform(device, 0, 0, device, (origin.x - rect.x) * ratio, (origin.y - rect.y) * ratio);
    context.imageSmoothingEnabled = device < PIXELATED_FROM;
    context.imageSmoothingQuality = 'high';
    context.drawImage(picture, 0, 0, size.width, size.height);
    if (layers !== null) drawLayers(context, layers, scale);
    if (mask === null) return;
    // The rest of the picture steps back a little, so that the mask reads on any colour.
    const outside = new Path2D();
    outside.rect(0, 0, size.width, size.height);
    outside.addPath(mask);
    context.fillStyle = preview ? 'rgba(8, 14, 20, 0.10)' : 'rgba(8, 14, 20, 0.24)';
    context.fill(outside, 'evenodd');
    context.globalAlpha = preview ? 0.25 : 0.42;
    context.fillStyle = color;
    context.fill(mask, 'evenodd');
    context.globalAlpha = preview ? 0.7 : 1;
    context.lineJoin = 'round';
    context.lineWidth = 3.6 / scale;
    context.strokeStyle = HALO;
    if (!preview) context.stroke(mask);
    context.lineWidth = 1.8 / scale;
    context.strokeStyle = color;
    context.stroke(mask);
    context.globalAlpha = 1;
  }
}

/** @typedef {{ x: number, y: number }} CanvasPoint CSS pixels of the canvas */

/** @param {CanvasRenderingContext2D} context @param {CanvasPoint} a @param {CanvasPoint} b @param {string} color @param {number[]} dash */
function drawBox(context, a, b, color, dash) {
  for (const [style, width] of /** @type {const} */ ([[HALO, 4], [color, 2]])) {
    context.setLineDash(style === HALO ? [] : dash);
    context.strokeStyle = style;
    context.lineWidth = width;
    context.strokeRect(a.x, a.y, b.x - a.x, b.y - a.y);
  }
  context.setLineDash([]);
}

/** @param {CanvasRenderingContext2D} context @param {CanvasPoint} at @param {0 | 1} label @param {string | null} color of its object, as a ring around it @param {CSSStyleDeclaration} colors */
function drawClick(context, at, label, color, colors) {
  if (color !== null) {
    context.beginPath();
    context.arc(at.x, at.y, CLICK_RADIUS + 2.5, 0, 2 * Math.PI);
    context.lineWidth = 3;
    context.strokeStyle = color;
    context.stroke();
  }
  context.beginPath();
  context.arc(at.x, at.y, CLICK_RADIUS, 0, 2 * Math.PI);
  context.fillStyle = colors.getPropertyValue(label === 1 ? '--plus' : '--minus');
  context.fill();
  context.lineWidth = 2;
  context.strokeStyle = HALO;
  context.stroke();
  // The sign as well as the colour, for those who cannot tell them apart.
  context.beginPath();
  context.moveTo(at.x - 3, at.y);
  context.lineTo(at.x + 3, at.y);
  if (label === 1) {
    context.moveTo(at.x, at.y - 3);
    context.lineTo(at.x, at.y + 3);
  }
  context.stroke();
}

/** @param {CanvasRenderingContext2D} context @param {CanvasPoint} at */
function drawCursor(context, at) {
  for (const [style, width] of /** @type {const} */ ([['rgba(10, 15, 20, 0.9)', 4], [HALO, 2]])) {
    context.beginPath();
    for (const [dx, dy] of /** @type {const} */ ([[1, 0], [-1, 0], [0, 1], [0, -1]])) {
      context.moveTo(at.x + dx * 4, at.y + dy * 4);
      context.lineTo(at.x + dx * 14, at.y + dy * 14);
    }
    context.strokeStyle = style;
    context.lineWidth = width;
    context.stroke();
  }
}
