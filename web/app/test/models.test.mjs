import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import test from 'node:test';
import { chooseModel, isElsewhere, parseDevice, parseManifest, refusalOf } from '../models.js';
import { sortFiles } from '../files.js';
import { bytesInWords, countInWords, durationInWords, oneLine, progressInWords, sentence, trustInWords, warningInWords } from '../words.js';

const BASE = 'http://host/some/path/models/manifest.json';
const PAGE = 'http://host/some/path/index.html';
const manifest = parseManifest({
  schema: 1, default: 'nano',
  models: [
    { name: 'tiny', size: 156_000_000, licence: 'Apache-2.0', sha256: 'A'.repeat(64), url: 'https://dl.example/tiny.pt' },
    { name: 'nano', file: 'nano.safetensors', bytes: 10, config: 'nano.yaml', trained: false },
    { name: 'own' }, { title: 'no name' }, null,
    { name: 'odd', url: 'x.pt', sha256: 'zz', bytes: -3 },
  ],
}, BASE);

test('the manifest: addresses relative to it, wrong figures dropped, untrained said', () => {
  assert.deepEqual(manifest.entries.map(({ name }) => name), ['tiny', 'nano', 'own', 'odd']);
  const [tiny, nano, own, odd] = manifest.entries;
  assert.deepEqual([tiny.bytes, tiny.sha256, tiny.note], [156_000_000, 'a'.repeat(64), '']);
  assert.deepEqual([nano.url, nano.config], ['http://host/some/path/models/nano.safetensors', 'http://host/some/path/models/nano.yaml']);
  assert.match(nano.note, /untrained/);
  assert.equal(own.url, null);
  assert.deepEqual([odd.sha256, odd.bytes], [undefined, undefined]);
  assert.equal(manifest.preferred, nano);
  assert.deepEqual(parseManifest('<!doctype html>', BASE), { entries: [], preferred: null });
});

test('with a server that says what it has: its files first, its choice of size', () => {
  const raw = [
    { name: 'nano', file: 'nano.safetensors', available: false },
    { name: 'tiny', file: 'tiny.pt', url: 'https://dl.example/tiny.pt', config: { official: { size: 'tiny', version: '2.1' } }, available: true },
    { name: 'base_plus', file: 'b.pt', url: 'https://dl.example/b.pt', config: { official: { size: 'base_plus', version: '2.1' } }, available: false },
  ];
  const { entries, preferred } = parseManifest({ default: 'nano', models: raw }, BASE, { models: raw, model_size: 'tiny' });
  assert.deepEqual(entries.map(({ url }) => url), [null, 'http://host/some/path/models/tiny.pt', 'https://dl.example/b.pt']);
  assert.deepEqual(entries.map(({ title }) => title), ['Nano', 'SAM 2.1 tiny', 'SAM 2.1 base+']);
  assert.equal(preferred.name, 'tiny');
  assert.equal(parseManifest({ default: 'nano', models: raw }, BASE, { model_size: null }).preferred.name, 'nano');
});

const choose = (query) => chooseModel(new URLSearchParams(query), manifest, PAGE);

test('?model= is a name, an address, or said to be unknown', () => {
  assert.equal(choose('').entry.name, 'nano');
  assert.equal(choose('model=tiny').entry.name, 'tiny');
  assert.deepEqual(choose('model=tini'), { kind: 'unknown', name: 'tini' });
  assert.deepEqual(choose('model=files/a%20b.pt').model, { url: 'http://host/some/path/files/a%20b.pt', name: 'a b.pt' });
  const sum = 'b'.repeat(64);
  assert.deepEqual(choose(`model=https://other/x.safetensors&sha256=${sum}&bytes=12`).model,
    { url: 'https://other/x.safetensors', name: 'x.safetensors', sha256: sum, bytes: 12 });
  assert.equal(chooseModel(new URLSearchParams(), { entries: [], preferred: null }, PAGE), null);
});

test('another host is another port too', () => {
  assert.equal(isElsewhere('http://host/x', 'http://host'), false);
  assert.equal(isElsewhere('http://host:81/x', 'http://host'), true);
  assert.equal(isElsewhere('https://host/x', 'http://host'), true);
});

test('what is wrong with an address is said, and its name is readable', () => {
  assert.throws(() => choose('model=http://['), { code: 'bad_model', message: /not an address/ });
  assert.equal(choose('model=100%.pt').model.name, '100%.pt');
  assert.equal(choose('model=https://other/').model.name, 'other');
  assert.equal(refusalOf('https://other/x.pt', 'http://host'), null);
  assert.equal(refusalOf('http://host/x.pt', 'http://host'), null);
  assert.match(refusalOf('http://other/x.pt', 'http://host').message, /https only, not from http:\/\/other/);
  assert.deepEqual(parseManifest([{ name: 'a', url: 'http://[' }, { name: 'b', url: 'b.pt', config: 'http://[.yaml' }], BASE).entries.map(({ url, config }) => [url, config]),
    [[null, undefined], ['http://host/some/path/models/b.pt', undefined]]);
});

