/** What the address, the server and the person may say about the model, against a controller that notes what it is told. */
import assert from 'node:assert/strict';
import test, { afterEach } from 'node:test';
import { ModelLoader } from '../model-loader.js';

const PAGE = 'http://host:8080/sub/index.html';
const LIST = 'http://host:8080/sub/models/manifest.json';
const models = [
  { name: 'nano', file: 'nano.safetensors' }, { name: 'tiny', file: 'tiny.pt', url: 'https://dl.example/tiny.pt', config: 'tiny.yaml' },
  { name: 'plain', url: 'http://dl.example/plain.pt' }, { name: 'wrong', url: 'http://[' },
];
const json = (body, headers = {}) => () => new Response(JSON.stringify(body), { headers: { 'Content-Type': 'application/json', ...headers } });
const list = json({ schema: 1, default: 'nano', models });
const marked = json({ schema: 1, default: 'nano', models }, { 'X-Sam2-Server': '1' });
const page = () => new Response('<!doctype html>', { headers: { 'Content-Type': 'text/html' } });

const { fetch } = globalThis;
afterEach(() => {
  globalThis.fetch = fetch;
});

/** @param {string} query @param {Record<string, () => Response>} served @param {{ says?: boolean, refuses?: boolean }} [how] */
function rig(query, served, { says = true, refuses = false } = {}) {
  const seen = { fetched: [], loaded: [], refused: [], retries: [], asked: [], ends: [] };
  globalThis.fetch = async (address) => {
    const path = String(address).replace('http://host:8080/sub/', '');
    seen.fetched.push(path);
    return served[path]?.() ?? new Response('', { status: 404 });
  };
  const controller = {
    model: null,
    refuseModel: (error, retry) => {
      seen.refused.push(`${error.code}: ${error.message} ${error.hint}`);
      seen.retries.push(retry);
    },
    loadModel: async (request, retry) => {
      seen.loaded.push(request.source.url ?? request.name);
      seen.retries.push(retry);
      if (!refuses) controller.model = request;
    },
  };
  const loader = new ModelLoader(controller, {
    query: new URLSearchParams(query), page: PAGE, list: new URL(LIST),
    ask: async ({ url }) => {
      seen.asked.push(url);
      return says;
    },
    onList: () => undefined, onBegin: () => undefined, onEnd: (changed) => seen.ends.push(changed),
  });
  return { loader, seen };
}

test('the settings of a server that marks itself reach the page, isolated or not; nobody else is asked for them', async () => {
  const settings = { schema: 1, model_size: 'tiny', max_video_frames: 40, max_frame_dimension: 0, models };
  const told = rig('', { 'models/manifest.json': marked, 'config.json': json(settings), 'models/tiny.yaml': () => new Response('a: 1') });
  await told.loader.start();
  assert.deepEqual([told.loader.limits, told.seen.loaded], [{ maxFrames: 40, maxFrameDimension: 0 }, ['https://dl.example/tiny.pt']]);
  const other = rig('', { 'models/manifest.json': list, 'config.json': json(settings) });
  await other.loader.start();
  assert.deepEqual([other.loader.limits, other.seen.loaded, other.seen.fetched], [{}, ['http://host:8080/sub/models/nano.safetensors'], ['models/manifest.json']]);
});

test('settings that cannot be read do not keep the page from starting', async () => {
  const torn = () => new Response('{"schema"', { headers: { 'Content-Type': 'application/json' } });
  const failing = () => {
    throw new TypeError('network');
  };
  for (const config of [page, torn, failing, json({ schema: 2, max_video_frames: 1 }), json(null), json({ schema: 1, max_video_frames: '9', max_frame_dimension: -1 }), undefined]) {
    const { loader, seen } = rig('', { 'models/manifest.json': marked, ...(config === undefined ? {} : { 'config.json': config }) });
    await loader.start();
    assert.deepEqual([loader.limits, seen.loaded, seen.refused], [{}, ['http://host:8080/sub/models/nano.safetensors'], []]);
  }
});

