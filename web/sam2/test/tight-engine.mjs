/**
 * The engine, as a module for a worker, whose memory is grown to its end but for `leave` bytes (in the
 * address) when a picture as wide as `width` is handed to it. Nothing of what is grown is touched.
 */
const query = new URL(import.meta.url).searchParams;
const pkg = query.get('pkg');
// Node's test runner loads every file of this folder, this one without an address of an engine.
const real = pkg === null ? {} : await import(pkg);
const [leave, width] = [Number(query.get('leave')), Number(query.get('width'))];
/** @type {WebAssembly.Memory} */
let memory;

export default async function init(input) {
  const exports = await real.default(input);
  ({ memory } = exports);
  return exports;
}
export const { decode_image, trace_rle, take_refused_bytes, memory_bytes } = real;
export const Engine = {
  async create(device, onLog) {
    const engine = await real.Engine.create(device, onLog);
    const plain = engine.set_image;
    engine.set_image = (rgba, w, h, onProgress) => {
      if (w === width) memory.grow(Math.floor((2 ** 32 - leave - memory.buffer.byteLength) / 65_536));
      return plain.call(engine, rgba, w, h, onProgress);
    };
    return engine;
  },
};
