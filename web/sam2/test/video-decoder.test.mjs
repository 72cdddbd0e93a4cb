/** Frames by their number, with a stand-in for the browser's decoder: it checks what it is given, and holds frames back as decoders do. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { FrameDecoder } from '../video-decoder.js';

/** A decoder of frames of one byte, their number. @param {{ held?: number, keys?: (n: number) => boolean, broken?: number, stumbles?: number, size?: (n: number) => [number, number] }} [how] */
function stub({ held = 0, keys = () => true, broken = -1, stumbles = -1, size = () => [8, 4] } = {}) {
  const seen = { begun: 0, decoded: [], open: 0 };
  class Decoder extends EventTarget {
    static isConfigSupported = async (config) => ({ supported: config.codec === 'known', config });
    state = 'unconfigured';
    decodeQueueSize = 0;
    #wantsKey = true;
    #waiting = [];
    constructor({ output, error }) {
      super();
      Object.assign(this, { output, error });
    }
    configure() {
      this.state = 'configured';
      seen.begun += 1;
    }
    decode({ type, timestamp, data }) {
      const [number] = new Uint8Array(data);
      if (this.#wantsKey && (type !== 'key' || !keys(number))) throw new DOMException('A key frame is required.', 'DataError');
      this.#wantsKey = false;
      this.decodeQueueSize += 1;
      assert.ok(this.decodeQueueSize <= 4, 'it is not flooded');
      setTimeout(() => this.#take(number, timestamp), 1);
    }
    #take(number, timestamp) {
      if (this.state !== 'configured') return;
      this.decodeQueueSize -= 1;
      seen.decoded.push(number);
      if (number === broken) {
        this.state = 'closed';
        this.error(new DOMException('Decoding error.', 'EncodingError'));
        return;
      }
      if (number !== stumbles) this.#waiting.push({ number, timestamp });
      this.#waiting.sort((a, b) => a.timestamp - b.timestamp);
      while (this.#waiting.length > held) this.#give(this.#waiting.shift());
      this.dispatchEvent(new Event('dequeue'));
    }
    #give({ number, timestamp }) {
      const [displayWidth, displayHeight] = size(number);
      seen.open += 1;
      this.output({ number, timestamp, displayWidth, displayHeight, close: () => { seen.open -= 1; } });
    }
    async flush() {
      while (this.decodeQueueSize > 0) await new Promise((resolve) => setTimeout(resolve, 1));
      for (const each of this.#waiting.splice(0)) this.#give(each);
      this.#wantsKey = true;
    }
    close() {
      this.state = 'closed';
    }
  }
  const bitmap = ({ number, displayWidth, displayHeight, width = displayWidth, height = displayHeight }) => ({ number, width, height, close: () => {} });
  Object.assign(globalThis, { VideoDecoder: Decoder, EncodedVideoChunk: Object, createImageBitmap: async (source) => bitmap(source) });
  return seen;
}

/** A file whose frames are stored in the order given: which frame, and whether it is a key frame. */
function file(stored, { codec = 'known', rotation = 0, shown = () => true } = {}) {
  const blob = new Blob([Uint8Array.from(stored.map(([number]) => number))]);
  const samples = stored.map(([number, key], i) => ({ offset: i, size: 1, time: number / 10, key, shown: shown(number) }));
  return new FrameDecoder(blob, { codec, description: null, aspect: null, rotation, samples, end: stored.length / 10, more: false });
}
/** Groups of eight with a key frame each. */
const plain = (frames) => Array.from({ length: frames }, (_, i) => [i, i % 8 === 0]);
const numbers = async (decoder, frames) => {
  const found = [];
  for (const frame of frames) found.push((await decoder.read(frame)).number);
  return found;
};
const range = (from, to) => Array.from({ length: to - from }, (_, i) => from + i);

test('forward, backward and anywhere: each frame is the one that was asked for', async () => {
  for (const held of [0, 3]) {
    const seen = stub({ held });
    const decoder = file(plain(40));
    assert.equal(await decoder.open(), true);
    assert.deepEqual([decoder.width, decoder.height], [8, 4]);
    assert.deepEqual(await numbers(decoder, range(0, 40)), range(0, 40));
    assert.equal(seen.begun, 1, 'in one go');
    assert.deepEqual(seen.decoded, range(0, 40), 'each is decoded once');
    assert.deepEqual(await numbers(decoder, [11, 30, 5, 5, 38, 0, 12]), [11, 30, 5, 5, 38, 0, 12]);
    const before = seen.begun;
    assert.deepEqual(await numbers(decoder, range(16, 24).reverse()), range(16, 24).reverse());
    assert.ok(seen.begun - before <= 2, 'going backward a group is decoded once, not for each frame');
    assert.equal(seen.open, 0, 'no picture of the decoder is kept: it has few');
    decoder.close();
  }
});

test('stored in another order, and pictures that lean on the group before', async () => {
  // I0 P4 b2 b1 b3 | I8 b6 b5 b7 P12 b10: 5, 6 and 7 come after I8 in the file and need P4.
  const stored = [[0, true], [4, false], [2, false], [1, false], [3, false], [8, true], [6, false], [5, false], [7, false], [12, false], [10, false], [9, false], [11, false]];
  const seen = stub({ held: 3 });
  const decoder = file(stored);
  await decoder.open();
  assert.deepEqual(await numbers(decoder, range(0, 13)), range(0, 13));
  seen.decoded.length = 0;
  assert.deepEqual(await numbers(file(stored), [10]), [10]);
  assert.deepEqual(seen.decoded.filter((number) => number < 8), [], 'beginning at I8, what leans on P4 is left out');
  assert.deepEqual(await numbers(file(stored), [6, 9, 5]), [6, 9, 5]);
});

test('frames that are cut off are decoded and not counted, doubled stamps count once', async () => {
  stub();
  const cut = file(plain(12), { shown: (number) => number >= 3 });
  assert.equal(cut.shown.length, 9);
  assert.deepEqual(await numbers(cut, [0, 8, 2]), [3, 11, 5]);
  const twice = file([[0, true], [1, false], [1, false], [2, false]]);
  assert.deepEqual([twice.shown.length, (await twice.read(2)).number], [3, 2]);
});

test('a key frame with which nothing begins is none: it begins at the one before', async () => {
  const seen = stub({ keys: (number) => number !== 16 });
  const decoder = file(plain(24));
  assert.deepEqual(await numbers(decoder, [20, 21]), [20, 21]);
  assert.deepEqual([seen.begun, seen.decoded[0]], [2, 8]);
});

test('a broken frame is named, what comes before and after it is read', async () => {
  stub({ broken: 11 });
  const decoder = file(plain(32));
  await assert.rejects(decoder.read(13), { code: 'unsupported_video', message: 'Frame 13 cannot be read: Decoding error.' });
  await assert.rejects(decoder.read(11), { code: 'unsupported_video' });
  assert.deepEqual(await numbers(decoder, [10, 16, 9]), [10, 16, 9]);
  stub({ stumbles: 11 });
  const other = file(plain(32));
  await assert.rejects(other.read(11), { message: 'Frame 11 cannot be read: it is damaged.' });
  assert.deepEqual(await numbers(other, [12, 10]), [12, 10]);
});

test('what this browser does not decode is not opened; closed, it answers with an AbortError', async () => {
  stub();
  assert.equal(await file(plain(8), { codec: 'unknown' }).open(), false);
  stub({ broken: 0 });
  assert.equal(await file(plain(8)).open(), false);
  const held = stub({ held: 99 });
  const decoder = file(plain(200));
  const waiting = decoder.read(100);
  while (held.decoded.length < 3) await new Promise((resolve) => setTimeout(resolve, 1));
  decoder.close();
  await assert.rejects(waiting, { name: 'AbortError' });
});

test('turned pictures stand upright, and all have the size of the first', async () => {
  const drawn = [];
  globalThis.OffscreenCanvas = class {
    constructor(width, height) {
      Object.assign(this, { width, height });
    }
    getContext() {
      const steps = [];
      drawn.push(steps);
      return new Proxy({}, { get: (_, name) => (...values) => steps.push([name, ...values.filter((value) => typeof value === 'number').map((value) => Math.round(value * 100) / 100)]) });
    }
    transferToImageBitmap() {
      return { width: this.width, height: this.height, close: () => {} };
    }
  };
  stub({ size: (number) => (number === 1 ? [16, 8] : [8, 4]) });
  const turned = file(plain(8), { rotation: 90 });
  await turned.open();
  assert.deepEqual([turned.width, turned.height], [4, 8]);
  assert.deepEqual(drawn[0], [['translate', 2, 4], ['rotate', 1.57], ['drawImage', -4, -2, 8, 4]]);
  const plainOne = file(plain(8));
  await plainOne.open();
  const { width, height } = await plainOne.read(1);
  assert.deepEqual([width, height], [8, 4]);
  delete globalThis.OffscreenCanvas;
});
