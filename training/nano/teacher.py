"""Masks on unlabelled photographs, from a salient-object network (u2netp) that looks at one box at a time.

Told nothing, the teacher finds the most prominent thing of a picture; shown the surroundings of a box, it outlines what the box
holds far better than generated scenes taught our model to. A mask is kept only when the teacher stands by it: the box of its
answer, looked at again, gives the same answer.
"""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from . import evaluate
from .evaluate import iou
from .model import MEAN, STD

SIDE = 192
"""Input size: better on boxes of photographs than the 320 it was made for, at a third of the time."""
FEATURES = ["1544", "1341"]
"""Names in the file of what decoder stages 3 (stride 4) and 5 (stride 16) give, 64 channels each."""
MARGIN = 0.25
"""How much of a box's size is shown around it, on each side."""


class Teacher:
    """u2netp.onnx (Apache-2.0, Qin et al. 2020) on the CPU."""

    def __init__(self, path: Path, threads: int = 1, side: int = SIDE):
        import openvino

        core = openvino.Core()
        self.side = side
        model = core.read_model(path)
        model.reshape([1, 3, side, side])
        model.add_outputs(FEATURES)
        self.net = core.compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": threads})

    def input(self, picture: np.ndarray) -> np.ndarray:
        """float32 [1, 3, side, side] of a picture uint8 [H, W, 3]."""
        small = cv2.resize(picture, (self.side, self.side), interpolation=cv2.INTER_AREA).astype(np.float32).transpose(2, 0, 1)[None]
        return (small / max(1.0, float(picture.max())) - MEAN.numpy()) / STD.numpy()

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """Saliency float32 [H, W] in 0..1 of a picture uint8 [H, W, 3]."""
        h, w = picture.shape[:2]
        return cv2.resize(self.net(self.input(picture))[0][0, 0], (w, h))

    def features(self, picture: np.ndarray) -> np.ndarray:
        """What the teacher sees everywhere in a picture: float16 [128, 48, 48], two of its decoder's maps at stride 4."""
        out = self.net(self.input(picture))
        fine, coarse = out[len(out) - 2][0], out[len(out) - 1][0]
        size = fine.shape[-1]
        grown = cv2.resize(np.ascontiguousarray(coarse.transpose(1, 2, 0)), (size, size)).transpose(2, 0, 1)
        return np.concatenate([fine, grown]).astype(np.float16)


def largest(mask: np.ndarray) -> np.ndarray:
    """The largest 8-connected piece of a bool mask."""
    n, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax()) if n > 1 else np.zeros_like(mask)


def box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    """(y0, y1, x0, x1), ends excluded, of a mask that is not empty."""
    ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(ys[0]), int(ys[-1]) + 1, int(xs[0]), int(xs[-1]) + 1


def surroundings(box: tuple[int, int, int, int], margin: float, h: int, w: int) -> tuple[int, int, int, int]:
    """A box (y0, y1, x0, x1) with `margin` of its size on each side, as far as the picture [h, w] goes."""
    y0, y1, x0, x1 = box
    a, b = int((y1 - y0) * margin), int((x1 - x0) * margin)
    return max(0, y0 - a), min(h, y1 + a), max(0, x0 - b), min(w, x1 + b)


def boxes(teacher, data: Path) -> dict[str, float]:
    """Mean IoU from the tight boxes of DATA/manifest.json, over all and by source: what it finds near a box, cut by the box."""
    by: dict[str, list[float]] = {"all": []}
    for item in json.loads((data / "manifest.json").read_text())["images"]:
        want = evaluate.read_mask(data / item["mask"])
        if not want.any():
            continue
        picture, (y0, y1, x0, x1) = evaluate.read(data / item["image"]), box_of(want)
        top, bottom, left, right = surroundings((y0, y1, x0, x1), MARGIN, *want.shape)
        seen = np.zeros(want.shape, bool)
        seen[top:bottom, left:right] = teacher(picture[top:bottom, left:right]) > 0.5
        got = np.zeros(want.shape, bool)
        got[y0:y1, x0:x1] = seen[y0:y1, x0:x1]
        for name in ("all", evaluate.source(item)):
            by.setdefault(name, []).append(iou(got, want))
    return {name: round(float(np.mean(values)), 4) for name, values in by.items()}


def look(teacher, picture: np.ndarray, box: tuple[int, int, int, int], margin: float) -> np.ndarray | None:
    """The object of a box as a bool mask [H, W] of the whole picture; None when the teacher sees nothing clear there."""
    h, w = picture.shape[:2]
    top, bottom, left, right = surroundings(box, margin, h, w)
    seen = teacher(picture[top:bottom, left:right])
    on = largest(seen > 0.5)
    share = on.mean()
    if not 0.03 < share < 0.85:
        return None
    # Unsure pixels at the outline are few; many of them are a haze over something the teacher does not know.
    near = cv2.dilate(on.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    if ((seen > 0.15) & (seen < 0.85) & near).sum() > 0.35 * on.sum():
        return None
    mask = np.zeros((h, w), bool)
    mask[top:bottom, left:right] = on
    # A thing cut off by the window's edge (not the picture's) goes on outside.
    edges = ((top > 0, mask[top]), (bottom < h, mask[bottom - 1]), (left > 0, mask[:, left]), (right < w, mask[:, right - 1]))
    if margin > 0 and any(inner and line.any() for inner, line in edges):
        return None
    return mask


def propose(teacher, picture: np.ndarray, rng: np.random.Generator, tries: int = 4, least: float = 0.004) -> list[np.ndarray]:
    """Masks bool [H, W] the teacher stands by, from the whole picture and random windows of it; no two alike."""
    h, w = picture.shape[:2]
    found: list[np.ndarray] = []
    for k in range(tries):
        if k == 0:
            window = (0, h, 0, w)
        else:
            size = float(np.exp(rng.uniform(np.log(0.15), np.log(0.8))))
            stretch = float(np.exp(rng.normal(0, 0.3)))
            wh, ww = int(min(h, max(24, h * size * stretch))), int(min(w, max(24, w * size / stretch)))
            y, x = int(rng.integers(h - wh + 1)), int(rng.integers(w - ww + 1))
            window = (y, y + wh, x, x + ww)
        mask = look(teacher, picture, window, 0.0)
        agree = 0.0
        for _ in range(2):
            if mask is None or mask.sum() < least * h * w:
                break
            again = look(teacher, picture, box_of(mask), MARGIN)
            agree = iou(mask, again) if again is not None else 0.0
            mask = again
        if mask is not None and agree > 0.85 and all(iou(mask, m) < 0.7 for m in found):
            found.append(mask)
    return found
