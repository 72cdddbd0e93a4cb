import assert from 'node:assert/strict';
import test from 'node:test';
import { View } from '../view.js';

/** @param {{ width: number, height: number }} picture */
function viewOf(picture, area = { width: 900, height: 500 }) {
  const view = new View();
  view.setArea(area);
  view.setPicture(picture);
  return view;
}

const near = (actual, expected, why) => assert.ok(Math.abs(actual - expected) < 1e-9, `${why ?? ''} ${actual} is not ${expected}`);

for (const picture of [{ width: 1600, height: 400 }, { width: 300, height: 1200 }, { width: 3, height: 2 }]) {
  test(`at fit the canvas has the shape of ${picture.width} x ${picture.height} and lies in the area`, () => {
    const view = viewOf(picture);
    const { rect } = view;
    near(rect.width / rect.height, picture.width / picture.height);
    assert.ok(rect.x >= 0 && rect.y >= 0 && rect.x + rect.width <= 900 + 1e-9 && rect.y + rect.height <= 500 + 1e-9);
    assert.ok(Math.abs(rect.width - 900) < 1e-9 || Math.abs(rect.height - 500) < 1e-9, 'as large as it can be');
    near(view.imageFromArea({ x: rect.x, y: rect.y }).x, 0);
    near(view.imageFromArea({ x: rect.x + rect.width, y: rect.y + rect.height }).y, picture.height);
  });
}

test('there and back is the same point, zoomed and moved', () => {
  const view = viewOf({ width: 1600, height: 400 });
  view.zoom(7.3, { x: 120, y: 260 });
  view.pan(-33, 12);
  for (const point of [{ x: 0, y: 0 }, { x: 1599.5, y: 1 }, { x: 333, y: 399 }]) {
    const back = view.imageFromArea(view.areaFromImage(point));
    near(back.x, point.x);
    near(back.y, point.y);
  }
});

test('zooming keeps what lies under the pointer', () => {
  const view = viewOf({ width: 800, height: 600 });
  const at = { x: 450, y: 250 };
  const before = view.imageFromArea(at);
  view.zoom(3, at);
  near(view.imageFromArea(at).x, before.x);
  near(view.imageFromArea(at).y, before.y);
});

test('no zoom below fit, and no gap when moved', () => {
  const view = viewOf({ width: 800, height: 600 });
  const fit = view.scale;
  view.zoom(0.1, { x: 10, y: 10 });
  near(view.scale, fit);
  assert.ok(view.isFit);
  view.zoom(4, { x: 450, y: 250 });
  view.pan(1e6, 1e6);
  assert.deepEqual([view.origin.x, view.origin.y], [0, 0]);
  view.pan(-1e6, -1e6);
  near(view.origin.x + 800 * view.scale, 900);
  near(view.origin.y + 600 * view.scale, 500);
});

test('another window size keeps the fit, or else the middle', () => {
  const view = viewOf({ width: 800, height: 600 });
  view.setArea({ width: 300, height: 400 });
  assert.ok(view.isFit);
  near(view.rect.width, 300);
  view.zoom(5, { x: 100, y: 180 });
  const middle = view.imageFromArea({ x: 150, y: 200 });
  const { scale } = view;
  view.setArea({ width: 340, height: 380 });
  near(view.scale, scale);
  near(view.imageFromArea({ x: 170, y: 190 }).x, middle.x);
});

test('points outside are brought to the edge', () => {
  assert.deepEqual(viewOf({ width: 80, height: 60 }).clamp({ x: -4, y: 99 }), { x: 0, y: 60 });
});

test('a click lies in a pixel, also as the engine rounds it', () => {
  for (const [width, height] of [[1, 1], [2, 3], [451, 300], [512, 513], [4096, 4097], [12_000, 65_535]]) {
    const view = viewOf({ width, height });
    for (const at of [{ x: 1e9, y: 1e9 }, { x: width, y: height }, { x: width - 1e-9, y: height - 1e-9 }]) {
      const { x, y } = view.clampToPixels(at);
      assert.ok(Math.fround(x) < width && Math.fround(y) < height && x > width - 0.01 && y > height - 0.01, `${x}, ${y}`);
    }
    assert.deepEqual(view.clampToPixels({ x: -1, y: -1 }), { x: 0, y: 0 });
  }
  assert.deepEqual(viewOf({ width: 80, height: 60 }).clampToPixels({ x: 12.25, y: 59.5 }), { x: 12.25, y: 59.5 });
});