test('devices', () => {
  assert.deepEqual(['auto', 'cpu', 'webgpu', 'gpu', ''].map(parseDevice), ['auto', 'cpu', 'webgpu', null, null]);
});

test('files are sorted by name first', () => {
  const file = (name) => ({ name });
  const sorted = sortFiles([file('a.PT'), file('b.yaml'), file('c.jpg')]);
  assert.deepEqual([sorted.model.name, sorted.config.name, sorted.picture.name], ['a.PT', 'b.yaml', 'c.jpg']);
});

test('words', () => {
  assert.deepEqual([0, 999, 1000, 156_000_000, 3.2e9].map(bytesInWords), ['0 B', '999 B', '1.0 kB', '156 MB', '3.2 GB']);
  assert.equal(progressInWords({ stage: 'download', done: 5e6, total: 1e7 }), 'Fetching the model, 5.0 MB of 10.0 MB');
  assert.equal(progressInWords({ stage: 'encoding', done: 0, total: 1 }), 'Looking at the picture…');
  assert.deepEqual([999_600, 999_999_999, 5e13].map(bytesInWords), ['1.0 MB', '1.0 GB', '50000 GB'], 'rounded up into the next unit');
  assert.deepEqual([7, 9_999, 12_400, 999_700, 3_400_000].map(countInWords), ['7', '9999', '12 k', '1.0 M', '3.4 M']);
  assert.deepEqual([0.4, 999.4, 999.7, 1500, 9_960, 61_000].map(durationInWords), ['0 ms', '999 ms', '1.0 s', '1.5 s', '10 s', '61 s']);
  assert.deepEqual(['no room', 'Done.', 'Really?', ''].map(sentence), ['No room.', 'Done.', 'Really?', '']);
  assert.equal(progressInWords({ stage: 'something new', done: 1, total: 4 }), 'Something new, 25 %');
});

test('a cause is one line', () => {
  assert.equal(oneLine('WebGPU failed: the GPU was lost (The device is poisoned\nCaused by:\n  Destroyed\nBacktrace:\nNone); the work goes on'),
    'WebGPU failed: the GPU was lost (The device is poisoned); the work goes on');
  assert.deepEqual(['one line', 'first\nsecond', ''].map(oneLine), ['one line', 'first', '']);
});

test('how far a GPU was checked is said, in the words of crates/sam2/src/probe.rs or shorter', async () => {
  const rust = await readFile(new URL('../../../crates/sam2/src/probe.rs', import.meta.url), 'utf8');
  for (const [trust, words] of [['it reproduced the model\'s probe answers', /^gave the answers/], ['only the device\'s', /./]]) {
    assert.ok(rust.includes(trust), trust);
    assert.match(trustInWords({ device: 'webgpu', trust }), words);
  }
  const micro = 'the file brings no probe answers for this input size: only the device\'s self-test was passed';
  assert.match(trustInWords({ device: 'webgpu', trust: micro }), /^self-test only/);
  assert.equal(trustInWords({ device: 'webgpu', trust: 'something\nnew' }), 'something');
  assert.deepEqual([{ device: 'cpu', trust: 'the CPU is the reference' }, { device: 'webgpu', trust: null }, { device: 'webgpu' }].map(trustInWords), ['', '', '']);
});

test('warnings of the engine are said for people', () => {
  const fault = 'the answer: 3 values are not finite (object 1, frame 4, webgpu) code=mask_fault end=';
  assert.match(warningInWords(`${fault}read again`), /^A damaged answer was noticed and computed again/);
  assert.equal(warningInWords(`${fault}given up`), '', 'that is an error, and told as one');
  assert.equal(warningInWords('the engine failed: panicked at src/lib.rs:7:1'), '');
  assert.match(warningInWords('moving to the CPU device=SwiftShader reason=the device was lost'), /goes on with the CPU\.$/);
  assert.equal(warningInWords('storage_full: the browser cannot keep the model (its storage is full), so the next visit downloads it again.'),
    'The browser cannot keep the model (its storage is full), so the next visit downloads it again.');
  assert.equal(warningInWords('WebGPU is not trusted with this model: its logits are off'), 'WebGPU is not trusted with this model: its logits are off.');
});
