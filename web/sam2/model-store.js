/**
 * Model files kept in the browser's private file system (OPFS), so that a second visit downloads
 * nothing. A file's name is the full SHA-256 of its content, and the content is checked against it
 * on every read: a half-written or damaged file is never taken for a model. Of a file whose sum is not
 * known, what has arrived is kept under its address, with the version that it is of.
 */
import { sha256 } from './sha256.js';

const FOLDER = 'sam2-models';
/** Remembers the sum of files whose address came without one, and the version of their beginnings. */
const INDEX = 'urls.json';

/** @typedef {(level: string, text: string) => void} Log */
/** @typedef {import('./download.js').PartFile} PartFile */
/** @typedef {{ sha256: string, bytes: number, version: string }} IndexEntry */

export class ModelStore {
  /** @type {FileSystemDirectoryHandle} */
  #folder;
  /** @type {Log} */
  #log;
  /** What was said: several files meet the same full disk. @type {Set<string>} */
  #said = new Set();

  /** @param {FileSystemDirectoryHandle} folder @param {Log} log */
  constructor(folder, log) {
    this.#folder = folder;
    this.#log = (level, text) => {
      if (!this.#said.has(text)) log(level, text);
      this.#said.add(text);
    };
  }

  /**
   * @param {Log} log
   * @returns {Promise<ModelStore | null>} null where the browser gives no such storage
   */
  static async open(log) {
    try {
      const root = await navigator.storage.getDirectory();
      return new ModelStore(await root.getDirectoryHandle(FOLDER, { create: true }), log);
    } catch (error) {
      warn(log, error);
      return null;
    }
  }

  /** @param {string} name @returns {Promise<Uint8Array<ArrayBuffer> | null>} */
  async read(name) {
    try {
      const file = await (await this.#folder.getFileHandle(name)).getFile();
      return file.size > 0 ? new Uint8Array(await file.arrayBuffer()) : null;
    } catch {
      return null; // not there, or held by another tab: both mean that it has to be fetched
    }
  }

  /** @param {string} name @returns {Promise<boolean>} whether it is gone */
  async remove(name) {
    return this.#folder.removeEntry(name).then(() => true, () => false);
  }

  /**
   * A file to which a download is appended. Full or refused storage only stops the keeping: the
   * download goes on in memory.
   * @param {string} name
   * @returns {Promise<(PartFile & { size: () => number, close: () => void }) | null>}
   */
  async part(name) {
    /** @type {FileSystemSyncAccessHandle} */
    let handle;
    try {
      handle = await (await this.#folder.getFileHandle(name, { create: true })).createSyncAccessHandle();
    } catch (error) {
      warn(this.#log, error);
      return null;
    }
    let size = handle.getSize();
    let usable = true;
    const giveUp = (/** @type {unknown} */ error) => {
      usable = false;
      size = 0;
      warn(this.#log, error);
      try {
        handle.truncate(0);
      } catch { /* the file is removed or checked on the next read */ }
    };
    return {
      size: () => size,
      read: () => {
        const bytes = new Uint8Array(size);
        const got = handle.read(bytes, { at: 0 });
        return bytes.subarray(0, got);
      },
      append: (bytes) => {
        if (!usable) return;
        try {
          const written = handle.write(bytes, { at: size });
          if (written < bytes.length) throw new DOMException('The disk took only a part.', 'QuotaExceededError');
          size += written;
        } catch (error) {
          giveUp(error);
        }
      },
      clear: () => {
        size = 0;
        try {
          handle.truncate(0);
        } catch (error) {
          giveUp(error);
        }
      },
      close: () => {
        try {
          handle.flush();
        } catch (error) {
          warn(this.#log, error);
        }
        handle.close();
      },
    };
  }

  /** @param {string} name @param {Uint8Array<ArrayBuffer>} bytes @returns {Promise<void>} */
  async write(name, bytes) {
    const part = await this.part(name);
    if (part === null) return;
    part.clear();
    part.append(bytes);
    part.close();
  }

  /**
   * As `part`, for a file whose sum is not known: what is kept of another version is thrown away.
   * @param {string} url @param {string} version
   */
  async partOf(url, version) {
    const part = await this.part(await partName(url));
    if (part === null || (await this.#index())[`part ${url}`]?.version === version) return part;
    part.clear(); // first: a beginning without its version is worth nothing, one with another's would be wrong
    await this.#record(`part ${url}`, { sha256: '', bytes: 0, version });
    return part;
  }

  /** The part is the whole file: it takes its name, where the browser can rename. @param {string} url @param {string} sum @returns {Promise<boolean>} */
  async promote(url, sum) {
    try {
      const file = /** @type {{ move?: (name: string) => Promise<void> }} */ (/** @type {unknown} */ (await this.#folder.getFileHandle(await partName(url))));
      if (file.move === undefined) return false;
      await this.remove(sum);
      await file.move(sum);
      return true;
    } catch {
      return false;
    }
  }

  /** @param {string} url */
  async removePart(url) {
    await this.remove(await partName(url));
  }

  /** @param {string} url @returns {Promise<IndexEntry | null>} */
  async lookUp(url) {
    const entry = (await this.#index())[url];
    return entry !== undefined && /^[0-9a-f]{64}$/.test(entry.sha256) ? entry : null;
  }

  /** @param {string} url @param {IndexEntry} entry @returns {Promise<void>} */
  async remember(url, entry) {
    await this.#record(url, entry);
  }

  /** @param {string} key @param {IndexEntry} entry */
  async #record(key, entry) {
    const index = await this.#index();
    index[key] = entry;
    await this.write(INDEX, new TextEncoder().encode(JSON.stringify(index)));
  }

  /** @returns {Promise<Record<string, IndexEntry>>} */
  async #index() {
    const bytes = await this.read(INDEX);
    if (bytes === null) return {};
    try {
      return JSON.parse(new TextDecoder().decode(bytes));
    } catch {
      return {}; // written by a tab that was closed meanwhile; only costs a download
    }
  }
}

/** @param {string} url */
async function partName(url) {
  return `part-${await sha256(new TextEncoder().encode(url))}`;
}

/** @param {Log} log @param {unknown} error */
function warn(log, error) {
  const name = error instanceof Error ? error.name : '';
  if (name === 'NoModificationAllowedError') {
    log('info', 'Another tab is storing this model; this one keeps it in memory.');
    return;
  }
  const why = name === 'QuotaExceededError' ? 'its storage is full' : 'it gives this page no storage';
  log('warn', `storage_full: the browser cannot keep the model (${why}), so the next visit downloads it again.`);
}
