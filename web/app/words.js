/** Numbers and stages in words. */

const UNITS = ['B', 'kB', 'MB', 'GB'];

/** @param {number} bytes */
export function bytesInWords(bytes) {
  let [value, unit] = [bytes, 0];
  // By what is written, not by what is: 999.6 kB are 1.0 MB.
  while (Math.round(value) >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value >= 99.95 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

/** @param {number} count */
export function countInWords(count) {
  if (count >= 999_500) return `${(count / 1e6).toFixed(1)} M`;
  return count >= 1e4 ? `${Math.round(count / 1e3)} k` : String(count);
}

/** @param {number} ms */
export function durationInWords(ms) {
  if (ms >= 9_950) return `${Math.round(ms / 1000)} s`;
  if (ms >= 999.5) return `${(ms / 1000).toFixed(1)} s`;
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
  if (text === '') return '';
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?…]$/.test(text) ? '' : '.'}`;
}

/**
 * What the engine warns of, for people: its log is for programs.
 * @param {string} text
 * @returns {string} empty where something else says it better
 */
export function warningInWords(text) {
  if (text.includes('mask_fault')) {
    // One that nothing cured is an error, with words and a way on.
    return text.includes('given up') ? '' : 'A damaged answer was noticed and computed again; what you see is sound.';
  }
  if (text.startsWith('the engine failed: ')) return ''; // it is started again, which is told
  if (text.startsWith('moving to the CPU')) return 'The graphics device stopped answering rightly; the page goes on with the CPU.';
  return sentence(text.replace(/^[a-z]+_[a-z_]+: /, ''));
}

/**
 * How far a GPU's answers with this model were checked, for people.
 * @param {import('../sam2/index.d.ts').DeviceInfo} device
 * @returns {string} empty where there is nothing to check: the CPU is what a GPU is held against
 */
export function trustInWords({ device, trust }) {
  if (device !== 'webgpu' || typeof trust !== 'string' || trust === '') return '';
  if (trust.includes('reproduced')) return 'gave the answers that the model file brings';
  if (trust.includes('self-test')) return 'self-test only: the model file brings no answers to compare';
  return oneLine(trust);
}

/** A cause with its causes below it, in brackets, as the engine keeps it: the first says enough. @param {string} text */
export function oneLine(text) {
  return text.replace(/\s*\n[\s\S]*?(?=\)|$)/, '');
}
