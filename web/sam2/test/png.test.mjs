import assert from 'node:assert/strict';
import test from 'node:test';
import * as zlib from 'node:zlib';

const { inflateSync, crc32 } = zlib; // crc32 came with Node 20.15
import { pngFromMask } from '../png.js';

test('a mask of 3 x 2 is a grey PNG with 255 inside', async () => {
  const blob = await pngFromMask(Uint8Array.of(0, 1, 0, 1, 1, 0), 3, 2);
  assert.equal(blob.type, 'image/png');
  const bytes = Buffer.from(await blob.arrayBuffer());
  assert.equal(bytes.subarray(1, 4).toString(), 'PNG');
  const chunks = {};
  for (let at = 8; at < bytes.length; ) {
    const length = bytes.readUInt32BE(at);
    const body = bytes.subarray(at + 4, at + 8 + length);
    if (crc32 !== undefined) assert.equal(bytes.readUInt32BE(at + 8 + length), crc32(body));
    chunks[body.subarray(0, 4).toString()] = body.subarray(4);
    at += 12 + length;
  }
  assert.deepEqual([chunks.IHDR.readUInt32BE(0), chunks.IHDR.readUInt32BE(4), chunks.IHDR[8], chunks.IHDR[9]], [3, 2, 8, 0]);
  assert.deepEqual([...inflateSync(chunks.IDAT)], [0, 0, 255, 0, 0, 255, 255, 0]);
  assert.ok('IEND' in chunks);
});
