/** A clip against the package with the stand-in engine: what tests of prompts, passes and live videos share. */
import assert from 'node:assert/strict';
import { Sam2 } from '../../sam2/client.js';
import { ASSETS, fakePorts, goodModel } from '../../sam2/test/fake-port.mjs';
import * as standIn from '../../test-browser/fake-engine.js';
import { Clip } from '../clip/clip.js';

globalThis.document = /** @type {any} */ ({ hidden: false });

export const [WIDTH, HEIGHT, FRAMES] = [80, 48, 12];
/** Two things that stand still: a red one at the left, a green one at the right. */
export const RED = { x: 16, y: 24 };
export const GREEN = { x: 64, y: 24 };
const SIDE = 24;
/** In the red one, below and above its middle. */
export const LOW = { x: 16, y: 34 };
export const HIGH = { x: 16, y: 14 };

export function frame() {
  const data = new Uint8Array(WIDTH * HEIGHT * 4);
  for (let p = 0; p < WIDTH * HEIGHT; p += 1) {
    const [x, y] = [p % WIDTH, Math.floor(p / WIDTH)];
    const inside = (at) => Math.abs(x - at.x) < SIDE / 2 && Math.abs(y - at.y) < SIDE / 2;
    data.set(inside(RED) ? [255, 0, 0, 255] : inside(GREEN) ? [0, 255, 0, 255] : [0, 0, 255, 255], 4 * p);
  }
  return { data, width: WIDTH, height: HEIGHT };
}

/** An engine whose calls a test may stop or fail: `fault(name, argument)` throws, or answers with what is awaited. */
function faulty(fault) {
  class Engine extends standIn.Engine {
    static async create(...options) { return Object.setPrototypeOf(await standIn.Engine.create(...options), Engine.prototype); }
  }
  for (const name of ['video_add', 'video_next']) {
    Engine.prototype[name] = async function call(...args) {
      await fault(name, JSON.parse(args[1] ?? 'null'));
      return standIn.Engine.prototype[name].apply(this, args);
    };
  }
  return { ...standIn, Engine };
}

/** @param {(name: string, argument: any) => unknown} [fault] @param {any} [source] */
export async function openClip(fault = () => undefined, source = { frames: FRAMES, width: WIDTH, height: HEIGHT, read: async () => frame() }) {
  const ports = fakePorts({ module: faulty(fault) });
  const sam = await Sam2.load({ model: goodModel(), assets: ASSETS, openPort: ports.open, cache: false });
  let watch = () => {};
  const clip = new Clip('clip', { onChange: () => watch(), onProgress: () => {}, onTracked: () => {} });
  assert.equal(await clip.open(sam, source, { limits: {}, retry: () => {} }), true);
  return {
    clip, sam, ports,
    requests: () => ports.opened.flatMap(({ messages }) => messages.filter(({ kind, type }) => kind === 'request' && type.startsWith('video') && type !== 'videoStats' || type === 'startPass')),
    starts: () => ports.opened.flatMap(({ messages }) => messages.filter(({ type }) => type === 'startPass').map(({ body }) => body.pass.start)),
    /** Resolves when the clip says so. @param {() => boolean} what */
    until: (what) => new Promise((resolve) => {
      watch = () => what() && resolve(undefined);
      watch();
    }),
    idle() { return this.until(() => ['idle', 'error'].includes(clip.describe().state)); },
    lanes: (object) => Array.from({ length: FRAMES }, (_, at) => clip.tracks.lane(object, at)[0]).join(''),
    area: (at, object = 1) => clip.tracks.found(at, object)?.mask.area ?? null,
    text: () => clip.describe().message.text,
  };
}

export const fault = (code) => Object.assign(new Error('a fault'), { code, hint: '' });
