/**
 * Model files in the browser's storage, which may be full, refused, damaged or held by another tab: the
 * model is loaded all the same, it is said in words, and nothing damaged is taken for a model.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import test, { after, afterEach, before } from 'node:test';
import { forgetBytes, modelBytes } from '../model-bytes.js';

const PIECE = 65_536;
const FILE = Uint8Array.from({ length: 3 * PIECE + 777 }, (_, i) => (i * 31) >> 3 & 0xff);
const SUM = createHash('sha256').update(FILE).digest('hex');

/** A folder as OPFS gives it, with faults on order. */
class FakeFolder {
  /** @type {Map<string, Uint8Array>} */
  files = new Map();
  /** Bytes that fit; writing more throws as a full disk does. */
  room = Infinity;
  /** @type {Record<string, string>} method: name of the exception that it throws */
  broken = {};
  /** Not every browser renames. */
  moves = false;

  fail(method) {
    const name = this.broken[method];
    if (name !== undefined) throw new DOMException(`${method} was refused`, name);
  }

  async getDirectoryHandle() {
    this.fail('getDirectoryHandle');
    return this;
  }

  async removeEntry(name) {
    this.fail('removeEntry');
    if (!this.files.delete(name)) throw new DOMException('not there', 'NotFoundError');
  }

  async getFileHandle(name, { create = false } = {}) {
    this.fail('getFileHandle');
    if (!this.files.has(name)) {
      if (!create) throw new DOMException('not there', 'NotFoundError');
      this.files.set(name, new Uint8Array());
    }
    return {
      getFile: async () => new Blob([this.files.get(name)]),
      createSyncAccessHandle: async () => {
        this.fail('createSyncAccessHandle');
        return this.#access(name);
      },
      ...(this.moves ? {
        move: async (to) => {
          this.fail('move');
          this.files.set(to, this.files.get(name));
          this.files.delete(name);
        },
      } : {}),
    };
  }

  #access(name) {
    const content = () => this.files.get(name) ?? new Uint8Array();
    return {
      getSize: () => content().length,
      read: (into) => {
        into.set(content());
        return content().length;
      },
      write: (bytes, { at }) => {
        this.fail('write');
        if (at + bytes.length > this.room) throw new DOMException('full', 'QuotaExceededError');
        const larger = new Uint8Array(Math.max(content().length, at + bytes.length));
        larger.set(content());
        larger.set(bytes, at);
        this.files.set(name, larger);
        return bytes.length;
      },
      truncate: (size) => {
        this.fail('truncate');
        this.files.set(name, content().slice(0, size));
      },
      flush: () => this.fail('flush'),
      close: () => undefined,
    };
  }
}

/** @type {FakeFolder} */
let folder;
/** Where to cut the next answers. @type {number[]} */
let cuts = [];
/** @type {(number | 'HEAD')[]} */
let asked = [];
let etag = '"1"';
let server;
let url;

