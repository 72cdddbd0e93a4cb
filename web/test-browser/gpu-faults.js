/**
 * Put before the worker's own code by gpu-faults.test.mjs: makes WebGPU itself misbehave under the shipped
 * engine.
 *
 * What the engine reads passes through `GPUBuffer.getMappedRange` of a buffer mapped for reading; there the
 * bytes are changed in place, as an incomplete copy would. `destroy` calls `GPUDevice.destroy()`, at a
 * submission (`at: 'submit'`) or at a read. A worker asks for its plan when it starts, and takes another
 * whenever one comes.
 */
(() => {
  const NO_PLAN = { kind: '', at: 'read', rate: 1, skip: 0, most: Infinity };
  const plan = { ...NO_PLAN };
  const seen = { reads: 0, submits: 0, injected: 0 };
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
      Object.assign(plan, NO_PLAN, data.plan);
      Object.assign(seen, { reads: 0, submits: 0, injected: 0 });
    }
    if (data.destroy) destroy();
    if (data.ask !== undefined) channel.postMessage({ answer: data.ask, seen: { ...seen } });
  };
  channel.postMessage({ started: true });

  function destroy() {
    seen.injected += 1;
    for (const device of devices) device.destroy();
  }

  /** @param {'read' | 'submit'} at @param {number} count of those, this one included */
  function due(at, count) {
    return plan.kind !== '' && plan.at === at && count > plan.skip && seen.injected < plan.most && next() < plan.rate;
  }

  const { requestDevice } = GPUAdapter.prototype;
  GPUAdapter.prototype.requestDevice = async function (...args) {
    const device = await requestDevice.apply(this, args);
    devices.push(device);
    return device;
  };

  const { submit } = GPUQueue.prototype;
  GPUQueue.prototype.submit = function (...args) {
    seen.submits += 1;
    if (due('submit', seen.submits)) destroy();
    return submit.apply(this, args);
  };

  // A buffer is larger than what was copied into it: what lies behind is nobody's.
  /** @type {WeakMap<GPUBuffer, number>} */
  const copied = new WeakMap();
  const { copyBufferToBuffer } = GPUCommandEncoder.prototype;
  GPUCommandEncoder.prototype.copyBufferToBuffer = function (...args) {
    const [, second, third, fourth, fifth] = args;
    // With or without offsets.
    if (second instanceof GPUBuffer) copied.set(second, third ?? second.size);
    else copied.set(third, (fourth ?? 0) + (fifth ?? third.size));
    return copyBufferToBuffer.apply(this, args);
  };

  /** @param {Uint8Array} bytes @returns {boolean} whether anything was changed */
  function spoil(bytes) {
    const fresh = bytes.slice();
    const floats = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 2);
    const half = floats.length >> 1;
    const third = Math.floor(floats.length / 3);
    switch (plan.kind) {
      case 'nan': floats[third] = NaN; break;
      case 'infinite': floats[third] = Infinity; break;
      case 'zeros': bytes.fill(0); break;
      case 'truncated': floats.fill(0, half); break;
      case 'swapped halves': {
        const copy = floats.slice();
        floats.set(copy.subarray(half), 0);
        floats.set(copy.subarray(0, half), floats.length - half);
        break;
      }
      case 'stale': {
        const old = before.get(bytes.byteLength);
        if (old !== undefined) bytes.set(old);
        break;
      }
      case 'one bit': case '64 bits':
        for (let i = 0; i < (plan.kind === 'one bit' ? 1 : 64); i += 1) bytes[Math.floor(next() * bytes.length)] ^= 1 << Math.floor(next() * 8);
        break;
      default: return false;
    }
    return fresh.some((byte, i) => byte !== bytes[i]);
  }

  const { getMappedRange } = GPUBuffer.prototype;
  GPUBuffer.prototype.getMappedRange = function (...args) {
    const range = getMappedRange.apply(this, args);
    if ((this.usage & GPUBufferUsage.MAP_READ) === 0) return range;
    seen.reads += 1;
    const bytes = new Uint8Array(range, 0, Math.min(range.byteLength, copied.get(this) ?? range.byteLength));
    const fresh = bytes.slice();
    if (due('read', seen.reads)) {
      if (plan.kind === 'destroy') destroy();
      else if (spoil(bytes)) seen.injected += 1;
    }
    before.set(bytes.byteLength, fresh);
    return range;
  };
})();
