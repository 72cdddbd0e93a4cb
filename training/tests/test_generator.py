"""The data generator: what it calls a mask must be what it drew."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from nano import compose, creatures, loader, prompts, sprites, textures

SIDE = 96


def disc(colour, h=60, w=90) -> np.ndarray:
    """An opaque ellipse sprite of one colour, not square, with two parts."""
    s = np.zeros((h, w, sprites.CHANNELS), np.uint8)
    on = np.zeros((h, w), np.uint8)
    cv2.ellipse(on, (w // 2, h // 2), (w // 2 - 1, h // 2 - 1), 0, 0, 360, 1, -1)
    s[..., :3] = colour
    s[..., 3:5], s[..., 5], s[..., 6] = 127, 254, 255
    s[..., 8] = on * (1 + (np.arange(w) > w // 2))
    s[..., 9] = on * 255
    return s


@pytest.fixture
def bank(tmp_path):
    w = sprites.SpriteWriter(tmp_path / "a")
    w.add(disc((200, 40, 40)), "render", "test: red")
    w.add(disc((30, 60, 200), 90, 40), "person", "test: blue")
    w.close()
    return sprites.SpriteBank([tmp_path / "a"])


def test_cache_returns_the_bytes_it_was_given(bank):
    assert len(bank) == 2
    np.testing.assert_array_equal(bank.get(0), disc((200, 40, 40)))
    np.testing.assert_array_equal(bank.get(1), disc((30, 60, 200), 90, 40))
    assert list(bank.by_kind["person"]) == [1] and not len(bank.by_kind["emoji"])


def test_cache_refuses_other_layouts(tmp_path):
    w = sprites.SpriteWriter(tmp_path / "a")
    with pytest.raises(ValueError, match="uint8"):
        w.add(np.zeros((4, 5, 4), np.uint8), "render", "x")


def test_pose_puts_the_sprite_where_it_says():
    layer = compose.Layer(np.ones((20, 40, 4), np.float32), np.ones((20, 40), np.uint8))
    img = np.zeros((SIDE, SIDE, 3), np.float32)
    alpha, parts = compose.paste(img, layer, compose.pose((20, 40), (60.0, 30.0), 40.0, 0.5, 0.0))
    ys, xs = np.nonzero(alpha > 0.5)
    # 40 x 20 squeezed to 20 x 20 about (60, 30); one pixel of slack for the interpolated edge.
    assert abs(xs.min() - 50) <= 1 and abs(xs.max() - 69) <= 1
    assert abs(ys.min() - 20) <= 1 and abs(ys.max() - 39) <= 1
    assert (img[alpha > 0.99] == 1).all() and (img[alpha == 0] == 0).all()
    assert (parts[alpha > 0.5] == 1).mean() > 0.9


def test_scene_is_a_function_of_its_seed(bank):
    a, b, c = (compose.scene(np.random.default_rng(s), bank, None, SIDE) for s in (3, 3, 4))
    np.testing.assert_array_equal(a.image, b.image)
    np.testing.assert_array_equal(a.objects, b.objects)
    assert (a.image != c.image).any()


def test_masks_lie_on_what_was_drawn(bank, monkeypatch):
    """With a black backdrop, no shadows and no camera, a pixel is coloured exactly where an object is."""
    monkeypatch.setattr(textures, "backdrop", lambda rng, photos, side, wild: np.zeros((side, side, 3), np.uint8))
    monkeypatch.setattr(compose, "cast", lambda *a: None)
    monkeypatch.setattr(compose, "photograph", lambda rng, img, wild: np.clip(img * 255, 0, 255).astype(np.uint8))
    monkeypatch.setattr(compose, "CREATURE_WEIGHT", 0.0)
    monkeypatch.setattr(compose, "dress", lambda rng, s, photos, wild: s[..., :3].astype(np.float32) / 255)
    seen = 0
    for seed in range(12):
        s = compose.scene(np.random.default_rng(seed), bank, None, SIDE)
        lit = s.image.max(2) > 60
        on = s.objects > 0
        inside = cv2.erode(on.astype(np.uint8), np.ones((5, 5))) > 0
        outside = cv2.dilate(on.astype(np.uint8), np.ones((9, 9))) == 0
        assert not lit[outside].any()
        if inside.sum() > 50:
            seen += 1
            assert (s.image.max(2)[inside] > 3).mean() > 0.95
        assert set(np.unique(s.objects)) <= set(range(len(s.full_area)))
        assert ((s.parts > 0) >= on)[inside].mean() > 0.98 if inside.any() else True
    assert seen >= 8


def test_targets_are_visible_whole_objects(bank):
    rng = np.random.default_rng(0)
    some = 0
    for seed in range(10):
        s = compose.scene(np.random.default_rng(seed), bank, None, SIDE)
        masks = compose.targets(rng, s, 4, part_share=0.0)
        if masks is None:
            continue
        some += 1
        for m in masks:
            assert m.sum() >= compose.MIN_AREA * SIDE * SIDE
            (k,) = np.unique(s.objects[m])
            assert k > 0
            np.testing.assert_array_equal(m, s.objects == k)
    assert some >= 5


def test_parts_are_smaller_than_their_object(bank):
    rng = np.random.default_rng(1)
    parts = 0
    for seed in range(10):
        s = compose.scene(np.random.default_rng(seed), bank, None, SIDE)
        masks = compose.targets(rng, s, 6, part_share=1.0)
        for m in [] if masks is None else masks:
            (k,) = np.unique(s.objects[m])
            parts += m.sum() < 0.75 * (s.objects == k).sum()
    assert parts > 5


def test_too_little_to_see_gives_no_targets():
    s = compose.Scene(*(np.zeros((SIDE, SIDE, *c), np.uint8) for c in ((3,), (), ())), np.array([0.0, 900.0]))
    s.objects[0, :5] = 1
    assert compose.targets(np.random.default_rng(0), s, 3) is None


def test_again_mirrors_picture_and_masks_together(bank):
    s = compose.scene(np.random.default_rng(2), bank, None, SIDE)
    flipped = same = 0
    for seed in range(12):
        t = loader.again(np.random.default_rng(seed), s, closer=0.0)
        if (t.objects == s.objects).all():
            same += 1
            assert np.corrcoef(t.image.ravel(), s.image.ravel())[0, 1] > 0.9
        else:
            flipped += 1
            np.testing.assert_array_equal(t.objects, s.objects[:, ::-1])
            assert np.corrcoef(t.image.ravel(), s.image[:, ::-1].ravel())[0, 1] > 0.9
    assert same and flipped


def test_creature_is_one_compact_thing():
    for seed in range(6):
        c = creatures.creature(np.random.default_rng(seed), None, 128)
        assert c.shape[2] == sprites.CHANNELS and (c[..., 9] > 0).mean() > 0.08
        assert ((c[..., 8] > 0) == (c[..., 9] > 0)).all()


def test_flat_pictures_that_are_no_objects_are_refused():
    square = np.full((120, 150, 4), 255, np.uint8)
    assert sprites.from_rgba(square, 100) is None  # opaque everywhere: a picture, not a cut-out
    silhouette = np.zeros((120, 150, 4), np.uint8)
    cv2.circle(silhouette, (70, 60), 50, (9, 9, 9, 255), -1)
    assert sprites.from_rgba(silhouette, 100) is None
    silhouette[40:60, 40:100, :3] = (200, 120, 30)
    assert max(sprites.from_rgba(silhouette, 60).shape[:2]) == 60


def test_centre_is_the_first_deepest_pixel():
    m = np.zeros((9, 14), bool)
    m[2:7, 1:6] = True
    m[2:7, 8:13] = True  # as deep as the first: the first in row order counts
    assert prompts.centre(m) == (4, 3)


def test_centre_counts_the_border_as_an_edge():
    m = np.ones((5, 9), bool)
    assert prompts.centre(m)[0] == 2


def test_corrections_are_positive_where_missed_and_negative_where_extra():
    rng = np.random.default_rng(0)
    want = np.zeros((2, 16, 20), bool)
    want[:, 2:12, 2:12] = True
    pred = want.copy()
    pred[0, 2:12, 7:12] = False  # half is missing
    pred[1, 2:12, 12:19] = True  # too much on the right
    for _ in range(20):
        p, labels = prompts.corrections(pred, want, rng)
        assert labels[:, 0].tolist() == [1, 0]
        x, y = ((p[:, 0] - 1.5) / 4).int().unbind(1)
        assert want[0, y[0], x[0]] and not pred[0, y[0], x[0]]
        assert pred[1, y[1], x[1]] and not want[1, y[1], x[1]]


def test_boxes_hold_their_mask():
    rng = np.random.default_rng(0)
    m = np.zeros((40, 80, 80), bool)
    m[:, 20:41, 10:61] = True
    b = prompts.boxes(m, rng).numpy()
    tight = (b == np.array([[10, 20], [60, 40]])).all((1, 2))
    assert 8 <= tight.sum() <= 32
    assert np.abs(b - np.array([[10, 20], [60, 40]])).max() < 20


def test_zoom_keeps_masks_on_their_objects(bank):
    rng = np.random.default_rng(3)
    s = compose.scene(rng, bank, None, SIDE)
    larger = 0
    for seed in range(8):
        z = loader.zoom(np.random.default_rng(seed), s)
        assert z.image.shape == s.image.shape and z.objects.shape == z.parts.shape == s.objects.shape
        assert z.full_area.shape == s.full_area.shape
        for k in range(1, len(z.full_area)):
            assert z.full_area[k] == (z.objects == k).sum()
            larger += z.full_area[k] > 1.2 * (s.objects == k).sum() > 0
    assert larger > 0


def test_a_calm_scene_keeps_more_of_the_objects_own_colours(bank):
    """`wild` scales disguise and noise: the same draws, calmer, lie closer to the plain sprite."""
    sprite = bank.draw(np.random.default_rng(1), compose.KIND_WEIGHTS)
    plain = sprite[..., :3].astype(np.float32) / 255
    off = {w: np.mean([np.abs(compose.dress(np.random.default_rng(s), sprite, None, w) - plain).mean() for s in range(40)]) for w in (0.2, 1.0)}
    assert off[0.2] < 0.6 * off[1.0]
