/** Starts a worker, in a browser or in Node, and gives both the same small face. */

/** @typedef {import('./protocol.js').WorkerPort} WorkerPort */

/** @returns {Promise<WorkerPort>} */
export async function openPort() {
  return typeof Worker === 'undefined' ? nodePort() : browserPort();
}

/** @returns {WorkerPort} */
function browserPort() {
  // Bundlers look for exactly this expression.
  const worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module', name: 'sam2' });
  return {
    post: (message, transfer) => worker.postMessage(message, transfer),
    listen(onMessage, onDeath) {
      worker.addEventListener('message', (event) => onMessage(event.data));
      worker.addEventListener('messageerror', () => onDeath('a message could not be read'));
      worker.addEventListener('error', (event) => {
        event.preventDefault(); // it is reported as a Sam2Error, not a second time in the console
        onDeath(event.message || 'its script could not be loaded');
      });
    },
    terminate: () => worker.terminate(),
  };
}

/** @returns {Promise<WorkerPort>} */
async function nodePort() {
  const threads = await import('node:worker_threads');
  const worker = new threads.Worker(new URL('./worker-node.js', import.meta.url));
  return {
    post: (message, transfer) => worker.postMessage(message, /** @type {any} */ (transfer)),
    listen(onMessage, onDeath) {
      worker.on('message', onMessage);
      worker.on('messageerror', () => onDeath('a message could not be read'));
      worker.on('error', (error) => onDeath(error instanceof Error ? error.message : String(error)));
      worker.on('exit', () => onDeath('its thread ended'));
    },
    terminate: () => void worker.terminate(),
  };
}
