/**
 * A WebM file around encoded frames (https://www.matroska.org/technical/elements.html): one video track,
 * a cluster for each key frame, and cues before them, so that every player can seek. Recording a canvas
 * (MediaRecorder) would stamp the frames with the time at which they were drawn.
 */

/** @typedef {Uint8Array<ArrayBuffer>} Bytes */
/** @typedef {{ data: Bytes, ms: number, key: boolean }} Frame */

const ID = {
  EBML: 0x1a45dfa3, EBMLVersion: 0x4286, EBMLReadVersion: 0x42f7, EBMLMaxIDLength: 0x42f2, EBMLMaxSizeLength: 0x42f3,
  DocType: 0x4282, DocTypeVersion: 0x4287, DocTypeReadVersion: 0x4285, Segment: 0x18538067, Info: 0x1549a966, TimestampScale: 0x2ad7b1,
  Duration: 0x4489, MuxingApp: 0x4d80, WritingApp: 0x5741, Tracks: 0x1654ae6b, TrackEntry: 0xae, TrackNumber: 0xd7, TrackUID: 0x73c5,
  TrackType: 0x83, FlagLacing: 0x9c, CodecID: 0x86, DefaultDuration: 0x23e383, Video: 0xe0, PixelWidth: 0xb0, PixelHeight: 0xba, Cues: 0x1c53bb6b,
  CuePoint: 0xbb, CueTime: 0xb3, CueTrackPositions: 0xb7, CueTrack: 0xf7, CueClusterPosition: 0xf1, Cluster: 0x1f43b675, Timestamp: 0xe7, SimpleBlock: 0xa3,
};
/** Blocks count from their cluster in 16 bits with a sign. */
const LONGEST_CLUSTER_MS = 30_000;

/** @param {number} value @param {number} [least] bytes @returns {Bytes} big-endian, as short as it goes */
function uint(value, least = 1) {
  const bytes = [];
  for (let rest = value; rest > 0 || bytes.length < least; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return Uint8Array.from(bytes);
}

/** @param {number} value @returns {Bytes} */
function float(value) {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, value);
  return bytes;
}

/** @param {string} text @returns {Bytes} */
const ascii = (text) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));

/** A size in eight bytes: then positions are known before what is between them. @param {number} length @returns {Bytes} */
function size(length) {
  const bytes = uint(length, 8);
  bytes[0] |= 0x01;
  return bytes;
}

/** @param {readonly Bytes[]} parts @returns {Bytes} */
function joined(parts) {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** @param {number} id @param {...Bytes} content @returns {Bytes} */
function element(id, ...content) {
  const payload = joined(content);
  return joined([uint(id), size(payload.length), payload]);
}

/**
 * @param {object} video
 * @param {'V_VP8' | 'V_VP9'} video.codec
 * @param {number} video.width
 * @param {number} video.height
 * @param {number | null} video.fps null where frames do not stay equally long: players and Chromium's seeking believe it
 * @param {number} video.ms length of the whole
 * @param {readonly Frame[]} video.frames in order, the first a key frame
 * @returns {Blob}
 */
export function webm({ codec, width, height, fps, ms: length, frames }) {
  const header = element(ID.EBML, element(ID.EBMLVersion, uint(1)), element(ID.EBMLReadVersion, uint(1)), element(ID.EBMLMaxIDLength, uint(4)),
    element(ID.EBMLMaxSizeLength, uint(8)), element(ID.DocType, ascii('webm')), element(ID.DocTypeVersion, uint(4)), element(ID.DocTypeReadVersion, uint(2)));
  const info = element(ID.Info, element(ID.TimestampScale, uint(1_000_000)), element(ID.Duration, float(length)),
    element(ID.MuxingApp, ascii('sam2')), element(ID.WritingApp, ascii('sam2')));
  const tracks = element(ID.Tracks, element(ID.TrackEntry, element(ID.TrackNumber, uint(1)), element(ID.TrackUID, uint(1)), element(ID.TrackType, uint(1)),
    element(ID.FlagLacing, uint(0)), element(ID.CodecID, ascii(codec)), ...(fps === null ? [] : [element(ID.DefaultDuration, uint(Math.round(1e9 / fps)))]),
    element(ID.Video, element(ID.PixelWidth, uint(width)), element(ID.PixelHeight, uint(height)))));
  /** @type {Frame[][]} */
  const groups = [];
  for (const frame of frames) {
    const last = groups.at(-1);
    if (last === undefined || frame.key || frame.ms - last[0].ms > LONGEST_CLUSTER_MS) groups.push([frame]);
    else last.push(frame);
  }
  const clusters = groups.map((group) => element(ID.Cluster, element(ID.Timestamp, uint(Math.round(group[0].ms))),
    ...group.map(({ data, ms, key }) => element(ID.SimpleBlock, block(Math.round(ms) - Math.round(group[0].ms), key), data))));
  const cuesAt = (/** @type {number} */ start) => {
    let at = start;
    return element(ID.Cues, ...groups.map((group, i) => {
      const cue = element(ID.CuePoint, element(ID.CueTime, uint(Math.round(group[0].ms), 8)),
        element(ID.CueTrackPositions, element(ID.CueTrack, uint(1)), element(ID.CueClusterPosition, uint(at, 8))));
      at += clusters[i].length;
      return cue;
    }));
  };
  const before = info.length + tracks.length;
  const cues = cuesAt(before + cuesAt(0).length); // its own length does not depend on the positions in it
  const parts = [info, tracks, cues, ...clusters];
  return new Blob([header, uint(ID.Segment), size(parts.reduce((sum, part) => sum + part.length, 0)), ...parts], { type: 'video/webm' });
}

/** The head of a block of track 1. @param {number} ms since its cluster @param {boolean} key @returns {Bytes} */
function block(ms, key) {
  const bytes = new Uint8Array(4);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, 0x81);
  view.setInt16(1, ms);
  view.setUint8(3, key ? 0x80 : 0);
  return bytes;
}
