/**
 * The real engine in Node, on the CPU, through the package. Where the wasm has not been built the
 * tests are skipped, unless SAM2_REQUIRE_WASM is set (as `cargo xtask test` does).
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import test, { after } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Sam2 } from '../client.js';
import { answersOf, fixture, goldenCases, readNpz, worstOf } from './golden.mjs';

const folder = pathToFileURL(`${process.env.SAM2_PKG ?? fileURLToPath(new URL('../../dist/pkg', import.meta.url))}/`);
const assets = { js: new URL('sam2_wasm.js', folder).href, wasm: new URL('sam2_wasm_bg.wasm', folder).href };
const missing = !existsSync(new URL(assets.wasm)) && process.env.SAM2_REQUIRE_WASM === undefined;
const skip = missing ? 'the wasm is not built: cargo xtask wasm' : false;

const configYaml = await readFile(fixture('micro.yaml'), 'utf8');
const weights = async (name) => new Blob([await readFile(fixture(name))]);
const load = (file) => Sam2.load({ model: { file, name: 'micro', configYaml }, assets, device: 'cpu' });

test('answers are the official code\'s, for every golden picture, prompt and seed', { skip }, async (t) => {
  const { bounds, images } = await goldenCases();
  const overall = { logits: 0, iou: 0, mask: 1 };
  const bySeed = new Map();
  for (const item of images) bySeed.set(item.weights, [...(bySeed.get(item.weights) ?? []), item]);
  for (const [file, cases] of bySeed) {
    const sam = await load(await weights(file));
    for (const { name, image: picture, prompts, reference } of cases) {
      const image = await sam.setImage(new Blob([await readFile(fixture(picture))]));
      const answers = await answersOf(image, JSON.parse(await readFile(fixture(prompts), 'utf8')));
      const worst = worstOf(await readNpz(fixture(reference)), answers);
      assert.ok(worst.logits <= bounds.logits && worst.iou <= bounds.iou && worst.mask >= bounds.mask, `${name}: ${JSON.stringify(worst)}`);
      overall.logits = Math.max(overall.logits, worst.logits);
      overall.iou = Math.max(overall.iou, worst.iou);
      overall.mask = Math.min(overall.mask, worst.mask);
      image.dispose();
    }
    sam.dispose();
  }
  t.diagnostic(`worst: ${JSON.stringify(overall)}`);
});

test('one session: formats agree, refusals are coded, a later model replaces the first', { skip }, async (t) => {
  let sam;
  after(() => sam?.dispose());
  sam = await load(await weights('weights/seed4.safetensors'));
  assert.equal(sam.device, 'cpu');
  assert.ok(sam.model.parameters > 1e5);
  const image = await sam.setImage(new Blob([await readFile(fixture('images/wide.png'))]));
  const { masks } = await image.predict({ points: [[82, 68.4]], labels: [1] });
  assert.equal(masks.length, 3);

  await t.test('bytes, area, box, outline and polygons are one mask', async () => {
    for (const mask of masks) {
      const bytes = mask.toBytes();
      assert.equal(bytes.reduce((a, b) => a + b, 0), mask.area);
      const columns = [];
      bytes.forEach((value, p) => value === 1 && columns.push(p % mask.width));
      if (mask.area > 0) assert.deepEqual([Math.min(...columns), Math.max(...columns) - Math.min(...columns) + 1], [mask.bbox[0], mask.bbox[2]]);
      // Twice the signed area of each ring; holes count against the outside.
      const shoelace = (ring) => Math.abs(ring.reduce((sum, [x, y], i) => {
        const [nx, ny] = ring[(i + 1) % ring.length];
        return sum + x * ny - nx * y;
      }, 0)) / 2;
      const polygons = await mask.toPolygons();
      const area = polygons.reduce((sum, { outer, holes }) => sum + shoelace(outer) - holes.reduce((s, hole) => s + shoelace(hole), 0), 0);
      assert.equal(area, mask.area, 'polygons follow the edges of the pixels');
      assert.equal((await mask.toSvgPath()).startsWith('M'), mask.area > 0);
    }
  });

  await t.test('snapped to edges a mask changes, its logits and score do not', async () => {
    const prompt = { points: [[82, 68.4]], labels: [1] };
    const snapped = (await image.predict({ ...prompt, snap: true })).masks;
    assert.deepEqual(snapped.map(({ iou, lowRes }) => [iou, lowRes]), masks.map(({ iou, lowRes }) => [iou, lowRes]));
    assert.ok(snapped.some((mask, i) => mask.toRle().counts !== masks[i].toRle().counts));
    assert.ok(snapped.every((mask) => mask.toBytes()[68 * mask.width + 82] === 1), 'the click is inside');
  });

  await t.test('RGBA pixels give what the file gives', async () => {
    const data = new Uint8Array(40 * 30 * 4).map((_, i) => (i % 4 === 3 ? 255 : (i * 7) % 251));
    const pixels = await sam.setImage({ data, width: 40, height: 30 });
    assert.deepEqual([pixels.width, pixels.height], [40, 30]);
    pixels.dispose();
  });

  await t.test('bad pictures and models are refused with their codes', async () => {
    await assert.rejects(sam.setImage(new Blob(['no picture'])), { name: 'Sam2Error', code: 'bad_image' });
    await assert.rejects(sam.setImage(new Blob([])), { code: 'bad_image' });
    await assert.rejects(sam.loadModel(new Blob(['<!doctype html><title>Sign in</title>'])), { name: 'Sam2Error', code: 'bad_model' });
    const cut = (await readFile(fixture('weights/seed4.safetensors'))).subarray(0, 100_000);
    await assert.rejects(sam.loadModel({ file: new Blob([cut]), configYaml }), { code: /^(bad_model|checksum)$/ });
    assert.equal((await image.predict({ box: [36, 32, 132, 97] })).masks.length, 1, 'and everything before still works');
  });

  await t.test('another model is loaded in place', async () => {
    await sam.loadModel({ file: await weights('weights/seed41.safetensors'), configYaml });
    assert.equal((await image.predict({ points: [[82, 68.4]], labels: [1] })).masks.length, 3);
  });
});
