/** Where a file's frames lie and when they are shown: fixtures, and files made by hand. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import test from 'node:test';
import { av1Codec, hevcCodec, vp9Codec } from '../video-codec.js';
import { readVideoFile } from '../video-file.js';
import { isEven, rateOfTimes, timesOf } from '../video-times.js';
import { box, ebml, full, u16, u32 } from './containers.mjs';

/** Those of clips/make.py. */
const UNEVEN = [0, 33, 66, 500, 520, 540, 1240, 1280, 2040, 2050, 2060, 2960, 3000, 3033, 3066, 3500, 3520, 3540, 4300, 4310];
const clip = async (name) => readFile(new URL(`../../test-browser/clips/${name}`, import.meta.url));
const read = (bytes, most = 0) => readVideoFile(new Blob([bytes].flat(Infinity)), most);
const shown = ({ samples }) => samples.filter((sample) => sample.shown).map(({ time }) => time);
const milliseconds = (file) => timesOf(shown(file), file.end).map((seconds) => Math.round(seconds * 1000));

test('uneven clips: each frame at its own time, as WebM and as MP4', async () => {
  const webm = await read(await clip('uneven.webm'));
  assert.deepEqual([webm.codec, milliseconds(webm)], ['vp8', [...UNEVEN, 4410]]);
  const bytes = await clip('uneven.mp4');
  const mp4 = await read(bytes);
  assert.deepEqual([mp4.codec, milliseconds(mp4).slice(0, -1)], ['avc1.64000C', UNEVEN]);
  const stored = mp4.samples.map(({ time }) => Math.round(time * 1000));
  assert.notDeepEqual(stored, UNEVEN, 'stored in another order');
  assert.deepEqual(mp4.samples.flatMap(({ key }, i) => (key ? [i] : [])), [0, 8, 16]);
  for (const { offset, size } of mp4.samples) {
    assert.equal(bytes.readUInt32BE(offset) < size, true, 'a sample begins with the length of its first unit');
  }
  const two = timesOf(shown(await read(await clip('two.webm'))), 2);
  assert.deepEqual([two.length, isEven(two), rateOfTimes(two)], [21, true, 10]);
  assert.equal(isEven(timesOf(shown(mp4), mp4.end)), false);
});

test('times: rounded stamps are even, a rate is a usual one, the last frame stays as long as the others', () => {
  const ntsc = Array.from({ length: 300 }, (_, i) => Math.round((i * 1001) / 30) / 1000);
  assert.equal(isEven(timesOf(ntsc, 0)), true);
  assert.equal(rateOfTimes(timesOf(ntsc, 0)), 30_000 / 1001);
  assert.deepEqual(timesOf([0.5, 0.7, 0.6, 0.7], 0).map((time) => time.toFixed(1)), ['0.0', '0.1', '0.2', '0.3'], 'in order, each once, from the first on');
  assert.equal(rateOfTimes(timesOf([0, 0.1, 0.2], 60)), 10, 'a last frame that stands for a minute does not count');
  assert.deepEqual([rateOfTimes([0, 0]), rateOfTimes([0, 0.5])], [null, 2]);
});

/** A WebM file around clusters. @param {{ tracks?: any[], clusters: any[], unknown?: boolean, info?: any[] }} parts */
function webm({ tracks = [videoTrack()], clusters, unknown = false, info = [ebml(0x2ad7b1, [0x0f, 0x42, 0x40])] }) {
  return [ebml(0x1a45dfa3, []), ebml(0x18538067, [ebml(0x1549a966, info), ebml(0x1654ae6b, tracks), ...clusters], unknown)];
}
function videoTrack({ codec = 'V_VP8', number = 1, type = 1, more = [] } = {}) {
  return ebml(0xae, [ebml(0xd7, [number]), ebml(0x83, [type]), ebml(0x86, [...Buffer.from(codec)]), ...more]);
}
const cluster = (at, blocks, unknown = false) => ebml(0x1f43b675, [ebml(0xe7, [at >> 8, at & 255]), ...blocks], unknown);
/** VP8 frames that are shown have 0x10 in their first byte. */
const simple = (ms, { track = 1, flags = 0x80, data = [0x10, 1, 2] } = {}) => ebml(0xa3, [0x80 | track, ms >> 8, ms & 255, flags, ...data]);

