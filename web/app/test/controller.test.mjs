/** What the page does while there is no model, no encoded picture, or no answer: the controller with a scripted package. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { Sam2Error } from '../../sam2/errors.js';
import { Controller } from '../controller.js';

Object.assign(globalThis, {
  createImageBitmap: async () => ({ width: 20, height: 10, close() {} }),
  Path2D: class {},
  window: { matchMedia: () => ({ matches: false }) },
});

const settled = async () => {
  for (let i = 0; i < 20; i += 1) await new Promise((resolve) => setImmediate(resolve));
};
const aborted = () => new DOMException('no', 'AbortError');
const error = (code, message = code) => new Sam2Error(code, message, 'do this');

/**
 * A package whose outcomes are given, in order: an error is thrown, a function is called, and where none is left it goes well.
 * @param {{ load?: unknown[], swap?: unknown[], encode?: unknown[], predict?: unknown[] }} script
 */
function rig(script) {
  const asked = { encodes: 0, prompts: [], snaps: [] };
  const next = async (name, ...call) => {
    const outcome = script[name]?.shift();
    if (outcome instanceof Error) throw outcome;
    return typeof outcome === 'function' ? outcome(...call) : undefined;
  };
  /** Rejects when it is cancelled, as the package does. */
  const cancellable = (signal, work) => Promise.race([work, new Promise((_, reject) => {
    if (signal?.aborted) reject(aborted());
    signal?.addEventListener('abort', () => reject(aborted()));
  })]);
  const image = {
    width: 20, height: 10, encodeMs: 1,
    dispose() {}, ready: async () => undefined,
    async predict(prompt, { signal }) {
      asked.prompts.push(prompt.points.map(([x]) => x));
      asked.snaps.push(prompt.snap);
      await cancellable(signal, next('predict', prompt));
      const mask = { iou: 0.9, area: 5, width: 20, height: 10, toSvgPath: async () => 'M0 0' };
      return { masks: [mask], iou: [0.9], lowRes: [], decodeMs: 1 };
    },
  };
  const sam = {
    on: () => () => undefined,
    loadModel: (_, { signal }) => cancellable(signal, next('swap')),
    setImage: async (_, { signal }) => {
      asked.encodes += 1;
      await cancellable(signal, next('encode'));
      return image;
    },
    ready: async () => undefined,
  };
  const states = [];
  const controller = new Controller({
    assets: async () => ({ js: 'e.js', wasm: 'e.wasm' }), device: 'auto', snap: () => asked.snaps.length % 2 === 0, onProgress() {}, onChange() {}, onWarning() {},
    onState: (state, { text }) => states.push(`${state}: ${text}`),
    load: ({ signal }) => cancellable(signal, next('load').then(() => sam)),
  });
  return { controller, asked, states, now: () => controller.describe(), state: () => controller.describe().state };
}
const model = (name = 'nano') => ({ source: `${name}.pt`, name, title: name, note: '' });
const blob = new Blob(['a picture']);
/** A promise with its ends. */
function later() {
  const ends = {};
  ends.promise = new Promise((resolve, reject) => Object.assign(ends, { resolve, reject }));
  return ends;
}

test('a failed load stays on the screen whatever is opened, and its retry gives the picture to the engine', async () => {
  const { controller, asked, now, state } = rig({ load: [error('no_webgpu', 'no GPU here')] });
  await controller.loadModel(model());
  const failed = () => assert.deepEqual([state(), now().message.text, typeof now().message.retry], ['error', 'No GPU here.', 'function']);
  failed();
  await controller.openPicture(blob, 'a.png');
  failed();
  controller.click({ x: 3, y: 3 }, false);
  failed();
  controller.undo();
  controller.click({ x: 4, y: 3 }, false);
  controller.closePicture();
  failed();
  await controller.openPicture(blob, 'b.png');
  controller.click({ x: 5, y: 3 }, false);
  now().message.retry();
  await settled();
  assert.deepEqual([state(), asked.encodes, asked.prompts], ['idle', 1, [[5]]]);
  assert.equal(controller.mask.area, 5);
});

