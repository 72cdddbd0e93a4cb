/** Undo in a live video, whose frames leave the memory, against the package with the stand-in engine. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { goodModel } from '../../sam2/test/fake-port.mjs';
import { GREEN, LOW, RED, fault, frame, openClip } from './clip-set-up.mjs';

/** So many frames, and none that was seen before is in memory any more. */
const MANY = 20;

/** @param {(name: string, argument: any) => unknown} [fail] */
async function openLive(fail) {
  const at = await openClip(fail, { live: true });
  const live = {
    ...at,
    /** Frames come in, as the camera gives them. @param {number} [count] */
    async push(count = 1) {
      for (let i = 0; i < count; i += 1) {
        const answer = await at.clip.video.pushFrame(frame());
        at.clip.tracks.put(answer);
        for (const old of at.clip.tracks.frames()) if (old < answer.frame) at.clip.tracks.drop(old);
      }
    },
    get frame() {
      return at.clip.video.length - 1;
    },
    /** Clicks on the latest frame, and waits for the answer. */
    async click(place, negative = false) {
      at.clip.click(live.frame, place, negative);
      await at.idle();
    },
    async undo() {
      at.clip.undo();
      await at.idle();
    },
    /** Areas of the objects on the next frame. */
    async next() {
      await live.push();
      return Object.fromEntries(at.clip.tracks.at(live.frame).map(({ id, mask }) => [id, mask.area]));
    },
    asked: () => at.requests().map(({ type }) => type).filter((type) => type !== 'videoStats'),
  };
  await live.push();
  return live;
}

const WHOLE = 529;

test('the only prompt of an object is taken back when its frame is gone: the object is forgotten, the others go on', async () => {
  const at = await openLive();
  await at.click(RED);
  at.clip.addObject();
  await at.click(GREEN);
  await at.push(MANY);
  assert.deepEqual(await at.next(), { 1: WHOLE, 2: WHOLE });
  await at.undo();
  assert.deepEqual([at.clip.describe().state, at.asked().at(-1)], ['idle', 'videoRemove']);
  assert.deepEqual(await at.next(), { 1: WHOLE });
  // It waits for a click, as it did before its first.
  await at.click(GREEN);
  assert.deepEqual(await at.next(), { 1: WHOLE, 2: WHOLE });
  at.sam.dispose();
});

test('the prompt of a frame that is gone is taken back, and the object goes on from its earlier one', async () => {
  const at = await openLive();
  await at.click(RED);
  await at.push(3);
  await at.click(LOW, true);
  await at.push(MANY);
  assert.ok((await at.next())[1] < WHOLE);
  await at.undo();
  assert.deepEqual([at.clip.describe().state, at.asked().slice(-1)], ['idle', ['videoClear']]);
  assert.deepEqual(await at.next(), { 1: WHOLE });
  assert.deepEqual(at.clip.tracks.keyFrames(), [0]);
  at.sam.dispose();
});

test('one of several clicks on a frame: taken back while the frame is there, and said that it cannot be when it is gone', async () => {
  const at = await openLive();
  await at.click(RED);
  await at.click(LOW, true);
  await at.push(5);
  await at.undo();
  assert.deepEqual([await at.next(), at.clip.describe().state], [{ 1: WHOLE }, 'idle']);
  await at.click(RED);
  await at.click(LOW, true);
  const { frame: on } = at;
  await at.push(MANY);
  const carved = await at.next();
  const asked = at.asked().length;
  await at.undo();
  assert.match(at.text(), /out of memory.* cannot be taken back/);
  assert.equal(at.asked().length, asked, 'the engine is not told anything');
  assert.deepEqual([await at.next(), at.clip.tracks.prompt(on, 1).clicks.length], [carved, 2], 'nothing is lost');
  await at.undo();
  assert.deepEqual([await at.next(), at.clip.describe().state], [{ 1: WHOLE }, 'idle'], 'all that was said on it goes');
  at.sam.dispose();
});

test('what an engine that died was told cannot be taken back alone: that is said, and the object goes on', async () => {
  const at = await openLive();
  await at.click(RED);
  await at.push(2);
  await at.click(LOW, true);
  await at.push();
  at.ports.opened[0].kill();
  const carved = await at.next();
  await at.push(2);
  for (const left of [true, false]) {
    await at.undo();
    assert.match(at.text(), /cannot be taken back: the engine that saw it is gone/);
    assert.deepEqual([await at.next(), at.clip.tracks.keyFrames(), at.clip.tracks.canUndo], [carved, [0, 2], left]);
  }
  await at.click(RED);
  assert.equal(at.clip.describe().state, 'idle');
  at.sam.dispose();
});

test('an undo that fails for another reason is tried again as an undo', async () => {
  let broken = false;
  const at = await openLive((name) => {
    if (broken && name === 'video_add') throw fault('unsupported_video');
  });
  await at.click(RED);
  await at.click(LOW, true);
  broken = true;
  await at.undo();
  assert.equal(at.clip.describe().state, 'error');
  await new Promise(setImmediate); // nobody presses a button sooner
  broken = false;
  const asked = at.asked().length;
  at.clip.describe().message.retry();
  await at.idle();
  assert.deepEqual(at.asked().slice(asked), ['videoClear', 'videoPrompt']);
  assert.deepEqual(await at.next(), { 1: WHOLE });
  at.sam.dispose();
});

test('another model goes on from the masks that there are', async () => {
  const at = await openLive();
  await at.click(RED);
  await at.push(MANY);
  await at.sam.loadModel(goodModel());
  await at.clip.modelChanged();
  assert.deepEqual([await at.next(), at.clip.describe().state], [{ 1: WHOLE }, 'idle']);
  await at.undo();
  assert.deepEqual([await at.next(), at.clip.describe().state], [{}, 'idle']);
  at.sam.dispose();
});
