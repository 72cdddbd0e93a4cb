/** What a cancel or a dying worker leaves of a video, with the stand-in engine. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import test from 'node:test';
import { Sam2 } from '../client.js';
import * as standIn from '../../test-browser/fake-engine.js';
import { ASSETS, fakePorts, goodModel } from './fake-port.mjs';

const isAbort = { name: 'AbortError' };
const load = (ports) => Sam2.load({ model: goodModel(), assets: ASSETS, openPort: ports.open, cache: false });

/** 12 x 7, with a white thing at the left where it is wanted. @param {boolean} [there] */
function frame(there = true) {
  const data = new Uint8Array(12 * 7 * 4).fill(255);
  for (let p = 0; p < 84; p += 1) if (!there || p % 12 >= 6) data.fill(0, 4 * p, 4 * p + 3);
  return { data, width: 12, height: 7 };
}

/** Of the requests those that change something in the engine. @param {any} port @param {string[]} types */
const sent = (port, ...types) => port.messages.filter(({ type }) => types.includes(type)).map(({ type, body }) => [type, body.video ?? null]);

/** What a worker was asked, without the frames that it asked for. @param {any} port */
const asked = (port) => port.requests.filter((type) => type !== undefined);

/** A clip on which two frames were tracked. @param {InstanceType<typeof Sam2>} sam */
async function trackedClip(sam) {
  const video = await sam.openVideo({ frames: 5, width: 12, height: 7, read: async () => frame() });
  await video.addPoints({ frame: 0, object: 1, points: [[2, 3]] });
  for await (const { done } of video.propagate()) if (done === 2) break;
  return video;
}