before(async () => {
  server = createServer((request, response) => {
    const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    asked.push(request.method === 'HEAD' ? 'HEAD' : from);
    if (from >= FILE.length) {
      response.writeHead(416).end();
      return;
    }
    const headers = { 'Content-Length': FILE.length - from, ...(etag === '' ? {} : { ETag: etag }) };
    if (from > 0) headers['Content-Range'] = `bytes ${from}-${FILE.length - 1}/${FILE.length}`;
    response.writeHead(from > 0 ? 206 : 200, headers);
    const until = request.method === 'HEAD' ? undefined : cuts.shift();
    if (request.method === 'HEAD') response.end();
    else if (until === undefined) response.end(FILE.subarray(from));
    else response.write(FILE.subarray(from, until), () => setTimeout(() => response.destroy(), 20));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${server.address().port}/model.pt`;
});
after(() => {
  server.closeAllConnections();
  server.close();
});
afterEach(() => {
  delete globalThis.navigator;
});

/** A server that gives up after so many bytes, until `cuts` is emptied. @param {number} bytes */
function cutForGood(bytes) {
  cuts = Array.from({ length: 8 }, () => bytes);
}

/** @param {object} [more] of the model @param {{ storage?: object, cache?: boolean }} [how] */
async function load(more = {}, { storage, cache = true } = {}) {
  Object.defineProperty(globalThis, 'navigator', { value: { storage: storage ?? { getDirectory: async () => folder } }, configurable: true });
  asked = [];
  const logs = [];
  const stages = new Set();
  const bytes = await modelBytes({ name: 'model.pt', url, ...more }, {
    signal: new AbortController().signal, cache, backoffMs: 1,
    log: (level, text) => logs.push(`${level}: ${text}`),
    onProgress: ({ stage }) => stages.add(stage),
  });
  return { bytes, logs, asked, stages: [...stages] };
}
const known = { sha256: SUM, bytes: FILE.length };

test('kept on the first visit, read on the second', async () => {
  folder = new FakeFolder();
  const first = await load(known);
  assert.deepEqual([Buffer.compare(first.bytes, FILE), first.asked, first.logs], [0, [0], []]);
  const second = await load(known);
  assert.deepEqual([Buffer.compare(second.bytes, FILE), second.asked, second.stages], [0, [], ['verify']]);
});

for (const [name, order, storage] of [
  ['no storage at all', {}, {}],
  ['storage refused', {}, { getDirectory: async () => { throw new DOMException('no', 'SecurityError'); } }],
  ['the folder refused', { getDirectoryHandle: 'NotAllowedError' }],
  ['files refused', { getFileHandle: 'InvalidStateError' }],
  ['writing refused', { createSyncAccessHandle: 'InvalidStateError' }],
  ['full at the first byte', { write: 'QuotaExceededError' }],
  ['full, and what is there cannot be cut', { write: 'QuotaExceededError', truncate: 'InvalidStateError' }],
  ['not flushed', { flush: 'QuotaExceededError' }],
]) {
  test(`${name}: the model is loaded from memory, and it is said once`, async () => {
    folder = new FakeFolder();
    folder.broken = order;
    const { bytes, logs } = await load(known, { storage });
    assert.equal(Buffer.compare(bytes, FILE), 0);
    assert.equal(logs.length, 1, logs.join('; '));
    assert.match(logs[0], /^warn: storage_full: the browser cannot keep the model \(.*\), so the next visit downloads it again\.$/);
    folder.broken = {};
    assert.equal(Buffer.compare((await load(known)).bytes, FILE), 0, 'the next visit is right, whatever was left there');
  });
}

test('full in the middle: the rest is loaded, nothing half is left', async () => {
  folder = new FakeFolder();
  folder.room = 100_000;
  const { bytes, logs } = await load(known);
  assert.equal(Buffer.compare(bytes, FILE), 0);
  assert.match(logs.join(), /its storage is full/);
  assert.equal(folder.files.get(SUM)?.length ?? 0, 0);
});

test('held by another tab: it is loaded beside it', async () => {
  folder = new FakeFolder();
  folder.broken = { createSyncAccessHandle: 'NoModificationAllowedError' };
  const { bytes, logs } = await load(known);
  assert.equal(Buffer.compare(bytes, FILE), 0);
  assert.match(logs.join(), /^info: Another tab/);
});

const damage = (how) => {
  const bytes = FILE.slice();
  return how === 'flipped' ? bytes.fill(bytes[70_000] ^ 1, 70_000, 70_001) : how === 'longer' ? Buffer.concat([bytes, Buffer.from('x')]) : bytes.subarray(0, how);
};
for (const [how, ranges] of [['flipped', [0]], ['longer', [0]], [0, [0]], [1, [1]], [70_001, [70_001]]]) {
  test(`a kept file that is ${typeof how === 'number' ? `cut at ${how}` : how} is never taken for the model`, async () => {
    folder = new FakeFolder();
    folder.files.set(SUM, damage(how));
    const { bytes, asked: from } = await load(known);
    assert.equal(Buffer.compare(bytes, FILE), 0);
    assert.deepEqual(from.filter((at) => at !== FILE.length + 1), ranges);
    assert.equal(Buffer.compare(folder.files.get(SUM), FILE), 0, 'and is replaced');
  });
}

test('a kept beginning that is damaged is thrown away and all of it fetched again', async () => {
  folder = new FakeFolder();
  folder.files.set(SUM, damage('flipped').subarray(0, 150_000));
  const { bytes, asked: from, logs } = await load(known);
  assert.equal(Buffer.compare(bytes, FILE), 0);
  assert.deepEqual(from, [150_000, 0], 'one try with what was kept, one without');
  assert.match(logs.join(), /damaged/);
  assert.equal(Buffer.compare(folder.files.get(SUM), FILE), 0);
});

test('a damaged beginning that cannot be removed is used once, and the model is loaded from memory', async () => {
  folder = new FakeFolder();
  folder.files.set(SUM, damage('flipped').subarray(0, 150_000));
  folder.broken = { removeEntry: 'NoModificationAllowedError' };
  const { bytes, asked: from } = await load(known);
  assert.deepEqual([Buffer.compare(bytes, FILE), from], [0, [150_000, 0]]);
});

test('a damaged file at the address itself is an error, and is not kept', async () => {
  folder = new FakeFolder();
  await assert.rejects(load({ ...known, sha256: 'f'.repeat(64) }), { code: 'checksum' });
  assert.equal(asked.length, 1, 'what the server sends whole is not asked for twice');
  assert.equal(folder.files.size, 0);
});

test('cut at every 64 KiB: each part goes on where the one before ended', async () => {
  folder = new FakeFolder();
  cuts = [1, 2, 3].map((n) => n * PIECE);
  const { bytes, asked: from } = await load(known);
  assert.equal(Buffer.compare(bytes, FILE), 0);
  assert.deepEqual(from, [0, PIECE, 2 * PIECE, 3 * PIECE]);
});

test('by address alone: kept while the server says it is the same, fetched again when damaged or changed', async () => {
  folder = new FakeFolder();
  await load();
  const kept = await load();
  assert.deepEqual([Buffer.compare(kept.bytes, FILE), kept.asked], [0, ['HEAD']]);
  folder.files.set(SUM, damage('flipped'));
  const mended = await load();
  assert.deepEqual([Buffer.compare(mended.bytes, FILE), mended.asked.includes(0)], [0, true]);
  etag = '"2"';
  assert.ok((await load()).asked.includes(0), 'another version at the same address');
  folder.files.set('urls.json', new TextEncoder().encode('{"torn'));
  assert.equal(Buffer.compare((await load()).bytes, FILE), 0);
  const none = await load({}, { cache: false });
  assert.deepEqual(none.asked, [0]);
});

for (const moves of [true, false]) {
  test(`by address alone, cut for good: the next try goes on where it ended, ${moves ? 'and the part is renamed' : 'also where nothing can be renamed'}`, async () => {
    folder = new FakeFolder();
    folder.moves = moves;
    cutForGood(PIECE + 5);
    await assert.rejects(load(), { code: 'bad_model', hint: /what has arrived is kept/ });
    cuts = [];
    const { bytes, asked: from, logs } = await load();
    assert.deepEqual([Buffer.compare(bytes, FILE), from, logs], [0, ['HEAD', PIECE + 5, 'HEAD'], []]);
    assert.deepEqual([...folder.files.keys()].sort(), [SUM, 'urls.json'].sort());
    assert.deepEqual((await load()).asked, ['HEAD']);
  });
}

test('by address alone: a beginning of another version, or of none, is not gone on from', async () => {
  folder = new FakeFolder();
  cutForGood(PIECE);
  await assert.rejects(load());
  cuts = [];
  etag = '"3"';
  const other = await load();
  assert.deepEqual([Buffer.compare(other.bytes, FILE), other.asked], [0, ['HEAD', 0, 'HEAD']]);
  folder = new FakeFolder();
  etag = '';
  cutForGood(PIECE);
  await assert.rejects(load(), ({ hint }) => !hint.includes('kept'));
  cuts = [];
  assert.deepEqual((await load()).asked, ['HEAD', 0, 'HEAD']);
  etag = '"3"';
});

test('by address alone: all of it arrived before the tab was closed', async () => {
  folder = new FakeFolder();
  cutForGood(PIECE);
  await assert.rejects(load());
  cuts = [];
  const part = [...folder.files.keys()].find((name) => name.startsWith('part-'));
  folder.files.set(part, FILE.slice());
  assert.deepEqual([Buffer.compare((await load()).bytes, FILE), asked, folder.files.has(part)], [0, ['HEAD', 'HEAD'], false]);
});

test('by address alone, where storage is full or refused: nothing is promised, and it is said once', async () => {
  for (const [broken, room] of [[{}, PIECE], [{ write: 'QuotaExceededError' }, Infinity], [{ createSyncAccessHandle: 'InvalidStateError' }, Infinity]]) {
    folder = new FakeFolder();
    Object.assign(folder, { broken, room });
    cutForGood(PIECE + 5);
    await assert.rejects(load(), ({ hint }) => !hint.includes('kept'));
    cuts = [];
    const { bytes, logs } = await load();
    assert.equal(Buffer.compare(bytes, FILE), 0);
    assert.equal(logs.length, 1, logs.join('; '));
  }
  cutForGood(PIECE);
  await assert.rejects(load({}, { cache: false }), ({ hint }) => !hint.includes('kept'));
  cuts = [];
});

test('what the engine finds damaged, and no sum was held against, is fetched anew', async () => {
  folder = new FakeFolder();
  await load();
  await forgetBytes({ name: 'model.pt', url, sha256: SUM }, true);
  await forgetBytes({ name: 'model.pt', url }, false);
  assert.ok(folder.files.has(SUM));
  await forgetBytes({ name: 'model.pt', url }, true);
  assert.deepEqual((await load()).asked, ['HEAD', 0, 'HEAD']);
});
