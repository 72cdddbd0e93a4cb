/** What a new engine is told of a video, and the sources that videos come from. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { VideoLog } from '../video-log.js';
import { isAnimation, sourceOf } from '../video-source.js';

const prompt = (object) => ({ kind: 'prompt', prompt: { frame: 0, object, points: [[1, 1]], labels: [1], box: null, keep_old_points: false } });
const pass = { kind: 'pass', pass: { start: null, max_frames: null, reverse: false } };
const kinds = (log) => [...log.entries()].map(({ kind }) => kind);

test('a log is repeated in order, frame by frame', () => {
  const log = new VideoLog();
  log.push(prompt(1));
  log.push(pass);
  log.step();
  log.step();
  log.push(prompt(2));
  log.push(pass);
  log.step();
  assert.deepEqual(kinds(log), ['prompt', 'pass', 'step', 'step', 'prompt', 'pass', 'step']);
  assert.equal(log.length, 7, 'what a progress counts to');
  assert.deepEqual([...log.entries()][4].prompt.object, 2);
});

test('another model hears what was said, not what the one before found', () => {
  const log = new VideoLog();
  log.push(prompt(1));
  log.push(pass);
  log.step();
  log.push({ kind: 'clear', frame: 0, object: 1 });
  log.push({ kind: 'remove', object: 1 });
  log.forgetPasses();
  assert.deepEqual(kinds(log), ['prompt', 'clear', 'remove']);
  log.step();
  log.clear();
  assert.deepEqual([kinds(log), log.length], [[], 0]);
});

const bytes = (text) => Uint8Array.from(text.padEnd(16, '\0'), (letter) => letter.charCodeAt(0));
const RGBA = { data: new Uint8Array(5 * 3 * 4), width: 5, height: 3 };
const tools = {
  maxFrames: 4, maxFrameDimension: 100,
  toPicture: async (picture) => ({ kind: 'rgba', rgba: picture.data.buffer, width: picture.width, height: picture.height }),
  measure: async ({ width, height }) => ({ width, height }),
};

test('animations are known by their first bytes, not by their names', () => {
  assert.deepEqual(['GIF89a', '\x89PNG\r\n', 'RIFF\x10\0\0\0WEBPVP8L', 'RIFF\x10\0\0\0AVI LIST', '\x1aE\xdf\xa3', ''].map((text) => isAnimation(bytes(text))),
    [true, true, true, false, false, false]);
});

test('pictures and readers are frames, cut to the limit, and it is said', async () => {
  const five = await sourceOf([RGBA, RGBA, RGBA, RGBA, RGBA], tools);
  assert.deepEqual([five.source.frames, five.source.width, five.source.height, five.notes], [4, 5, 3, ['the first 4 of 5 frames are used']]);
  assert.equal((await five.source.read(3)).width, 5);
  const asked = [];
  const read = (index) => {
    asked.push(index);
    return RGBA;
  };
  const large = await sourceOf({ frames: 3, width: 400, height: 200, fps: 12, read }, tools);
  assert.deepEqual([large.source.frames, large.fps, large.notes], [3, 12, ['400x200 -> 100x50']], 'the engine makes its frames smaller');
  await large.source.read(2);
  assert.deepEqual(asked, [2], 'nothing was read before');
  assert.deepEqual((await sourceOf({ frames: 9, width: 5, height: 3, read }, { ...tools, maxFrames: 0 })).source.frames, 9, '0: all');
  assert.equal((await sourceOf(new Blob([bytes('GIF89a')]), tools)).source.kind, 'animation');
  assert.equal((await sourceOf({ live: true }, tools)).source.kind, 'live');
});

test('what is no video is refused with what to give instead', async () => {
  const wrong = [
    [], null, 7, {}, new Blob([]), new Blob(['neither']), { frames: 0, width: 5, height: 3, read: () => RGBA }, { frames: 2, width: NaN, height: 3, read: () => RGBA },
    { frames: 2.5, width: 5, height: 3, read: () => RGBA },
  ];
  for (const source of wrong) {
    await assert.rejects(sourceOf(source, tools), (error) => error.code === 'unsupported_video' && error.hint.length > 0, String(source));
  }
  await assert.rejects(sourceOf('http://127.0.0.1:9/none.mp4', tools), { code: 'unsupported_video', message: /could not be fetched/ });
});

test('cancelled while it opens: the source is closed', async () => {
  const abort = new AbortController();
  const measure = async () => {
    abort.abort();
    return { width: 5, height: 3 };
  };
  await assert.rejects(sourceOf([RGBA], { ...tools, measure, signal: abort.signal }), { name: 'AbortError' });
});
