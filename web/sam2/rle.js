/**
 * COCO run-length encoding: runs counted down the columns, starting with background, written with
 * the variable-length characters of pycocotools (`maskApi.c`, `rleToString` and `rleFrString`).
 */

/**
 * @param {string} counts
 * @returns {number[]} lengths of runs, background first
 */
export function runsFromCounts(counts) {
  /** @type {number[]} */
  const runs = [];
  let at = 0;
  while (at < counts.length) {
    let value = 0;
    let shift = 0;
    let more = true;
    while (more) {
      const chunk = counts.charCodeAt(at) - 48;
      // Also false for NaN, which charCodeAt gives past the end of a cut string.
      if (!(chunk >= 0 && chunk < 64)) throw new RangeError('This is not a COCO run-length string.');
      at += 1;
      // Multiplication instead of a shift: a run in a large picture needs more than 31 bits of room.
      value += (chunk & 0x1f) * 2 ** shift;
      more = (chunk & 0x20) !== 0;
      shift += 5;
      if (!more && (chunk & 0x10) !== 0) value -= 2 ** shift;
    }
    // From the third run on, pycocotools stores the difference to the run before the last.
    if (runs.length > 2) value += runs[runs.length - 2];
    runs.push(value);
  }
  return runs;
}

/**
 * @param {number[]} runs lengths of runs, background first
 * @returns {string}
 */
export function countsFromRuns(runs) {
  let text = '';
  for (let i = 0; i < runs.length; i += 1) {
    let value = i > 2 ? runs[i] - runs[i - 2] : runs[i];
    let more = true;
    while (more) {
      let chunk = value & 0x1f;
      value >>= 5;
      more = (chunk & 0x10) !== 0 ? value !== -1 : value !== 0;
      if (more) chunk |= 0x20;
      text += String.fromCharCode(chunk + 48);
    }
  }
  return text;
}

/**
 * @param {string} counts
 * @param {number} height
 * @param {number} width
 * @returns {Uint8Array} [H, W], row by row, 0 or 1
 */
export function maskFromCounts(counts, height, width) {
  const mask = new Uint8Array(height * width);
  const total = height * width;
  let at = 0;
  let value = 0;
  for (const run of runsFromCounts(counts)) {
    const end = at + run;
    if (run < 0 || end > total) throw new RangeError('The run-length string does not fit the picture.');
    if (value === 1) {
      for (let i = at; i < end; ) {
        const x = Math.floor(i / height);
        const stop = Math.min(end, (x + 1) * height);
        for (let p = (i - x * height) * width + x; i < stop; i += 1, p += width) mask[p] = 1;
      }
    }
    at = end;
    value = 1 - value;
  }
  return mask;
}

/**
 * @param {Uint8Array} mask [H, W], row by row, 0 or not 0
 * @param {number} height
 * @param {number} width
 * @returns {string}
 */
export function countsFromMask(mask, height, width) {
  /** @type {number[]} */
  const runs = [];
  let value = 0;
  let run = 0;
  for (let x = 0; x < width; x += 1) {
    for (let y = 0; y < height; y += 1) {
      const here = mask[y * width + x] === 0 ? 0 : 1;
      if (here !== value) {
        runs.push(run);
        run = 0;
        value = here;
      }
      run += 1;
    }
  }
  runs.push(run);
  return countsFromRuns(runs);
}
