/** Boxes of MP4 and elements of WebM, for files made by hand. */

/** @typedef {string | Uint8Array | readonly number[] | readonly Content[]} Content */

/** @param {Content} content @returns {Buffer} */
const bytesOf = (content) => {
  if (typeof content === 'string') return Buffer.from(content);
  if (content instanceof Uint8Array) return Buffer.from(content);
  return Buffer.concat(content.map((each) => (typeof each === 'number' ? Buffer.of(each) : bytesOf(each))));
};

/** @param {number} value may be negative */
export function u32(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value | 0);
  return bytes;
}

/** @param {number} value */
export const u16 = (value) => Buffer.of(value >> 8, value & 255);

/** @param {string} type @param {Content} content */
export function box(type, content) {
  const inside = bytesOf(content);
  return Buffer.concat([u32(inside.length + 8), Buffer.from(type), inside]);
}

/** A box with version and flags. @param {string} type @param {Content} content @param {number} [flags] */
export const full = (type, content, flags = 0) => box(type, [u32(flags), bytesOf(content)]);

/** @param {number} id @param {Content} content @param {boolean} [unknown] of a size that is not said */
export function ebml(id, content, unknown = false) {
  const inside = bytesOf(content);
  const name = Buffer.from(id.toString(16).padStart(id > 0xffff ? (id > 0xffffff ? 8 : 6) : id > 0xff ? 4 : 2, '0'), 'hex');
  const size = Buffer.alloc(8, 0xff);
  if (!unknown) size.writeBigUInt64BE(BigInt(inside.length));
  size[0] = 0x01;
  return Buffer.concat([name, size, inside]);
}
