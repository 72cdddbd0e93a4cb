/** A clip's prompts and passes against the package with the stand-in engine: what waits for what, and what is kept. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { GREEN, HIGH, LOW, RED, fault, openClip } from './clip-set-up.mjs';

test('Track waits for the prompts before it, and begins where the earliest of them is', async () => {
  const at = await openClip();
  at.clip.click(5, RED, false);
  assert.equal(at.text(), 'Finding the object…');
  at.clip.addObject();
  at.clip.click(7, GREEN, false);
  const tracking = at.clip.track(false);
  at.clip.select(1);
  at.clip.click(3, RED, false);
  await tracking;
  assert.deepEqual(at.requests().map(({ type }) => type), ['videoPrompt', 'videoPrompt', 'videoPrompt', 'startPass']);
  assert.deepEqual(at.starts(), [3]);
  assert.deepEqual([at.lanes(1), at.lanes(2)], ['nnnptptttttt', 'nnnttttptttt']);
  assert.equal(at.text(), 'Tracked 9 of 12 frames.');
  at.sam.dispose();
});

test('no pass without an answer; pressed again, Track asks again', async () => {
  for (const code of ['mask_fault', 'unsupported_video']) {
    let broken = true;
    const at = await openClip((name, argument) => {
      if (broken && name === 'video_add' && argument.frame === 4) throw fault(code);
    });
    at.clip.click(0, RED, false);
    at.clip.click(4, RED, false);
    for (const press of ['first', 'second']) {
      await at.clip.track(false);
      assert.deepEqual([at.starts(), at.clip.describe().state], [[], 'error'], `${code}, ${press}`);
    }
    broken = false;
    const asked = at.requests().length;
    await at.clip.track(false);
    assert.deepEqual(at.requests().slice(asked).map(({ type }) => type), ['videoPrompt', 'startPass']);
    assert.deepEqual([at.lanes(1), at.clip.describe().state], ['ptttpttttttt', 'idle']);
    at.sam.dispose();
  }
});

test('Track can be stopped while it waits for an answer, which comes all the same', async () => {
  let go = () => {};
  const at = await openClip((name) => name === 'video_add' && new Promise((resolve) => {
    go = () => resolve(undefined);
  }));
  at.clip.click(0, RED, false);
  const tracking = at.clip.track(false);
  at.clip.cancel();
  await tracking;
  assert.deepEqual([at.clip.tracking, at.starts()], [null, []]);
  await new Promise((resolve) => setTimeout(resolve, 50));
  go();
  await at.idle();
  assert.deepEqual([at.lanes(1), at.text()], ['pnnnnnnnnnnn', 'Ready to track.']);
  at.sam.dispose();
});

test('a pass that was stopped, or failed, goes on where it was', async () => {
  let broken = true;
  let nexts = 0;
  const at = await openClip((name) => {
    nexts += name === 'video_next' ? 1 : 0;
    if (broken && nexts === 8) throw fault('unsupported_video');
  });
  at.clip.click(2, RED, false);
  const stopAt = (wanted) => at.until(() => (at.clip.tracking?.done ?? 0) >= wanted).then(() => at.clip.cancel());
  await Promise.all([at.clip.track(true), stopAt(3)]);
  assert.deepEqual([at.lanes(1), at.text()], ['nnpttnnnnnnn', 'Stopped at frame 6.']);
  assert.equal(at.clip.span(false).frames, 7);
  // It fails on the way, and is tried again.
  await at.clip.track(true);
  assert.deepEqual([at.lanes(1), at.clip.describe().state], ['nnpttttttnnn', 'error']);
  broken = false;
  at.clip.describe().message.retry();
  await at.until(() => at.clip.tracking !== null);
  await stopAt(5);
  await at.until(() => at.clip.tracking === null);
  assert.deepEqual([at.lanes(1), at.text()], ['ntpttttttttt', 'Tracked 11 of 12 frames.']);
  assert.match(at.clip.describe().message.hint, /backward from frame 2/);
  await at.clip.track(true);
  assert.deepEqual([at.lanes(1), at.starts()], ['ttpttttttttt', [2, 5, 9, 2, 1]]);
  assert.match(at.clip.describe().message.hint, /track again/);
  // Nothing is left and nothing was said: all again.
  assert.deepEqual(at.clip.span(true), { forward: 2, backward: 2, frames: 13 });
  at.sam.dispose();
});

test('a correction of a tracked frame holds there and after, not before', async () => {
  const at = await openClip();
  at.clip.click(0, RED, false);
  await at.clip.track(false);
  const whole = at.area(0);
  at.clip.click(6, LOW, true);
  await at.idle();
  const less = at.area(6);
  assert.ok(less < whole, `${less} of ${whole}`);
  assert.equal(at.clip.span(false).frames, 6);
  await at.clip.track(false);
  assert.deepEqual(at.starts(), [0, 6]);
  assert.deepEqual([5, 6, 7, 11].map((frame) => at.area(frame)), [whole, less, less, less]);
  at.sam.dispose();
});

test('what is said while a pass runs holds on its frame, and is owed to the next one', async () => {
  let held = true;
  let nexts = 0;
  const at = await openClip(async (name) => {
    if (name === 'video_next') nexts += 1;
    while (held && nexts === 3) await new Promise((resolve) => setTimeout(resolve, 5));
  });
  at.clip.click(0, RED, false);
  const tracking = at.clip.track(false);
  await at.until(() => at.clip.tracking?.done === 2);
  at.clip.click(0, LOW, true);
  at.clip.click(9, RED, false);
  held = false;
  await tracking;
  await at.idle();
  assert.deepEqual([at.lanes(1), at.text(), at.clip.span(false).frames], ['pttttttttptt', 'Ready to track.', 12], 'the first frame again, although the pass began there');
  at.sam.dispose();
});

test('an object that is removed while its first prompt is answered is not tracked unseen', async () => {
  const at = await openClip();
  at.clip.click(0, RED, false);
  await at.idle();
  at.clip.addObject();
  at.clip.click(0, GREEN, false);
  await at.clip.remove(2);
  await at.idle();
  assert.deepEqual(at.requests().slice(1).map(({ type, body }) => [type, body.object ?? body.prompt.object]), [['videoPrompt', 2], ['videoRemove', 2]]);
  // One that the engine knows goes once, with a prompt of it under way.
  at.clip.addObject();
  at.clip.click(0, GREEN, false);
  await at.idle();
  at.clip.click(2, GREEN, false);
  at.clip.click(3, GREEN, false);
  await at.clip.remove(3);
  await at.idle();
  assert.deepEqual(at.requests().slice(4).map(({ type }) => type), ['videoPrompt', 'videoRemove']);
  await at.clip.track(false);
  assert.deepEqual([at.clip.describe().state, at.lanes(1)], ['idle', 'pttttttttttt']);
  // The last object of a pass ends it.
  const again = at.clip.track(false);
  await at.until(() => at.clip.tracking?.done === 1);
  await at.clip.remove(1);
  await again;
  assert.deepEqual([at.clip.describe().state, at.text(), at.clip.tracking], ['idle', 'Click a thing to track.', null]);
  at.sam.dispose();
});

test('an answer from before a reset is of nothing that there is', async () => {
  const at = await openClip();
  at.clip.click(0, RED, false);
  await at.clip.reset();
  await at.idle();
  assert.deepEqual([at.clip.tracks.frames(), at.clip.tracks.objects], [[], []]);
  at.clip.click(4, GREEN, false);
  assert.equal(at.area(0), null, 'the number 1 is another object now');
  await at.clip.track(false);
  assert.deepEqual([at.lanes(1), at.starts()], ['nnnnpttttttt', [4]]);
  at.clip.click(5, GREEN, false);
  await at.clip.modelChanged();
  assert.deepEqual([at.lanes(1), at.text()], ['nnnnppnnnnnn', 'Ready to track.']);
  assert.deepEqual(at.clip.tracks.frames(), [4, 5]);
  at.sam.dispose();
});

test('masks that were loaded are corrected, not replaced, and a pass goes on from them', async () => {
  const at = await openClip();
  at.clip.click(0, RED, false);
  at.clip.addObject();
  at.clip.click(0, GREEN, false);
  await at.clip.track(false);
  const saved = at.clip.tracks.frames().map((index) => ({ frame: index, objects: at.clip.tracks.at(index), ms: 0 }));
  const counts = (index, object) => at.clip.tracks.found(index, object).mask.toRle().counts;
  const loaded = counts(6, 1);
  await at.clip.restore(saved, new Map([[1, new Set([0])], [2, new Set([0])]]));
  const before = at.requests().length;
  const since = (from) => at.requests().slice(from).map(({ type, body }) => [type, body.prompt?.frame ?? body.frame ?? null, body.prompt?.object ?? body.object ?? null]);
  at.clip.select(1);
  at.clip.click(6, LOW, true);
  await at.idle();
  assert.deepEqual(since(before), [['videoMask', 6, 1], ['videoPrompt', 6, 1]], 'what is shown goes before the click');
  assert.ok(at.area(6) < at.area(5));
  at.clip.click(6, HIGH, true);
  await at.idle();
  assert.deepEqual(since(before + 2), [['videoPrompt', 6, 1]], 'once');
  const corrected = at.area(6);
  at.clip.undo();
  await at.idle();
  assert.deepEqual(since(before + 3), [['videoClear', 6, 1], ['videoMask', 6, 1], ['videoPrompt', 6, 1]]);
  assert.ok(at.area(6) > corrected);
  at.clip.undo();
  await at.idle();
  assert.deepEqual([since(before + 6), counts(6, 1)], [[['videoClear', 6, 1]], loaded], 'taken back, the loaded mask is there again');
  at.clip.click(6, LOW, true);
  await at.idle();
  await at.clip.track(false);
  assert.deepEqual(since(before + 9), [['videoMask', 6, 2], ['startPass', null, null]], 'the other object goes on from its mask too');
  assert.deepEqual(at.starts().slice(-1), [6]);
  // A box says anew what is meant.
  at.clip.click(0, LOW, true);
  at.clip.box(0, { x0: 4, y0: 12, x1: 28, y1: 36 });
  await at.idle();
  assert.deepEqual(since(before + 11).map(([type]) => type), ['videoPrompt', 'videoClear', 'videoPrompt']);
  at.sam.dispose();
});

test('the estimate goes by frames that were encoded and tracked', async () => {
  const at = await openClip();
  const learned = [];
  at.clip.click(0, RED, false);
  await at.idle();
  const tracked = at.clip.estimate.tracked.bind(at.clip.estimate);
  at.clip.estimate.tracked = (answer, encoded) => {
    learned.push([answer.frame, encoded]);
    tracked(answer, encoded);
  };
  await at.clip.track(false);
  at.clip.click(9, RED, false);
  await at.clip.track(false);
  assert.deepEqual(learned.map(([frame]) => frame), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 9, 10, 11]);
  assert.deepEqual(learned.filter(([, encoded]) => encoded).map(([frame]) => frame), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], 'the prompted one was encoded before, and in the second pass all were');
  at.sam.dispose();
});

test('before a pass the estimate goes by prompts whose frame was encoded for them', async () => {
  const at = await openClip();
  const counted = [];
  let said = -1;
  const { clip } = at;
  const watch = () => {
    const prompted = clip.estimate.prompted.bind(clip.estimate);
    clip.estimate.prompted = (ms) => {
      counted.push(said);
      prompted(ms);
    };
  };
  watch();
  const say = async (frame, where) => {
    said = frame;
    clip.click(frame, where, false);
    await at.idle();
  };
  await say(0, RED);
  await say(0, LOW);
  clip.addObject();
  await say(0, GREEN);
  assert.deepEqual(counted.splice(0), [0], 'a second click, and another object, find the frame encoded');
  await say(5, GREEN);
  assert.deepEqual(counted.splice(0), [5]);
  await clip.track(false);
  await say(9, GREEN);
  assert.deepEqual(counted.splice(0), [], 'so does a correction');
  const before = clip.estimate;
  await clip.modelChanged();
  assert.notEqual(clip.estimate, before, 'what is known is of the other model');
  watch();
  await say(3, RED);
  assert.deepEqual(counted, [3], 'a frame that is not encoded for the new one is');
  at.sam.dispose();
});
