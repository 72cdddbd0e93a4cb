/** What can be taken home: the mask as a picture, an outline or numbers, and the cut-out. */

/** @typedef {import('../sam2/index.d.ts').Mask} Mask */

/** @param {Blob} blob @param {string} name */
export function save(blob, name) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // Not at once: the download has only been asked for.
  setTimeout(() => URL.revokeObjectURL(link.href), 30_000);
}

/** @param {string} name of the picture's file @returns {string} without its extension, safe as a file name */
export function stemOf(name) {
  return name.replace(/\.[^.]*$/, '').replace(/[^\p{L}\p{N}._-]+/gu, '_') || 'picture';
}

/**
 * The picture inside the mask, cut to the mask's box, with full resolution.
 * @param {Mask} mask
 * @param {Blob} picture
 * @param {() => Promise<ImageData>} decode for pictures that the browser cannot read
 * @returns {Promise<Blob>}
 */
export async function cutout(mask, picture, decode) {
  const [x, y, width, height] = mask.bbox;
  if (width === 0 || height === 0) throw new Error('The mask is empty.');
  const source = await createImageBitmap(picture, { imageOrientation: 'from-image' })
    .catch(async () => createImageBitmap(await decode()));
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d');
  if (context === null) throw new Error('The browser has no room for a picture of this size.');
  context.drawImage(source, -x, -y);
  source.close();
  const pixels = context.getImageData(0, 0, width, height);
  const inside = mask.toBytes();
  for (let row = 0; row < height; row += 1) {
    for (let column = 0; column < width; column += 1) {
      if (inside[(y + row) * mask.width + x + column] === 0) pixels.data[(row * width + column) * 4 + 3] = 0;
    }
  }
  context.putImageData(pixels, 0, 0);
  return canvas.convertToBlob({ type: 'image/png' });
}

/** One line as `sam2 segment --json` prints it. @param {Mask} mask @param {string} file @param {string} device @param {string} model @returns {Blob} */
export function rleJson(mask, file, device, model) {
  const line = {
    schema: 1, file, image: { width: mask.width, height: mask.height }, device, model,
    masks: [{ prompt: 0, iou: mask.iou, area: mask.area, bbox: mask.bbox, segmentation: mask.toRle() }],
  };
  return new Blob([`${JSON.stringify(line)}\n`], { type: 'application/json' });
}
