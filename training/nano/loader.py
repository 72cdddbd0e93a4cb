"""Batches of scenes made in worker processes.

cv2 in a forked worker dead-locks, hence `spawn` and `cv2.setNumThreads(0)`. Every sample is a function of (seed,
sample number) alone, so a resumed run sees new scenes, not the first ones again.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from .clips import clip
from .compose import Scene, scene, targets
from .sprites import SpriteBank
from .textures import Photos

POOL = 240
REUSE = 3


class Scenes(IterableDataset):
    """Endless scenes: dict of image uint8 [3, S, S], labels uint8 [S, S] and masks uint8 [K, S, S]."""

    def __init__(self, cache: Path, side: int, prompts: int, seed: int, start: int = 0, part_share: float = 0.15, wild: float = 1.0):
        self.cache, self.side, self.prompts, self.seed, self.start = cache, side, prompts, seed, start
        self.part_share, self.wild = part_share, wild

    def __iter__(self):
        bank, photos, worker, workers = open_worker(self.cache)
        i = self.start + worker
        pool: list[Scene] = []
        while True:
            rng = np.random.default_rng([self.seed, i])
            i += workers
            # One sample in REUSE is a new scene, the others are mirrored or recoloured old ones with other targets:
            # composing would otherwise cost half as much as training on the result.
            if len(pool) < POOL // REUSE or i // workers % REUSE == 0:
                s = scene(rng, bank, photos, self.side, self.wild)
                pool.append(s)
                if len(pool) > POOL:
                    pool.pop(int(rng.integers(POOL)))
            else:
                s = again(rng, pool[int(rng.integers(len(pool)))])
            masks = targets(rng, s, self.prompts, self.part_share)
            if masks is None:
                continue
            yield {
                "image": torch.from_numpy(np.ascontiguousarray(s.image.transpose(2, 0, 1))),
                "labels": torch.from_numpy(np.ascontiguousarray(s.objects)),
                "masks": torch.from_numpy(masks.astype(np.uint8)),
            }


class Clips(IterableDataset):
    """Endless clips: dict of image uint8 [T, 3, S, S] and masks uint8 [T, S, S] of one object.

    Each shows a share of its whole movement between `slow` and 1, even on a logarithmic scale; `wild` as in `compose.scene`.
    """

    def __init__(self, cache: Path, side: int, frames: int, seed: int, start: int = 0, slow: float = 1.0, wild: float = 1.0):
        self.cache, self.side, self.frames, self.seed, self.start = cache, side, frames, seed, start
        self.slow, self.wild = slow, wild

    def __iter__(self):
        bank, photos, worker, workers = open_worker(self.cache)
        i = self.start + worker
        while True:
            rng = np.random.default_rng([self.seed, i])
            span = float(np.exp(rng.uniform(np.log(self.slow), 0))) if self.slow < 1 else 1.0
            pictures, masks = clip(rng, bank, photos, self.side, self.frames, span, self.wild)
            i += workers
            yield {
                "image": torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))),
                "masks": torch.from_numpy(masks.astype(np.uint8)),
            }


def open_worker(cache: Path) -> tuple[SpriteBank, Photos, int, int]:
    """Sets one thread for this process and opens the caches; also returns the worker's number and their count."""
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    info = get_worker_info()
    worker, workers = (info.id, info.num_workers) if info else (0, 1)
    bank = SpriteBank(sorted(p.with_suffix("") for p in cache.glob("*.json")))
    return bank, Photos(cache / "photos.npz"), worker, workers


def zoom(rng: np.random.Generator, s: Scene) -> Scene:
    """The scene seen closer: a window around one of its objects, drawn up to the full side.

    Objects that fill the picture and are cut by its edge are common on photographs; composed scenes have few.
    """
    side = s.objects.shape[0]
    k = int(rng.integers(1, max(2, len(s.full_area))))
    ys, xs = np.flatnonzero((s.objects == k).any(1)), np.flatnonzero((s.objects == k).any(0))
    if not len(ys):
        return s
    reach = max(ys[-1] - ys[0], xs[-1] - xs[0]) + 1
    window = int(np.clip(reach * rng.uniform(0.8, 1.8), side * 0.25, side))
    middle = np.array([ys[0] + ys[-1], xs[0] + xs[-1]]) / 2 + rng.normal(0, 0.1, 2) * window
    y, x = np.clip(np.round(middle - window / 2), 0, side - window).astype(int)
    cut = (slice(y, y + window), slice(x, x + window))

    def grow(a: np.ndarray, how: int) -> np.ndarray:
        return cv2.resize(np.ascontiguousarray(a[cut]), (side, side), interpolation=how)

    # Only what stayed in the window can be asked for: a cut object counts as whole.
    objects = grow(s.objects, cv2.INTER_NEAREST)
    area = np.bincount(objects.ravel(), minlength=len(s.full_area))[: len(s.full_area)]
    return Scene(grow(s.image, cv2.INTER_LINEAR), objects, grow(s.parts, cv2.INTER_NEAREST), area.astype(float))


def again(rng: np.random.Generator, s: Scene, closer: float = 0.65) -> Scene:
    """The scene once more: mirrored half the time, `closer` of the times seen closer, with another exposure and white balance."""
    if rng.random() < closer:
        s = zoom(rng, s)
    gain = rng.uniform(0.75, 1.25) * (1 + rng.normal(0, 0.06, 3))
    ramp = np.arange(256)[:, None] * gain
    table = np.clip(ramp, 0, 255).astype(np.uint8)
    image = np.dstack([table[s.image[..., c], c] for c in range(3)])
    flip = slice(None, None, -1 if rng.random() < 0.5 else 1)
    return Scene(image[:, flip], s.objects[:, flip], s.parts[:, flip], s.full_area)


def batches(dataset: IterableDataset, batch: int, workers: int):
    """Iterator of collated batches; workers run at the lowest priority that still keeps the trainer fed."""
    return iter(
        DataLoader(
            dataset,
            batch_size=batch,
            num_workers=workers,
            multiprocessing_context="spawn" if workers else None,
            prefetch_factor=3 if workers else None,
        )
    )
