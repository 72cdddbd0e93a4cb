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
from .compose import MIN_AREA, Scene, photograph, scene, targets
from .pool import Pool
from .sprites import SpriteBank
from .teacher import box_of
from .textures import Photos, recolour

POOL = 240
REUSE = 3
TAUGHT = 64
"""Side of the map of the teacher's features that a sample carries."""


class Scenes(IterableDataset):
    """Endless scenes: dict of image uint8 [3, S, S], labels uint8 [S, S] and masks uint8 [K, S, S].

    `view_share` of them are photographs with the teacher's masks, from the pool in `views`; their labels are all 0, for the
    teacher does not say where one thing ends and the next begins.
    """

    def __init__(
        self, cache: Path, side: int, prompts: int, seed: int, start: int = 0, part_share: float = 0.15, wild: float = 1.0,
        views: Path | None = None, view_share: float = 0.0,
    ):  # fmt: skip
        self.cache, self.side, self.prompts, self.seed, self.start = cache, side, prompts, seed, start
        self.part_share, self.wild = part_share, wild
        self.views, self.view_share = views, view_share

    def __iter__(self):
        bank, photos, worker, workers = open_worker(self.cache)
        i = self.start + worker
        pool: list[Scene] = []
        views = Pool(self.views) if self.views is not None and self.view_share > 0 else None
        while True:
            rng = np.random.default_rng([self.seed, i])
            i += workers
            if views is not None and rng.random() < self.view_share:
                sample = seen_again(rng, *views.draw(rng), self.side, self.prompts)
                if sample is not None:
                    yield sample
                continue
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
            # Scenes have no teacher: not-a-number says so.
            taught = {"taught": torch.full((2 * 64, TAUGHT, TAUGHT), torch.nan)} if views is not None else {}
            yield taught | {
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


def seen_again(
    rng: np.random.Generator, picture: np.ndarray, masks: np.ndarray, features: np.ndarray, side: int, prompts: int
) -> dict | None:
    """A photograph's view once more, as a sample of `Scenes`: cut, mirrored, in other light, through another camera.

    picture uint8 [P, P, 3], masks bool [N, P, P], features float16 [C, h, w] of the whole view, cut and mirrored with it. None when
    the cut shows too little of every object.
    """
    full = picture.shape[0]
    chosen = masks[int(rng.integers(len(masks)))]
    if rng.random() < 0.7:
        # A window that shows the chosen object, at least most of it half the time.
        top, bottom, left, right = box_of(chosen)
        reach = max(bottom - top, right - left)
        window = np.clip(reach * np.exp(rng.uniform(np.log(0.8), np.log(3.0), 2)), full * 0.2, full).astype(int)
        middle = np.array([top + bottom - 1, left + right - 1]) / 2 + rng.normal(0, 0.15, 2) * window
        y, x = np.clip(np.round(middle - window / 2), 0, full - window).astype(int)
        cut = (slice(y, y + window[0]), slice(x, x + window[1]))
        picture, masks = picture[cut], masks[(slice(None), *cut)]
        # Whole cells of the features: the picture's window is at most half a cell off.
        cell = full / features.shape[-1]
        rows, cols = (slice(int(round(a / cell)), max(int(round(a / cell)) + 2, int(round(b / cell)))) for a, b in zip((y, x), (y + window[0], x + window[1])))
        features = features[:, rows, cols]
    features = cv2.resize(np.ascontiguousarray(features.transpose(1, 2, 0)).astype(np.float32), (TAUGHT, TAUGHT))
    shrinks = picture.shape[0] > side
    image = cv2.resize(np.ascontiguousarray(picture), (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    masks = np.stack([cv2.resize(m.astype(np.uint8) * 255, (side, side), interpolation=cv2.INTER_AREA) > 127 for m in masks])
    whole = [m for m in masks if m.sum() >= max(MIN_AREA * side * side, 24)]
    if not whole:
        return None
    if rng.random() < 0.5:
        image, features, whole = image[:, ::-1], features[:, ::-1], [m[:, ::-1] for m in whole]
    if rng.random() < 0.8:
        image = recolour(rng, np.ascontiguousarray(image), 0.5)
    image = photograph(rng, np.ascontiguousarray(image).astype(np.float32) / 255, 0.25)
    order = rng.permutation(len(whole))
    masks = np.stack([whole[order[j % len(whole)]] for j in range(prompts)])
    return {
        "image": torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))),
        "labels": torch.zeros(side, side, dtype=torch.uint8),
        "masks": torch.from_numpy(masks.astype(np.uint8)),
        "taught": torch.from_numpy(np.ascontiguousarray(features.transpose(2, 0, 1))),
    }


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
