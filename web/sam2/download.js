/**
 * Fetches a model file: with progress, in pieces that survive a cut connection, and never believed
 * before its size and SHA-256 are right.
 */
import { Sam2Error } from './errors.js';

/** The engine's memory ends at 4 GiB, and the file and the parameters have to fit in it. */
const LARGEST_MODEL_BYTES = 3.5 * 2 ** 30;
/** A connection that is cut is tried again this often without one new byte. */
const ATTEMPTS = 4;
/** Answers that another try may turn into a good one. */
const PASSING_STATUS = new Set([408, 425, 429, 500, 502, 503, 504]);

/** @typedef {{ stage: string, done: number, total: number }} Progress */

/**
 * @typedef {object} PartFile the beginning of a file kept from an earlier try
 * @property {() => Uint8Array<ArrayBuffer>} read
 * @property {(bytes: Uint8Array<ArrayBuffer>) => void} append throws when the disk is full
 * @property {() => void} clear
 * @property {() => number} [size] bytes that are kept
 */

/** What a server said of a file when it was asked: its version (an ETag or a date) and its length. @typedef {{ version: string, bytes: number }} Version */

/** Bytes that grow; one allocation when the size is known. */
class Growing {
  /** @param {number} expected */
  constructor(expected) {
    this.length = 0;
    this.buffer = allocate(expected > 0 ? expected : 1 << 20);
  }

  /** @param {Uint8Array} chunk */
  push(chunk) {
    const need = this.length + chunk.length;
    if (need > this.buffer.length) {
      const larger = allocate(Math.max(need, this.buffer.length * 2));
      larger.set(this.buffer.subarray(0, this.length));
      this.buffer = larger;
    }
    this.buffer.set(chunk, this.length);
    this.length = need;
  }

  /** @returns {Uint8Array<ArrayBuffer>} */
  bytes() {
    return this.buffer.subarray(0, this.length);
  }
}

/** @param {number} bytes @returns {Uint8Array<ArrayBuffer>} */
function allocate(bytes) {
  const refuse = () => new Sam2Error('out_of_memory',
    `The model needs ${Math.ceil(bytes / 2 ** 20)} MiB, more than this browser gives.`, 'Choose a smaller model.');
  if (bytes > LARGEST_MODEL_BYTES) throw refuse();
  try {
    return new Uint8Array(bytes);
  } catch {
    throw refuse();
  }
}

/** @param {number} ms @param {AbortSignal} signal @returns {Promise<void>} */
function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop);
      resolve();
    }, ms);
    signal.addEventListener('abort', stop, { once: true });
  });
}

/**
 * What the answer says of the file.
 * @param {Response} response to a request for all of it
 * @returns {Version}
 */
export function versionOf(response) {
  return { version: response.headers.get('etag') ?? response.headers.get('last-modified') ?? '', bytes: wholeLength(response, 0) };
}

/**
 * How many bytes the whole file has by this answer; 0 when it does not say. `content-length` counts
 * compressed bytes when the answer is compressed, and is then of no use.
 * @param {Response} response @param {number} from
 */
function wholeLength(response, from) {
  const encoding = response.headers.get('content-encoding');
  if (encoding !== null && encoding !== 'identity') return 0;
  const length = Number(response.headers.get('content-length') ?? 0);
  return Number.isSafeInteger(length) && length > 0 ? from + length : 0;
}

/**
 * @param {object} model
 * @param {string} model.url
 * @param {string} model.name
 * @param {number} [model.bytes] the size that the manifest gives
 * @param {object} options
 * @param {AbortSignal} options.signal
 * @param {(progress: Progress) => void} options.onProgress
 * @param {PartFile | null} [options.part]
 * @param {Version | null} [options.known] of which version `part` is, where nothing else tells whether it is right
 * @param {typeof fetch} [options.fetch]
 * @param {number} [options.backoffMs]
 * @returns {Promise<Uint8Array<ArrayBuffer>>}
 */
