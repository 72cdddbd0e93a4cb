/** What the server tells the page: the list of models and, where it is `sam2 serve`, its owner's settings. */
import { Sam2Error } from '../sam2/errors.js';

/** @typedef {import('./clip/clip.js').VideoLimits} VideoLimits */

/**
 * `sam2 serve` marks its list of models with this header, in every surrounding. Others have no /config.json,
 * and asking them for one would leave an error in the console, or bring their start page.
 */
const MARK = 'x-sam2-server';

/** @param {URL} address of the list @returns {Promise<{ list: unknown, settings: Record<string, unknown> | null }>} */
export async function readList(address) {
  const response = await fetch(address, { cache: 'no-cache' });
  const hint = 'Open a model file from the Model menu.';
  if (!response.ok) throw new Sam2Error('bad_model', `The list of models is not there: the server answered ${response.status}.`, hint);
  const settings = response.headers.get(MARK) === '1' ? await readSettings(new URL('../config.json', address)) : null;
  try {
    return { list: await response.json(), settings };
  } catch (error) {
    throw new Sam2Error('bad_model', 'The list of models cannot be read: the server sent something else.', hint, { cause: error });
  }
}

/** Never an error: the page starts without settings as well. @param {URL} address @returns {Promise<Record<string, unknown> | null>} */
async function readSettings(address) {
  try {
    const response = await fetch(address, { cache: 'no-cache' });
    if (!response.ok || !/^application\/json\b/i.test(response.headers.get('content-type') ?? '')) return null;
    const settings = await response.json();
    return settings?.schema === 1 ? settings : null;
  } catch {
    return null;
  }
}

/** @param {Record<string, unknown> | null} settings @returns {VideoLimits} */
export function limitsOf(settings) {
  const count = (/** @type {unknown} */ value) => (Number.isSafeInteger(value) && /** @type {number} */ (value) >= 0 ? /** @type {number} */ (value) : undefined);
  const [maxFrames, maxFrameDimension] = [count(settings?.max_video_frames), count(settings?.max_frame_dimension)];
  return { ...(maxFrames === undefined ? {} : { maxFrames }), ...(maxFrameDimension === undefined ? {} : { maxFrameDimension }) };
}

/** A small file beside the models. @param {string} address @returns {Promise<string>} */
export async function textAt(address) {
  const response = await fetch(address);
  if (!response.ok) {
    throw new Sam2Error('bad_model', `The model's configuration is not there: the server answered ${response.status}.`, 'Choose another model.');
  }
  return response.text();
}
