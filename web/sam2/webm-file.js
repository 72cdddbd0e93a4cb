/** WebM and Matroska (https://www.matroska.org/technical/elements.html): the frames of the first video track. */
import { av1Codec, avcCodec, hevcCodec, vp9Name } from './video-codec.js';

/** @typedef {import('./file-bytes.js').FileBytes} FileBytes */
/** @typedef {import('./video-file.js').VideoFile} VideoFile */
/** @typedef {import('./video-file.js').Sample} Sample */
/** @typedef {{ number: number, type: number, codec: string, description: Uint8Array<ArrayBuffer> | null, pixels: [number, number], display: [number, number], unit: number, encoded: boolean }} Track */

const ID = {
  Segment: 0x18538067, Info: 0x1549a966, TimestampScale: 0x2ad7b1, Duration: 0x4489, Tracks: 0x1654ae6b, TrackEntry: 0xae, TrackNumber: 0xd7,
  TrackType: 0x83, CodecID: 0x86, CodecPrivate: 0x63a2, ContentEncodings: 0x6d80, Video: 0xe0, PixelWidth: 0xb0, PixelHeight: 0xba,
  DisplayWidth: 0x54b0, DisplayHeight: 0x54ba, DisplayUnit: 0x54b2, Cluster: 0x1f43b675, Timestamp: 0xe7, SimpleBlock: 0xa3, BlockGroup: 0xa0,
  Block: 0xa1, BlockDuration: 0x9b, ReferenceBlock: 0xfb,
};
/** They are stepped into; everything else is read or passed over as a whole. */
const MASTERS = new Set([ID.Segment, ID.Info, ID.Tracks, ID.TrackEntry, ID.Video, ID.Cluster, ID.BlockGroup]);
const VIDEO = 1;
/** A number, or a decoder's description: what is longer is neither. */
const LONGEST_VALUE = 1 << 16;
/** From here on a file is not read to its end only to count its frames. */
const FAR = 2 ** 28;

/** @param {FileBytes} bytes @param {number} most frames that are wanted @returns {Promise<VideoFile | null>} */
export async function readWebm(bytes, most) {
  let [scale, length, cluster, more] = [1_000_000, 0, 0, false];
  /** @type {Track[]} */
  const tracks = [];
  /** @type {Sample[]} */
  const samples = [];
  /** How long the latest frame says that it stays. @type {number | null} */
  let stays = null;
  /** Whether the latest block is one of ours: what follows in its group is said of it. */
  let ours = false;
  /** The track whose frames are taken; undefined before the first block. @type {Track | undefined} */
  let track;
  for (let at = 0; at < bytes.size;) {
    const head = elementAt(await bytes.at(at, 12));
    if (head === null) break; // cut off: what was found counts
    const body = at + head.length;
    at = MASTERS.has(head.id) ? body : body + head.size;
    if (head.id === ID.TrackEntry) tracks.push({ number: 0, type: 0, codec: '', description: null, pixels: [0, 0], display: [0, 0], unit: 0, encoded: false });
    if (head.id === ID.SimpleBlock || head.id === ID.Block) {
      track ??= tracks.find(({ type }) => type === VIDEO);
      if (track === undefined) return null;
      if (at > bytes.size) break; // the frame is cut off
      const block = blockAt(await bytes.at(body, 16));
      ours = block !== null && block.track === track.number;
      if (block === null || !ours) continue;
      if (block.laced) return null;
      if (samples.length >= most && at > FAR) {
        more = true;
        break;
      }
      // A VP8 frame says itself whether it is shown.
      const hidden = block.invisible || (track.codec === 'V_VP8' && (block.first & 0x10) === 0);
      stays = null;
      samples.push({
        offset: body + block.length, size: head.size - block.length, time: ((cluster + block.ticks) * scale) / 1e9,
        key: head.id === ID.Block || block.key, shown: !hidden,
      });
    } else if (head.id === ID.ReferenceBlock) {
      const last = samples.at(-1);
      if (last !== undefined && ours) last.key = false;
    } else if (!MASTERS.has(head.id) && head.size <= LONGEST_VALUE) {
      const known = tracks.at(-1);
      const value = async () => bytes.at(body, head.size);
      if (head.id === ID.Timestamp) cluster = uint(await value());
      else if (head.id === ID.TimestampScale) scale = uint(await value()) || scale;
      else if (head.id === ID.Duration) length = float(await value());
      else if (head.id === ID.BlockDuration && ours) stays = uint(await value());
      else if (known !== undefined && samples.length === 0) await describe(known, head.id, value);
    }
  }
  if (track === undefined || track.encoded || samples.length === 0) return null;
  const codec = await codecOf(track, bytes, samples[0]);
  if (codec === null) return null;
  const last = samples.reduce((latest, { time }) => Math.max(latest, time), 0);
  const seconds = (/** @type {number} */ ticks) => (ticks * scale) / 1e9;
  const end = more ? last : stays !== null ? last + seconds(stays) : seconds(length);
  const [width, height] = track.display;
  const shaped = track.unit === 0 && width > 0 && height > 0 && width * track.pixels[1] !== height * track.pixels[0];
  return { ...codec, aspect: shaped ? { width, height } : null, rotation: 0, samples, end, more };
}

