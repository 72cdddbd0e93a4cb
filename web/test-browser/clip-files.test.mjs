/** Files around a clip: what is opened, what is saved and read back, on the sources and the stand-in engine. */
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { CLIP, FRAMES, beside, clipFile, clipTests, disc, square } from './clip-page.mjs';
import { stage } from './stage.mjs';

/** Those of the uneven clips, in milliseconds (clips/make.py). */
const UNEVEN = [0, 33, 66, 500, 520, 540, 1240, 1280, 2040, 2050, 2060, 2960, 3000, 3033, 3066, 3500, 3520, 3540, 4300, 4310];

const clipTest = clipTests(stage());

clipTest('a clip that could not be opened is opened by Try again', async (hooks) => {
  const { page } = hooks;
  await page.evaluate(() => {
    const { slice } = Blob.prototype;
    Blob.prototype.slice = () => {
      Blob.prototype.slice = slice;
      throw new Error('The file could not be read just now');
    };
  });
  await hooks.input.setInputFiles(CLIP);
  await hooks.waitFor('error');
  await page.locator('#retry').click();
  await page.locator('#timeline').waitFor();
  await hooks.waitFor('idle');
  await hooks.prompt(disc(0));
  await hooks.track();
  assert.deepEqual(await hooks.lane(1), { prompted: 1, tracked: FRAMES - 1, absent: 0 });
});

clipTest('masks are saved as ZIP, JSON and video, and the JSON is read back', async (hooks) => {
  const { page } = hooks;
  await hooks.openClip();
  await hooks.promptBoth();
  await hooks.track();
  const zip = await hooks.save('save-masks');
  assert.equal(zip.name, 'two_masks.zip');
  assert.equal(zip.bytes.readUInt32LE(0), 0x04034b50);
  assert.equal(zip.bytes.readUInt16LE(zip.bytes.length - 12), 2 * FRAMES, 'a picture for each object and frame');
  assert.ok(zip.bytes.includes('1/00000.png') && zip.bytes.includes('2/00019.png'));
  const json = await hooks.save('save-json');
  const [head, ...frames] = json.bytes.toString().trim().split('\n').map((line) => JSON.parse(line));
  assert.deepEqual(head.video, { width: 320, height: 180, frames: FRAMES, fps: 10 });
  assert.deepEqual(head.objects, [{ object: 1, prompted: [0] }, { object: 2, prompted: [0] }]);
  assert.equal(frames.length, FRAMES);
  assert.deepEqual(frames[3].objects[0].segmentation.size, [180, 320]);
  const video = await hooks.save('save-video');
  assert.equal(video.name, 'two_tracked.webm');
  assert.equal(video.bytes.readUInt32BE(0), 0x1a45dfa3, 'a WebM file');
  // What was saved, opened again.
  await hooks.openClip({ name: 'again.webm', mimeType: 'video/webm', buffer: video.bytes });
  assert.equal(await hooks.counter(), `Frame 1 of ${FRAMES} · 0.00 s`, 'every frame, at its own time');
  const colorAt = ([x, y]) => hooks.canvas.evaluate((canvas, [px, py]) => {
    const at = [Math.round(px * canvas.width), Math.round(py * canvas.height), 1, 1];
    const copy = new OffscreenCanvas(1, 1).getContext('2d');
    copy.drawImage(canvas, ...at, 0, 0, 1, 1);
    return [...copy.getImageData(0, 0, 1, 1).data.slice(0, 3)];
  }, [x, y]);
  const isSquare = ([r, g, b]) => b > g + 15 && r > g + 15; // blue under the orange of its object
  /** The picture follows the number. @param {number} frame @param {number} other on which the square lies elsewhere */
  const shows = async (frame, other) => {
    for (let tries = 0; tries < 100; tries += 1) {
      if (isSquare(await colorAt(square(frame))) && !isSquare(await colorAt(square(other)))) return true;
      await page.waitForTimeout(100);
    }
    return false;
  };
  assert.ok(await shows(0, 14), String(await colorAt(square(0))));
  await hooks.go(14);
  assert.ok(await shows(14, 0), 'seeking shows that very frame');
  await hooks.openClip();
  await page.getByTestId('open-json').setInputFiles({ name: 'two_masks.json', mimeType: 'application/json', buffer: json.bytes });
  await hooks.lanes(2);
  await hooks.waitFor('idle');
  assert.deepEqual(await hooks.lane(1), { prompted: 1, tracked: FRAMES - 1, absent: 0 });
  await hooks.go(12);
  const [x, , w] = await hooks.bbox();
  assert.ok(Math.abs(x + w / 2 - 240) < 3);
  assert.equal(await hooks.area(), frames[12].objects[1].area);
  // A click corrects what is shown, and it goes on from there: the masks were prompts.
  await page.keyboard.press('1');
  const loaded = await hooks.carve(beside(12));
  assert.ok(await hooks.area() > loaded / 4, `${await hooks.area()} of ${loaded}: not what a single click on nothing gives`);
  assert.match(await page.getByTestId('estimate').innerText(), /for 8 frames/);
  await hooks.track();
  await page.getByTestId('open-json').setInputFiles({ name: 'other.json', mimeType: 'application/json', buffer: Buffer.from('{"schema": 1, "frame": 99, "objects": []}') });
  await hooks.waitFor('error');
  assert.match(await hooks.status.innerText(), /frame 99/);
});

