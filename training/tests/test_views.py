"""Views of photographs: what the teacher stands by becomes a mask, and stays on its thing through the loader."""

from __future__ import annotations

import json
import struct
import zlib

import cv2
import numpy as np
import pytest
import torch

from nano import dense, loader, losses, pool, rcc, teacher, textures


class Red:
    """A teacher that calls red things prominent; `seen` counts what it was shown."""

    def __init__(self, haze: float = 0.0):
        self.haze, self.seen = haze, 0

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        self.seen += 1
        on = (picture[..., 0].astype(int) - picture[..., 2] > 100).astype(np.float32)
        return np.clip(on - self.haze, 0, 1)

    def features(self, picture: np.ndarray) -> np.ndarray:
        out = np.zeros((128, 48, 48), np.float16)
        out[0] = self(picture)[4::8, 4::8]
        return out


def photo(cut: bool = False) -> np.ndarray:
    """A blue picture 384 x 384 with one red thing, cut by the left edge or not."""
    img = np.zeros((384, 384, 3), np.uint8)
    img[..., 2] = 200
    img[120:220, 0 if cut else 60 : 150] = (220, 30, 20)
    return img


def test_the_teachers_mask_is_the_thing():
    for cut in (False, True):
        found = teacher.propose(Red(), photo(cut), np.random.default_rng(0))
        assert len(found) == 1
        np.testing.assert_array_equal(found[0], photo(cut)[..., 0] > 100)


def test_a_haze_is_no_mask():
    assert teacher.propose(Red(haze=0.4), photo(), np.random.default_rng(0)) == []


def test_a_thing_that_goes_on_outside_the_window_is_refused():
    assert teacher.look(Red(), photo(), (100, 160, 40, 170), teacher.MARGIN) is None
    assert teacher.look(Red(), photo(), (120, 220, 60, 150), teacher.MARGIN) is not None


def test_an_empty_picture_costs_little_and_gives_nothing():
    red = Red()
    assert teacher.propose(red, np.zeros((64, 64, 3), np.uint8), np.random.default_rng(0)) == []
    assert red.seen == 4


@pytest.fixture
def views(tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "CHUNK", 3)
    pool.fill(tmp_path / "views", iter([(photo(), [photo()[..., 0] > 100])] * 6), Red(), 6)
    return tmp_path / "views"


def test_a_pool_gives_back_what_was_put_in(views):
    assert sorted(p.name for p in views.iterdir()) == ["0000.npz", "0001.npz"]
    picture, masks, features = pool.Pool(views).draw(np.random.default_rng(0))
    np.testing.assert_array_equal(picture, photo())
    np.testing.assert_array_equal(masks, photo()[None, ..., 0] > 100)
    assert features.shape == (128, 48, 48) and features[0].sum() > 0
    with pytest.raises(FileNotFoundError, match="nano views"):
        pool.Pool(views / "none").draw(np.random.default_rng(0))


def test_masks_and_features_stay_on_their_thing(views):
    source = pool.Pool(views)
    for seed in range(12):
        rng = np.random.default_rng(seed)
        sample = loader.seen_again(rng, *source.draw(rng), 128, 2)
        image, masks = sample["image"].numpy().astype(int), sample["masks"].numpy() > 0
        assert masks.shape == (2, 128, 128) and sample["taught"].shape == (128, 64, 64)
        # Recoloured at random (channels may even swap), but inside and outside of the mask stay apart.
        if not masks[0].all():
            inside, outside = image[:, masks[0]], image[:, ~masks[0]]
            assert np.abs(inside.mean(1) - outside.mean(1)).max() > inside.std(1).max() + outside.std(1).max()
        # The features are cut in whole cells: they may lie a few pixels off.
        small = torch.nn.functional.avg_pool2d(sample["masks"][:1].float(), 2)[0]
        assert losses.iou(sample["taught"][0] - 0.5, small) > 0.6


def test_views_give_views(tmp_path):
    np.savez(tmp_path / "photos.npz", one=photo(), two=np.zeros((400, 500, 3), np.uint8))
    rng = np.random.default_rng(0)
    stream = pool.photographs(rng, textures.Photos(tmp_path / "photos.npz").pictures, Red())
    for _ in range(3):
        picture, masks = next(stream)
        assert picture.shape == (384, 384, 3)
        assert losses.iou(torch.from_numpy(masks[0] * 2.0 - 1), torch.from_numpy(picture[..., 0] > 120).float()) > 0.9


