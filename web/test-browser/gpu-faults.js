/**
 * Put before the worker's own code by gpu-faults.test.mjs: makes WebGPU itself misbehave, under the shipped
 * engine. `bug` (from the worker's address) = kind, rate, and how many reads are left alone first.
 *
 * What the engine reads passes through `GPUBuffer.getMappedRange` of a buffer mapped for reading; there
 * the bytes are changed in place, as an incomplete copy would. `destroy` calls `GPUDevice.destroy()`.
 */
(() => {
  const plan = { kind: '', rate: 1, skip: 0, most: Infinity, seed: 7 };
  const seen = { reads: 0, injected: 0 };
  /** The bytes of earlier reads by their length. @type {Map<number, Uint8Array>} */
  const before = new Map();
  /** @type {GPUDevice[]} */
  const devices = [];
  let state = 7;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 4294967296;
  };
  const channel = new BroadcastChannel('gpu-faults');
  channel.onmessage = ({ data }) => {
    if (data.plan !== undefined) {
      Object.assign(plan, { rate: 1, skip: 0, most: Infinity }, data.plan);
      Object.assign(seen, { reads: 0, injected: 0 });
    }
    // The page's own worker, on the CPU, has nothing to say.
    if (devices.length > 0) channel.postMessage({ seen: { ...seen } });
  };

  const { requestDevice } = GPUAdapter.prototype;
  GPUAdapter.prototype.requestDevice = async function (...args) {
    const device = await requestDevice.apply(this, args);
    devices.push(device);
    return device;
  };

  /** @param {Uint8Array} bytes */
  function spoil(bytes) {
    const floats = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 2);
    const half = floats.length >> 1;
    switch (plan.kind) {
      case 'nan': floats[Math.floor(floats.length / 3)] = NaN; return true;
      case 'infinite': floats[Math.floor(floats.length / 3)] = Infinity; return true;
      case 'zeros': bytes.fill(0); return true;
      case 'truncated': floats.fill(0, half); return true;
      case 'swapped halves': {
        const copy = floats.slice();
        floats.set(copy.subarray(half), 0);
        floats.set(copy.subarray(0, half), floats.length - half);
        return true;
      }
      case 'stale': {
        const old = before.get(bytes.byteLength);
        if (old === undefined) return false;
        bytes.set(old);
        return true;
      }
      case 'one bit': case '64 bits':
        for (let i = 0; i < (plan.kind === 'one bit' ? 1 : 64); i += 1) bytes[Math.floor(next() * bytes.length)] ^= 1 << Math.floor(next() * 8);
        return true;
      default: return false;
    }
  }

  /** Ranges of one buffer are handed out again by the same call: they are spoiled once. @type {WeakSet<ArrayBuffer>} */
  const done = new WeakSet();
  const { getMappedRange } = GPUBuffer.prototype;
  GPUBuffer.prototype.getMappedRange = function (...args) {
    const range = getMappedRange.apply(this, args);
    if ((this.usage & GPUBufferUsage.MAP_READ) === 0 || done.has(range)) return range;
    done.add(range);
    seen.reads += 1;
    const bytes = new Uint8Array(range);
    const fresh = bytes.slice();
    const due = plan.kind !== '' && seen.reads > plan.skip && seen.injected < plan.most && next() < plan.rate;
    if (due && plan.kind === 'destroy') {
      seen.injected += 1;
      for (const device of devices) device.destroy();
    } else if (due && spoil(bytes)) {
      seen.injected += 1;
    }
    before.set(bytes.byteLength, fresh);
    return range;
  };
})();
