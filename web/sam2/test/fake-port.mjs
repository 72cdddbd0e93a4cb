/** Worker ports for tests: the real EngineHost in this thread, with the page tests' stand-in engine. */
import * as engine from '../../test-browser/fake-engine.js';
import { EngineHost } from '../host.js';

export const ASSETS = { js: 'file:///engine.js', wasm: 'file:///engine.wasm' };

/**
 * @param {{ module?: object, loadModule?: () => Promise<object>, onRequest?: (message: any, port: any) => boolean | void, whyNoGpu?: () => Promise<string> }} [options]
 *   `onRequest` sees every message first, and swallows it by returning true
 */
export function fakePorts({ module = engine, loadModule = async () => module, onRequest = () => false, whyNoGpu } = {}) {
  const opened = [];
  const open = async () => {
    let deliver = () => {};
    let died = () => {};
    let alive = true;
    const host = new EngineHost({
      post: (message, transfer) => {
        const copy = structuredClone(message, { transfer });
        setImmediate(() => alive && deliver(copy));
      },
      loadModule,
      holdLock: async () => {},
      whyNoGpu,
    });
    const port = {
      requests: [],
      post(message, transfer) {
        const copy = structuredClone(message, { transfer });
        port.requests.push(copy.kind === 'cancel' ? 'cancel' : copy.type);
        port.messages.push(copy);
        setImmediate(() => {
          if (alive && !onRequest(copy, port)) host.receive(copy);
        });
      },
      messages: [],
      listen(onMessage, onDeath) {
        deliver = onMessage;
        died = onDeath;
      },
      deliver: (message) => deliver(message),
      kill(reason = 'killed by the test') {
        alive = false;
        died(reason);
      },
      terminate() {
        alive = false;
      },
      get alive() {
        return alive;
      },
    };
    opened.push(port);
    return port;
  };
  return { open, opened };
}

/** A picture of 12 x 7. */
export const picture = () => ({ data: new Uint8Array(12 * 7 * 4).fill(90), width: 12, height: 7 });

export const goodModel = () => new TextEncoder().encode('good model');