export async function download(model, options) {
  const { signal, onProgress, known = null, backoffMs = 500 } = options;
  let { part = null } = options;
  const get = options.fetch ?? globalThis.fetch;
  const bytes = new Growing(model.bytes ?? 0);
  if (part !== null) bytes.push(part.read());
  let total = model.bytes ?? 0;
  let version = known?.version ?? '';
  let failures = 0;

  const restart = () => {
    bytes.length = 0;
    part?.clear();
  };
  /** @param {string} why */
  const tryAgain = async (why) => {
    failures += 1;
    if (failures >= ATTEMPTS) {
      const kept = part !== null && (part.size?.() ?? bytes.length) > 0;
      throw new Sam2Error('bad_model', `The model ${model.name} could not be fetched: ${why}.`,
        `Check the connection and try again${kept ? ': what has arrived is kept' : ''}. Or fetch the file yourself and open it.`);
    }
    await pause(backoffMs * 2 ** (failures - 1), signal);
  };

  for (;;) {
    signal.throwIfAborted();
    if (total > 0 && bytes.length === total) return bytes.bytes();
    /** @type {Response} */
    let response;
    try {
      const from = bytes.length;
      response = await get(model.url, { signal, headers: from > 0 ? { Range: `bytes=${from}-` } : {} });
    } catch (error) {
      signal.throwIfAborted();
      await tryAgain(`${new URL(model.url).host} does not answer, or not to other pages (${error instanceof Error ? error.message : error})`);
      continue;
    }
    if (response.status === 416 && bytes.length > 0) {
      restart(); // what is kept is as long as the file, or longer, and still not the file
      await tryAgain('the server has no such part of the file');
      continue;
    }
    if (PASSING_STATUS.has(response.status)) {
      await tryAgain(`${new URL(model.url).host} answered ${response.status}`);
      continue;
    }
    refuseWrongAnswer(model, response);

    const now = versionOf(response).version;
    const resumed = response.status === 206 && goesOn(response, bytes.length, total || (known?.bytes ?? 0));
    const changed = version !== '' && now !== version;
    if (bytes.length > 0 && (!resumed || changed)) {
      restart();
      if (changed && known !== null) part = null; // its version is another one now
      if (response.status === 206) {
        version = '';
        await response.body?.cancel();
        await tryAgain('the file changed while it was being fetched');
        continue;
      }
    }
    version = now;
    const announced = wholeLength(response, bytes.length);
    if (model.bytes !== undefined && announced > 0 && announced !== model.bytes) {
      throw new Sam2Error('checksum', `The model ${model.name} has ${announced} bytes, and should have ${model.bytes}.`,
        'The file at this address is another one; choose another model or a file of your own.');
    }
    total = announced || total;
    if (announced > bytes.buffer.length) allocate(announced); // refuse a size that cannot fit at once
    const cut = await readBody(response, bytes, part, (done) => {
      failures = 0;
      onProgress({ stage: 'download', done, total });
    });
    signal.throwIfAborted();
    if (cut === null && (total === 0 || bytes.length === total)) return bytes.bytes();
    if (bytes.length > total && total > 0) restart();
    await tryAgain(cut ?? 'the connection ended early');
  }
}

/** @param {{ name: string, url: string }} model @param {Response} response */
function refuseWrongAnswer(model, response) {
  const host = new URL(model.url).host;
  if (!response.ok) {
    throw new Sam2Error('bad_model', `${host} answered ${response.status} for the model ${model.name}.`,
      response.status === 404 ? 'The file is not there; check the address.' : 'Try again later, or open a file of your own.');
  }
  if (/^text\/html\b/i.test(response.headers.get('content-type') ?? '')) {
    throw new Sam2Error('bad_model', `${host} sent a web page, not a model file.`,
      'Open the address in a tab: it may ask you to sign in or to accept terms.');
  }
}

/**
 * Whether a partial answer begins at `from`. Another host may keep Content-Range from the page: then the rest
 * has to have the right length.
 * @param {Response} response @param {number} from @param {number} total 0 where it is not known
 */
function goesOn(response, from, total) {
  const range = response.headers.get('content-range');
  if (range !== null) return Number(/^bytes (\d+)-/.exec(range)?.[1] ?? -1) === from;
  return total > from && wholeLength(response, from) === total;
}

/**
 * @param {Response} response
 * @param {Growing} bytes
 * @param {PartFile | null} part
 * @param {(done: number) => void} onBytes
 * @returns {Promise<string | null>} why it ended early, or null at the end of the body
 */
async function readBody(response, bytes, part, onBytes) {
  const reader = response.body?.getReader();
  if (reader === undefined) return 'the answer was empty';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return null;
      bytes.push(value);
      part?.append(/** @type {Uint8Array<ArrayBuffer>} */ (value));
      onBytes(bytes.length);
    }
  } catch (error) {
    if (error instanceof Sam2Error) throw error;
    return error instanceof Error ? error.message : String(error);
  } finally {
    reader.releaseLock();
  }
}
