/** MP4 and QuickTime (ISO/IEC 14496-12): the frames of the first video track, of whole files and of files in fragments. */
import { av1Codec, avcCodec, hevcCodec, vp9Codec } from './video-codec.js';

/** @typedef {import('./file-bytes.js').FileBytes} FileBytes */
/** @typedef {import('./video-file.js').VideoFile} VideoFile */
/** @typedef {import('./video-file.js').Sample} Sample */
/** Part of a file in memory. @typedef {DataView<ArrayBuffer>} Part */
/** What a fragment leaves unsaid. @typedef {{ duration: number, size: number, flags: number }} Defaults */
/** The same with times in ticks of the track: when it is decoded, and by how much later it is shown. @typedef {{ offset: number, size: number, dts: number, shift: number, duration: number, key: boolean }} Entry */
/** Which part of the track is shown, in its ticks, and seconds before it. @typedef {{ from: number, until: number, wait: number }} Edit */
/** @typedef {{ id: number, ticks: number, codec: string, description: Uint8Array<ArrayBuffer> | null, aspect: VideoFile['aspect'], rotation: VideoFile['rotation'], edit: Edit, entries: Entry[] }} Track */

/** An index beyond this is not of a clip that anybody tracks; nor are more frames. */
const LARGEST_INDEX = 2 ** 27;
const MOST_FRAMES = 4_000_000;
const NON_SYNC = 0x10000;

/** @param {FileBytes} bytes @returns {Promise<VideoFile | null>} */
export async function readMp4(bytes) {
  /** @type {Track | null} */
  let track = null;
  /** @type {Defaults} */
  let defaults = { duration: 0, size: 0, flags: 0 };
  for (let at = 0; at + 8 <= bytes.size;) {
    const head = viewOf(await bytes.at(at, 16));
    const { type, start, end } = boxAt(head, 0, bytes.size - at);
    if (type === 'moov' || type === 'moof') {
      if (end > LARGEST_INDEX || at + end > bytes.size) return null;
      const part = viewOf(await bytes.at(at, end));
      if (type === 'moov') {
        track = trackOf(part, start);
        if (track === null) return null;
        defaults = defaultsOf(part, start, track.id);
      } else if (track !== null) addFragment(track, part, start, at, defaults);
    }
    at += end;
  }
  if (track === null) return null;
  const { ticks, edit, entries, codec, description, aspect, rotation } = track;
  /** @type {Sample[]} */
  const samples = [];
  let last = { time: 0, end: 0 };
  for (const { offset, size, dts, shift, duration, key } of entries) {
    if (offset + size > bytes.size) break; // cut off: what was found counts
    const [pts, time] = [dts + shift, edit.wait + (dts + shift - edit.from) / ticks];
    const shown = pts >= edit.from && pts < edit.until;
    samples.push({ offset, size, time, key, shown });
    if (shown && time >= last.time) last = { time, end: time + duration / ticks };
  }
  return { codec, description, aspect, rotation, samples, end: last.end, more: false };
}

/** @param {Uint8Array} bytes @returns {Part} a copy, as they are only lent */
function viewOf(bytes) {
  return new DataView(new Uint8Array(bytes).buffer);
}

/** @param {Part} part @param {number} at @param {number} limit @returns {{ type: string, start: number, end: number }} its content lies from `start` to `end` */
function boxAt(part, at, limit) {
  const size = part.getUint32(at);
  const type = String.fromCharCode(part.getUint8(at + 4), part.getUint8(at + 5), part.getUint8(at + 6), part.getUint8(at + 7));
  const start = at + (size === 1 ? 16 : 8);
  const end = size === 0 ? limit : at + (size === 1 ? Number(part.getBigUint64(at + 8)) : size);
  if (end < start) throw new RangeError('a box that is smaller than its head');
  return { type, start, end };
}

/** @param {Part} part @param {number} from @param {number} to */
function* boxesOf(part, from, to) {
  for (let at = from; at + 8 <= to;) {
    const box = boxAt(part, at, to);
    if (box.end > to) return;
    yield box;
    at = box.end;
  }
}

/** @param {Part} part @param {{ start: number, end: number }} within @param {...string} path @returns {{ start: number, end: number } | null} */
function find(part, within, ...path) {
  /** @type {{ start: number, end: number } | undefined} */
  let box = within;
  for (const name of path) {
    box = [...boxesOf(part, box.start, box.end)].find(({ type }) => type === name);
    if (box === undefined) return null;
  }
  return box;
}

