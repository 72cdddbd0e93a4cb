/** When frames are shown. Times are seconds from the first frame on, one for each frame and one for the end of the last. */

/** Rates that files have; one this near to one of them is it. */
const RATES = [24_000 / 1001, 24, 25, 30_000 / 1001, 30, 50, 60_000 / 1001, 60, 12, 15, 10, 20, 120];
const NEAR = 0.004;
/** Stamps of WebM are whole milliseconds. */
const ROUNDED = 0.0011;

/** @param {number} rate @returns {number} */
export function usualRate(rate) {
  const off = (/** @type {number} */ known) => Math.abs(known / rate - 1);
  const known = RATES.reduce((best, each) => (off(each) < off(best) ? each : best));
  return off(known) < NEAR ? known : rate;
}

/** @param {readonly number[]} shown seconds at which a frame comes on, in any order, some twice @param {number} end where it is known @returns {number[]} */
export function timesOf(shown, end) {
  const stamps = [...new Set(shown)].sort((a, b) => a - b);
  const [first, last] = [stamps[0], stamps[stamps.length - 1]];
  const gaps = stamps.slice(1).map((stamp, i) => stamp - stamps[i]).sort((a, b) => a - b);
  const usual = gaps.length === 0 ? 0 : gaps[gaps.length >> 1];
  return [...stamps, end > last ? end : last + usual].map((stamp) => stamp - first);
}

/** Whether all frames stay equally long, up to the rounding of their stamps; the last one may stay longer. @param {readonly number[]} times */
export function isEven(times) {
  const frames = times.length - 1;
  const step = frames < 2 ? 0 : times[frames - 1] / (frames - 1);
  return times.slice(0, frames).every((time, i) => Math.abs(time - i * step) < ROUNDED);
}

/** Frames per second: of even ones exactly, of others on the average. @param {readonly number[]} times @returns {number | null} */
export function rateOfTimes(times) {
  const frames = times.length - 1;
  if (frames < 2) return times[frames] > 0 ? 1 / times[frames] : null;
  // Not with the last one, which may stand for as long as the sound goes on.
  const rate = (frames - 1) / times[frames - 1];
  return isEven(times) ? usualRate(rate) : rate;
}
