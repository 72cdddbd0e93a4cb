/** A frame with its objects, drawn for the screen and for a saved video alike. */

/** @typedef {import('./tracks.js').Tracks} Tracks */
/** @typedef {import('../../sam2/index.d.ts').VideoMask} VideoMask */
/** @typedef {{ path: Path2D, color: string, strong: boolean }} Layer */

/** @type {WeakMap<VideoMask, Path2D>} */
const paths = new WeakMap();

/** @param {VideoMask} mask @returns {Path2D} in pixels of the video */
function pathOf(mask) {
  let path = paths.get(mask);
  if (path === undefined) {
    path = new Path2D(mask.svgPath);
    paths.set(mask, path);
  }
  return path;
}

/** @param {Tracks} tracks @param {number} frame @returns {Layer[]} */
export function layersOf(tracks, frame) {
  return tracks.at(frame).filter(({ visible }) => visible).map(({ id, mask }) => ({
    path: pathOf(mask), color: tracks.object(id)?.color ?? '#888', strong: id === tracks.active,
  }));
}

/**
 * @param {CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D} context in pixels of the video
 * @param {readonly Layer[]} layers
 * @param {number} pixel of the video on the screen, in CSS pixels: lines keep their width
 */
export function drawLayers(context, layers, pixel) {
  context.lineJoin = 'round';
  for (const { path, color, strong } of layers) {
    context.globalAlpha = strong ? 0.46 : 0.36;
    context.fillStyle = color;
    context.fill(path, 'evenodd');
    context.globalAlpha = 1;
    context.strokeStyle = 'rgba(255, 255, 255, 0.9)';
    context.lineWidth = (strong ? 3.6 : 2.6) / pixel;
    context.stroke(path);
    context.strokeStyle = color;
    context.lineWidth = (strong ? 2 : 1.4) / pixel;
    context.stroke(path);
  }
}