/** A server that sends half of a model and then nothing. */
async function slowServer() {
  const server = createServer((_, response) => {
    response.writeHead(200, { 'Content-Length': 20 });
    response.write('good model');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${server.address().port}/model.safetensors`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

test('a model that is cancelled while it is fetched costs nothing that was tracked', async () => {
  const ports = fakePorts();
  const sam = await load(ports);
  const video = await trackedClip(sam);
  const server = await slowServer();
  const abort = new AbortController();
  const loading = sam.loadModel({ url: server.url }, { signal: abort.signal, onProgress: ({ stage }) => stage === 'download' && abort.abort() });
  await assert.rejects(loading, isAbort);
  await video.addPoints({ frame: 1, object: 1, points: [[2, 3]] });
  assert.deepEqual([ports.opened.length, ports.opened[0].alive], [1, true], 'the same worker');
  assert.equal(ports.opened[0].requests.filter((type) => type === 'nextFrame').length, 2, 'nothing is tracked again');
  assert.deepEqual(sent(ports.opened[0], 'openVideo').length, sent(ports.opened[0], 'closeVideo').length + 1, 'only the clip is open');
  server.close();
  sam.dispose();
});

test('a model that is cancelled when its engine has it, or may have it, takes the worker with it', async () => {
  for (const late of [false, true]) {
    let deaf = false;
    const ports = fakePorts({ onRequest: ({ kind }) => deaf && kind === 'cancel' });
    const sam = await load(ports);
    const video = await trackedClip(sam);
    const abort = new AbortController();
    // Late: the cancel comes when the worker is past it, and the client has not heard so yet.
    deaf = late;
    const loading = sam.loadModel(goodModel(), { signal: abort.signal, onProgress: ({ stage }) => !late && stage === 'warming up' && abort.abort() });
    if (late) {
      while (!ports.opened[0].requests.slice(-1).includes('load')) await new Promise(setImmediate);
      abort.abort();
    }
    await assert.rejects(loading, isAbort);
    const answer = await video.addPoints({ frame: 1, object: 1, points: [[2, 3]] });
    assert.equal(answer.objects[0].mask.area, 42);
    assert.deepEqual([ports.opened.length, ports.opened[0].alive], [2, false]);
    assert.deepEqual(asked(ports.opened[1]), ['open', 'load', 'openVideo', 'videoPrompt', 'startPass', 'nextFrame', 'nextFrame', 'videoPrompt'], 'as it was, with the model before');
    sam.dispose();
  }
});

test('a model that is refused leaves the videos of the one before', async () => {
  const ports = fakePorts();
  const sam = await load(ports);
  const video = await trackedClip(sam);
  await assert.rejects(sam.loadModel(new TextEncoder().encode('bad')), { code: 'bad_model' });
  await video.addPoints({ frame: 1, object: 1, points: [[2, 3]] });
  assert.equal(ports.opened[0].requests.filter((type) => type === 'nextFrame').length, 2);
  assert.equal(sent(ports.opened[0], 'closeVideo').length, 1);
  sam.dispose();
});

test('what is cancelled while it is brought back leaves nothing open in the engine', async () => {
  const abort = new AbortController();
  let cut = '';
  const ports = fakePorts({
    onRequest: ({ type }) => {
      if (type === cut) abort.abort();
    },
  });
  const sam = await load(ports);
  const video = await trackedClip(sam);
  ports.opened[0].kill();
  cut = 'startPass';
  await assert.rejects(video.addPoints({ frame: 1, object: 1, points: [[2, 3]] }, { signal: abort.signal }), isAbort);
  cut = '';
  await video.addPoints({ frame: 1, object: 1, points: [[2, 3]] });
  const [first, second] = sent(ports.opened[1], 'videoPrompt').map(([, id]) => id);
  assert.notEqual(first, second);
  assert.deepEqual(sent(ports.opened[1], 'openVideo', 'closeVideo'), [['openVideo', null], ['closeVideo', first], ['openVideo', null]]);
  sam.dispose();
});

test('cancelled while the engine opens it, a video is closed there', async () => {
  const abort = new AbortController();
  const ports = fakePorts({
    onRequest: ({ type }) => {
      if (type === 'openVideo') abort.abort();
    },
  });
  const sam = await load(ports);
  await assert.rejects(sam.openVideo([frame()], { signal: abort.signal }), isAbort);
  await sam.ready();
  assert.deepEqual(ports.opened[0].requests.slice(-2), ['openVideo', 'closeVideo']);
  sam.dispose();
});

test('a video that is closed while it is brought back is not kept by the engine', async () => {
  let video;
  const ports = fakePorts({
    onRequest: ({ type }, port) => {
      if (type === 'startPass' && port === ports.opened[1]) video.close();
    },
  });
  const sam = await load(ports);
  video = await trackedClip(sam);
  ports.opened[0].kill();
  await assert.rejects(video.stats(), { code: 'unsupported_video', message: /closed/ });
  await sam.ready();
  assert.deepEqual(asked(ports.opened[1]), ['open', 'load', 'openVideo', 'videoPrompt', 'startPass', 'closeVideo'], 'and is not tracked again');
  sam.dispose();
});

test('a live video goes on from what was in sight; what was not is no empty mask', async () => {
  const ports = fakePorts();
  const sam = await load(ports);
  const live = await sam.openVideo({ live: true });
  await live.pushFrame(frame());
  await live.addPoints({ frame: 0, object: 1, points: [[2, 3]] }); // white
  await live.addPoints({ frame: 0, object: 2, points: [[10, 3]] }); // black
  const { objects } = await live.pushFrame(frame(false));
  assert.deepEqual(objects.map(({ id, visible }) => [id, visible]), [[1, false], [2, true]]);
  ports.opened[0].kill();
  const after = await live.pushFrame(frame(false));
  assert.deepEqual([after.frame, after.objects.map(({ id }) => id)], [2, [2]]);
  assert.deepEqual(ports.opened[1].messages.filter(({ type }) => type === 'videoMask').map(({ body }) => body.prompt.object), [2]);
  // The engine never heard of the other: what is asked about it is no error, and a prompt brings it back.
  assert.deepEqual((await live.clear({ frame: 2, object: 1 })).objects, []);
  await live.pushFrame(frame());
  const found = await live.addPoints({ frame: 3, object: 1, points: [[2, 3]] });
  assert.deepEqual(found.objects.map(({ id }) => id), [2, 1]);
  await live.removeObject(1);
  assert.deepEqual((await live.pushFrame(frame())).objects.map(({ id }) => id), [2]);
  ports.opened[1].kill();
  await live.pushFrame(frame(false));
  await live.removeObject(2);
  sam.dispose();
});

test('an animation whose frames do not stay equally long brings its times', async () => {
  const opened = (more) => {
    class Engine extends standIn.Engine {
      static async create(...options) { return Object.setPrototypeOf(await standIn.Engine.create(...options), Engine.prototype); }
      open_animation() { return JSON.stringify({ id: 1, frames: 3, width: 12, height: 7, object_cost: 0.4, more: false, ...more }); }
    }
    return load(fakePorts({ module: { ...standIn, Engine } })).then(async (sam) => {
      const { times, fps } = await sam.openVideo(new Blob(['GIF89a and more than that']));
      sam.dispose();
      return [times, fps];
    });
  };
  assert.deepEqual(await opened({ fps: 10, times: [0, 0.1, 0.5, 0.6] }), [[0, 0.1, 0.5, 0.6], 4]);
  assert.deepEqual(await opened({ fps: 10, times: [0, 0.1, 0.2, 0.9] }), [[0, 0.1, 0.2, 0.9], 10]);
  assert.deepEqual(await opened({ fps: 10, times: null }), [null, 10]);
});
