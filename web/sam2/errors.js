/**
 * The errors that leave this package: a `Sam2Error` with a stable code, or an `AbortError`.
 * The codes are the ones that the Rust crates, the command line and the server use.
 */

/** @typedef {import('./index.d.ts').Sam2ErrorCode} Sam2ErrorCode */

/** Every code, in the order of the table in ARCHITECTURE.md. @type {readonly Sam2ErrorCode[]} */
export const ERROR_CODES = Object.freeze([
  'bad_image', 'image_too_large', 'bad_prompt', 'bad_model', 'model_mismatch', 'checksum',
  'out_of_memory', 'no_webgpu', 'device_lost', 'mask_fault', 'cancelled', 'unsupported_video',
  'storage_full', 'port_taken', 'bad_setting',
]);

/** What was wrong (`message`), what to do (`hint`), and a `code` for programs. */
export class Sam2Error extends Error {
  /**
   * @param {Sam2ErrorCode} code
   * @param {string} message
   * @param {string} [hint]
   * @param {ErrorOptions} [options]
   */
  constructor(code, message, hint = '', options) {
    super(message, options);
    this.name = 'Sam2Error';
    /** @type {Sam2ErrorCode} */
    this.code = code;
    /** @type {string} */
    this.hint = hint;
  }
}

/** @param {unknown} code @returns {code is Sam2ErrorCode} */
export function isErrorCode(code) {
  return typeof code === 'string' && /** @type {readonly string[]} */ (ERROR_CODES).includes(code);
}

/**
 * The reason that a cancelled promise rejects with: the caller's own reason when it gave one.
 * @param {AbortSignal} [signal]
 * @returns {unknown}
 */
export function abortReason(signal) {
  return signal?.reason ?? new DOMException('The request was cancelled.', 'AbortError');
}

/** The code of a Sam2Error, or nothing. @param {unknown} error @returns {Sam2ErrorCode | undefined} */
export function codeOf(error) {
  return error instanceof Sam2Error ? error.code : undefined;
}

/** @param {unknown} error @returns {boolean} */
export function isAbort(error) {
  return error instanceof Error && error.name === 'AbortError';
}

/**
 * @typedef {object} PlainError an error in a form that crosses `postMessage`
 * @property {Sam2ErrorCode} code
 * @property {string} message
 * @property {string} hint
 * @property {boolean} [aborted] the request was cancelled, not failed
 * @property {boolean} [fatal] the wasm instance cannot be used any more
 */

/**
 * Turns whatever was thrown in the worker into a plain error.
 *
 * A trap of the wasm instance (`RuntimeError`: a panic, or memory that could not grow) leaves its
 * memory in an unknown state, so it is marked fatal and the client starts a new worker.
 * @param {unknown} thrown
 * @param {Sam2ErrorCode} [fallback] the code for an error that carries none
 * @returns {PlainError}
 */
export function plainError(thrown, fallback = 'bad_setting') {
  if (isAbort(thrown)) return { code: 'cancelled', message: 'The request was cancelled.', hint: '', aborted: true };
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  if (thrown instanceof WebAssembly.RuntimeError || thrown instanceof RangeError) {
    const memory = /memory|allocat|out of bounds|Array buffer|Invalid typed array length/i.test(message);
    return {
      code: memory ? 'out_of_memory' : 'device_lost',
      message: memory ? `The engine ran out of memory (${message}).` : `The engine stopped (${message}).`,
      hint: memory ? 'Choose a smaller model or a smaller picture.' : 'It is started again by itself; try once more.',
      fatal: thrown instanceof WebAssembly.RuntimeError,
    };
  }
  const { code, hint } = /** @type {{code?: unknown, hint?: unknown}} */ (thrown ?? {});
  return {
    code: isErrorCode(code) ? code : fallback,
    message,
    hint: typeof hint === 'string' ? hint : '',
  };
}

/** @param {PlainError} plain @returns {Error} */
export function errorFromPlain(plain) {
  if (plain.aborted) return new DOMException(plain.message, 'AbortError');
  return new Sam2Error(plain.code, plain.message, plain.hint);
}
