/**
 * What the engine needs of the browser's GPU, asked before the engine opens it: without `timestamp-query` its
 * runtime (cubecl-wgpu) panics, which ends the worker. What an adapter is, hardware or software, and whether it
 * is fast enough, the engine finds out itself (crates/sam2/src/device.rs).
 */

/** Of WebGPU's own guaranteed limits those that the engine counts on; a compatibility adapter has less. */
const NEEDED = {
  maxStorageBufferBindingSize: 128 * 2 ** 20, maxStorageBuffersPerShaderStage: 8, maxComputeInvocationsPerWorkgroup: 256, maxComputeWorkgroupStorageSize: 16_384,
};

/**
 * @typedef {object} Adapter what is asked of a GPUAdapter
 * @property {{ has(name: string): boolean }} features
 * @property {unknown} limits
 */

/**
 * @param {{ gpu?: { requestAdapter(options?: object): Promise<Adapter | null> } }} navigator
 * @returns {Promise<string>} why the GPU cannot be used; empty where nothing is known against it
 */
export async function whyNoGpu({ gpu }) {
  if (gpu === undefined) return 'there is no WebGPU: the browser has none, or keeps it for pages of https and localhost';
  /** @type {Adapter | null} */
  let adapter;
  try {
    adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' }); // as the engine does
  } catch (error) {
    return `there is no WebGPU here: the browser gives no adapter (${error instanceof Error ? error.message : error})`;
  }
  if (adapter === null) return 'there is no WebGPU here: the browser gives no adapter';
  if (!adapter.features.has('timestamp-query')) return 'its WebGPU adapter has no timestamp-query';
  const limits = /** @type {Record<string, number>} */ (adapter.limits);
  for (const [name, least] of Object.entries(NEEDED)) {
    if (!(limits[name] >= least)) return `its WebGPU adapter has a ${name} of ${limits[name]}, and ${least} is needed`;
  }
  return '';
}
