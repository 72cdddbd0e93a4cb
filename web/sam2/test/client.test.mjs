import assert from 'node:assert/strict';
import test from 'node:test';
import { ERROR_CODES, Mask, Sam2, Sam2Error } from '../client.js';
import { ASSETS, fakePorts, goodModel, picture } from './fake-port.mjs';

/** @param {ReturnType<typeof fakePorts>} ports @param {object} [more] */
const load = (ports, more = {}) => Sam2.load({ model: goodModel(), assets: ASSETS, openPort: ports.open, cache: false, ...more });

const isAbort = { name: 'AbortError' };

/** Everything has to settle; a promise that hangs fails here and not after minutes. */
function soon(promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error('did not settle')), 5000);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

test('load, encode, click, refine: the whole way', async () => {
  const ports = fakePorts();
  const stages = [];
  const sam = await load(ports, { onProgress: ({ stage }) => stages.push(stage) });
  assert.equal(sam.device, 'cpu');
  assert.equal(sam.threads, 1);
  assert.equal(sam.model.imageSize, 256);
  assert.ok(stages.includes('warming up'));

  const image = await sam.setImage(picture());
  assert.deepEqual([image.width, image.height], [12, 7]);
  const first = await image.predict({ points: [[6, 3]], labels: [1] });
  assert.equal(first.masks.length, 3, 'one click asks for three');
  assert.ok(first.masks[0] instanceof Mask);
  const mask = first.masks[1];
  const bytes = mask.toBytes();
  assert.equal(bytes.length, 84);
  assert.equal(bytes.reduce((a, b) => a + b, 0), mask.area);
  const [x, y, w, h] = mask.bbox;
  for (let p = 0; p < 84; p += 1) {
    const [px, py] = [p % 12, Math.floor(p / 12)];
    if (bytes[p] === 1) assert.ok(px >= x && px < x + w && py >= y && py < y + h, 'the box holds every pixel');
  }
  assert.deepEqual(mask.toRle().size, [7, 12], 'height first, as COCO has it');
  assert.match(await mask.toSvg(), /^<svg .*width="12" height="7".*fill-rule="evenodd" d="M/);
  assert.ok((await mask.toPolygons())[0].outer.length >= 4);

  const second = await image.predict({ points: [[6, 3], [2, 2]], labels: [1, 0], mask });
  assert.equal(second.masks.length, 1, 'a refinement asks for one');
  await image.predict({ points: [[6, 3]], labels: [1], mask: first.lowRes[1] }); // an array names its mask
  const sent = ports.opened[0].messages.filter(({ type }) => type === 'predict').map(({ body }) => body.prompt);
  assert.equal(sent[0].mask_id, null);
  assert.equal(sent[1].mask_id, sent[2].mask_id);
  assert.equal(ports.opened[0].requests.filter((type) => type === 'setImage').length, 1, 'a click never encodes');
  sam.dispose();
  assert.equal(ports.opened[0].alive, false);
});

test('wrong prompts are refused before they wait', async () => {
  const ports = fakePorts();
  const sam = await load(ports);
  const image = await sam.setImage(picture());
  for (const [why, prompt] of [
    ['nothing', {}],
    ['outside', { points: [[13, 2]], labels: [1] }],
    ['on the right edge, which belongs to no pixel', { points: [[12, 2]] }],
    ['on the lower edge', { points: [[2, 7]] }],
    ['on the edge as the engine rounds it', { points: [[12 - 1e-9, 2]] }],
    ['a box without width as the engine rounds it', { box: [3, 1, 3 + 1e-9, 2] }],
    ['height taken for width', { points: [[2, 12]], labels: [1] }],
    ['not a number', { points: [[NaN, 2]], labels: [1] }],
    ['labels missing', { points: [[1, 2], [3, 4]], labels: [1] }],
    ['unknown label', { points: [[1, 2]], labels: [7] }],
    ['box upside down', { box: [1, 5, 4, 2] }],
    ['box outside', { box: [0, 0, 5, 8] }],
    ['foreign mask', { mask: new Float32Array(4096) }],
  ]) {
    await assert.rejects(soon(image.predict(prompt)), { name: 'Sam2Error', code: 'bad_prompt' }, why);
  }
  assert.equal(ports.opened[0].requests.includes('predict'), false);
  assert.equal((await image.predict({ points: [[11.999, 6.999], [0, 0]], box: [0, 0, 12, 7] })).masks.length, 1, 'all the way to the edges');
  const other = await sam.setImage(picture());
  const { masks } = await other.predict({ box: [1, 1, 6, 5] });
  await assert.rejects(soon(image.predict({ points: [[1, 1]], mask: masks[0] })), { code: 'bad_prompt' }, 'a mask of another picture');
  sam.dispose();
});

test('a newer preview cancels an older one, and a click cancels both', async () => {
  const ports = fakePorts();
  const sam = await load(ports);
  const image = await sam.setImage(picture());
  const at = (x) => ({ points: [[x, 3]], labels: [1] });
  const previews = [1, 2, 3].map((x) => image.predict(at(x), { hover: true }));
  const click = image.predict(at(4));
  for (const preview of previews) await assert.rejects(soon(preview), isAbort);
  assert.equal((await soon(click)).masks.length, 3);
  const last = await soon(image.predict(at(5), { hover: true }));
  assert.equal(last.masks.length, 3, 'a preview that nothing follows is answered');
  sam.dispose();
});

test('an abort rejects at once, waiting or running, and the next request works', async () => {
  const ports = fakePorts();
  const sam = await load(ports);
  const image = await sam.setImage(picture());
  const running = new AbortController();
  const waiting = new AbortController();
  const one = image.predict({ points: [[1, 1]] }, { signal: running.signal });
  const two = image.predict({ points: [[2, 2]] }, { signal: waiting.signal });
  waiting.abort();
  await assert.rejects(soon(two), isAbort);
  running.abort();
  await assert.rejects(soon(one), isAbort);
  await assert.rejects(soon(image.predict({ points: [[1, 1]] }, { signal: AbortSignal.abort() })), isAbort);
  assert.equal((await soon(image.predict({ points: [[3, 3]] }))).masks.length, 3);
  sam.dispose();
});

test('a worker that dies under a prediction is replaced, the picture encoded again, the answer given', async () => {
  let kill = true;
  const ports = fakePorts({
    onRequest: (message, port) => {
      if (!(kill && message.type === 'predict' && message.body.prompt.points.length === 2)) return false;
      kill = false;
      port.kill();
      return true;
    },
  });
  const sam = await load(ports);
  const lost = [];
  sam.on('device-lost', (error) => lost.push(error));
  const image = await sam.setImage(picture());
  const { masks } = await image.predict({ points: [[6, 3]], labels: [1] });
  const answer = await soon(image.predict({ points: [[6, 3], [1, 1]], labels: [1, 0], mask: masks[2] }));
  assert.equal(answer.masks.length, 1);
  assert.equal(lost.length, 1);
  assert.ok(lost[0] instanceof Sam2Error && lost[0].code === 'device_lost');
  assert.equal(ports.opened.length, 2);
  assert.deepEqual(ports.opened[1].requests, ['open', 'load', 'setImage', 'predict', 'predict'],
    'the mask to refine is made again from its own prompt first');
  const [remade, refined] = ports.opened[1].messages.filter(({ type }) => type === 'predict').map(({ body }) => body.prompt);
  assert.deepEqual(remade.points, [[6, 3]]);
  assert.notEqual(refined.mask_id, null);
  assert.match(await masks[0].toSvg(), /d="M/, 'masks from before the crash still have their outline');
  sam.dispose();
});

test('a worker that dies every time rejects with an error and does not hang or loop', async () => {
  const ports = fakePorts({
    onRequest: (message, port) => {
      if (message.type !== 'predict') return false;
      port.kill();
      return true;
    },
  });
  const sam = await load(ports);
  const image = await sam.setImage(picture());
  await assert.rejects(soon(image.predict({ points: [[1, 1]] })), { code: 'device_lost' });
  assert.equal(ports.opened.length, 2);
  sam.dispose();
});

test('a wasm trap is fatal for the worker, and out of memory is not tried again', async () => {
  let trap = new WebAssembly.RuntimeError('unreachable');
  const engine = await import('../../test-browser/fake-engine.js');
  class Engine extends engine.Engine {
    static async create(...options) {
      return Object.setPrototypeOf(await engine.Engine.create(...options), Engine.prototype);
    }
    async predict(...call) {
      if (trap === null) return super.predict(...call);
      const thrown = trap;
      trap = null;
      throw thrown;
    }
  }
  const ports = fakePorts({ module: { ...engine, Engine } });
  const sam = await load(ports);
  const image = await sam.setImage(picture());
  assert.equal((await soon(image.predict({ points: [[1, 1]] }))).masks.length, 3, 'answered by the second worker');
  assert.equal(ports.opened.length, 2);
  trap = new WebAssembly.RuntimeError('memory access out of bounds');
  await assert.rejects(soon(image.predict({ points: [[1, 1]] })), { code: 'out_of_memory', hint: /smaller/ });
  assert.equal(ports.opened[1].alive, false);
  assert.equal((await soon(image.predict({ points: [[1, 1]] }))).masks.length, 3, 'and the next call starts a third');
  sam.dispose();
});

test('an engine that fails on the GPU is replaced by one on the CPU at once; one that the browser ends, by its like', async () => {
  const engine = await import('../../test-browser/fake-engine.js');
  let trap = false;
  class Engine extends engine.Engine {
    static async create(device, onLog) {
      const made = Object.setPrototypeOf(await engine.Engine.create('auto', onLog), Engine.prototype);
      return Object.assign(made, { kind: device === 'cpu' ? 'cpu' : 'webgpu' });
    }
    device() { return this.kind; }
    device_info() { return JSON.stringify({ device: this.kind, why: this.kind === 'cpu' ? 'the CPU was asked for' : 'it passed', threads: 1 }); }
    async predict(...call) {
      if (!trap || this.kind === 'cpu') return super.predict(...call);
      throw new WebAssembly.RuntimeError('unreachable');
    }
  }
  for (const device of ['auto', 'webgpu']) {
    trap = false;
    const ports = fakePorts({ module: { ...engine, Engine } });
    const sam = await load(ports, { device });
    const image = await sam.setImage(picture());
    assert.equal(sam.device, 'webgpu');
    ports.opened[0].kill();
    assert.equal((await soon(image.predict({ points: [[1, 1]] }))).masks.length, 3);
    assert.deepEqual([sam.device, ports.opened.length], ['webgpu', 2], 'ended without a word: the GPU once more');
    trap = true;
    assert.equal((await soon(image.predict({ points: [[1, 1]] }))).masks.length, 3);
    assert.deepEqual([sam.device, ports.opened.length], ['cpu', 3]);
    assert.match(sam.deviceInfo.why, /^the GPU failed: .*unreachable/);
    await sam.loadModel(goodModel());
    assert.deepEqual([sam.device, /^the GPU failed/.test(sam.deviceInfo.why)], ['cpu', true]);
    sam.dispose();
  }
});

test('a video that goes over to the CPU says so', async () => {
  const engine = await import('../../test-browser/fake-engine.js');
  let kind = 'webgpu';
  class Engine extends engine.Engine {
    static async create(device, onLog) { return Object.setPrototypeOf(await engine.Engine.create('auto', onLog), Engine.prototype); }
    device() { return kind; }
    device_info() { return JSON.stringify({ device: kind, why: kind === 'cpu' ? 'WebGPU failed' : 'it passed', threads: 1 }); }
    video_add(...call) {
      kind = 'cpu';
      return super.video_add(...call);
    }
  }
  const sam = await load(fakePorts({ module: { ...engine, Engine } }), { device: 'webgpu' });
  const video = await sam.openVideo([picture()]);
  assert.equal(sam.device, 'webgpu');
  await soon(video.addPoints({ frame: 0, object: 1, points: [[1, 1]] }));
  assert.deepEqual([sam.device, sam.deviceInfo.why], ['cpu', 'WebGPU failed']);
  sam.dispose();
});

test('a refused model leaves the one before, and a new one encodes the picture again', async () => {
  const ports = fakePorts();
  const sam = await load(ports);
  const image = await sam.setImage(picture());
  await assert.rejects(soon(sam.loadModel(new TextEncoder().encode('bad'))), { code: 'bad_model', hint: /official/ });
  assert.equal((await image.predict({ points: [[1, 1]] })).masks.length, 3);
  await sam.loadModel({ file: new Blob([goodModel()]), name: 'another' });
  assert.equal(sam.model.name, 'another');
  assert.equal((await image.predict({ points: [[1, 1]] })).masks.length, 3);
  assert.deepEqual(ports.opened[0].requests.slice(-3), ['load', 'setImage', 'predict']);
  sam.dispose();
});

test('a damaged file is refused by its sum', async () => {
  const ports = fakePorts();
  const model = { file: new Blob([goodModel()]), sha256: '0'.repeat(64) };
  await assert.rejects(soon(load(ports, { model })), { code: 'checksum' });
  assert.equal(ports.opened[0].alive, false, 'a failed load leaves no worker');
});

test('what a message cannot take is called what it is', async () => {
  const ports = fakePorts();
  const sam = await load(ports);
  const methods = { toString: () => 'not to be cloned' };
  await assert.rejects(soon(sam.loadModel({ file: goodModel(), configYaml: methods })), { code: 'bad_model', message: /^The model cannot be handed/, hint: /File or Blob/ });
  const detached = picture();
  structuredClone(detached.data.buffer, { transfer: [detached.data.buffer] });
  await assert.rejects(soon(sam.setImage(detached)), { code: 'bad_image' });
  const image = await sam.setImage(picture());
  await assert.rejects(soon(image.predict({ points: [[6, 3]], multimask: methods })), { code: 'bad_setting', message: /^The request cannot be handed/ });
  await assert.rejects(soon(sam.openVideo({ live: true }).then((video) => video.pushFrame({ ...picture(), width: methods }))), { name: 'Sam2Error' });
  const video = await sam.openVideo([picture()]);
  await assert.rejects(soon(video.addPoints({ frame: 0, object: 1, points: [[1, 1]], keepOldPoints: methods })), { code: 'bad_setting' });
  assert.equal((await soon(image.predict({ points: [[6, 3]] }))).masks.length, 3, 'and it goes on');
  assert.equal(ports.opened.length, 1);
  sam.dispose();
});

test('load, dispose, load; dispose rejects what is under way', async () => {
  const ports = fakePorts();
  const first = await load(ports);
  const image = await first.setImage(picture());
  const pending = [image.predict({ points: [[1, 1]] }), image.predict({ points: [[2, 2]] }), first.setImage(picture())];
  first.dispose();
  for (const promise of pending) await assert.rejects(soon(promise), isAbort);
  await assert.rejects(soon(image.predict({ points: [[1, 1]] })), isAbort);
  const second = await load(ports);
  assert.equal((await (await second.setImage(picture())).predict({ points: [[1, 1]] })).masks.length, 3);
  second.dispose();
});

test('an address that is none is told, also one whose name cannot be decoded', async () => {
  await assert.rejects(soon(load(fakePorts(), { model: 'http://[' })), { code: 'bad_model', message: /not an address/ });
  await assert.rejects(soon(load(fakePorts(), { assets: { js: 'http://[', wasm: 'e.wasm' } })), { code: 'bad_setting' });
  const sam = await load(fakePorts());
  await assert.rejects(soon(sam.loadModel('http://127.0.0.1:1/100%.pt', { signal: AbortSignal.timeout(300) })), (error) => !(error instanceof URIError));
  sam.dispose();
});

test('an explicit device is obeyed or is an error', async () => {
  await assert.rejects(soon(load(fakePorts(), { device: 'webgpu' })), { code: 'no_webgpu' });
});

test('a disposed picture is refused, and dropped in the engine', async () => {
  const ports = fakePorts();
  const sam = await load(ports);
  const image = await sam.setImage(picture());
  image.dispose();
  await assert.rejects(soon(image.predict({ points: [[1, 1]] })), { code: 'bad_image' });
  await sam.setImage(picture());
  assert.ok(ports.opened[0].requests.includes('dropImage'));
  sam.dispose();
});

test('every code of the declaration is in the list, and the other way round', async () => {
  const { readFile } = await import('node:fs/promises');
  const text = await readFile(new URL('../index.d.ts', import.meta.url), 'utf8');
  const union = /type Sam2ErrorCode =([^;]*);/.exec(text)[1];
  assert.deepEqual([...union.matchAll(/'(\w+)'/g)].map(([, code]) => code), [...ERROR_CODES]);
});

test('importing touches no browser global', async () => {
  const { execFile } = await import('node:child_process');
  const url = new URL('../client.js', import.meta.url).href;
  const script = `for (const name of ['navigator', 'Worker', 'document', 'window', 'createImageBitmap'])
    Object.defineProperty(globalThis, name, { configurable: true, get() { throw new Error(name + ' was touched'); } });
    await import(${JSON.stringify(url)});`;
  await new Promise((resolve, reject) => {
    execFile(process.execPath, ['--input-type=module', '-e', script], (error) => (error ? reject(error) : resolve()));
  });
});