/** @param {Track} track @param {number} id @param {() => Promise<Uint8Array>} value */
async function describe(track, id, value) {
  if (id === ID.TrackNumber) track.number = uint(await value());
  else if (id === ID.TrackType) track.type = uint(await value());
  else if (id === ID.CodecID) track.codec = String.fromCharCode(...await value()).replace(/\0+$/, '');
  else if (id === ID.CodecPrivate) track.description = new Uint8Array(await value());
  else if (id === ID.ContentEncodings) track.encoded = true; // encrypted, or squeezed once more
  else if (id === ID.PixelWidth) track.pixels[0] = uint(await value());
  else if (id === ID.PixelHeight) track.pixels[1] = uint(await value());
  else if (id === ID.DisplayWidth) track.display[0] = uint(await value());
  else if (id === ID.DisplayHeight) track.display[1] = uint(await value());
  else if (id === ID.DisplayUnit) track.unit = uint(await value());
}

/** @param {Track} track @param {FileBytes} bytes @param {Sample} first @returns {Promise<{ codec: string, description: Uint8Array<ArrayBuffer> | null } | null>} */
async function codecOf({ codec, description }, bytes, first) {
  if (codec === 'V_VP8') return { codec: 'vp8', description: null };
  if (codec === 'V_VP9') {
    const [head] = await bytes.at(first.offset, 1);
    const profile = ((head >> 3) & 2) | ((head >> 5) & 1);
    return { codec: vp9Name(profile, profile < 2 ? 8 : 10), description: null };
  }
  if (description === null) return null;
  if (codec === 'V_AV1') return { codec: av1Codec(description), description: null };
  if (codec === 'V_MPEG4/ISO/AVC') return { codec: avcCodec(description), description };
  if (codec === 'V_MPEGH/ISO/HEVC') return { codec: hevcCodec(description), description };
  return null;
}

/** @param {Uint8Array} bytes @returns {{ id: number, size: number, length: number } | null} an unknown size, of a file that was written while it was recorded, is infinite */
function elementAt(bytes) {
  const idLength = vintLength(bytes, 0);
  const sizeLength = vintLength(bytes, idLength);
  if (idLength === 0 || idLength > 4 || sizeLength === 0) return null;
  const size = vint(bytes.subarray(idLength, idLength + sizeLength));
  return { id: uint(bytes.subarray(0, idLength)), size, length: idLength + sizeLength };
}

/** @param {Uint8Array} bytes @returns {{ track: number, ticks: number, key: boolean, invisible: boolean, laced: boolean, length: number, first: number } | null} */
function blockAt(bytes) {
  const number = vintLength(bytes, 0);
  if (number === 0 || bytes.length < number + 3) return null;
  const flags = bytes[number + 2];
  return {
    track: vint(bytes.subarray(0, number)), ticks: new DataView(bytes.buffer, bytes.byteOffset).getInt16(number), key: (flags & 0x80) !== 0,
    invisible: (flags & 0x08) !== 0, laced: (flags & 0x06) !== 0, length: number + 3, first: bytes[number + 3] ?? 0,
  };
}

/** @param {Uint8Array} bytes @param {number} at @returns {number} 0 where there is none */
function vintLength(bytes, at) {
  const first = bytes[at] ?? 0;
  const length = Math.clz32(first) - 23;
  return first === 0 || at + length > bytes.length ? 0 : length;
}

/** @param {Uint8Array} bytes */
function vint(bytes) {
  const marker = 0x80 >> (bytes.length - 1);
  if ((bytes[0] & (marker - 1)) === marker - 1 && bytes.subarray(1).every((byte) => byte === 0xff)) return Infinity;
  return uint(Uint8Array.of(bytes[0] & (marker - 1), ...bytes.subarray(1)));
}

/** @param {Uint8Array} bytes big-endian */
function uint(bytes) {
  return bytes.reduce((value, byte) => value * 256 + byte, 0);
}

/** @param {Uint8Array} bytes */
function float(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return bytes.length === 4 ? view.getFloat32(0) : bytes.length === 8 ? view.getFloat64(0) : 0;
}