test('no model was asked for: the same', async () => {
  const { controller, now, state } = rig({});
  let again = 0;
  controller.refuseModel(error('bad_model', 'No model is loaded.'), () => {
    again += 1;
  });
  await controller.openPicture(blob, 'a.png');
  controller.fail(error('bad_image', 'the sample is not there'), null);
  assert.equal(now().message.text, 'The sample is not there.');
  controller.reset();
  assert.deepEqual([state(), now().message.text], ['error', 'No model is loaded.']);
  now().message.retry();
  assert.equal(again, 1);
  await controller.loadModel(model());
  assert.equal(state(), 'idle');
});

test('a clip waits for a model through failed loads, and not for one that a model on hand makes needless', async () => {
  const swap = later();
  const { controller } = rig({ load: [error('bad_model')], swap: [() => swap.promise] });
  let there = null;
  void controller.loaded().then((sam) => {
    there = sam;
  });
  await controller.loadModel(model());
  await settled();
  assert.equal(there, null);
  await controller.loadModel(model());
  await settled();
  assert.equal(there, controller.sam);
  const swapping = controller.loadModel(model('other'));
  let second = null;
  void controller.loaded().then((sam) => {
    second = sam;
  });
  swap.reject(error('bad_model'));
  await swapping;
  await settled();
  assert.equal(second, controller.sam, 'the model before is there still');
});

test('the first load can be cancelled, and tried again', async () => {
  const { controller, now, state, asked } = rig({ load: [() => new Promise(() => undefined)] });
  assert.equal(now().message.cancel, null, 'nothing to cancel yet');
  const loading = controller.loadModel(model());
  await controller.openPicture(blob, 'a.png');
  assert.equal(state(), 'loading');
  now().message.cancel();
  await loading;
  assert.deepEqual([state(), now().message.text], ['error', 'Loading was cancelled.']);
  now().message.retry();
  await settled();
  assert.deepEqual([state(), asked.encodes], ['idle', 1]);
});

for (const [how, end] of [['refused', (swap) => swap.reject(error('bad_model', 'not a model'))], ['cancelled', (_, controller) => controller.describe().message.cancel()]]) {
  test(`a picture opened while a model is changed, which is ${how}: it is encoded with the one before`, async () => {
    const swap = later();
    const { controller, asked, now, state } = rig({ swap: [() => swap.promise] });
    await controller.loadModel(model());
    const swapping = controller.loadModel(model('other'));
    await controller.openPicture(blob, 'a.png');
    controller.click({ x: 7, y: 2 }, false);
    assert.deepEqual([state(), asked.encodes], ['loading', 0]);
    end(swap, controller);
    await swapping;
    await settled();
    assert.deepEqual([asked.encodes, asked.prompts, controller.model.name], [1, [[7]], 'nano']);
    assert.equal(controller.mask.area, 5);
    assert.equal(now().message.text, how === 'refused' ? 'Not a model.' : 'Mask of 5 pixels.', 'what was refused is said all the same');
    controller.click({ x: 8, y: 2 }, false);
    await settled();
    assert.equal(state(), 'idle', 'until the person goes on');
  });
}

test('a model change cancelled while a picture is on its way: it is encoded once', async () => {
  const encode = later();
  const { controller, asked, state } = rig({ swap: [() => new Promise(() => undefined)], encode: [() => encode.promise] });
  await controller.loadModel(model());
  const opening = controller.openPicture(blob, 'a.png');
  await settled();
  const swapping = controller.loadModel(model('other'));
  controller.describe().message.cancel();
  await swapping;
  assert.equal(state(), 'encoding');
  encode.resolve();
  await opening;
  assert.deepEqual([state(), asked.encodes], ['idle', 1]);
});