/** @param {Part} part of the file's index @param {number} start of its boxes @returns {Track | null} */
function trackOf(part, start) {
  const movie = { start, end: part.byteLength };
  const header = find(part, movie, 'mvhd');
  if (header === null) return null;
  const movieTicks = part.getUint32(header.start + (part.getUint8(header.start) === 1 ? 20 : 12));
  for (const box of boxesOf(part, start, part.byteLength)) {
    const handler = box.type === 'trak' ? find(part, box, 'mdia', 'hdlr') : null;
    if (handler === null || part.getUint32(handler.start + 8) !== 0x76696465) continue; // 'vide'
    const [head, media, table] = [find(part, box, 'tkhd'), find(part, box, 'mdia', 'mdhd'), find(part, box, 'mdia', 'minf', 'stbl')];
    if (head === null || media === null || table === null) return null;
    const long = part.getUint8(head.start) === 1; // dates and durations of 64 bits
    const ticks = part.getUint32(media.start + (part.getUint8(media.start) === 1 ? 20 : 12));
    const rotation = rotationOf(part, head.start + (long ? 52 : 40));
    const edit = editOf(part, find(part, box, 'edts', 'elst'), ticks, movieTicks);
    const codec = codecOf(part, find(part, table, 'stsd'));
    if (rotation === null || edit === null || codec === null || ticks === 0) return null;
    return { id: part.getUint32(head.start + (long ? 20 : 12)), ticks, rotation, edit, ...codec, entries: entriesOf(part, table) };
  }
  return null;
}

/** @param {Part} part @param {number} at @returns {VideoFile['rotation'] | null} null for anything but quarter turns */
function rotationOf(part, at) {
  const [a, b, c, d] = [0, 4, 12, 16].map((offset) => part.getInt32(at + offset) / 65536);
  for (const [turn, cos, sin] of /** @type {const} */ ([[0, 1, 0], [90, 0, 1], [180, -1, 0], [270, 0, -1]])) {
    if (a === cos && b === sin && c === -sin && d === cos) return turn;
  }
  return null;
}

/** @param {Part} part @param {{ start: number, end: number } | null} box @param {number} ticks @param {number} movieTicks @returns {Edit | null} null for a track that is put together of several pieces */
function editOf(part, box, ticks, movieTicks) {
  /** @type {Edit} */
  const whole = { from: 0, until: Infinity, wait: 0 };
  if (box === null) return whole;
  const wide = part.getUint8(box.start) === 1;
  const count = part.getUint32(box.start + 4);
  let [wait, found] = [0, /** @type {Edit | null} */ (null)];
  for (let i = 0; i < count; i += 1) {
    const at = box.start + 8 + i * (wide ? 20 : 12);
    const seconds = (wide ? Number(part.getBigUint64(at)) : part.getUint32(at)) / movieTicks;
    const from = wide ? Number(part.getBigInt64(at + 8)) : part.getInt32(at + 4);
    if (found !== null || part.getInt32(at + (wide ? 16 : 8)) !== 0x10000) return null;
    if (from < 0) wait += seconds;
    else found = { from, until: seconds > 0 ? from + seconds * ticks : Infinity, wait };
  }
  return found ?? whole;
}

/** @param {Part} part @param {{ start: number, end: number } | null} box @returns {{ codec: string, description: Uint8Array<ArrayBuffer> | null, aspect: VideoFile['aspect'] } | null} */
function codecOf(part, box) {
  if (box === null || part.getUint32(box.start + 4) !== 1) return null;
  const entry = boxAt(part, box.start + 8, box.end);
  const inside = { start: entry.start + 78, end: Math.min(entry.end, box.end) };
  const content = (/** @type {string} */ name) => {
    const found = find(part, inside, name);
    return found === null ? null : new Uint8Array(part.buffer.slice(found.start, found.end));
  };
  const pixels = find(part, inside, 'pasp');
  const [across, down] = pixels === null ? [1, 1] : [part.getUint32(pixels.start), part.getUint32(pixels.start + 4)];
  const [width, height] = [part.getUint16(entry.start + 24), part.getUint16(entry.start + 26)];
  const aspect = across === down || across === 0 || down === 0 ? null : { width: Math.round((width * across) / down), height };
  for (const [names, config, nameOf, told] of /** @type {const} */ ([
    [['avc1', 'avc3'], 'avcC', avcCodec, true], [['hvc1', 'hev1'], 'hvcC', hevcCodec, true], [['vp09'], 'vpcC', vp9Codec, false],
    [['av01'], 'av1C', av1Codec, false], [['vp08'], 'vpcC', () => 'vp8', false],
  ])) {
    const description = /** @type {readonly string[]} */ (names).includes(entry.type) ? content(config) : null;
    if (description !== null) return { codec: nameOf(description), description: told ? description : null, aspect };
  }
  return null;
}

