/** A ZIP file of files that are compressed already (PNG): they are stored as they are. */

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k += 1) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c >>> 0;
});

/** @param {Uint8Array} bytes */
export function crc32(bytes) {
  let crc = 0xffffffff;
  for (let i = 0; i < bytes.length; i += 1) crc = CRC_TABLE[(crc ^ bytes[i]) & 0xff] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** 1980-01-01, the first day of the format: what a file says of its making is not ours to tell. */
const DATE = 0x21;
/** Names are UTF-8. */
const FLAGS = 0x0800;
/** Without ZIP64 neither may be larger. */
const MOST_FILES = 0xffff;
const MOST_BYTES = 0xffffffff;

export class Zip {
  /** @type {BlobPart[]} */
  #parts = [];
  /** @type {Uint8Array<ArrayBuffer>[]} */
  #directory = [];
  #size = 0;

  /** @param {string} name with slashes @param {Blob} blob */
  async add(name, blob) {
    const bytes = new Uint8Array(await blob.arrayBuffer());
    const title = new TextEncoder().encode(name);
    if (this.#directory.length >= MOST_FILES || this.#size + bytes.length + title.length + 128 > MOST_BYTES) {
      throw new Error('A ZIP file holds at most 65,535 files and 4 GB.');
    }
    const crc = crc32(bytes);
    const local = record(0x04034b50, 30, (view) => {
      common(view, 4, crc, bytes.length, title.length);
    });
    const entry = record(0x02014b50, 46, (view) => {
      view.setUint16(4, 20, true);
      common(view, 6, crc, bytes.length, title.length);
      view.setUint32(42, this.#size, true);
    });
    this.#parts.push(local, title, blob);
    this.#directory.push(entry, title);
    this.#size += local.length + title.length + bytes.length;
  }

  /** @returns {Blob} */
  finish() {
    const length = this.#directory.reduce((sum, part) => sum + part.length, 0);
    const files = this.#directory.length / 2;
    const end = record(0x06054b50, 22, (view) => {
      view.setUint16(8, files, true);
      view.setUint16(10, files, true);
      view.setUint32(12, length, true);
      view.setUint32(16, this.#size, true);
    });
    return new Blob([...this.#parts, ...this.#directory, end], { type: 'application/zip' });
  }
}

/** @param {number} signature @param {number} length @param {(view: DataView) => void} fill @returns {Uint8Array<ArrayBuffer>} */
function record(signature, length, fill) {
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, signature, true);
  fill(view);
  return bytes;
}

/** The fields that both headers have, from `at` on. @param {DataView} view @param {number} at @param {number} crc @param {number} size @param {number} title */
function common(view, at, crc, size, title) {
  view.setUint16(at, 20, true);
  view.setUint16(at + 2, FLAGS, true);
  view.setUint16(at + 8, DATE, true);
  view.setUint32(at + 10, crc, true);
  view.setUint32(at + 14, size, true);
  view.setUint32(at + 18, size, true);
  view.setUint16(at + 22, title, true);
}
