"""The sprite cache: every cut-out decoded once into one flat file, read through a memory map by all loader workers.

Sprites are uint8 [H, W, 10], the layout of `render.py`. Emoji and clip art have no geometry, so their normals are
inflated from the distance to their edge: shaded, they look like cushions instead of stickers.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import cv2
import numpy as np

KINDS = ("render", "person", "emoji", "clipart")
CHANNELS = 10
CLIPART_SKIP = (
    "signs_and_symbols", "geography", "computer/icons", "games/cards", "special", "stickmen", "shapes/stars",
    "computer/buttons", "flags", "arrows", "borders", "map_symbols", "fonts", "letters",
)  # fmt: skip
"""Text, symbols, maps, cards and line drawings: not things a person clicks on in a photograph."""


class SpriteWriter:
    """Appends sprites to `<path>.bin`; `close` writes the index, without which the cache does not exist."""

    def __init__(self, path: Path):
        self.path = path
        self.file = open(path.with_suffix(".bin.part"), "wb")
        self.rows: list[tuple[int, int, int, int]] = []
        self.credits: dict[str, int] = {}

    def add(self, sprite: np.ndarray, kind: str, credit: str) -> None:
        """Appends one sprite uint8 [H, W, 10]; `credit` is counted for the model card."""
        if sprite.dtype != np.uint8 or sprite.ndim != 3 or sprite.shape[2] != CHANNELS:
            raise ValueError(f"sprite must be uint8 [H, W, {CHANNELS}], is {sprite.dtype} {sprite.shape}")
        self.rows.append((self.file.tell(), sprite.shape[0], sprite.shape[1], KINDS.index(kind)))
        self.credits[credit] = self.credits.get(credit, 0) + 1
        self.file.write(np.ascontiguousarray(sprite).tobytes())

    def close(self) -> None:
        self.file.close()
        os.replace(self.path.with_suffix(".bin.part"), self.path.with_suffix(".bin"))
        index = {"rows": self.rows, "credits": dict(sorted(self.credits.items()))}
        part = self.path.with_suffix(".json.part")
        part.write_text(json.dumps(index))
        os.replace(part, self.path.with_suffix(".json"))


class SpriteBank:
    """Read side of one or more caches."""

    def __init__(self, paths: list[Path]):
        self.maps, self.rows = [], []
        for i, path in enumerate(paths):
            self.maps.append(np.memmap(path.with_suffix(".bin"), np.uint8, "r"))
            rows = json.loads(path.with_suffix(".json").read_text())["rows"]
            self.rows += [(i, *r) for r in rows]
        if not self.rows:
            raise FileNotFoundError(f"no sprites in {paths}: run `python -m nano data` first")
        kinds = np.array([r[4] for r in self.rows])
        self.by_kind = {k: np.flatnonzero(kinds == i) for i, k in enumerate(KINDS)}

    def __len__(self) -> int:
        return len(self.rows)

    def get(self, i: int) -> np.ndarray:
        """Sprite i as a read-only view [H, W, 10]."""
        m, offset, h, w, _ = self.rows[i]
        return self.maps[m][offset : offset + h * w * CHANNELS].reshape(h, w, CHANNELS)

    def draw(self, rng: np.random.Generator, weights: dict[str, float]) -> np.ndarray:
        """A random sprite, its kind drawn by `weights` (kinds that are empty are left out)."""
        kinds = [k for k in weights if len(self.by_kind[k])]
        p = np.array([weights[k] for k in kinds])
        kind = kinds[rng.choice(len(kinds), p=p / p.sum())]
        return self.get(int(rng.choice(self.by_kind[kind])))


def from_rgba(rgba: np.ndarray, side: int) -> np.ndarray | None:
    """A flat RGBA picture [H, W, 4] as a sprite of at most `side` pixels; None when it is no compact coloured thing."""
    alpha = rgba[..., 3]
    if (alpha > 250).mean() > 0.97 or (alpha > 128).mean() < 0.05:
        return None
    ys, xs = np.flatnonzero((alpha > 20).any(1)), np.flatnonzero((alpha > 20).any(0))
    rgba = rgba[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1]
    if min(rgba.shape[:2]) < 40 or max(rgba.shape[:2]) > 6 * min(rgba.shape[:2]):
        return None
    scale = side / max(rgba.shape[:2])
    if scale < 1:
        # Premultiplied, or the colour of fully transparent pixels bleeds into the edge.
        f = rgba.astype(np.float32)
        f[..., :3] *= f[..., 3:] / 255
        f = cv2.resize(f, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        f[..., :3] /= np.maximum(f[..., 3:] / 255, 1e-3)
        rgba = np.clip(f, 0, 255).astype(np.uint8)
    solid = rgba[..., 3] > 128
    if solid.mean() < 0.22:
        return None
    n, _, stats, _ = cv2.connectedComponentsWithStats(solid.astype(np.uint8))
    if n < 2 or stats[1:, cv2.CC_STAT_AREA].max() < 0.85 * solid.sum():
        return None
    if rgba[..., :3][solid].astype(int).std(0).max() < 12:  # one flat colour: a silhouette
        return None
    h, w = solid.shape
    out = np.zeros((h, w, CHANNELS), np.uint8)
    out[..., :3] = rgba[..., :3]
    out[..., 3:6] = inflate(solid)
    out[..., 6] = 255
    out[..., 7] = np.clip((out[..., 4].astype(int) - 127) * 1.2 + 90, 0, 255)
    out[..., 8] = solid
    out[..., 9] = rgba[..., 3]
    return out


def inflate(solid: np.ndarray) -> np.ndarray:
    """Normals uint8 [H, W, 3] of a cushion over the mask: slopes of the square root of the blurred edge distance."""
    d = cv2.distanceTransform(np.pad(solid, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    z = np.sqrt(np.minimum(d, 0.25 * max(solid.shape)) * max(solid.shape)) * 0.5
    z = cv2.GaussianBlur(z, (0, 0), max(solid.shape) / 40)
    n = np.dstack([-cv2.Sobel(z, cv2.CV_32F, 1, 0) / 8, cv2.Sobel(z, cv2.CV_32F, 0, 1) / 8, np.ones_like(z)])
    n /= np.linalg.norm(n, axis=2, keepdims=True)
    return np.clip(127 + 127 * n, 0, 255).astype(np.uint8)


def emoji(root: Path, write, rng: np.random.Generator) -> None:
    """Fluent 3D emoji without skin-tone variants and flags; of the many yellow faces only a quarter."""
    from PIL import Image

    for path in sorted(root.rglob("*.webp")):
        codes = path.stem.lower().split("-")
        first = int(codes[0], 16) if all(c in "0123456789abcdef" for c in codes[0]) else 0
        if any(c.startswith("1f3f") and "b" <= c[-1] <= "f" for c in codes[1:]) or 0x1F1E6 <= first <= 0x1F1FF:
            continue
        if 0x1F600 <= first <= 0x1F64F and rng.random() > 0.25:
            continue
        if s := _flat(Image.open(path), 256):
            write(s[0], "emoji", "Fluent 3D emoji (MIT, Microsoft)")


def clipart(root: Path, write, rng: np.random.Generator) -> None:
    """Open Clip Art (public domain) with a real alpha, without text, symbols, cards and line drawings."""
    from PIL import Image

    for path in sorted(root.rglob("*.png")):
        if any(skip in str(path) for skip in CLIPART_SKIP):
            continue
        try:
            picture = Image.open(path)
            if picture.mode not in ("RGBA", "P", "LA") or not 120 <= max(picture.size) <= 4000:
                continue
            s = _flat(picture, 208)
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            print(f"skipped {path}: {error}", file=sys.stderr)
            continue
        if s:
            write(s[0], "clipart", "Open Clip Art (public domain)")


def _flat(picture, side: int) -> list[np.ndarray]:
    sprite = from_rgba(np.asarray(picture.convert("RGBA")), side)
    return [] if sprite is None else [sprite]
