/** Pictures that are pushed into a live video. */
import { Sam2Error } from './errors.js';

/** @typedef {import('./protocol.js').Picture} Picture */

/** A copy of a live frame that stays ours: it is given to the engine, and again to the next one. @param {import('./index.d.ts').PictureSource} frame @returns {Promise<Picture>} */
export async function ownPicture(frame) {
  if (frame !== null && typeof frame === 'object' && 'data' in frame && 'width' in frame) {
    const { data, width, height } = frame;
    if (!(width > 0 && height > 0) || data.length !== width * height * 4) {
      throw new Sam2Error('bad_image', `The frame has ${data?.length} bytes, not ${width} × ${height} × 4.`, 'Give RGBA bytes.');
    }
    return { kind: 'rgba', rgba: new Uint8Array(data).buffer, width, height };
  }
  if (typeof createImageBitmap === 'undefined') {
    throw new Sam2Error('bad_image', 'This frame is of no known kind.', 'Give { data, width, height } with RGBA bytes.');
  }
  try {
    return { kind: 'bitmap', bitmap: await createImageBitmap(/** @type {ImageBitmapSource} */ (frame)) };
  } catch (error) {
    throw new Sam2Error('bad_image', `The frame cannot be read: ${error instanceof Error ? error.message : error}.`,
      'Give a video element that plays, or a VideoFrame, ImageBitmap or canvas that is still open.', { cause: error });
  }
}

/** @param {Picture} picture */
export function release(picture) {
  if (picture.kind === 'bitmap') picture.bitmap.close();
}

/** @param {Picture} picture */
export function sizeOf(picture) {
  if (picture.kind === 'bitmap') return { width: picture.bitmap.width, height: picture.bitmap.height };
  return picture.kind === 'rgba' ? { width: picture.width, height: picture.height } : { width: 0, height: 0 };
}