test('WebM: recorded without sizes, blocks in groups, a track beside it, frames that are never shown', async () => {
  const sound = videoTrack({ codec: 'A_OPUS', number: 2, type: 2 });
  const file = await read(webm({
    unknown: true, tracks: [sound, videoTrack()], clusters: [
      cluster(0, [simple(0), simple(0, { track: 2 }), simple(40, { flags: 0, data: [0x00, 9] })], true),
      cluster(1000, [
        ebml(0xa0, [ebml(0xa1, [0x81, 0, 0, 0, 0x10, 7])]), ebml(0xa0, [ebml(0xa1, [0x81, 0, 90, 0, 0x10, 7]), ebml(0xfb, [90]), ebml(0x9b, [70])]),
        ebml(0xa0, [ebml(0xa1, [0x82, 0, 95, 0, 1]), ebml(0x9b, [20])]),
      ], true),
    ],
  }));
  assert.deepEqual(file.samples.map(({ time, key, shown: is }) => [time, key, is]), [[0, true, true], [0.04, false, false], [1, true, true], [1.09, false, true]]);
  assert.ok(Math.abs(file.end - 1.16) < 1e-9, 'its own track says how long the last one stays');
});

test('WebM: what is not clear is left to the browser', async () => {
  const one = [cluster(0, [simple(0)])];
  assert.equal((await read(webm({ clusters: one }))).samples.length, 1);
  for (const [why, parts] of Object.entries({
    laced: { clusters: [cluster(0, [simple(0, { flags: 0x82 })])] }, encrypted: { tracks: [videoTrack({ more: [ebml(0x6d80, [])] })], clusters: one },
    'of another codec': { tracks: [videoTrack({ codec: 'V_THEORA' })], clusters: one }, 'without video': { tracks: [videoTrack({ type: 2 })], clusters: one },
    'without frames': { clusters: [] }, 'without a key frame': { clusters: [cluster(0, [simple(0, { flags: 0 })])] },
  })) assert.equal(await read(webm(parts)), null, why);
  const shaped = videoTrack({ codec: 'V_VP9', more: [ebml(0xe0, [ebml(0xb0, [160]), ebml(0xba, [90]), ebml(0x54b0, [1, 64]), ebml(0x54ba, [90])])] });
  const wide = await read(webm({ tracks: [shaped], clusters: [cluster(0, [simple(0, { data: [0b10010000] })])] }));
  assert.deepEqual([wide.aspect, wide.codec], [{ width: 320, height: 90 }, 'vp09.02.51.10'], 'the frame itself tells its profile');
});

const AVC = [1, 0x64, 0, 0x0c, 0xff, 0xe0, 0];
/** An MP4 file of one track. `edits`: [duration in ms, first tick]; times in ms, the matrix turned. */
function mp4({ sizes = [4, 4, 4], durations = [[3, 100]], shifts = null, sync = [1], edits = [], matrix = [1, 0, 0, 1], entry = [], kind = 'avc1', config = box('avcC', AVC), more = [], counts = sizes.length }) {
  const media = (offset) => box('moov', [
    full('mvhd', [u32(0), u32(0), u32(1000), u32(0)]),
    box('trak', [
      full('tkhd', [u32(0), u32(0), u32(7), u32(0), u32(0), u32(0), u32(0), u32(0), u32(0), ...[matrix[0], matrix[1], 0, matrix[2], matrix[3], 0, 0, 0, 1].map((n) => u32(n * 65536)), u32(0), u32(0)]),
      edits.length === 0 ? [] : box('edts', [full('elst', [u32(edits.length), ...edits.flatMap(([ms, from]) => [u32(ms), u32(from), u32(0x10000)])])]),
      box('mdia', [
        full('mdhd', [u32(0), u32(0), u32(1000), u32(0)]), full('hdlr', [u32(0), 'vide']),
        box('minf', [box('stbl', [
          full('stsd', [u32(1), box(kind, [new Uint8Array(24), u16(160), u16(90), new Uint8Array(50), config, ...entry])]),
          full('stts', [u32(durations.length), ...durations.flat().map(u32)]), shifts === null ? [] : full('ctts', [u32(shifts.length), ...shifts.flat().map(u32)]),
          sync === null ? [] : full('stss', [u32(sync.length), ...sync.map(u32)]),
          full('stsc', [u32(1), u32(1), u32(counts), u32(1)]), full('stsz', [u32(0), u32(counts), ...sizes.map(u32)]), full('stco', [u32(1), u32(offset)]),
        ])]),
      ]),
    ]), ...more,
  ]);
  const head = box('ftyp', ['isom']);
  const offset = head.length + media(0).length + 8;
  return [head, media(offset), box('mdat', [new Uint8Array(sizes.reduce((sum, size) => sum + size, 0))])];
}

test('MP4: shown in another order than stored, the beginning cut off by an edit', async () => {
  const file = await read(mp4({ sizes: [5, 6, 7, 8], durations: [[4, 100]], shifts: [[1, 200], [1, 300], [1, 0], [1, 100]], edits: [[50, -1], [400, 300]] }));
  assert.deepEqual(file.samples.map(({ time, size, shown: is }) => [Math.round(time * 1000), size, is]), [[-50, 5, false], [150, 6, true], [-50, 7, false], [150, 8, true]]);
  assert.deepEqual(file.samples.map(({ offset }) => offset - file.samples[0].offset), [0, 5, 11, 18]);
  const plain = await read(mp4({ durations: [[1, 40], [2, 200]], sync: null }));
  assert.deepEqual([milliseconds(plain), plain.samples.every(({ key }) => key)], [[0, 40, 240, 440], true]);
});

