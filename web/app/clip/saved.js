/**
 * Tracked masks as a file: JSON lines as `sam2 track --json` prints them, one frame each, and a first line
 * with what that does not know (the clip, the objects, where they were prompted). Read back, it goes on
 * from there.
 */
import { Sam2Error } from '../../sam2/errors.js';
import { isEven } from '../../sam2/video-times.js';

/** @typedef {import('./tracks.js').Tracks} Tracks */
/** @typedef {import('../../sam2/index.d.ts').RleObject} RleObject */
/** @typedef {{ object: number, visible: boolean, score: number | null, iou: number | null, area: number, bbox: [number, number, number, number], segmentation: RleObject }} SavedObject */
/** @typedef {{ frame: number, objects: SavedObject[] }} SavedFrame */
/** @typedef {{ frames: SavedFrame[], prompted: Map<number, Set<number>>, width: number, height: number }} Saved */

/** @param {Tracks} tracks @param {{ name: string, width: number, height: number, length: number, fps: number | null, times: readonly number[] | null, model: string, device: string }} clip @returns {Blob} */
export function savedJson(tracks, { name, width, height, length, fps, times, model, device }) {
  const objects = tracks.objects.map(({ id, prompts }) => ({ object: id, prompted: [...prompts.keys()].sort((a, b) => a - b) }));
  // Whoever puts the masks beside the clip cannot count where frames do not stay equally long.
  const uneven = times === null || isEven(times) ? {} : { times: times.map((seconds) => Number(seconds.toFixed(6))) };
  const lines = [{ schema: 1, file: name, video: { width, height, frames: length, fps, ...uneven }, device, model, objects }];
  const frames = tracks.frames().map((frame) => ({
    schema: 1, frame,
    objects: tracks.at(frame).map(({ id, visible, score, iou, mask }) => ({
      object: id, visible, score, iou, area: mask.area, bbox: mask.bbox, segmentation: mask.toRle(),
    })),
  }));
  return new Blob([...lines, ...frames].map((line) => `${JSON.stringify(line)}\n`), { type: 'application/json' });
}

/** @param {string} text @param {{ width: number, height: number, length: number }} clip that it shall fit @returns {Saved} */
export function parseSaved(text, { width, height, length }) {
  /** @type {SavedFrame[]} */
  const frames = [];
  /** @type {Map<number, Set<number>>} */
  const prompted = new Map();
  for (const [at, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    const wrong = (/** @type {string} */ reason) => new Sam2Error('bad_prompt', `Line ${at + 1} of the file ${reason}.`, 'Choose a file that was saved here, or by `sam2 track --json`.');
    /** @type {any} */
    let json;
    try {
      json = JSON.parse(line);
    } catch {
      throw wrong('is not JSON');
    }
    if (json?.schema !== 1 || !Array.isArray(json.objects)) throw wrong('is not of a tracked clip');
    if (json.objects.some((/** @type {unknown} */ each) => typeof each !== 'object' || each === null)) throw wrong('has an object without a number');
    if (json.frame === undefined) {
      for (const { object, prompted: on } of json.objects) if (Array.isArray(on)) prompted.set(object, new Set(on));
      continue;
    }
    if (!Number.isSafeInteger(json.frame) || json.frame < 0 || json.frame >= length) throw wrong(`is of frame ${json.frame}, and this clip has ${length}`);
    for (const { object, segmentation } of json.objects) {
      if (!Number.isSafeInteger(object) || object < 0) throw wrong('has an object without a number');
      const { size, counts } = segmentation ?? {};
      if (size?.[0] !== height || size?.[1] !== width) throw wrong(`has masks of ${size?.[1]} × ${size?.[0]} pixels, and this clip ${width} × ${height}`);
      if (typeof counts !== 'string') throw wrong('has a mask that is not run-length coded');
    }
    frames.push({ frame: json.frame, objects: json.objects });
  }
  if (frames.length === 0) throw new Sam2Error('bad_prompt', 'The file holds no masks.', 'Choose one that was saved here, or by `sam2 track --json`.');
  // `sam2 track` does not say where it was prompted: the first frame on which an object is seen stands for it.
  for (const { frame, objects } of frames.toSorted((a, b) => a.frame - b.frame)) {
    for (const { object, visible } of objects) if (visible && !prompted.has(object)) prompted.set(object, new Set([frame]));
  }
  return { frames, prompted, width, height };
}
