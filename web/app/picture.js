/** The picture as it is shown: decoded by the browser, and not larger than a screen can use. */

/** Pixels on the longer side. Masks are drawn from outlines, so only the picture itself is softer when a larger one is zoomed far in. */
const LARGEST_SHOWN_SIDE = 4096;

/** @typedef {{ bitmap: ImageBitmap, width: number, height: number }} Shown size in pixels of the whole picture */

/** @param {Blob | ImageData} source @returns {Promise<Shown>} */
export async function showable(source) {
  const whole = await createImageBitmap(source, { imageOrientation: 'from-image' });
  const { width, height } = whole;
  const scale = LARGEST_SHOWN_SIDE / Math.max(width, height);
  if (scale >= 1) return { bitmap: whole, width, height };
  const bitmap = await createImageBitmap(whole, {
    resizeWidth: Math.max(1, Math.round(width * scale)), resizeHeight: Math.max(1, Math.round(height * scale)), resizeQuality: 'high',
  });
  whole.close();
  return { bitmap, width, height };
}
