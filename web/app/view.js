/**
 * Where the picture stands on the screen: the one place that turns image pixels into area pixels
 * and back. At fit zoom the canvas is exactly the picture; zoomed in, it is the part in the area.
 */

/** @typedef {import('./types.js').ImagePx} ImagePx */
/** @typedef {import('./types.js').AreaPx} AreaPx */
/** @typedef {import('./types.js').Size} Size */

/** CSS pixels per image pixel, at most: enough to hit a single pixel with a finger. */
const LARGEST_SCALE = 48;

export class View {
  /** @type {Size} */
  picture = { width: 1, height: 1 };
  /** @type {Size} */
  area = { width: 1, height: 1 };
  /** CSS pixels per image pixel. */
  scale = 1;
  /** Where the picture's top left corner lies. @type {AreaPx} */
  origin = { x: 0, y: 0 };

  /** The scale at which the whole picture is seen. */
  get fitScale() {
    return Math.min(this.area.width / this.picture.width, this.area.height / this.picture.height);
  }

  get isFit() {
    return this.scale <= this.fitScale * (1 + 1e-9);
  }

  /** @param {Size} picture */
  setPicture(picture) {
    this.picture = picture;
    this.fit();
  }

  /** Keeps the fit, or else the zoom and the middle. @param {Size} area */
  setArea(area) {
    const wasFit = this.isFit;
    const middle = this.imageFromArea({ x: this.area.width / 2, y: this.area.height / 2 });
    this.area = area;
    if (wasFit) this.fit();
    else this.#put(middle, { x: area.width / 2, y: area.height / 2 }, this.scale);
  }

  fit() {
    this.#put({ x: 0, y: 0 }, { x: 0, y: 0 }, this.fitScale);
  }

  /** Zooms so that what lies under `at` stays there. @param {number} factor @param {AreaPx} at */
  zoom(factor, at) {
    this.#put(this.imageFromArea(at), at, this.scale * factor);
  }

  /** @param {number} dx @param {number} dy in CSS pixels */
  pan(dx, dy) {
    this.#put({ x: 0, y: 0 }, { x: this.origin.x + dx, y: this.origin.y + dy }, this.scale);
  }

  /** @param {AreaPx} point @returns {ImagePx} may lie outside the picture */
  imageFromArea(point) {
    return { x: (point.x - this.origin.x) / this.scale, y: (point.y - this.origin.y) / this.scale };
  }

  /** @param {ImagePx} point @returns {AreaPx} */
  areaFromImage(point) {
    return { x: point.x * this.scale + this.origin.x, y: point.y * this.scale + this.origin.y };
  }

  /** @param {ImagePx} point @returns {ImagePx} the nearest point of the picture, edges included: a corner of a box */
  clamp(point) {
    return {
      x: Math.min(Math.max(point.x, 0), this.picture.width),
      y: Math.min(Math.max(point.y, 0), this.picture.height),
    };
  }

  /** @param {ImagePx} point @returns {ImagePx} the nearest point that lies in a pixel: a click */
  clampToPixels(point) {
    const { x, y } = this.clamp(point);
    return { x: Math.min(x, below(this.picture.width)), y: Math.min(y, below(this.picture.height)) };
  }

  /** The part of the area that the picture covers: where the canvas stands. */
  get rect() {
    const x0 = Math.max(this.origin.x, 0);
    const y0 = Math.max(this.origin.y, 0);
    return {
      x: x0,
      y: y0,
      width: Math.min(this.origin.x + this.picture.width * this.scale, this.area.width) - x0,
      height: Math.min(this.origin.y + this.picture.height * this.scale, this.area.height) - y0,
    };
  }

  /** @param {ImagePx} point @param {AreaPx} at @param {number} scale */
  #put(point, at, scale) {
    this.scale = Math.min(Math.max(scale, this.fitScale), Math.max(LARGEST_SCALE, this.fitScale));
    this.origin = {
      x: keepInside(at.x - point.x * this.scale, this.picture.width * this.scale, this.area.width),
      y: keepInside(at.y - point.y * this.scale, this.picture.height * this.scale, this.area.height),
    };
  }
}

/** The last number before `size` in the engine's 32-bit floats, where the next one is `size` itself. @param {number} size */
function below(size) {
  return Math.fround(size * (1 - 2 ** -24));
}

/** Centred when it is smaller than the room, else without a gap. @param {number} origin @param {number} size @param {number} room */
function keepInside(origin, size, room) {
  if (size <= room) return (room - size) / 2;
  return Math.min(0, Math.max(room - size, origin));
}