test('MP4: turned pictures, pixels that are not square, tracks put together of pieces', async () => {
  for (const [turn, matrix] of [[0, [1, 0, 0, 1]], [90, [0, 1, -1, 0]], [180, [-1, 0, 0, -1]], [270, [0, -1, 1, 0]]]) assert.equal((await read(mp4({ matrix }))).rotation, turn);
  assert.equal(await read(mp4({ matrix: [-1, 0, 0, 1] })), null, 'mirrored');
  assert.deepEqual((await read(mp4({ entry: [box('pasp', [u32(4), u32(3)])] }))).aspect, { width: 213, height: 90 });
  assert.equal(await read(mp4({ edits: [[100, 0], [100, 0]] })), null);
  assert.equal(await read(mp4({ kind: 'encv' })), null);
  assert.equal(await read(mp4({ kind: 'mp4v' })), null);
});

test('MP4 in fragments: defaults, tables and offsets of each', async () => {
  const defaults = box('mvex', [full('trex', [u32(7), u32(1), u32(50), u32(3), u32(0x10000)])]);
  const head = mp4({ sizes: [], durations: [], sync: [], more: [defaults] }).slice(0, 2);
  const at = head.reduce((sum, part) => sum + part.length, 0);
  const first = (offset) => box('moof', [box('traf', [
    full('tfhd', [u32(7)], 0x020000), full('tfdt', [u32(1000)]), full('trun', [u32(3), u32(offset), u32(0)], 0x05),
  ])]);
  const second = box('moof', [
    box('traf', [full('tfhd', [u32(9)], 0)]),
    box('traf', [full('tfhd', [u32(7), u32(0), u32(at), u32(80)], 0x09), full('trun', [u32(2), u32(1), u32(4), u32(0), u32(900), u32(6), u32(0x10000), u32(10)], 0xe01)]),
  ]);
  const file = await read([head, first(first(0).length + 8), box('mdat', [new Uint8Array(9)]), second, box('mdat', [new Uint8Array(90)])]);
  const begin = at + first(0).length + 8;
  assert.deepEqual(file.samples.map(({ offset, size, time, key }) => [offset, size, time, key]), [
    [begin, 3, 1, true], [begin + 3, 3, 1.05, false], [begin + 6, 3, 1.1, false], [at + 1, 4, 2.05, true], [at + 5, 6, 1.24, false],
  ]);
});

test('damaged and hostile files cost nothing and are left to the browser', async () => {
  assert.equal(await read(Buffer.from('no video at all, but long enough')), null);
  assert.equal(await read([]), null);
  for (const name of ['uneven.webm', 'uneven.mp4']) {
    const bytes = await clip(name);
    for (let cut = 1; cut < bytes.length; cut += 97) {
      const file = await read(bytes.subarray(0, cut));
      assert.ok(file === null || file.samples.every(({ offset, size }) => offset + size <= cut), `${name} cut at ${cut}`);
    }
    let seed = 7;
    const random = (below) => {
      seed = (seed * 1103515245 + 12345) % 2 ** 31;
      return seed % below;
    };
    for (let round = 0; round < 100; round += 1) {
      const broken = Buffer.from(bytes);
      for (let i = 0; i < 4; i += 1) broken[random(round % 2 === 0 ? 1500 : broken.length)] = random(256);
      const file = await read(broken);
      assert.ok(file === null || file.samples.length < 4000, `${name}, round ${round}`);
    }
  }
  const began = performance.now();
  assert.equal(await read(mp4({ counts: 0xffffffff })), null, 'more frames than anybody has');
  assert.equal(await read([box('ftyp', ['isom']), u32(0x7fffffff), Buffer.from('moov')]), null);
  assert.ok(performance.now() - began < 1000);
});

test('codecs are named as WebCodecs names them', () => {
  assert.equal(hevcCodec(Uint8Array.from([1, 1, 0x60, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 93])), 'hvc1.1.6.L93.90');
  assert.equal(hevcCodec(Uint8Array.from([1, 0x22, 0x20, 0, 0, 0, 0xb0, 0, 0, 0, 0, 0, 120])), 'hvc1.2.4.H120.B0');
  assert.deepEqual([av1Codec(Uint8Array.of(0x81, 0x08, 0x0c, 0)), av1Codec(Uint8Array.of(0x81, 0x05, 0xcc, 0))], ['av01.0.08M.08', 'av01.0.05H.10']);
  assert.deepEqual([vp9Codec(Uint8Array.of(1, 0, 0, 0, 2, 31, 0xa2)), vp9Codec(Uint8Array.of(1, 0, 0, 0, 0, 0, 0x81))], ['vp09.02.31.10', 'vp09.00.51.08']);
});
