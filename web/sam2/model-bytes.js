/** From "which model" to its bytes: out of a file, the cache, or the network. Runs in the worker. */
import { download, versionOf } from './download.js';
import { Sam2Error } from './errors.js';
import { ModelStore } from './model-store.js';
import { sha256 } from './sha256.js';

/** @typedef {import('./protocol.js').ModelRequest} ModelRequest */
/** @typedef {import('./download.js').Progress} Progress */

/**
 * @typedef {object} FetchOptions
 * @property {AbortSignal} signal
 * @property {(progress: Progress) => void} onProgress
 * @property {(level: string, text: string) => void} log
 * @property {boolean} cache
 */

/**
 * @param {ModelRequest} model
 * @param {FetchOptions} options
 * @returns {Promise<Uint8Array<ArrayBuffer>>}
 */
export async function modelBytes(model, options) {
  if (model.blob !== undefined) {
    const bytes = new Uint8Array(await model.blob.arrayBuffer());
    if (model.sha256 !== undefined) await check(model.name, bytes, model.sha256);
    return bytes;
  }
  const { url } = model;
  if (url === undefined) throw new Sam2Error('bad_model', `The model ${model.name} has no address and no file.`);
  const store = options.cache ? await ModelStore.open(options.log) : null;
  return model.sha256 === undefined
    ? fetchUnknown({ ...model, url }, store, options)
    : fetchKnown({ ...model, url, sha256: model.sha256.toLowerCase() }, store, options);
}

/** @param {string} name @param {Uint8Array<ArrayBuffer>} bytes @param {string} expected */
async function check(name, bytes, expected) {
  const found = await sha256(bytes);
  if (found === expected.toLowerCase()) return;
  throw new Sam2Error('checksum',
    `The model ${name} is damaged or another file: its SHA-256 is ${found.slice(0, 12)}…, not ${expected.slice(0, 12)}….`,
    'Try again; if it stays so, the file at this address has changed.');
}

/**
 * A file whose sum is known beforehand: the sum is its name in the cache.
 * @param {ModelRequest & { url: string, sha256: string }} model
 * @param {ModelStore | null} store
 * @param {FetchOptions} options
 */
async function fetchKnown(model, store, options) {
  const cached = await store?.read(model.sha256);
  if (cached != null && (model.bytes === undefined || cached.length === model.bytes)) {
    options.onProgress({ stage: 'verify', done: 0, total: cached.length });
    if (await sha256(cached) === model.sha256) return cached;
    // With a known size a full file that is wrong is damaged; without one it may be a beginning.
    if (model.bytes !== undefined) await store?.remove(model.sha256);
  }
  for (;;) {
    const part = (await store?.part(model.sha256)) ?? null;
    // Of whatever was there before, only the sum of the whole can say whether it is right.
    const kept = part?.size() ?? 0;
    let bytes;
    try {
      bytes = await download(model, { ...options, part });
    } finally {
      part?.close();
    }
    options.onProgress({ stage: 'verify', done: 0, total: bytes.length });
    try {
      await check(model.name, bytes, model.sha256);
      return bytes;
    } catch (error) {
      const removed = await store?.remove(model.sha256);
      if (kept === 0) throw error;
      options.log('info', 'What was kept of the model was damaged: all of it is fetched again.');
      if (removed !== true) store = null; // never a second time
    }
  }
}

/**
 * A file somebody named by address only. The cache is used while the server says it is unchanged,
 * or cannot be asked; a beginning, while it is of the version that the server has.
 * @param {ModelRequest & { url: string }} model
 * @param {ModelStore | null} store
 * @param {FetchOptions} options
 */
async function fetchUnknown(model, store, options) {
  if (store === null) return download(model, options);
  const known = await store.lookUp(model.url);
  const current = await currentVersion(model.url, options.signal);
  if (known !== null && (current === null || (current.version === known.version && current.bytes === known.bytes))) {
    const cached = await store.read(known.sha256);
    if (cached !== null && await sha256(cached) === known.sha256) return cached;
  }
  // Without a version nothing would tell whether two parts are of one file.
  const version = current !== null && current.version !== '' && current.bytes > 0 ? current : null;
  const part = version === null ? null : await store.partOf(model.url, version.version);
  let bytes;
  let kept = 0;
  try {
    // A tab that was closed at the right moment left all of it.
    bytes = part !== null && part.size() === version?.bytes ? part.read() : await download(model, { ...options, part, known: version });
  } finally {
    kept = part?.size() ?? 0;
    part?.close();
  }
  const sum = await sha256(bytes);
  const after = await currentVersion(model.url, options.signal);
  const sure = after !== null && after.bytes === bytes.length && (current === null || after.version === current.version);
  if (sure && (part === null || kept === bytes.length)) {
    if (part === null || !await store.promote(model.url, sum)) await store.write(sum, bytes);
    await store.remember(model.url, { sha256: sum, ...after });
  }
  if (part !== null) await store.removePart(model.url);
  return bytes;
}

/**
 * Forgets what is kept of a model whose bytes the engine found damaged, and which no sum was held against: the
 * next try fetches all of it.
 * @param {ModelRequest} model
 * @param {boolean} cache
 */
export async function forgetBytes({ url, sha256: sum }, cache) {
  if (url === undefined || sum !== undefined || !cache) return;
  const store = await ModelStore.open(() => undefined);
  const known = await store?.lookUp(url);
  if (known != null) await store?.remove(known.sha256);
}

/** @param {string} url @param {AbortSignal} signal @returns {Promise<import('./download.js').Version | null>} null where it cannot be asked */
async function currentVersion(url, signal) {
  try {
    const response = await fetch(url, { method: 'HEAD', signal });
    return response.ok ? versionOf(response) : null;
  } catch {
    signal.throwIfAborted();
    return null;
  }
}