def test_outlines_weigh_most():
    target = torch.zeros(1, 32, 32)
    target[:, 8:24, 8:24] = 1
    weight = losses.outline_weight(target)
    assert weight[0, 16, 16] == 1 and weight[0, 0, 0] == 1 and weight[0, 8, 16] > 3
    good, bad = (target * 2 - 1) * 20, (1 - target * 2) * 20
    assert losses.outlined(good, target, weight) < 0.01 < 10 < losses.outlined(bad, target, weight)
    # One wrong pixel at the outline costs more than one in the middle.
    edge, middle = good.clone(), good.clone()
    edge[0, 8, 16], middle[0, 16, 16] = -20, -20
    assert losses.outlined(edge, target, weight) > 2 * losses.outlined(middle, target, weight)


def test_the_taught_head_learns_and_passes_over_scenes():
    torch.manual_seed(0)
    head = dense.TaughtHead(8, 4)
    fpn = [torch.randn(3, 8, 16 >> k, 16 >> k, requires_grad=True) for k in range(3)]
    taught = torch.randn(3, 4, 16, 16)
    taught[1] = torch.nan
    optimiser = torch.optim.Adam(head.parameters(), 0.05)
    first = head.loss(fpn, taught)
    for _ in range(60):
        optimiser.zero_grad()
        loss = head.loss(fpn, taught)
        loss.backward()
        optimiser.step()
    assert loss < 0.9 * first and torch.isfinite(loss)
    assert fpn[0].grad[1].abs().max() == 0 and fpn[0].grad[0].abs().max() > 0
    assert head.loss(fpn, torch.full((3, 4, 16, 16), torch.nan)) is None


def test_qt_resources_are_read():
    def label(text: str) -> bytes:
        return struct.pack(">HI", len(text), 0) + text.encode("utf-16-be")

    names = label("pictures") + label("a.webp") + label("b.webp")
    at = [0, len(label("pictures")), len(label("pictures")) + len(label("a.webp"))]
    plain, packed = b"first", struct.pack(">I", 6) + zlib.compress(b"second")
    blobs = struct.pack(">I", len(plain)) + plain + struct.pack(">I", len(packed)) + packed
    tree = b"".join(
        (
            struct.pack(">IHII", 0, 2, 1, 1),
            struct.pack(">IHII", at[0], 2, 2, 2),
            struct.pack(">IHHHI", at[1], 0, 0, 0, 0),
            struct.pack(">IHHHI", at[2], 1, 0, 0, 4 + len(plain)),
        )
    )
    head = struct.pack(">4I", 1, 20, 20 + len(tree), 20 + len(tree) + len(blobs))
    assert rcc.entries(b"qres" + head + tree + blobs + names) == {"pictures/a.webp": b"first", "pictures/b.webp": b"second"}
    with pytest.raises(ValueError, match="qres"):
        rcc.entries(b"<html>")


def test_the_teacher_is_measured_inside_the_box(tmp_path):
    for k, name in enumerate(("coco_a", "voc_b")):
        picture = photo()
        cv2.imwrite(str(tmp_path / f"{name}.png"), picture[..., ::-1])
        # The second mask is half of what is red in its box.
        want = (picture[..., 0] > 100) & (np.arange(384)[:, None] < (384, 170)[k])
        cv2.imwrite(str(tmp_path / f"{name}_mask.png"), want.astype(np.uint8) * 255)
    items = [{"image": f"{n}.png", "mask": f"{n}_mask.png"} for n in ("coco_a", "voc_b")]
    (tmp_path / "manifest.json").write_text(json.dumps({"images": items}))
    assert teacher.boxes(Red(), tmp_path) == {"all": 1.0, "coco": 1.0, "voc": 1.0}
    # Red, but not this: what it says of a mask that is not red counts as nothing.
    cv2.imwrite(str(tmp_path / "voc_b_mask.png"), (photo()[..., 0] == 0).astype(np.uint8) * 255)
    assert teacher.boxes(Red(), tmp_path)["voc"] == 0.0
