/** Where `cargo xtask wasm` has put the engine; the names carry hashes, so they are listed. */
import { Sam2Error } from '../sam2/errors.js';

/** @param {AbortSignal} [signal] @returns {Promise<{ js: URL, wasm: URL, wasmBytes: number }>} */
export async function engineAssets(signal) {
  const folder = new URL('../../pkg/', import.meta.url);
  const response = await fetch(new URL('assets.json', folder), { cache: 'no-cache', signal });
  if (!response.ok) {
    throw new Sam2Error('device_lost', `The engine is not there: the server answered ${response.status}.`, 'Build it with `cargo xtask wasm`.');
  }
  const { js, wasm, wasm_bytes: wasmBytes } = await response.json();
  return { js: new URL(js, folder), wasm: new URL(wasm, folder), wasmBytes };
}
