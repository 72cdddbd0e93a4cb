/** The module Worker of a page: connects its messages to an EngineHost. */
import { Sam2Error } from './errors.js';
import { whyNoGpu } from './gpu.js';
import { EngineHost } from './host.js';

/** @typedef {import('./host.js').HostPlatform} HostPlatform */

/** @type {DedicatedWorkerGlobalScope} */
const scope = /** @type {any} */ (self);

/** @type {HostPlatform['loadModule']} */
async function loadModule(assets, onProgress, signal) {
  const response = await fetch(assets.wasm, { signal }).catch((error) => {
    throw new Sam2Error('device_lost', `The engine could not be fetched: ${error.message}.`, 'Check the connection and try again.');
  });
  if (!response.ok || response.body === null) {
    throw new Sam2Error('device_lost', `The engine could not be fetched: the server answered ${response.status}.`,
      'Build it with `cargo xtask wasm`, or load the page again.');
  }
  const total = assets.wasmBytes ?? 0;
  let done = 0;
  const counted = response.body.pipeThrough(new TransformStream({
    transform(chunk, controller) {
      done += chunk.byteLength;
      onProgress('engine', done, total);
      controller.enqueue(chunk);
    },
  }));
  /** @type {import('./engine.d.ts').EngineModule} */
  const module = await import(assets.js);
  // The type is given here because streaming compilation insists on it, and not every server sends it.
  await module.default({ module_or_path: new Response(counted, { headers: { 'Content-Type': 'application/wasm' } }) });
  return module;
}

/** @type {HostPlatform['holdLock']} */
function holdLock(lock) {
  return new Promise((held) => {
    if (lock === '' || navigator.locks === undefined) {
      held();
      return;
    }
    // Never released: only the end of this worker lets it go.
    void navigator.locks.request(lock, () => {
      held();
      return new Promise(() => undefined);
    });
  });
}

const host = new EngineHost({
  post: (message, transfer) => scope.postMessage(message, transfer),
  loadModule,
  holdLock,
  whyNoGpu: () => whyNoGpu(navigator),
});

scope.addEventListener('message', (event) => host.receive(event.data));
// Told by the host, in words; the browser would tell the page once more, in its own.
scope.addEventListener('unhandledrejection', (event) => {
  event.preventDefault();
  host.fail(event.reason);
});
scope.addEventListener('error', (event) => {
  event.preventDefault();
  host.fail(event.error ?? event.message);
});
