/** The worker thread of a Node program: connects its messages to an EngineHost. */
import { readFile } from 'node:fs/promises';
import { parentPort } from 'node:worker_threads';
import { EngineHost } from './host.js';

if (parentPort === null) throw new Error('worker-node.js runs as a worker thread only.');
const port = parentPort;

const host = new EngineHost({
  post: (message, transfer) => port.postMessage(message, /** @type {any} */ (transfer)),
  async loadModule(assets) {
    /** @type {import('./engine.d.ts').EngineModule} */
    const module = await import(assets.js);
    // Node's fetch reads no file: addresses.
    const wasm = assets.wasm.startsWith('file:') ? await readFile(new URL(assets.wasm)) : await (await fetch(assets.wasm)).arrayBuffer();
    await module.default({ module_or_path: /** @type {BufferSource} */ (wasm) });
    return module;
  },
  holdLock: async () => undefined, // a thread's end is an event of its own
});

port.on('message', (message) => host.receive(message));
process.on('unhandledRejection', (error) => host.fail(error));
process.on('uncaughtException', (error) => host.fail(error)); // a trap of the module
