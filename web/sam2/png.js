/**
 * A small PNG writer. Masks do not pass through a canvas: a canvas has size limits, rounds colours
 * under alpha, and some privacy settings add noise to what is read back from it.
 */

const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k += 1) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c >>> 0;
});

/** @param {Uint8Array} bytes @param {number} crc */
function crcUpdate(bytes, crc) {
  for (let i = 0; i < bytes.length; i += 1) crc = CRC_TABLE[(crc ^ bytes[i]) & 0xff] ^ (crc >>> 8);
  return crc >>> 0;
}

/** @param {string} type @param {Uint8Array} data @returns {Uint8Array<ArrayBuffer>} */
function chunk(type, data) {
  const out = new Uint8Array(12 + data.length);
  const view = new DataView(out.buffer);
  view.setUint32(0, data.length);
  for (let i = 0; i < 4; i += 1) out[4 + i] = type.charCodeAt(i);
  out.set(data, 8);
  view.setUint32(8 + data.length, (crcUpdate(out.subarray(4, 8 + data.length), 0xffffffff) ^ 0xffffffff) >>> 0);
  return out;
}

/** @param {Uint8Array<ArrayBuffer>} bytes @returns {Promise<Uint8Array>} */
async function deflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream('deflate'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/**
 * An 8-bit greyscale PNG: 255 inside the mask, 0 outside.
 * @param {Uint8Array} mask [H, W], row by row, 0 or not 0
 * @param {number} width
 * @param {number} height
 * @returns {Promise<Blob>}
 */
export async function pngFromMask(mask, width, height) {
  const rows = new Uint8Array((width + 1) * height);
  for (let y = 0; y < height; y += 1) {
    const to = y * (width + 1) + 1; // each row starts with its filter byte, 0
    for (let x = 0; x < width; x += 1) rows[to + x] = mask[y * width + x] === 0 ? 0 : 255;
  }
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header[8] = 8; // bits per sample; the zeros after it: grey, deflate, no filter type, not interlaced
  const parts = [SIGNATURE, chunk('IHDR', header), chunk('IDAT', await deflate(rows)), chunk('IEND', new Uint8Array(0))];
  return new Blob(parts, { type: 'image/png' });
}
