/** What is asked of a GPU before the engine opens it, and a GPU that ends the worker while it is opened. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { Sam2 } from '../client.js';
import { whyNoGpu } from '../gpu.js';
import * as engine from '../../test-browser/fake-engine.js';
import { ASSETS, fakePorts, goodModel, picture } from './fake-port.mjs';

const LIMITS = { maxStorageBufferBindingSize: 2 ** 27, maxStorageBuffersPerShaderStage: 8, maxComputeInvocationsPerWorkgroup: 256, maxComputeWorkgroupStorageSize: 16_384 };
const browser = (adapter) => ({ gpu: { requestAdapter: async () => (typeof adapter === 'function' ? adapter() : adapter) } });
const adapter = (more) => ({ features: new Set(['timestamp-query']), limits: LIMITS, ...more });

test('an adapter is refused for what the engine needs and it has not, and for nothing else', async () => {
  for (const [navigator, reason] of [
    [{}, /no WebGPU/], [browser(null), /no WebGPU.*no adapter/], [browser(() => { throw new Error('lost'); }), /no adapter \(lost\)/],
    [browser(adapter({ features: new Set() })), /timestamp-query/],
    [browser(adapter({ limits: { ...LIMITS, maxStorageBufferBindingSize: 2 ** 25 } })), /maxStorageBufferBindingSize of 33554432/],
    [browser(adapter({ limits: { ...LIMITS, maxStorageBuffersPerShaderStage: 4 } })), /maxStorageBuffersPerShaderStage of 4/],
  ]) assert.match(await whyNoGpu(navigator), reason);
  assert.equal(await whyNoGpu(browser(adapter())), '');
  assert.equal(await whyNoGpu(browser(adapter({ isFallbackAdapter: true, info: { isFallbackAdapter: true } }))), '', 'software is the engine\'s to judge');
});

/** An engine that says which device it was given, and on a GPU does what `open` says. @param {() => void} [open] */
function engineOf(open = () => undefined) {
  const given = [];
  class Engine extends engine.Engine {
    static async create(device, onLog) {
      given.push(device);
      if (device !== 'cpu') open();
      return Object.assign(Object.setPrototypeOf(await engine.Engine.create('auto', onLog), Engine.prototype), { kind: device === 'cpu' ? 'cpu' : 'webgpu' });
    }
    device() { return this.kind; }
    device_info() { return JSON.stringify({ device: this.kind, why: this.kind === 'cpu' ? 'the CPU was asked for' : 'it passed', threads: 1 }); }
  }
  return { module: { ...engine, Engine }, given };
}
const load = (ports, device) => Sam2.load({ model: goodModel(), assets: ASSETS, openPort: ports.open, cache: false, device });

test('auto on a GPU that lacks something is the CPU, which says so from then on; webgpu is an error, cpu asks nothing', async () => {
  const { module, given } = engineOf();
  let asked = 0;
  const ports = fakePorts({
    module,
    whyNoGpu: async () => {
      asked += 1;
      return 'its adapter is too old';
    },
  });
  const sam = await load(ports, 'auto');
  assert.deepEqual([sam.device, sam.deviceInfo.why, given], ['cpu', 'no GPU is used: its adapter is too old', ['cpu']]);
  const image = await sam.setImage(picture());
  await image.predict({ points: [[1, 1]] });
  await sam.loadModel(goodModel());
  assert.equal(sam.deviceInfo.why, 'no GPU is used: its adapter is too old');
  sam.dispose();
  await assert.rejects(load(ports, 'webgpu'), { code: 'no_webgpu', message: /its adapter is too old/ });
  assert.equal(asked, 2);
  const cpu = await load(ports, 'cpu');
  assert.deepEqual([asked, cpu.deviceInfo.why], [2, 'the CPU was asked for']);
  cpu.dispose();
});

test('a GPU with all that is needed is left to the engine', async () => {
  const { module, given } = engineOf();
  for (const device of ['auto', 'webgpu']) {
    const sam = await load(fakePorts({ module, whyNoGpu: async () => '' }), device);
    assert.deepEqual([sam.device, sam.deviceInfo.why], ['webgpu', 'it passed']);
    sam.dispose();
  }
  assert.deepEqual(given, ['auto', 'webgpu']);
});

const trap = () => {
  throw new WebAssembly.RuntimeError('unreachable');
};

test('a GPU that traps the engine while it is opened: auto goes on with the CPU and says why', async () => {
  const { module, given } = engineOf(trap);
  const ports = fakePorts({ module });
  const sam = await load(ports, 'auto');
  assert.deepEqual([sam.device, given, ports.opened.length], ['cpu', ['auto', 'cpu'], 2]);
  assert.match(sam.deviceInfo.why, /^the GPU failed while it was opened: .*unreachable/);
  const image = await sam.setImage(picture());
  assert.equal((await image.predict({ points: [[1, 1]] })).masks.length, 3);
  assert.match(sam.deviceInfo.why, /^the GPU failed while it was opened/, 'still');
  sam.dispose();
  await assert.rejects(load(fakePorts({ module }), 'webgpu'), { code: 'device_lost' }, 'a device that is named is obeyed, or an error');
});

test('a worker that is ended while it is opened: auto goes on with the CPU', async () => {
  const { module } = engineOf();
  const ports = fakePorts({
    module,
    onRequest: (message, port) => {
      if (message.type !== 'open' || message.body.device === 'cpu') return false;
      port.kill();
      return true;
    },
  });
  const sam = await load(ports, 'auto');
  assert.deepEqual([sam.device, ports.opened.length], ['cpu', 2]);
  sam.dispose();
});

test('memory that ends while it is opened is not the GPU\'s fault', async () => {
  const { module, given } = engineOf(() => {
    throw new WebAssembly.RuntimeError('memory access out of bounds');
  });
  await assert.rejects(load(fakePorts({ module }), 'auto'), { code: 'out_of_memory' });
  assert.deepEqual(given, ['auto']);
});

test('a lock that only the end of a worker lets go is watched while it opens', async () => {
  /** @type {Map<string, () => void>} */
  const granted = new Map();
  const locks = { request: (name, { signal }, held) => new Promise((_, reject) => {
    granted.set(name, held);
    signal.addEventListener('abort', () => reject(signal.reason));
  }) };
  Object.defineProperty(globalThis, 'navigator', { value: { locks }, configurable: true });
  try {
    const { module, given } = engineOf();
    let hang = true;
    const ports = fakePorts({
      loadModule: async () => {
        if (!hang) return module;
        hang = false;
        setTimeout(() => [...granted.values()].at(-1)(), 20); // the browser ended the worker without a word
        return new Promise(() => undefined);
      },
    });
    const sam = await load(ports, 'auto');
    assert.deepEqual([given, ports.opened.length, granted.size], [['cpu'], 2, 2]);
    sam.dispose();
  } finally {
    delete globalThis.navigator;
  }
});
