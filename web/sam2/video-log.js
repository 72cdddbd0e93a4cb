/** What was asked of a video, in order: enough to bring a new engine to the same state. */

/** @typedef {import('./protocol.js').WireVideoPrompt} WireVideoPrompt */
/** @typedef {import('./protocol.js').WireMaskPrompt} WireMaskPrompt */
/** @typedef {import('./protocol.js').WirePass} WirePass */

/** @typedef {{ kind: 'prompt', prompt: WireVideoPrompt } | { kind: 'mask', prompt: WireMaskPrompt }} PromptEntry */
/** @typedef {PromptEntry | { kind: 'remove', object: number } | { kind: 'clear', frame: number, object: number } | { kind: 'pass', pass: WirePass }} Entry */

export class VideoLog {
  /** Steps of a pass are counted, not listed. @type {(Entry | { kind: 'steps', count: number })[]} */
  #entries = [];

  /** @param {Entry} entry */
  push(entry) {
    this.#entries.push(entry);
  }

  /** One more frame of the pass. */
  step() {
    const last = this.#entries.at(-1);
    if (last?.kind === 'steps') last.count += 1;
    else this.#entries.push({ kind: 'steps', count: 1 });
  }

  clear() {
    this.#entries = [];
  }

  /** Another model tracks anew: only what was said by the person stays. */
  forgetPasses() {
    this.#entries = this.#entries.filter(({ kind }) => kind !== 'pass' && kind !== 'steps');
  }

  get length() {
    return this.#entries.reduce((sum, entry) => sum + (entry.kind === 'steps' ? entry.count : 1), 0);
  }

  /** @returns {Generator<Entry | { kind: 'step' }, void, void>} */
  *entries() {
    for (const entry of this.#entries) {
      if (entry.kind !== 'steps') yield entry;
      else for (let i = 0; i < entry.count; i += 1) yield /** @type {const} */ ({ kind: 'step' });
    }
  }
}
