/**
 * The worker killed at every message of a session with a picture and a clip: the answers are those of a
 * session that nothing happened to.
 */
import assert from 'node:assert/strict';
import test from 'node:test';
import { Sam2 } from '../client.js';
import { ASSETS, fakePorts, goodModel } from './fake-port.mjs';

/** A red square on blue that goes right by two pixels a frame, and a green one that stands still. */
function frameOf(index) {
  const [width, height] = [40, 24];
  const data = new Uint8Array(width * height * 4);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const red = x >= 4 + 2 * index && x < 12 + 2 * index && y >= 4 && y < 12;
      const green = x >= 30 && x < 37 && y >= 14 && y < 21;
      data.set(red ? [230, 20, 20, 255] : green ? [20, 230, 20, 255] : [20, 20, 200, 255], 4 * (y * width + x));
    }
  }
  return { data, width, height };
}
const FRAMES = 6;

/** A whole session. `kill(n)` is asked at the nth message to the worker. @param {(n: number, message: any) => boolean} kill */
async function session(kill) {
  let count = 0;
  const ports = fakePorts({
    onRequest: (message, port) => {
      if (message.kind === 'cancel') return false;
      count += 1;
      if (!kill(count, message)) return false;
      port.kill();
      return true;
    },
  });
  const lost = [];
  const sam = await Sam2.load({ model: goodModel(), assets: ASSETS, openPort: ports.open, cache: false });
  sam.on('device-lost', (death) => lost.push(death));
  const said = [];
  const image = await sam.setImage(frameOf(0));
  const first = await image.predict({ points: [[8, 8]], labels: [1] });
  const second = await image.predict({ points: [[8, 8], [20, 8]], labels: [1, 0], mask: first.masks[1] });
  said.push([...first.masks, ...second.masks].map((mask) => mask.toRle().counts), await second.masks[0].toSvgPath());
  const video = await sam.openVideo({ frames: FRAMES, width: 40, height: 24, read: async (index) => frameOf(index) });
  const note = ({ frame, objects }) => said.push([frame, objects.map(({ id, visible, mask }) => [id, visible, mask.toRle().counts])]);
  note(await video.addPoints({ frame: 0, object: 1, points: [[8, 8]] }));
  for await (const answer of video.propagate()) note(answer);
  note(await video.addPoints({ frame: 2, object: 2, points: [[33, 17]] }));
  for await (const answer of video.propagate({ start: 2 })) note(answer);
  await video.removeObject(2);
  for await (const answer of video.propagate({ start: 4, reverse: true })) note(answer);
  sam.dispose();
  return { said, count, workers: ports.opened.length, lost: lost.length };
}

const undisturbed = await session(() => false);

test('nothing happens to it: one worker, and the things are followed', () => {
  assert.equal(undisturbed.workers, 1);
  const frames = undisturbed.said.filter((each) => typeof each[0] === 'number');
  assert.equal(frames.length, 1 + FRAMES + 1 + (FRAMES - 2) + 5);
  assert.ok(frames.every(([, objects]) => objects.length > 0 && objects.every(([, visible]) => visible)));
});

test('killed at every message, once: a second worker gives the same answers', async (t) => {
  // The first two open the engine and load the model: load() tells of those itself.
  for (let at = 3; at <= undisturbed.count; at += 1) {
    let type = '';
    const { said, workers, lost } = await session((n, message) => {
      if (n === at) type = message.type ?? message.kind;
      return n === at;
    });
    assert.deepEqual([workers, lost], [2, 1], `killed at message ${at} (${type})`);
    assert.deepEqual(said, undisturbed.said, `killed at message ${at} (${type})`);
  }
  t.diagnostic(`${undisturbed.count - 2} places`);
});

test('killed again and again: the same answers still', async () => {
  // Restoring takes messages of its own; one job gives up after its engine died twice under it.
  const places = [8, 30, 60];
  const { said, workers } = await session((n) => places.includes(n));
  assert.equal(workers, 1 + places.length);
  assert.deepEqual(said, undisturbed.said);
});

test('killed while it opens or loads: load() tries again, or says so', async () => {
  for (const at of [1, 2]) {
    const outcome = await session((n) => n === at).then(({ said }) => said, (error) => error);
    if (outcome instanceof Error) assert.equal(outcome.code, 'device_lost');
    else assert.deepEqual(outcome, undisturbed.said, `killed at message ${at}`);
  }
});
