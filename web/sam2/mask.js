/** Masks as they are handed out. They hold the run-length form; everything else is made when asked for. */
import { pngFromMask } from './png.js';
import { maskFromCounts } from './rle.js';

/** @typedef {import('./image.js').Sam2Image} Sam2Image */
/** @typedef {import('./protocol.js').WireMask} WireMask */
/** @typedef {import('./index.d.ts').Prompt} Prompt */
/** @typedef {import('./index.d.ts').Polygon} Polygon */

/** What masks of pictures and of videos have in common. */
class RleMask {
  /** @type {string} */
  #counts;

  /**
   * @param {{ width: number, height: number }} size of the picture
   * @param {{ area: number, bbox: [number, number, number, number], rle: string }} wire
   */
  constructor(size, wire) {
    this.width = size.width;
    this.height = size.height;
    this.area = wire.area;
    this.bbox = wire.bbox;
    this.#counts = wire.rle;
  }

  /** @returns {Uint8Array} [H, W], row by row, 0 or 1 */
  toBytes() {
    return maskFromCounts(this.#counts, this.height, this.width);
  }

  /** @returns {{ size: [number, number], counts: string }} as pycocotools reads it; size is [H, W] */
  toRle() {
    return { size: [this.height, this.width], counts: this.#counts };
  }

  /**
   * @param {readonly [number, number, number, number]} [color] red, green, blue, alpha, 0 to 255
   * @returns {ImageData} transparent outside the mask
   */
  toImageData(color = [30, 136, 229, 255]) {
    const mask = this.toBytes();
    const data = new ImageData(this.width, this.height);
    const pixels = new Uint32Array(data.data.buffer);
    const one = new Uint32Array(Uint8Array.from(color).buffer)[0];
    for (let i = 0; i < mask.length; i += 1) if (mask[i] === 1) pixels[i] = one;
    return data;
  }

  /** @returns {Promise<Blob>} 8-bit greyscale, 255 inside */
  toPng() {
    return pngFromMask(this.toBytes(), this.width, this.height);
  }

  /** @returns {Promise<Polygon[]>} in image pixels, along the pixels' edges */
  async toPolygons() {
    return [];
  }

  /** @returns {Promise<string>} the path data of an SVG `d` attribute, in image pixels, even-odd */
  async toSvgPath() {
    return '';
  }

  /** @returns {Promise<string>} a whole SVG document of the picture's size */
  async toSvg() {
    const path = await this.toSvgPath();
    return `<svg xmlns="http://www.w3.org/2000/svg" width="${this.width}" height="${this.height}" `
      + `viewBox="0 0 ${this.width} ${this.height}"><path fill-rule="evenodd" d="${path}"/></svg>\n`;
  }
}

/**
 * @typedef {object} MaskOrigin how the engine can be asked for this mask again
 * @property {Sam2Image} image
 * @property {Prompt} prompt
 * @property {number} index
 * @property {number} epoch in which `prediction` and `maskId` are valid
 * @property {number} prediction
 * @property {number} maskId
 */

/** One mask of a prediction. */
export class Mask extends RleMask {
  /** @type {MaskOrigin} */
  #origin;

  /**
   * @param {{ width: number, height: number }} size of the oriented picture
   * @param {WireMask} wire
   * @param {MaskOrigin} origin
   */
  constructor(size, wire, origin) {
    super(size, wire);
    this.iou = wire.iou;
    this.lowRes = wire.lowRes;
    this.#origin = origin;
  }

  /** For the image that made it. @param {Mask} mask @returns {MaskOrigin} */
  static origin(mask) {
    return mask.#origin;
  }

  /** @override @returns {Promise<Polygon[]>} */
  async toPolygons() {
    return JSON.parse(await this.#origin.image.outline(this, 'polygons'));
  }

  /** @override @returns {Promise<string>} */
  toSvgPath() {
    return this.#origin.image.outline(this, 'svg');
  }
}

/** The mask of one object on one frame of a video. Its outline comes with it. */
export class VideoMask extends RleMask {
  /** @type {(mask: VideoMask) => Promise<Polygon[]>} */
  #polygons;
  /** Path data of an SVG `d` attribute, in pixels of the video, even-odd. @type {string} */
  svgPath;

  /**
   * @param {{ width: number, height: number }} size of the video
   * @param {{ area: number, bbox: [number, number, number, number], rle: string, svg: string }} wire
   * @param {(mask: VideoMask) => Promise<Polygon[]>} polygons asks the engine
   */
  constructor(size, wire, polygons) {
    super(size, wire);
    this.svgPath = wire.svg;
    this.#polygons = polygons;
  }

  /** @override @returns {Promise<Polygon[]>} */
  toPolygons() {
    return this.#polygons(this);
  }

  /** @override @returns {Promise<string>} */
  async toSvgPath() {
    return this.svgPath;
  }
}
