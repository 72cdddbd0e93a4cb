/**
 * The real engine at the end of its memory, which is 4 GiB whatever the machine has: what cannot fit is
 * refused before it is tried, with both figures, and an allocation that fails in the middle is one error
 * that leaves the session as it was. The memory is made short by growing it: nothing of it is touched.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import test from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Sam2 } from '../client.js';
import { fakePorts } from './fake-port.mjs';
import { fixture } from './golden.mjs';

const folder = pathToFileURL(`${process.env.SAM2_PKG ?? fileURLToPath(new URL('../../dist/pkg', import.meta.url))}/`);
const assets = { js: new URL('sam2_wasm.js', folder).href, wasm: new URL('sam2_wasm_bg.wasm', folder).href };
const missing = !existsSync(new URL(assets.wasm)) && process.env.SAM2_REQUIRE_WASM === undefined;
const skip = missing ? 'the wasm is not built: cargo xtask wasm' : false;

const PAGE = 65_536;
const WHOLE = 2 ** 32;
const configYaml = await readFile(fixture('micro.yaml'), 'utf8');

/** Engines in this thread, each with a module of its own, whose memories the test reaches. */
function engines() {
  /** @type {WebAssembly.Memory[]} */
  const memories = [];
  const ports = fakePorts({
    loadModule: async () => {
      const module = await import(`${assets.js}?n=${Math.random()}`);
      const { memory } = await module.default({ module_or_path: await readFile(new URL(assets.wasm)) });
      memories.push(memory);
      return module;
    },
  });
  return { ports, memories };
}

/** Leaves the engine so many bytes. @param {WebAssembly.Memory} memory @param {number} bytes */
function leave(memory, bytes) {
  const pages = Math.floor((WHOLE - bytes - memory.buffer.byteLength) / PAGE);
  if (pages > 0) memory.grow(pages);
}

/** A BMP of one colour: the format whose file is as large as its pixels, so that its header can promise anything. */
function bmp(width, height, { rows = height } = {}) {
  const stride = Math.ceil((width * 3) / 4) * 4;
  const bytes = Buffer.alloc(54 + stride * rows, 90);
  bytes.fill(0, 0, 54);
  bytes.write('BM');
  bytes.writeUInt32LE(54, 10);
  bytes.writeUInt32LE(40, 14);
  bytes.writeInt32LE(width, 18);
  bytes.writeInt32LE(height, 22);
  bytes.writeUInt16LE(1, 26);
  bytes.writeUInt16LE(24, 28);
  return new Blob([bytes]);
}

test('what does not fit is refused with both figures, before it is tried', { skip }, async (t) => {
  const { ports, memories } = engines();
  const file = new Blob([await readFile(fixture('weights/seed4.safetensors'))]);
  const options = { assets, device: 'cpu', openPort: ports.open, cache: false };
  const sam = await Sam2.load({ model: { file, configYaml }, ...options });
  const image = await sam.setImage(new Blob([await readFile(fixture('images/wide.png'))]));
  const ask = async () => (await image.predict({ points: [[82, 68.4]] })).masks.map((mask) => mask.toRle().counts);
  const before = await ask();

  await assert.rejects(sam.setImage(bmp(30_000, 30_000, { rows: 1 })), { code: 'image_too_large', message: /30000 x 30000/ });
  leave(memories[0], 200 << 20);
  await assert.rejects(sam.loadModel({ file, configYaml, imageSize: 4096 }), (error) => {
    assert.equal(error.code, 'out_of_memory', error.message);
    const [, need, have] = /needs about (\d+) MB, and (\d+) MB are there/.exec(error.message) ?? [];
    t.diagnostic(`${error.message}: ${error.hint}`);
    assert.ok(Number(need) > 400 && Number(have) > 150 && Number(have) <= 200, error.message);
    assert.match(error.hint, /smaller model.*image-size \d+/);
    return true;
  });
  leave(memories[0], 40 << 20);
  await assert.rejects(sam.setImage(bmp(4_000, 3_000, { rows: 1 })), { code: 'image_too_large', message: /4000 x 3000/ });
  assert.deepEqual(await ask(), before, 'the session is as it was');
  assert.equal(ports.opened.length, 1, 'in the same worker');
  sam.dispose();
});

test('an allocation that fails in the middle is one error, and the session goes on', { skip }, async () => {
  const [width, height] = [2048, 2048];
  const tight = new URL('tight-engine.mjs', import.meta.url);
  // 16 MB of RGBA fit, and 12 MB of RGB beside them do not.
  tight.search = String(new URLSearchParams({ pkg: assets.js, leave: String(24 << 20), width: String(width) }));
  const file = new Blob([await readFile(fixture('weights/seed4.safetensors'))]);
  const sam = await Sam2.load({ model: { file, configYaml }, assets: { ...assets, js: tight.href }, device: 'cpu' });
  const lost = [];
  sam.on('device-lost', (death) => lost.push(death.code));
  const image = await sam.setImage(new Blob([await readFile(fixture('images/wide.png'))]));
  const ask = async () => (await image.predict({ points: [[82, 68.4]] })).masks.map((mask) => mask.toRle().counts);
  const before = await ask();
  await assert.rejects(sam.setImage({ data: new Uint8Array(width * height * 4), width, height }), (error) => {
    assert.equal(error.code, 'out_of_memory', error.message);
    const [, more, has] = /asked for (\d+) MB more, has (\d+) MB, and may have 4096 MB/.exec(error.message) ?? [];
    assert.ok(Number(more) >= 1 && Number(has) > 4000, error.message);
    assert.match(error.hint, /smaller/);
    return true;
  });
  assert.deepEqual(lost, ['out_of_memory'], 'told once');
  assert.deepEqual(await ask(), before, 'the earlier picture is asked in a new worker');
  sam.dispose();
});
