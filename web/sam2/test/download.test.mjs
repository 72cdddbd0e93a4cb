import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import test, { after, before } from 'node:test';
import { download } from '../download.js';

const FILE = Uint8Array.from({ length: 300_000 }, (_, i) => (i * 31) >> 3 & 0xff);
/** What the server does with the next requests; the default sends the file. @type {((request: any, response: any, from: number) => void)[]} */
let script = [];
let ranges = [];
let server;
let url;

before(async () => {
  server = createServer((request, response) => {
    const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    ranges.push(from);
    (script.shift() ?? whole)(request, response, from);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${server.address().port}/model.pt`;
});
after(() => {
  server.closeAllConnections();
  server.close();
});

function whole(request, response, from, { until = FILE.length, etag = '"1"', length = FILE.length } = {}) {
  const headers = { 'Content-Length': length - from, ETag: etag };
  if (from > 0) headers['Content-Range'] = `bytes ${from}-${length - 1}/${length}`;
  response.writeHead(from > 0 ? 206 : 200, headers);
  response.write(FILE.subarray(from, until), () => (until < FILE.length ? setTimeout(() => response.destroy(), 30) : response.end()));
}
const cutAt = (until) => (request, response, from) => whole(request, response, from, { until });
const status = (code, headers = {}) => (request, response) => response.writeHead(code, headers).end('no');

/** @param {object} [more] @param {((...call: any) => void)[]} [steps] */
async function run(steps = [], more = {}) {
  script = [...steps];
  ranges = [];
  const progress = [];
  const { part = null, known = null, signal = new AbortController().signal, ...model } = more;
  const bytes = await download({ url, name: 'model.pt', ...model }, { signal, part, known, backoffMs: 1, onProgress: (p) => progress.push(p) });
  return { bytes, progress };
}

test('the whole file, with progress that ends at its size', async () => {
  const { bytes, progress } = await run();
  assert.deepEqual(bytes, FILE);
  assert.deepEqual(progress.at(-1), { stage: 'download', done: FILE.length, total: FILE.length });
});

test('cut connections go on where they ended', async () => {
  const { bytes } = await run([cutAt(100_000), cutAt(250_000)]);
  assert.deepEqual(bytes, FILE);
  assert.equal(ranges.length, 3);
  assert.ok(ranges[1] > 0 && ranges[1] <= 100_000 && ranges[2] > ranges[1], String(ranges));
});

test('a file that changes between two parts is begun again', async () => {
  const changed = (request, response, from) => whole(request, response, from, { etag: '"2"' });
  const { bytes } = await run([cutAt(100_000), changed, changed]);
  assert.deepEqual(bytes, FILE);
  assert.equal(ranges[2], 0);
});

test('a server without ranges sends all of it again', async () => {
  const noRange = (request, response) => {
    response.writeHead(200, { 'Content-Length': FILE.length });
    response.end(FILE);
  };
  assert.deepEqual((await run([cutAt(100_000), noRange])).bytes, FILE);
});

test('a kept beginning is used, and one that is too long is thrown away', async () => {
  const kept = (length) => ({ bytes: new Uint8Array(length), read() { return this.bytes; }, append() {}, clear() { this.bytes = new Uint8Array(0); } });
  const good = kept(0);
  good.bytes = FILE.slice(0, 1000);
  assert.deepEqual((await run([], { part: good })).bytes, FILE);
  assert.deepEqual(ranges, [1000]);
  const refuse = status(416);
  assert.deepEqual((await run([refuse], { part: kept(FILE.length + 5) })).bytes, FILE);
  assert.deepEqual(ranges, [FILE.length + 5, 0]);
});

test('what has arrived is kept for the next visit', async () => {
  const kept = [];
  const part = { read: () => new Uint8Array(0), append: (chunk) => kept.push(...chunk), clear: () => kept.splice(0) };
  await assert.rejects(run([cutAt(90_000), status(503), status(503), status(503), status(503)], { part }), { code: 'bad_model', hint: /kept/ });
  assert.ok(kept.length > 0 && kept.length <= 90_000);
  assert.deepEqual(Uint8Array.from(kept), FILE.slice(0, kept.length));
});

test('nothing is kept: nothing is promised', async () => {
  await assert.rejects(run([cutAt(90_000), status(503), status(503), status(503), status(503)]), ({ hint }) => /try again/.test(hint) && !/kept/.test(hint));
});

test('another host that hides where a part begins: its length tells', async () => {
  const hidden = (length) => (request, response, from) => {
    response.writeHead(206, { 'Content-Length': length ?? FILE.length - from, ETag: '"1"' }).end(FILE.subarray(from, from + (length ?? FILE.length)));
  };
  assert.deepEqual((await run([cutAt(100_000), hidden()])).bytes, FILE);
  assert.equal(ranges.length, 2);
  assert.deepEqual((await run([cutAt(100_000), hidden(10)])).bytes, FILE);
  assert.equal(ranges[2], 0, 'a part of another length is none of this file');
});

test('what was kept of one version is not gone on with another, which is not kept in its place', async () => {
  const kept = { bytes: FILE.slice(0, 1000), appended: 0, cleared: 0 };
  const part = { read: () => kept.bytes, append: () => { kept.appended += 1; }, clear: () => { kept.cleared += 1; } };
  assert.deepEqual((await run([], { part, known: { version: '"1"', bytes: FILE.length } })).bytes, FILE);
  assert.deepEqual([ranges, kept.cleared], [[1000], 0]);
  kept.appended = 0;
  assert.deepEqual((await run([], { part, known: { version: '"0"', bytes: FILE.length } })).bytes, FILE);
  assert.deepEqual([ranges, kept.cleared, kept.appended], [[1000, 0], 1, 0]);
});

test('a passing fault of the server is waited out, a lasting one is told', async () => {
  assert.deepEqual((await run([status(503), status(429)])).bytes, FILE);
  await assert.rejects(run([status(503), status(503), status(503), status(503)]), { code: 'bad_model', message: /503/ });
  await assert.rejects(run([status(404)]), { code: 'bad_model', message: /404/, hint: /address/ });
});

test('a web page is not a model, and another size is another file', async () => {
  const page = (request, response) => response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' }).end('<!doctype html>');
  await assert.rejects(run([page]), { code: 'bad_model', message: /web page/ });
  await assert.rejects(run([], { bytes: 10 }), { code: 'checksum', message: /300000 bytes/ });
});

test('a size that no browser has is refused before it is allocated', async () => {
  const huge = (request, response) => {
    response.writeHead(200, { 'Content-Length': String(90e9) });
    response.write('x');
  };
  await assert.rejects(run([huge]), { code: 'out_of_memory', message: /MiB/ });
});

test('cancelling stops a download in the middle', async () => {
  const stop = new AbortController();
  const slow = (request, response) => {
    response.writeHead(200, { 'Content-Length': FILE.length });
    response.write(FILE.subarray(0, 1000));
    setTimeout(() => stop.abort(), 20);
  };
  await assert.rejects(run([slow], { signal: stop.signal }), { name: 'AbortError' });
});
