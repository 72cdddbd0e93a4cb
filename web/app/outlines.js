/** The outline of a mask as a Path2D in image pixels, asked from the engine once. */

/** @typedef {import('../sam2/index.d.ts').Mask} Mask */

/** @type {WeakMap<Mask, Promise<Path2D>>} */
const paths = new WeakMap();
/** @type {WeakMap<Mask, Path2D>} */
const finished = new WeakMap();

/** @param {Mask} mask @returns {Promise<Path2D>} */
export function outlineOf(mask) {
  const known = paths.get(mask);
  if (known !== undefined) return known;
  const path = mask.toSvgPath().then((data) => {
    const made = new Path2D(data);
    finished.set(mask, made);
    return made;
  });
  paths.set(mask, path);
  path.catch(() => paths.delete(mask)); // so that it can be asked for again
  return path;
}

/** The outline if it has been asked for before. @param {Mask | null} mask @returns {Path2D | null} */
export function knownOutline(mask) {
  return mask === null ? null : finished.get(mask) ?? null;
}