test('a list that is not there, or is a page, is said, and can be asked for again', async () => {
  for (const [served, words] of [[{}, /answered 404/], [{ 'models/manifest.json': page }, /something else/]]) {
    const { loader, seen } = rig('', served);
    await loader.start();
    assert.match(seen.refused[0], words);
    served['models/manifest.json'] = list;
    await seen.retries[0]();
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(seen.loaded.length, 1);
    const named = rig('?model=nano', words.source.includes('404') ? {} : { 'models/manifest.json': page });
    await named.loader.start();
    assert.match(named.seen.refused[0], words, 'rather than that there is no such model');
  }
  const address = rig('?model=https://dl.example/x.pt', {});
  await address.loader.start();
  assert.deepEqual(address.seen.loaded, ['https://dl.example/x.pt'], 'an address needs no list');
});

test('an address that is none is an error, in ?model= and in the menu', async () => {
  const served = { 'models/manifest.json': list };
  for (const wrong of ['http://[', 'https://', '//']) {
    const { loader, seen } = rig(`?model=${encodeURIComponent(wrong)}`, served);
    await loader.start();
    await loader.address(wrong);
    assert.deepEqual([seen.loaded, seen.refused.map((told) => told.slice(0, 10))], [[], ['bad_model:', 'bad_model:']], wrong);
    assert.match(seen.refused[0], /is not an address/);
  }
  const percent = rig('?model=files/100%25.pt', served);
  await percent.loader.start();
  assert.deepEqual(percent.seen.loaded, ['http://host:8080/sub/files/100%.pt']);
  const unknown = rig('?model=wrong', served);
  await unknown.loader.start();
  assert.match(unknown.seen.refused[0], /opened from a file/, 'an entry whose address makes no sense');
});

test('another host is asked about, over https alone; our own may be http', async () => {
  const served = { 'models/manifest.json': list };
  for (const address of ['http://dl.example/a.pt', 'ftp://dl.example/a.pt', 'http://host/a.pt']) {
    const { loader, seen } = rig(`?model=${address}`, served);
    await loader.start();
    assert.deepEqual([seen.loaded, seen.asked], [[], []], address);
    assert.match(seen.refused[0], /over https only.*open it from the Model menu/);
  }
  const entry = rig('?model=plain', served);
  await entry.loader.start();
  assert.match(entry.seen.refused[0], /https only/);
  const own = rig('?model=http://host:8080/a.pt', served);
  await own.loader.start();
  assert.deepEqual([own.seen.loaded, own.seen.asked], [['http://host:8080/a.pt'], []]);
  const no = rig('?model=https://dl.example/a.pt', served, { says: false });
  await no.loader.start();
  assert.deepEqual([no.seen.loaded, no.seen.asked.length], [[], 1]);
  assert.match(no.seen.refused[0], /No model is loaded/);
  no.seen.retries[0]();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(no.seen.asked.length, 2, 'its retry asks again');
});

test('a configuration that is not there is an error; a file whose configuration cannot be read too', async () => {
  const { loader, seen } = rig('?model=tiny', { 'models/manifest.json': list });
  await loader.start();
  assert.match(seen.refused[0], /configuration is not there: the server answered 404/);
  assert.equal(typeof seen.retries[0], 'function');
  const gone = { name: 'c.yaml', text: async () => Promise.reject(new DOMException('gone', 'NotFoundError')) };
  await loader.file({ name: 'm.pt' }, gone);
  assert.match(seen.refused[1], /c\.yaml cannot be read/);
  await loader.file({ name: 'm.pt' }, null);
  assert.deepEqual([seen.loaded, seen.ends], [['m.pt'], [true]]);
});

test('the retry of a load does all that the load did', async () => {
  const { loader, seen } = rig('', { 'models/manifest.json': list }, { refuses: true });
  await loader.start();
  seen.retries[0]();
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual([seen.loaded.length, seen.ends], [2, [false, false]]);
});
