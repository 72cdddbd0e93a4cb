/** Numbers and stages in words. */

const UNITS = ['B', 'kB', 'MB', 'GB'];

/** @param {number} bytes */
export function bytesInWords(bytes) {
  const power = Math.min(UNITS.length - 1, bytes < 1000 ? 0 : Math.floor(Math.log10(bytes) / 3));
  const value = bytes / 1000 ** power;
  return `${value >= 100 || power === 0 ? Math.round(value) : value.toFixed(1)} ${UNITS[power]}`;
}

/** @param {number} count */
export function countInWords(count) {
  if (count >= 1e6) return `${(count / 1e6).toFixed(1)} M`;
  return count >= 1e4 ? `${Math.round(count / 1e3)} k` : String(count);
}

/** @param {number} ms */
export function durationInWords(ms) {
  if (ms >= 10_000) return `${Math.round(ms / 1000)} s`;
  if (ms >= 1000) return `${(ms / 1000).toFixed(1)} s`;
  return `${Math.round(ms)} ms`;
}

/** @type {Record<string, string>} */
const STAGES = {
  engine: 'Fetching the engine',
  download: 'Fetching the model',
  verify: 'Checking the model',
  checking: 'Checking the model',
  loading: 'Loading the model',
  'warming up': 'Warming up',
  reading: 'Reading the picture',
  encoding: 'Looking at the picture',
  tracking: 'Tracking',
  saving: 'Saving',
  restoring: 'Tracking again what was tracked',
};

/** @param {import('../sam2/index.d.ts').Progress} progress */
export function progressInWords({ stage, done, total }) {
  const what = STAGES[stage] ?? `${stage.charAt(0).toUpperCase()}${stage.slice(1)}`;
  if (stage === 'engine' || stage === 'download') {
    return total > 0 ? `${what}, ${bytesInWords(done)} of ${bytesInWords(total)}` : `${what}, ${bytesInWords(done)}`;
  }
  return total > 1 && done > 0 ? `${what}, ${Math.round((100 * done) / total)} %` : `${what}…`;
}

/** The engine writes for a terminal: no capital, no full stop. @param {string} text */
export function sentence(text) {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?…]$/.test(text) ? '' : '.'}`;
}
