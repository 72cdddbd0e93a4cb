/** Which pictures are animated, by their first bytes, and how few of them are read. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { isAnimated } from '../animated.js';
import { PNG_HEAD, gif, png, pngChunk, webpHead } from './animated-files.mjs';

const animated = (...parts) => isAnimated(new Blob(parts));
const IHDR = pngChunk('IHDR', Buffer.alloc(13));

test('WebP: by the flag of its extended head', async () => {
  assert.equal(await animated(webpHead('VP8X', 0x02)), true);
  assert.equal(await animated(webpHead('VP8X', 0x3e)), true, 'beside others');
  assert.equal(await animated(webpHead('VP8X', 0x3c)), false, 'alpha, colours and notes alone');
  for (const type of ['VP8 ', 'VP8L']) assert.equal(await animated(webpHead(type, 0x02)), false, `${type}: that byte is of its pixels`);
  assert.equal(await animated(webpHead('VP8X', 0x02).subarray(0, 20)), false, 'cut before the flag');
  assert.equal(await animated(webpHead('VP8X', 0x02).subarray(0, 21)), true);
});

test('PNG: by acTL before the pixels', async () => {
  assert.equal(await animated(png(3)), true);
  assert.equal(await animated(png(null)), false);
  assert.equal(await animated(png(1)), false, 'of a single frame');
  const far = pngChunk('iCCP', Buffer.alloc(200_000));
  const frames = pngChunk('acTL', Buffer.from([0, 0, 0, 2, 0, 0, 0, 0]));
  assert.equal(await animated(PNG_HEAD, IHDR, far, frames), true, 'behind something long');
  assert.equal(await animated(PNG_HEAD, IHDR, pngChunk('IDAT', Buffer.alloc(9)), frames), false, 'after the pixels it does not count');
  assert.equal(await animated(PNG_HEAD, IHDR, pngChunk('tEXt', Buffer.from('acTL acTL acTL')), pngChunk('IEND')), false, 'not as text');
  const whole = png(3);
  const name = whole.indexOf('acTL');
  for (let length = 0; length < whole.length; length += 1) {
    assert.equal(await animated(whole.subarray(0, length)), length >= name + 4, `the first ${length} bytes`);
  }
});

test('GIF: by its second image', async () => {
  assert.equal(await animated(gif(2)), true);
  assert.equal(await animated(gif(1)), false);
  const whole = gif(2, 16, 8);
  const second = whole.lastIndexOf(Buffer.from([0x2c, 0, 0, 0, 0]));
  for (let length = 0; length < whole.length; length += 1) {
    assert.equal(await animated(whole.subarray(0, length)), length > second, `the first ${length} bytes`);
  }
});

test('whatever else is not, and ends', async () => {
  assert.equal(await animated(), false);
  for (const text of ['\xff\xd8\xff\xe0 a JPEG', 'RIFF....WAVEfmt ', 'no picture at all', '\x89PNG\r\n\x1a\n', 'GIF89a', '<svg/>']) assert.equal(await animated(Buffer.from(text, 'latin1')), false, text);
  let state = 7;
  const byte = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  };
  for (const head of [PNG_HEAD, Buffer.from('GIF89a'), Buffer.from('RIFF1234WEBPVP8X')]) {
    for (let i = 0; i < 300; i += 1) assert.equal(typeof await animated(head, Uint8Array.from({ length: byte() }, byte)), 'boolean');
  }
});

test('no more is read than is needed', async () => {
  const read = async (...parts) => {
    const blob = new Blob(parts);
    let bytes = 0;
    const { slice } = Blob.prototype;
    blob.slice = (from, to) => {
      const part = slice.call(blob, from, to);
      bytes += part.size;
      return part;
    };
    await isAnimated(blob);
    return bytes;
  };
  const much = new Uint8Array(3_000_000);
  for (const [name, parts] of [['WebP', [webpHead('VP8X', 0x02), much]], ['PNG', [png(3), much]], ['JPEG', [Buffer.from([0xff, 0xd8, 0xff]), much]], ['GIF', [gif(2), much]]]) {
    const bytes = await read(...parts);
    assert.ok(bytes < 100_000, `${name}: ${bytes} bytes`);
  }
  const profile = await read(PNG_HEAD, IHDR, pngChunk('iCCP', much), pngChunk('IDAT', much));
  assert.ok(profile < 200_000, `${profile} bytes: what is long is passed over`);
});

test('videos under a picture\'s name, but not pictures in a video\'s container', async () => {
  const container = (brand) => Buffer.concat([Buffer.from([0, 0, 0, 24]), Buffer.from(`ftyp${brand}`, 'latin1'), Buffer.alloc(12)]);
  for (const brand of ['isom', 'mp42', 'qt  ', 'avc1', 'M4V ']) assert.equal(await animated(container(brand)), true, brand);
  for (const brand of ['avif', 'heic', 'mif1']) assert.equal(await animated(container(brand)), false, brand);
  assert.equal(await animated(Buffer.from([0x1a, 0x45, 0xdf, 0xa3, 1, 2, 3, 4])), true, 'Matroska');
  assert.equal(await animated(container('isom').subarray(0, 7)), false, 'cut before it says so');
});