test('a picture that was not encoded: the error stays, a click tries again', async () => {
  const { controller, asked, now, state } = rig({ encode: [error('out_of_memory', 'too large'), error('out_of_memory', 'too large')] });
  await controller.loadModel(model());
  await controller.openPicture(blob, 'a.png');
  controller.reset();
  assert.deepEqual([state(), now().message.text], ['error', 'Too large.'], 'there is nothing yet to be clicked in');
  controller.click({ x: 3, y: 3 }, false);
  await settled();
  assert.deepEqual([state(), asked.encodes], ['error', 2]);
  controller.click({ x: 4, y: 3 }, false);
  await settled();
  assert.deepEqual([state(), asked.encodes, asked.prompts], ['idle', 3, [[3], [3, 4]]]);
  await controller.openPicture(blob, 'b.png');
  assert.equal(state(), 'idle');
});

test('an encode that failed under a model change is not told after the change went well', async () => {
  const [swap, encode] = [later(), later()];
  const { controller, state } = rig({ swap: [() => swap.promise], encode: [() => encode.promise] });
  await controller.loadModel(model());
  const opening = controller.openPicture(blob, 'a.png');
  await settled();
  const swapping = controller.loadModel(model('other'));
  encode.reject(error('device_lost'));
  await opening;
  swap.resolve();
  await swapping;
  assert.equal(state(), 'idle');
});

test('a prompt that the engine refuses is dropped, and those after it are answered without it', async () => {
  const first = later();
  const { controller, asked, now, state } = rig({ predict: [() => first.promise, error('bad_prompt', 'outside the picture')] });
  await controller.loadModel(model());
  await controller.openPicture(blob, 'a.png');
  for (const x of [1, 20, 3]) controller.click({ x, y: 3 }, false);
  first.resolve();
  await settled();
  assert.deepEqual(asked.prompts, [[1], [1, 20], [1, 3]]);
  assert.deepEqual([state(), now().message.text, now().message.retry], ['error', 'Outside the picture.', null]);
  controller.click({ x: 4, y: 3 }, false);
  await settled();
  assert.deepEqual([state(), asked.prompts.at(-1)], ['idle', [1, 3, 4]]);
});

test('an answer that is damaged everywhere holds nothing up, and can be asked for again', async () => {
  const { controller, asked, now, state } = rig({ predict: [error('mask_fault', 'damaged')] });
  await controller.loadModel(model());
  await controller.openPicture(blob, 'a.png');
  controller.click({ x: 1, y: 3 }, false);
  await settled();
  const { retry } = now().message;
  assert.equal(state(), 'error');
  controller.click({ x: 2, y: 3 }, false);
  await settled();
  assert.deepEqual([state(), asked.prompts], ['idle', [[1], [1, 2]]]);
  retry();
  await settled();
  assert.deepEqual([state(), asked.prompts.at(-1)], ['idle', [1]]);
});

test('a file that turns out to be a clip is left to who opens it, unless another was opened meanwhile', async () => {
  const { controller, asked, state } = rig({});
  await controller.loadModel(model());
  const told = [];
  /** @param {string} name */
  const open = (name) => {
    const known = later();
    const opened = controller.openPicture(blob, name, { isClip: known.promise, onKnown: (isClip) => told.push([name, isClip]) });
    assert.equal(state(), 'encoding', 'at once');
    return { known, opened };
  };
  const clip = open('a.png');
  clip.known.resolve(true);
  await clip.opened;
  assert.deepEqual([told.splice(0), asked.encodes], [[['a.png', true]], 0]);
  const older = open('b.png');
  const newer = open('c.png');
  newer.known.resolve(false);
  await newer.opened;
  older.known.resolve(true);
  await older.opened;
  await settled();
  assert.deepEqual([told, asked.encodes, state(), controller.picture.name], [[['c.png', false]], 1, 'idle', 'c.png']);
});

test('masks made in another way are asked for again, each as the switch stands then', async () => {
  const { controller, asked, state } = rig({});
  controller.askAgain();
  await controller.loadModel(model());
  await controller.openPicture(blob, 'a.png');
  controller.askAgain();
  await settled();
  assert.deepEqual(asked.prompts, [], 'nothing was asked yet');
  controller.click({ x: 3, y: 3 }, false);
  controller.click({ x: 5, y: 3 }, false);
  await settled();
  controller.askAgain();
  await settled();
  assert.deepEqual([asked.prompts, asked.snaps, state()], [[[3], [3, 5], [3], [3, 5]], [true, false, true, false], 'idle']);
});
