/** Small pictures of several frames, made by hand: a light square on dark ground that goes right. */
import { deflateSync } from 'node:zlib';
import { crc32 } from '../clip/zip.js';

const u16 = (n) => Buffer.from([n >> 8, n & 255]);
const u32 = (n) => Buffer.concat([u16(n >>> 16), u16(n & 0xffff)]);
const u16le = (n) => Buffer.from([n & 255, n >> 8]);

/** Whether a pixel of a frame lies in the square. */
const inside = (frame, x, y, width, height) => Math.abs(x - width / 4 - (frame * width) / 8) < width / 8 && Math.abs(y - height / 2) < height / 6;

export function pngChunk(type, data = Buffer.alloc(0)) {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  return Buffer.concat([u32(data.length), body, u32(crc32(body))]);
}
export const PNG_HEAD = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');

/** A PNG of grey pixels; with `frames` other than null it says that it is animated, and is. */
export function png(frames, width = 64, height = 48) {
  const pixels = (frame) => deflateSync(Buffer.concat(Array.from({ length: height }, (_, y) => Buffer.from(
    [0, ...Array.from({ length: width }, (_value, x) => (inside(frame, x, y, width, height) ? 230 : 40))],
  ))));
  let sequence = 0;
  const numbered = (...parts) => Buffer.concat([u32(sequence++), ...parts]);
  const control = () => pngChunk('fcTL', numbered(u32(width), u32(height), u32(0), u32(0), u16(1), u16(10), Buffer.from([0, 0])));
  const chunks = [pngChunk('IHDR', Buffer.concat([u32(width), u32(height), Buffer.from([8, 0, 0, 0, 0])]))];
  if (frames !== null) chunks.push(pngChunk('acTL', Buffer.concat([u32(frames), u32(0)])), control());
  chunks.push(pngChunk('IDAT', pixels(0)));
  for (let frame = 1; frame < (frames ?? 0); frame += 1) chunks.push(control(), pngChunk('fdAT', numbered(pixels(frame))));
  return Buffer.concat([PNG_HEAD, ...chunks, pngChunk('IEND')]);
}

/** A GIF of so many frames, each with its own table of colours. */
export function gif(frames, width = 64, height = 48) {
  const table = Buffer.from([40, 40, 40, 230, 230, 230, 0, 0, 0, 0, 0, 0]);
  const image = (frame) => {
    // Codes of three bits, cleared before they need a fourth: pixels as they are.
    const codes = [];
    for (let p = 0; p < width * height; p += 1) {
      if (p % 2 === 0) codes.push(4);
      codes.push(inside(frame, p % width, Math.floor(p / width), width, height) ? 1 : 0);
    }
    codes.push(5);
    const packed = new Uint8Array(Math.ceil((codes.length * 3) / 8));
    codes.forEach((code, i) => {
      for (let bit = 0; bit < 3; bit += 1) packed[(i * 3 + bit) >> 3] |= ((code >> bit) & 1) << ((i * 3 + bit) & 7);
    });
    const blocks = [];
    for (let at = 0; at < packed.length; at += 255) {
      const block = packed.subarray(at, at + 255);
      blocks.push(Buffer.from([block.length]), block);
    }
    return Buffer.concat([
      Buffer.from([0x21, 0xf9, 4, 0, 10, 0, 0, 0, 0x2c]), u16le(0), u16le(0), u16le(width), u16le(height), Buffer.from([0x81]), table, Buffer.from([2]), ...blocks, Buffer.from([0]),
    ]);
  };
  return Buffer.concat([
    Buffer.from('GIF89a'), u16le(width), u16le(height), Buffer.from([0x81, 0, 0]), table,
    Buffer.from('\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0', 'latin1'), ...Array.from({ length: frames }, (_, frame) => image(frame)), Buffer.from([0x3b]),
  ]);
}

/** The head of a WebP whose first chunk is of this type. */
export function webpHead(type, flags = 0) {
  return Buffer.concat([Buffer.from('RIFF'), Buffer.from([22, 0, 0, 0]), Buffer.from(`WEBP${type}`), Buffer.from([10, 0, 0, 0, flags, 0, 0, 0, 9, 0, 0, 9, 0, 0])]);
}
