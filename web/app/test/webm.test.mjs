/** The WebM writer, read back by a small parser of the format. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { webm } from '../clip/webm.js';

const PARENTS = new Set([0x1a45dfa3, 0x18538067, 0x1549a966, 0x1654ae6b, 0xae, 0xe0, 0x1c53bb6b, 0xbb, 0xb7, 0x1f43b675]);

/** @param {Buffer} bytes @param {number} at @param {number} end @returns {{ id: number, at: number, data: Buffer, children: any[] }[]} */
function elements(bytes, at, end) {
  const found = [];
  while (at < end) {
    const start = at;
    const idLength = Math.clz32(bytes[at]) - 23;
    const id = bytes.readUIntBE(at, idLength);
    at += idLength;
    const sizeLength = Math.clz32(bytes[at]) - 23;
    assert.equal(sizeLength, 8);
    const size = Number(bytes.readBigUInt64BE(at) & 0x00ffffffffffffffn);
    at += sizeLength;
    assert.ok(at + size <= end, `element ${id.toString(16)} ends in its parent`);
    found.push({ id, at: start, data: bytes.subarray(at, at + size), children: PARENTS.has(id) ? elements(bytes, at, at + size) : [] });
    at += size;
  }
  return found;
}
const uint = ({ data }) => data.reduce((sum, byte) => sum * 256 + byte, 0);
const inside = (list, ...path) => path.reduce((at, id) => at.find((each) => each.id === id).children, list);
const one = (list, id) => list.find((each) => each.id === id);

async function parsed(video) {
  const bytes = Buffer.from(await webm(video).arrayBuffer());
  const top = elements(bytes, 0, bytes.length);
  return { top, segment: one(top, 0x18538067) };
}

const frame = (ms, key, fill, length = 5) => ({ data: new Uint8Array(length).fill(fill), ms, key });

test('every frame is in the file, at its time, key frames begin clusters', async () => {
  const frames = [frame(0, true, 1), frame(100, false, 2), frame(200.4, true, 3), frame(300, false, 4, 300)];
  const { top, segment } = await parsed({ codec: 'V_VP9', width: 640, height: 358, fps: 10, ms: 400, frames });
  assert.deepEqual(top.map(({ id }) => id), [0x1a45dfa3, 0x18538067]);
  assert.equal(one(top[0].children, 0x4282).data.toString(), 'webm');
  const entry = inside(segment.children, 0x1654ae6b, 0xae);
  assert.equal(one(entry, 0x86).data.toString(), 'V_VP9');
  assert.deepEqual([0xb0, 0xba].map((id) => uint(one(inside(entry, 0xe0), id))), [640, 358]);
  assert.equal(uint(one(entry, 0x23e383)), 100_000_000, 'nanoseconds of a frame');
  assert.equal(one(inside(segment.children, 0x1549a966), 0x4489).data.readDoubleBE(0), 400, 'as long as its frames');
  const clusters = segment.children.filter(({ id }) => id === 0x1f43b675);
  const read = clusters.flatMap(({ children }) => {
    const base = uint(one(children, 0xe7));
    return children.filter(({ id }) => id === 0xa3).map(({ data }) => ({
      track: data[0], ms: base + data.readInt16BE(1), key: (data[3] & 0x80) !== 0, fill: data[4], length: data.length - 4,
    }));
  });
  assert.deepEqual(read, [
    { track: 0x81, ms: 0, key: true, fill: 1, length: 5 }, { track: 0x81, ms: 100, key: false, fill: 2, length: 5 },
    { track: 0x81, ms: 200, key: true, fill: 3, length: 5 }, { track: 0x81, ms: 300, key: false, fill: 4, length: 300 },
  ]);
  assert.equal(clusters.length, 2);
});

test('cues point at their clusters, so that players seek', async () => {
  const frames = Array.from({ length: 90 }, (_, i) => frame(i * 40, i % 30 === 0, i, 70 + i));
  const { segment } = await parsed({ codec: 'V_VP8', width: 16, height: 16, fps: 25, ms: frames.length * 40, frames });
  const content = segment.children[0].at; // where positions count from
  const clusters = segment.children.filter(({ id }) => id === 0x1f43b675);
  const cues = inside(segment.children, 0x1c53bb6b).map(({ children }) => [uint(one(children, 0xb3)), uint(one(one(children, 0xb7).children, 0xf1))]);
  assert.deepEqual(cues, [[0, clusters[0].at - content], [1200, clusters[1].at - content], [2400, clusters[2].at - content]]);
});

test('without key frames a cluster still ends before its blocks cannot count any more', async () => {
  const frames = Array.from({ length: 81 }, (_, i) => frame(i * 1000, i === 0, i));
  const { segment } = await parsed({ codec: 'V_VP8', width: 16, height: 16, fps: 1, ms: 81_000, frames });
  const clusters = segment.children.filter(({ id }) => id === 0x1f43b675);
  assert.ok(clusters.length >= 3);
  for (const { children } of clusters) for (const { id, data } of children) if (id === 0xa3) assert.ok(data.readInt16BE(1) >= 0);
});

test('of frames that do not stay equally long nothing says that they do', async () => {
  const { segment } = await parsed({ codec: 'V_VP8', width: 16, height: 16, fps: null, ms: 950, frames: [frame(0, true, 1), frame(50, false, 2), frame(700, false, 3)] });
  assert.equal(one(inside(segment.children, 0x1654ae6b, 0xae), 0x23e383), undefined);
  assert.equal(one(inside(segment.children, 0x1549a966), 0x4489).data.readDoubleBE(0), 950, 'the last frame stays for 250 ms');
});

test('a video without frames is a file still', async () => {
  const { segment } = await parsed({ codec: 'V_VP8', width: 16, height: 16, fps: 25, ms: 0, frames: [] });
  assert.equal(segment.children.filter(({ id }) => id === 0x1f43b675).length, 0);
});
