"""Click and box simulation on stride-4 masks, as the SAM 2 paper describes it.

Coordinates handed out are input pixels (x, y) without the half pixel, which the prompt encoder adds: the centre of
stride-4 cell (i, j) is (4 j + 1.5, 4 i + 1.5).
"""

from __future__ import annotations

import cv2
import numpy as np
import torch


def centre(mask: np.ndarray) -> tuple[int, int]:
    """(row, column) of the maximum of the distance transform of a bool mask [H, W], first in row order."""
    d = cv2.distanceTransform(np.pad(mask.astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    return np.unravel_index(int(d.argmax()), d.shape)


def anywhere(mask: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
    """(row, column) of a uniformly random pixel of a mask that is not empty."""
    return np.unravel_index(int(rng.choice(np.flatnonzero(mask))), mask.shape)


def first_clicks(masks: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
    """One positive click per mask bool [N, h, w]: its centre or any pixel of it, evenly. float32 [N, 1, 2]."""
    out = np.zeros((len(masks), 1, 2), np.float32)
    for k, m in enumerate(masks):
        if m.any():
            i, j = centre(m) if rng.random() < 0.5 else anywhere(m, rng)
            out[k, 0] = 4 * j + 1.5, 4 * i + 1.5
    return torch.from_numpy(out)


def boxes(full: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
    """Box corners [N, 2, 2] (x, y) of full-size masks bool [N, S, S]; half of them tight, half loosened by up to 10 %."""
    side = full.shape[-1]
    out = np.zeros((len(full), 2, 2), np.float32)
    for k, m in enumerate(full):
        ys, xs = np.flatnonzero(m.any(1)), np.flatnonzero(m.any(0))
        if not len(ys):
            continue
        # Inclusive maxima, as the tight box of the evaluation protocol.
        box = np.array([[xs[0], ys[0]], [xs[-1], ys[-1]]], np.float32)
        if rng.random() < 0.5:
            size = box[1] - box[0]
            box += np.clip(rng.normal(0, 0.05, (2, 2)) * size, -20, 20)
        out[k] = np.clip(box, 0, side - 1)
    return torch.from_numpy(out)


def corrections(pred: np.ndarray, want: np.ndarray, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """A corrective click per mask, from prediction and truth bool [N, h, w]: points [N, 1, 2], labels [N, 1].

    Half the time the centre of the largest error region (as the evaluation clicks), else any wrong pixel. A missed
    pixel gives a positive click, a wrongly covered one a negative. Where nothing is wrong, another positive click.
    """
    pts = np.zeros((len(pred), 1, 2), np.float32)
    labels = np.ones((len(pred), 1), np.int64)
    for k, (p, w) in enumerate(zip(pred, want)):
        missed, extra = w & ~p, p & ~w
        if not missed.any() and not extra.any():
            i, j = anywhere(w, rng) if w.any() else (0, 0)
            labels[k, 0] = 1 if w.any() else 0
        elif rng.random() < 0.5:
            i, j, labels[k, 0] = error_centre(missed, extra)
        else:
            i, j = anywhere(missed | extra, rng)
            labels[k, 0] = int(missed[i, j])
        pts[k, 0] = 4 * j + 1.5, 4 * i + 1.5
    return torch.from_numpy(pts), torch.from_numpy(labels)


def error_centre(missed: np.ndarray, extra: np.ndarray) -> tuple[int, int, int]:
    """(row, column, label) of the pixel deepest inside an error region; label 1 when the object was missed there."""
    depth = [
        cv2.distanceTransform(np.pad(m.astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1] for m in (missed, extra)
    ]
    label = 1 if depth[0].max() >= depth[1].max() else 0
    d = depth[1 - label]
    i, j = np.unravel_index(int(d.argmax()), d.shape)
    return int(i), int(j), label