for (const name of ['uneven.webm', 'uneven.mp4']) {
  clipTest(`${name}: frames that do not stay equally long come each once, in order, and keep their times in what is saved`, async (hooks) => {
    const { page } = hooks;
    if (name.endsWith('.mp4') && !await page.evaluate(async () => (await VideoDecoder.isConfigSupported({ codec: 'avc1.64000C' })).supported)) return; // a Chromium without it
    const goesDown = async (last) => {
      for (let frame = 0; frame < FRAMES; frame += 1) {
        await hooks.go(frame);
        assert.equal(await hooks.counter(), `Frame ${frame + 1} of ${FRAMES} · ${(UNEVEN[frame] / 1000).toFixed(2)} s`);
        const [, y, , height] = await hooks.bbox();
        assert.ok(Math.abs(y + height / 2 - (36 + 4 * frame)) < 1.8, `frame ${frame} of ${last}: ${y + height / 2}`);
      }
    };
    await hooks.openClip(clipFile(name));
    await hooks.prompt(square(0));
    await hooks.track();
    await goesDown('the clip');
    const [head] = (await hooks.save('save-json')).bytes.toString().split('\n').map((line) => line && JSON.parse(line));
    assert.deepEqual(head.video.times.slice(0, -1).map((seconds) => Math.round(seconds * 1000)), UNEVEN);
    const video = await hooks.save('save-video');
    await hooks.openClip({ name: 'again.webm', mimeType: 'video/webm', buffer: video.bytes });
    await hooks.prompt(square(0));
    await hooks.track();
    await goesDown('what was saved');
    // Played, it takes as long as it is.
    await hooks.go(8);
    const began = Date.now();
    await page.keyboard.press('p');
    await page.waitForFunction(() => document.querySelector('#play').getAttribute('aria-label') === 'Play');
    assert.ok(Date.now() - began > 0.9 * (UNEVEN[FRAMES - 1] - UNEVEN[8]), `${Date.now() - began} ms`);
  });
}

clipTest('what is no video is refused in words, and the page goes on', async (hooks) => {
  await hooks.input.setInputFiles({ name: 'broken.mp4', mimeType: 'video/mp4', buffer: Buffer.from('no video at all') });
  await hooks.waitFor('error');
  assert.match(await hooks.status.innerText(), /cannot be opened/);
  await hooks.openClip();
  await hooks.page.locator('#close-clip').click();
  await hooks.waitFor('ready');
  assert.equal(await hooks.page.locator('#timeline').isHidden(), true);
  await hooks.input.setInputFiles(fileURLToPath(new URL('../app/samples/cat.jpg', import.meta.url)));
  await hooks.waitFor('idle');
  await hooks.prompt([0.5, 0.5]);
  assert.ok(await hooks.area() > 0, 'pictures as before');
}, { complaints: false });
