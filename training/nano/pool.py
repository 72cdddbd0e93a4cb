"""A pool of views of the photographs with the teacher's masks, on disk, for the training to draw from.

Chunks of views are written whole and renamed, so the pool may grow while a training reads it.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import cv2
import numpy as np

from .compose import scene, targets
from .sprites import SpriteBank
from .teacher import Teacher, propose
from .textures import Photos

SIDE = 384
CHUNK = 50
MOST = 6
"""Masks kept of one view."""


def view(rng: np.random.Generator, photo: np.ndarray) -> np.ndarray:
    """A random window of a photograph uint8 [H, W, 3], squashed to [SIDE, SIDE, 3] as SAM 2 squashes every picture."""
    h, w = photo.shape[:2]
    # Not much closer than the photograph is sharp.
    least = np.clip(200 / min(h, w), 0.35, 0.9)
    side = min(h, w) * float(np.exp(rng.uniform(np.log(least), 0)))
    stretch = float(np.exp(rng.normal(0, 0.25)))
    wh, ww = int(min(h, max(64, side * stretch))), int(min(w, max(64, side / stretch)))
    y, x = int(rng.integers(h - wh + 1)), int(rng.integers(w - ww + 1))
    how = cv2.INTER_AREA if wh > SIDE else cv2.INTER_CUBIC
    return cv2.resize(np.ascontiguousarray(photo[y : y + wh, x : x + ww]), (SIDE, SIDE), interpolation=how)


def photographs(rng: np.random.Generator, pictures: list[np.ndarray], teacher: Teacher):
    """Endless (view, masks): views of photographs in which the teacher stands by at least one mask.

    Photographs that give masks are drawn more often.
    """
    hits, tries = np.ones(len(pictures)), np.full(len(pictures), 2.0)
    while True:
        chance = hits / tries
        k = int(rng.choice(len(chance), p=chance / chance.sum()))
        picture = view(rng, pictures[k])
        found = propose(teacher, picture, rng)[:MOST]
        tries[k] += 1
        if found:
            hits[k] += 1
            yield picture, found


def scenes(rng: np.random.Generator, bank: SpriteBank, photos: Photos):
    """Endless (view, masks) of generated scenes, whose masks are exact: only the features are the teacher's."""
    while True:
        s = scene(rng, bank, photos, SIDE, float(rng.choice([0.3, 1.0])))
        found = targets(rng, s, MOST)
        if found is not None:
            yield s.image, [m for k, m in enumerate(found) if not any((m == other).all() for other in found[:k])]


def fill(folder: Path, views, teacher: Teacher, count: int) -> None:
    """Adds `views` (pairs of picture and masks) with the teacher's features until FOLDER holds `count`."""
    folder.mkdir(parents=True, exist_ok=True)
    done = len(list(folder.glob("*.npz")))
    while done * CHUNK < count:
        images, masks, owner, features = [], [], [], []
        for k, (picture, found) in enumerate(itertools.islice(views, CHUNK)):
            images.append(picture)
            masks += [np.packbits(m) for m in found]
            owner += [k] * len(found)
            features.append(teacher.features(picture))
        part = folder / f"{done:04}.npz.part"
        with open(part, "wb") as f:
            np.savez(f, images=np.stack(images), masks=np.stack(masks), owner=np.array(owner), features=np.stack(features))
        os.replace(part, folder / f"{done:04}.npz")
        done += 1
        print(f"{folder.name}: {done * CHUNK}/{count} views, {len(masks) / CHUNK:.1f} masks each", flush=True)


class Pool:
    """The chunks under FOLDER in memory; looks for new ones every few hundred draws."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.read: set[Path] = set()
        self.chunks: list[dict[str, np.ndarray]] = []
        self.draws = 0

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A random view uint8 [SIDE, SIDE, 3], its masks bool [N, SIDE, SIDE], the teacher's features float16 [128, 48, 48]."""
        if self.draws % 300 == 0:
            for path in sorted(set(self.folder.rglob("*.npz")) - self.read):
                with np.load(path) as z:
                    self.chunks.append({k: z[k] for k in z.files})
                self.read.add(path)
            if not self.chunks:
                raise FileNotFoundError(f"no views of photographs in {self.folder}: `python -m nano views` makes them")
        self.draws += 1
        chunk = self.chunks[int(rng.integers(len(self.chunks)))]
        i = int(rng.integers(len(chunk["images"])))
        packed = chunk["masks"][chunk["owner"] == i]
        return chunk["images"][i], np.unpackbits(packed, axis=1).reshape(-1, SIDE, SIDE).astype(bool), chunk["features"][i]