/** The table of a file that is in one piece; empty in one of fragments. @param {Part} part @param {{ start: number, end: number }} table @returns {Entry[]} */
function entriesOf(part, table) {
  const [times, shifts, sync, chunks, sizes] = ['stts', 'ctts', 'stss', 'stsc', 'stsz'].map((name) => find(part, table, name));
  const wide = find(part, table, 'co64');
  const offsets = wide ?? find(part, table, 'stco');
  if (times === null || chunks === null || sizes === null || offsets === null) throw new RangeError('a table is missing');
  const count = part.getUint32(sizes.start + 8);
  const chunkCount = part.getUint32(offsets.start + 4);
  if (count > MOST_FRAMES) throw new RangeError('too many frames');
  const alike = part.getUint32(sizes.start + 4);
  /** @type {Entry[]} */
  const entries = [];
  const runs = part.getUint32(chunks.start + 4);
  for (let run = 0, chunk = 1; run < runs; run += 1) {
    const at = chunks.start + 8 + run * 12;
    const next = run + 1 < runs ? part.getUint32(at + 12) : chunkCount + 1;
    for (; chunk < next && entries.length < count; chunk += 1) {
      let offset = wide !== null ? Number(part.getBigUint64(offsets.start + 8 * chunk)) : part.getUint32(offsets.start + 4 + 4 * chunk);
      for (let i = part.getUint32(at + 4); i > 0 && entries.length < count; i -= 1) {
        const size = alike || part.getUint32(sizes.start + 12 + entries.length * 4);
        entries.push({ offset, size, dts: 0, shift: 0, duration: 0, key: sync === null });
        offset += size;
      }
    }
  }
  let dts = 0;
  for (const [i, duration] of valuesOf(part, times, entries.length)) {
    Object.assign(entries[i], { dts, duration });
    dts += duration;
  }
  if (shifts !== null) for (const [i, shift] of valuesOf(part, shifts, entries.length)) entries[i].shift = shift;
  const keys = sync === null ? 0 : part.getUint32(sync.start + 4);
  for (let i = 0; i < keys; i += 1) {
    const entry = entries[part.getUint32(/** @type {{ start: number }} */ (sync).start + 8 + i * 4) - 1];
    if (entry !== undefined) entry.key = true;
  }
  return entries;
}

/** A table of runs, each a count and a value, which may be negative. @param {Part} part @param {{ start: number }} box @param {number} most */
function* valuesOf(part, { start }, most) {
  const runs = part.getUint32(start + 4);
  for (let run = 0, i = 0; run < runs && i < most; run += 1) {
    const value = part.getInt32(start + 12 + run * 8);
    for (let left = part.getUint32(start + 8 + run * 8); left > 0 && i < most; left -= 1, i += 1) yield /** @type {const} */ ([i, value]);
  }
}

/** @param {Part} part @param {number} start @param {number} id @returns {Defaults} */
function defaultsOf(part, start, id) {
  const extends_ = find(part, { start, end: part.byteLength }, 'mvex');
  for (const { type, start: at } of extends_ === null ? [] : boxesOf(part, extends_.start, extends_.end)) {
    if (type === 'trex' && part.getUint32(at + 4) === id) return { duration: part.getUint32(at + 12), size: part.getUint32(at + 16), flags: part.getUint32(at + 20) };
  }
  return { duration: 0, size: 0, flags: 0 };
}

/** @param {Track} track @param {Part} part a `moof` @param {number} start of its boxes @param {number} place of the part in the file @param {Defaults} defaults */
function addFragment(track, part, start, place, defaults) {
  for (const box of boxesOf(part, start, part.byteLength)) {
    const head = box.type === 'traf' ? find(part, box, 'tfhd') : null;
    if (head === null || part.getUint32(head.start + 4) !== track.id) continue;
    const flags = part.getUint32(head.start) & 0xffffff;
    let at = head.start + 8;
    const next = (/** @type {number} */ flag, /** @type {number} */ otherwise) => {
      if ((flags & flag) === 0) return otherwise;
      at += 4;
      return part.getUint32(at - 4);
    };
    let base = place;
    if (flags & 1) {
      base = Number(part.getBigUint64(at));
      at += 8;
    }
    next(2, 0);
    const usual = { duration: next(8, defaults.duration), size: next(0x10, defaults.size), flags: next(0x20, defaults.flags) };
    const began = find(part, box, 'tfdt');
    const last = track.entries.at(-1);
    let dts = last === undefined ? 0 : last.dts + last.duration;
    if (began !== null) dts = part.getUint8(began.start) === 1 ? Number(part.getBigUint64(began.start + 4)) : part.getUint32(began.start + 4);
    let offset = base;
    for (const run of boxesOf(part, box.start, box.end)) if (run.type === 'trun') ({ dts, offset } = addRun(track, part, run, { base, offset, dts, usual }));
  }
}

/** @param {Track} track @param {Part} part @param {{ start: number }} run @param {{ base: number, offset: number, dts: number, usual: Defaults }} from @returns {{ dts: number, offset: number }} where the next one begins */
function addRun({ entries }, part, { start }, { base, offset, dts, usual }) {
  const flags = part.getUint32(start) & 0xffffff;
  const count = part.getUint32(start + 4);
  let at = start + 8;
  const next = (/** @type {number} */ flag, /** @type {number} */ otherwise) => {
    if ((flags & flag) === 0) return otherwise;
    at += 4;
    return part.getInt32(at - 4);
  };
  const place = next(1, NaN);
  let begin = Number.isNaN(place) ? offset : base + place;
  const first = next(4, usual.flags);
  if (entries.length + count > MOST_FRAMES) throw new RangeError('too many frames');
  for (let i = 0; i < count; i += 1) {
    const [duration, size] = [next(0x100, usual.duration), next(0x200, usual.size)];
    const its = next(0x400, i === 0 ? first : usual.flags);
    entries.push({ offset: begin, size, dts, shift: next(0x800, 0), duration, key: (its & NON_SYNC) === 0 });
    begin += size;
    dts += duration;
  }
  return { dts, offset: begin };
}
