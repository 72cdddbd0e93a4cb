/** From a picture in any form to its pixels. Runs in the worker. */
import { Sam2Error, plainError } from './errors.js';

/** @typedef {import('./protocol.js').Picture} Picture */
/** @typedef {{ rgba: Uint8Array, width: number, height: number }} Pixels [H, W, 4], oriented */
/** @typedef {(bytes: Uint8Array) => { width: number, height: number, rgba: Uint8Array }} Decode */

/**
 * The engine's own decoder comes first: it is the command line's, so both see the same pixels, and
 * nothing that a browser does to canvases (colour management, noise against fingerprinting) gets
 * in. What it cannot read, the browser may (AVIF).
 * @template T
 * @param {Picture} picture
 * @param {(bytes: Uint8Array) => T} decode
 * @returns {Promise<T | Pixels>}
 */
export async function decodedFromPicture(picture, decode) {
  if (picture.kind === 'rgba') {
    return { rgba: new Uint8Array(picture.rgba), width: picture.width, height: picture.height };
  }
  if (picture.kind === 'bitmap') return pixelsFromBitmap(picture.bitmap);
  if (picture.blob.size === 0) throw new Sam2Error('bad_image', 'The file is empty.', 'Choose another picture.');
  try {
    return decode(new Uint8Array(await picture.blob.arrayBuffer()));
  } catch (error) {
    const plain = plainError(error, 'bad_image');
    if (plain.code !== 'bad_image' || plain.fatal || typeof createImageBitmap === 'undefined') throw error;
    /** @type {ImageBitmap} */
    let bitmap;
    try {
      bitmap = await createImageBitmap(picture.blob, {
        imageOrientation: 'from-image', colorSpaceConversion: 'none', premultiplyAlpha: 'none',
      });
    } catch {
      throw error; // the engine's reason says more than the browser's
    }
    return pixelsFromBitmap(bitmap);
  }
}

/** The pixels themselves. @param {Picture} picture @param {Decode} decode @returns {Promise<Pixels>} */
export function pixelsFromPicture(picture, decode) {
  return decodedFromPicture(picture, decode);
}

/** @param {ImageBitmap} bitmap @returns {Pixels} */
function pixelsFromBitmap(bitmap) {
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  if (context === null) {
    throw new Sam2Error('image_too_large', `The browser cannot read a picture of ${width} × ${height} pixels.`,
      'Make the picture smaller.');
  }
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const { data } = context.getImageData(0, 0, width, height);
  return { rgba: new Uint8Array(data.buffer), width, height };
}
