/** The clip's parts that need no page. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { rateOf } from '../../sam2/video-element.js';
import { Estimate, timeInWords } from '../clip/estimate.js';
import { NO_REST, spanOf } from '../clip/span.js';
import { parseSaved, savedJson } from '../clip/saved.js';
import { Tracks } from '../clip/tracks.js';
import { Zip, crc32 } from '../clip/zip.js';
import { sortFiles } from '../files.js';

const mask = (counts = '0P1') => ({ area: 4, bbox: [0, 0, 2, 2], toRle: () => ({ size: [2, 2], counts }) });
const found = (id, visible = true) => ({ id, mask: mask(), score: visible ? 3 : -3, iou: 0.8, visible, prompted: false });

test('lanes say what was said, found and not found; undo takes back', () => {
  const tracks = new Tracks();
  tracks.addClick(3, { x: 1, y: 2, label: 1 });
  assert.equal(tracks.active, 1, 'the first click makes the first object');
  tracks.put({ frame: 4, objects: [found(1)], ms: 1 });
  tracks.put({ frame: 5, objects: [found(1, false)], ms: 1 });
  tracks.put({ frame: 6, objects: [{ ...found(1), score: null }], ms: 1 });
  assert.deepEqual([2, 3, 4, 5, 6].map((frame) => tracks.lane(1, frame)), ['none', 'prompted', 'tracked', 'absent', 'none']);
  tracks.addBox(3, { x0: 5, y0: 5, x1: 9, y1: 9 });
  assert.deepEqual(tracks.prompt(3, 1).clicks, [], 'a click outside the box does not hold');
  const boxed = tracks.prompt(3, 1);
  const undone = tracks.undo();
  assert.deepEqual(undone, { object: 1, frame: 3, before: { clicks: [{ x: 1, y: 2, label: 1 }], box: null, mask: null }, after: boxed });
  tracks.keep(undone);
  assert.deepEqual(tracks.prompt(3, 1), boxed, 'what cannot be taken back holds');
  tracks.addBox(3, { x0: 5, y0: 5, x1: 8, y1: 8 });
  tracks.undo();
  assert.deepEqual(tracks.prompt(3, 1), boxed);
  tracks.undo();
  assert.deepEqual([tracks.keyFrames(), tracks.undo()], [[], null]);
});

test('a correction changes one frame; another model asks all of them again', () => {
  const tracks = new Tracks();
  tracks.addClick(0, { x: 1, y: 1, label: 1 });
  tracks.addClick(0, { x: 2, y: 1, label: 0 });
  tracks.addClick(7, { x: 3, y: 3, label: 1 });
  tracks.put({ frame: 0, objects: [found(1)], ms: 1 });
  tracks.put({ frame: 1, objects: [found(1), found(2)], ms: 1 }, (id) => id === 2);
  assert.deepEqual([tracks.keyFrames(), tracks.frames(), tracks.found(1, 1)], [[0, 7], [0, 1], null], 'of an answer only the objects that were asked for');
  tracks.changed.clear();
  assert.equal(tracks.undo().frame, 7);
  assert.deepEqual([[...tracks.changed], tracks.keyFrames()], [[7], [0]]);
  tracks.undo();
  assert.deepEqual(tracks.prompt(0, 1).clicks, [{ x: 1, y: 1, label: 1 }], 'the first click is there still');
  tracks.forgetAnswers();
  assert.deepEqual([tracks.frames(), [...tracks.changed], tracks.lane(1, 0)], [[], [0], 'prompted']);
  tracks.addMask(4, 1, { size: [2, 2], counts: '0P1' });
  tracks.addClick(4, { x: 0, y: 0, label: 1 });
  assert.deepEqual([tracks.prompt(4, 1).mask?.counts, tracks.prompt(4, 1).clicks.length], ['0P1', 1], 'a click corrects a mask that was read');
  tracks.addBox(4, { x0: 0, y0: 0, x1: 2, y1: 2 });
  assert.equal(tracks.prompt(4, 1).mask, null, 'a box takes its place');
  tracks.put({ frame: 0, objects: [found(1)], ms: 1 });
  tracks.drop(0);
  assert.deepEqual([tracks.found(0, 1), tracks.keyFrames()], [null, [0, 4]], 'a live video forgets masks, not what was said');
  tracks.reset();
  assert.deepEqual([tracks.objects, tracks.active, tracks.canUndo, tracks.add().id], [[], 0, false, 1]);
});

test('objects have their own colours and keep their numbers', () => {
  const tracks = new Tracks();
  for (let i = 0; i < 3; i += 1) tracks.add();
  assert.equal(new Set(tracks.objects.map(({ color }) => color)).size, 3);
  tracks.put({ frame: 0, objects: [found(1), found(2)], ms: 1 });
  tracks.remove(2);
  assert.deepEqual([tracks.objects.map(({ id }) => id), tracks.at(0).map(({ id }) => id)], [[1, 3], [1]]);
  assert.equal(tracks.add().id, 4, 'a number is not given twice');
});

test('what was said of an object that is removed concerns no other; its masks are counted before', () => {
  const tracks = new Tracks();
  tracks.addClick(0, { x: 1, y: 1, label: 1 });
  tracks.add();
  tracks.addClick(0, { x: 2, y: 1, label: 1 });
  tracks.addClick(5, { x: 2, y: 1, label: 1 });
  for (let frame = 0; frame < 8; frame += 1) tracks.put({ frame, objects: frame < 6 ? [found(1), found(2)] : [found(2)], ms: 1 });
  assert.deepEqual([tracks.trackedFrames(tracks.object(1)), tracks.trackedFrames(tracks.object(2)), tracks.trackedFrames()], [5, 6, 6]);
  tracks.remove(2);
  assert.deepEqual([...tracks.changed], [0]);
});

test('masks of a file are shown, and are what a click corrects; a pass takes their place', () => {
  const tracks = new Tracks();
  tracks.add(1);
  tracks.addMask(0, 1, { size: [2, 2], counts: '0P1' });
  tracks.load({ frame: 0, objects: [found(1)], ms: 0 });
  tracks.load({ frame: 1, objects: [{ ...found(1), mask: mask('14') }], ms: 0 });
  tracks.load({ frame: 2, objects: [found(1, false)], ms: 0 });
  assert.deepEqual([0, 1, 2].map((frame) => tracks.loadedAt(frame).length), [0, 1, 0], 'neither those that the engine is given, nor those that show nothing');
  tracks.addClick(1, { x: 1, y: 1, label: 0 });
  assert.deepEqual(tracks.prompt(1, 1), { clicks: [{ x: 1, y: 1, label: 0 }], box: null, mask: { size: [2, 2], counts: '14' } });
  tracks.put({ frame: 1, objects: [found(1)], ms: 1 });
  tracks.undo();
  tracks.forget(1, 1);
  assert.equal(tracks.found(1, 1).mask.toRle().counts, '14', 'taken back, it is the file that counts');
  tracks.changed.clear();
  tracks.track({ frame: 1, objects: [found(1)], ms: 1 });
  tracks.track({ frame: 2, objects: [found(1)], ms: 1 });
  assert.deepEqual([1, 2].map((frame) => [tracks.found(frame, 1).visible, tracks.loadedAt(frame).length]), [[true, 0], [true, 0]]);
  tracks.addClick(2, { x: 1, y: 1, label: 1 });
  assert.equal(tracks.prompt(2, 1).mask, null);
  const said = found(1);
  tracks.put({ frame: 2, objects: [said], ms: 1 });
  tracks.track({ frame: 2, objects: [found(1, false)], ms: 1 });
  assert.equal(tracks.found(2, 1), said, 'what was said while the pass runs holds: it does not know it yet');
});

test('a pass begins where something changed, or where one was stopped', () => {
  const span = ({ keys = [0, 5], changed = [], rest = {} }, both = false) => {
    const { forward, backward, frames } = spanOf({ keys, changed, rest: { ...NO_REST, ...rest }, length: 20 }, both);
    return [forward, backward, frames];
  };
  assert.deepEqual(span({ keys: [] }, true), [null, null, 0]);
  assert.deepEqual([span({}), span({}, true)], [[0, null, 20], [0, 5, 26]], 'all again');
  assert.deepEqual(span({ keys: [0] }, true), [0, null, 20], 'backward from the first frame there is nothing');
  assert.deepEqual([span({ changed: [5] }), span({ changed: [5] }, true)], [[5, null, 15], [5, 5, 21]]);
  // Stopped on the way forward.
  assert.deepEqual(span({ rest: { forward: 8 } }), [8, null, 12]);
  assert.deepEqual(span({ rest: { forward: 8 } }, true), [8, 5, 18], 'backward nothing was done');
  assert.deepEqual(span({ rest: { forward: 8 }, changed: [5] }), [5, null, 15], 'a correction before it');
  assert.deepEqual(span({ rest: { forward: 8 }, keys: [0, 12], changed: [12] }), [8, null, 12], 'one after it');
  assert.deepEqual(span({ rest: { forward: 8 }, changed: [3] }), [0, null, 20], 'what was tracked with a prompt that is gone');
  assert.deepEqual(span({ rest: { forward: 8 }, changed: [11] }), [8, null, 12], 'one that nothing was tracked with');
  // Stopped on the way back.
  assert.deepEqual([span({ rest: { backward: 3 } }), span({ rest: { backward: 3 } }, true)], [[null, 3, 4], [null, 3, 4]]);
  assert.deepEqual([span({ rest: { backward: 3 }, changed: [5] }), span({ rest: { backward: 3 }, changed: [5] }, true)], [[5, null, 15], [5, 5, 21]]);
  assert.deepEqual(span({ rest: { backward: 3 }, changed: [4] }, true), [0, 5, 26]);
  assert.deepEqual(span({ rest: { forward: 8, backward: 5 } }, true), [8, 5, 18]);
});

test('what was saved is read back, and what does not fit is refused by its line', () => {
  const tracks = new Tracks();
  tracks.addClick(1, { x: 1, y: 1, label: 1 });
  tracks.put({ frame: 1, objects: [found(1)], ms: 1 });
  tracks.put({ frame: 2, objects: [found(1, false)], ms: 1 });
  const clip = { name: 'a.mp4', width: 2, height: 2, length: 5, fps: 10, times: null, model: 'nano', device: 'cpu' };
  return savedJson(tracks, clip).text().then((text) => {
    const { frames, prompted } = parseSaved(text, clip);
    assert.deepEqual(frames.map(({ frame }) => frame), [1, 2]);
    assert.deepEqual([...prompted], [[1, new Set([1])]]);
    // As the command line writes it: no first line, so the first sight of an object stands for its prompt.
    const lines = text.trim().split('\n').slice(1);
    assert.deepEqual([...parseSaved(lines.join('\n'), clip).prompted], [[1, new Set([1])]]);
    const line = (more) => JSON.stringify({ ...JSON.parse(lines[0]), ...more });
    for (const [broken, reason] of [
      ['', /no masks/], ['{', /Line 1 .* JSON/], [`${lines[0]}\n{"schema":2}`, /Line 2 .* not of a tracked clip/], ['null', /not of a tracked clip/],
      [line({ objects: [null] }), /object without a number/], [line({ objects: [{ object: 1.5 }] }), /object without a number/], ['{"schema":1,"objects":[null]}', /without a number/],
      [line({ frame: -1 }), /frame -1/], [line({ frame: '1' }), /frame 1, and/], [line({ objects: [{ object: 1 }] }), /undefined pixels/],
      [line({ objects: [{ object: 1, segmentation: { size: [2, 2], counts: [1, 3] } }] }), /not run-length coded/],
    ]) {
      assert.throws(() => parseSaved(broken, clip), { code: 'bad_prompt', message: reason });
    }
    assert.throws(() => parseSaved(text, { ...clip, width: 3 }), { message: /2 × 2 pixels, and this clip 3 × 2/ });
    assert.throws(() => parseSaved(text, { ...clip, length: 2 }), { message: /frame 2/ });
  });
});

test('a ZIP holds what was put in', async () => {
  assert.equal(crc32(new TextEncoder().encode('123456789')), 0xcbf43926, 'the check value of CRC-32');
  const zip = new Zip();
  await zip.add('1/00000.png', new Blob(['one']));
  await zip.add('2/ü.png', new Blob(['twelve']));
  const bytes = Buffer.from(await zip.finish().arrayBuffer());
  const end = bytes.lastIndexOf('PK\x05\x06', undefined, 'latin1');
  let at = bytes.readUInt32LE(end + 16);
  const read = {};
  for (let left = bytes.readUInt16LE(end + 10); left > 0; left -= 1) {
    const name = bytes.toString('utf8', at + 46, at + 46 + bytes.readUInt16LE(at + 28));
    const local = bytes.readUInt32LE(at + 42);
    const start = local + 30 + bytes.readUInt16LE(local + 26);
    const data = bytes.subarray(start, start + bytes.readUInt32LE(at + 20));
    assert.equal(bytes.readUInt16LE(at + 10), 0, 'stored');
    assert.equal(crc32(data), bytes.readUInt32LE(at + 16));
    read[name] = data.toString();
    at += 46 + bytes.readUInt16LE(at + 28);
  }
  assert.deepEqual(read, { '1/00000.png': 'one', '2/ü.png': 'twelve' });
});

test('the estimate learns from what was tracked, and grows with the objects', () => {
  const estimate = new Estimate(0.625); // an object's attention takes half the time of an encode
  assert.equal(estimate.inWords(10, 1), '');
  estimate.prompted(600);
  estimate.prompted(200);
  estimate.prompted(300);
  assert.equal(estimate.perFrame(2), 400, 'the quickest prompt: the first took what is taken once');
  assert.equal(estimate.inWords(10, 1), 'roughly 300 ms per frame, 3 s for 10 frames', 'a guess as yet');
  const answer = (ms, ...prompted) => ({ ms, objects: prompted.map((each) => ({ score: 3, prompted: each })) });
  estimate.tracked(answer(2, true, true), true);
  assert.equal(estimate.perFrame(2), 400, 'where all was said nothing is tracked');
  estimate.tracked(answer(30, false, false), false);
  assert.equal(estimate.perFrame(2), 400, 'what was encoded before costs less than what comes');
  estimate.tracked({ ms: 900, objects: [...answer(0, false, true).objects, { score: null, prompted: false }] }, true);
  assert.equal(Math.round(estimate.perFrame(1)), 900, 'what was measured counts, not what was guessed');
  assert.equal(estimate.inWords(10, 1), 'about 900 ms per frame, 9 s for 10 frames');
  estimate.prompted(10);
  assert.equal(Math.round(estimate.perFrame(1)), 900, 'from then on prompts tell nothing');
  estimate.tracked(answer(300, false), true);
  assert.equal(Math.round(estimate.perFrame(1)), 300, 'of two the quicker: the first was held up by what is done once');
  for (const ms of [310, 5000, 290]) estimate.tracked(answer(ms, false), true);
  assert.equal(Math.round(estimate.perFrame(1)), 310, 'one frame that was held up changes nothing');
  for (let i = 0; i < 8; i += 1) estimate.tracked(answer(800, false), true);
  assert.equal(Math.round(estimate.perFrame(1)), 800, 'a machine that has become slower is believed');
  assert.deepEqual([timeInWords(400), timeInWords(89_000), timeInWords(240_000), timeInWords(3 * 3_600_000)], ['1 s', '89 s', '4 min', '3.0 h']);
});

test('frames per second are found through missed frames and rounded stamps', () => {
  const stamps = (fps, frames, digits) => frames.map((i) => Number((i / fps).toFixed(digits)));
  assert.equal(rateOf(stamps(60, [0, 1, 2, 4, 5, 7, 8, 9, 11], 3)), 60, 'whole milliseconds');
  assert.equal(rateOf(stamps(30, [0, 1, 2, 3, 4, 7], 6)), 30);
  assert.equal(rateOf(stamps(30_000 / 1001, [0, 1, 3, 4, 5, 6], 6)), 30_000 / 1001);
  assert.equal(rateOf(stamps(24, [0, 2, 3, 5, 6, 8, 9], 6)), 24);
  assert.ok(Math.abs(rateOf(stamps(17.3, [0, 1, 2, 3], 6)) - 17.3) < 0.01, 'a rate of its own stays');
  assert.equal(rateOf([0]), null);
});

test('files are pictures, clips, saved masks or models', () => {
  const file = (name, type = '') => ({ name, type });
  assert.equal(sortFiles([file('a.mp4')]).clip.name, 'a.mp4');
  assert.equal(sortFiles([file('recording', 'video/webm')]).clip.name, 'recording');
  assert.deepEqual(sortFiles([file('a.gif', 'image/gif')]), { picture: file('a.gif', 'image/gif'), clip: null, saved: null, model: null, config: null }, 'animated or not, its content says');
  assert.equal(sortFiles([file('f.png', 'image/png'), file('a.GIF')]).clip.name, 'a.GIF', 'in company it is a clip');
  const order = (...names) => sortFiles(names.map((name) => file(name, 'image/png'))).clip.map(({ name }) => name);
  assert.deepEqual(order('f10.png', 'f9.png', 'f1.png'), ['f1.png', 'f9.png', 'f10.png'], 'by number, not by letter');
  assert.deepEqual(order('b_0002.png', 'a_0010.png', 'b_0001.png', 'a_0009.png'), ['a_0009.png', 'a_0010.png', 'b_0001.png', 'b_0002.png']);
  assert.deepEqual(order('shot 2 (11).png', 'shot 2 (2).png', 'shot 10 (1).png'), ['shot 2 (2).png', 'shot 2 (11).png', 'shot 10 (1).png']);
  const beside = sortFiles([file('f2.png', 'image/png'), file('f1.png', 'image/png'), file('a.webm')]);
  assert.deepEqual([beside.clip.name, beside.picture.name], ['a.webm', 'f2.png'], 'beside a video pictures are no frames');
  const upper = sortFiles([file('A.MP4'), file('NANO.SAFETENSORS'), file('micro.YAML'), file('masks.jsonl')]);
  assert.deepEqual([upper.clip.name, upper.model.name, upper.config.name, upper.saved.name], ['A.MP4', 'NANO.SAFETENSORS', 'micro.YAML', 'masks.jsonl']);
  const one = sortFiles([file('a.png', 'image/png'), file('m.pt'), file('masks.json')]);
  assert.deepEqual([one.picture.name, one.model.name, one.saved.name, one.clip], ['a.png', 'm.pt', 'masks.json', null]);
});
