/**
 * Whether what came as a picture moves. Names and types do not tell: WebP and PNG have the same for both, and a messenger's "GIF"
 * is an MP4.
 */
import { FileBytes } from '../sam2/file-bytes.js';

/** What is read at once: the answer is mostly in the first hundred bytes. */
const WINDOW = 1 << 16;

/** @param {Blob} blob @returns {Promise<boolean>} false for what is of another format, or cut off before it says so */
export async function isAnimated(blob) {
  const bytes = new FileBytes(blob, undefined, WINDOW);
  const head = (await bytes.at(0, 21)).slice();
  const text = textOf(head);
  if (text.startsWith('RIFF') && text.slice(8, 16) === 'WEBPVP8X') return ((head[20] ?? 0) & 0x02) !== 0;
  if (text.startsWith('\x89PNG\r\n\x1a\n')) return hasFrames(bytes);
  if (text.startsWith('GIF8')) return hasTwoImages(bytes);
  return isVideo(text);
}

/** Still pictures in the container of MP4 (ISO/IEC 23008-12, AVIF): its brand tells. */
const PICTURE_BRANDS = ['avif', 'avis', 'heic', 'heix', 'heim', 'heis', 'hevc', 'hevx', 'mif1', 'mif2', 'msf1', 'miaf', 'jxl ', 'crx '];

/** MP4 and QuickTime, WebM and Matroska. @param {string} head */
function isVideo(head) {
  if (head.startsWith('\x1a\x45\xdf\xa3')) return true;
  return head.slice(4, 8) === 'ftyp' && !PICTURE_BRANDS.includes(head.slice(8, 12));
}

/** PNG: an `acTL` before the pixels, of more than one frame. @param {FileBytes} bytes */
async function hasFrames(bytes) {
  for (let at = 8; ;) {
    const chunk = await bytes.at(at, 12);
    if (chunk.length < 8) return false;
    const type = textOf(chunk.subarray(4, 8));
    if (type === 'acTL') return !(chunk.length === 12 && numberIn(chunk, 8) === 1);
    if (type === 'IDAT' || type === 'IEND') return false;
    at += 12 + numberIn(chunk, 0);
  }
}

/** GIF: there is no count in its head, so what lies before the second image is passed over. @param {FileBytes} bytes */
async function hasTwoImages(bytes) {
  const byte = async (/** @type {number} */ at) => (await bytes.at(at, 1))[0] ?? 0;
  const colors = (/** @type {number} */ flags) => ((flags & 0x80) === 0 ? 0 : 3 * 2 ** ((flags & 0x07) + 1));
  /** Behind the data that begin here, in blocks of at most 255 bytes. @param {number} at */
  const behind = async (at) => {
    for (let size = await byte(at); size > 0; size = await byte(at)) at += 1 + size;
    return at + 1;
  };
  let images = 0;
  for (let at = 13 + colors(await byte(10)); ;) {
    const kind = await byte(at);
    if (kind === 0x21) at = await behind(at + 2);
    else if (kind === 0x2c) {
      images += 1;
      if (images === 2) return true;
      at = await behind(at + 11 + colors(await byte(at + 9)));
    } else return false; // its end, or what is no GIF any more
  }
}

/** @param {Uint8Array} bytes */
const textOf = (bytes) => String.fromCharCode(...bytes);

/** @param {Uint8Array} bytes @param {number} at */
const numberIn = (bytes, at) => new DataView(bytes.buffer, bytes.byteOffset).getUint32(at);
