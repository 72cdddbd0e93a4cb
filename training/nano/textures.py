"""Surfaces and backdrops: the few permissive photographs, panoramas, and procedural textures.

Everything returns uint8 [H, W, 3] RGB. `Photos` holds the decoded pictures; a worker opens it once.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np


class Photos:
    """The backdrop photographs, shrunk to at most 1400 px; read from one .npz made by `data.py`."""

    def __init__(self, path: Path):
        with np.load(path) as z:
            self.pictures = [z[k] for k in sorted(z.files)]

    def crop(self, rng: np.random.Generator, h: int, w: int, wild: float = 1.0) -> np.ndarray:
        """A random crop at a random scale, mirrored at random, recoloured a little (`wild` times as much)."""
        p = self.pictures[rng.integers(len(self.pictures))]
        ph, pw = p.shape[:2]
        most = min(ph / h, pw / w)
        scale = float(np.exp(rng.uniform(np.log(min(0.5, most)), np.log(max(most, 0.5)))))
        ch, cw = max(8, min(ph, int(h * scale))), max(8, min(pw, int(w * scale)))
        y, x = rng.integers(ph - ch + 1), rng.integers(pw - cw + 1)
        out = cv2.resize(
            p[y : y + ch, x : x + cw], (w, h), interpolation=cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR
        )
        if rng.random() < 0.5:
            out = out[:, ::-1]
        if rng.random() < 0.1 * wild:
            out = out[::-1]
        return recolour(rng, out, 0.6 * wild)


def recolour(rng: np.random.Generator, img: np.ndarray, strength: float) -> np.ndarray:
    """Random gain per channel, contrast, saturation and sometimes a channel swap."""
    f = img.astype(np.float32)
    if rng.random() < 0.15 * strength:
        f = f[..., rng.permutation(3)]
    grey = f.mean(2, keepdims=True)
    f = grey + (f - grey) * rng.uniform(1 - 0.7 * strength, 1 + 0.5 * strength)
    mean = f.mean((0, 1), keepdims=True)
    f = mean + (f - mean) * rng.uniform(1 - 0.5 * strength, 1 + 0.4 * strength)
    f *= rng.normal(1, 0.12 * strength, 3).astype(np.float32) * rng.uniform(1 - 0.4 * strength, 1 + 0.25 * strength)
    return np.clip(f, 0, 255).astype(np.uint8)


def field(rng: np.random.Generator, h: int, w: int, octaves: int = 4, coarse: int = 3, fall: float = 0.55) -> np.ndarray:
    """Smooth noise float32 [H, W] of zero mean and unit deviation: octaves of up-sampled white noise."""
    out = np.zeros((h, w), np.float32)
    gain = 1.0
    n = coarse
    for _ in range(octaves):
        gh, gw = min(n, h), min(max(2, int(n * rng.uniform(0.6, 1.7))), w)
        out += gain * cv2.resize(rng.normal(size=(gh, gw)).astype(np.float32), (w, h), interpolation=cv2.INTER_CUBIC)
        gain *= fall
        n *= 2
    return (out - out.mean()) / (out.std() + 1e-6)


def colour(rng: np.random.Generator) -> np.ndarray:
    """A colour as photographs have them: muted more often than saturated, float32 [3] in 0..255."""
    hsv = np.array([[[rng.uniform(0, 180), 255 * rng.beta(1.3, 2.2), 255 * rng.beta(2.2, 1.7)]]])
    return cv2.cvtColor(np.clip(hsv, 0, 255).astype(np.uint8), cv2.COLOR_HSV2RGB)[0, 0].astype(np.float32)


def procedural(rng: np.random.Generator, h: int, w: int) -> np.ndarray:
    """One of: cloudy noise of 2-4 colours, grain (asphalt, sand, grass), stripes, checks or bricks, gradient."""
    kind = rng.choice(["cloud", "grain", "stripes", "tiles", "gradient"], p=[0.32, 0.3, 0.12, 0.12, 0.14])
    a, b = colour(rng), colour(rng)
    if kind == "cloud":
        t = field(rng, h, w, 5, int(rng.integers(2, 9)), rng.uniform(0.45, 0.8))
        k = rng.uniform(0.6, 6)
        m = (1 / (1 + np.exp(-k * t)))[..., None]
        out = a * m + b * (1 - m)
        if rng.random() < 0.5:
            m = (field(rng, h, w, 4) > rng.uniform(0, 1.2))[..., None]
            out = np.where(m, colour(rng), out)
    elif kind == "grain":
        b = np.clip(a + rng.normal(0, 45, 3), 0, 255)
        t = field(rng, h, w, 3, 4) * rng.uniform(0.05, 0.5)
        n = rng.normal(size=(h, w)).astype(np.float32)
        n = cv2.GaussianBlur(n, (0, 0), rng.uniform(0.4, 2.0), sigmaY=rng.uniform(0.4, 3.5))
        t = t + n / (n.std() + 1e-6) * rng.uniform(0.1, 0.6)
        m = np.clip(t * 0.5 + 0.5, 0, 1)[..., None]
        out = a * m + b * (1 - m)
    elif kind in ("stripes", "tiles"):
        ang, f = rng.uniform(0, np.pi), rng.uniform(3, 26)
        y, x = np.mgrid[0:h, 0:w].astype(np.float32) / max(h, w)
        wob = field(rng, h, w, 3) * rng.uniform(0, 0.03)
        u, v = x * np.cos(ang) + y * np.sin(ang) + wob, -x * np.sin(ang) + y * np.cos(ang) + wob
        if kind == "stripes":
            m = np.sin(2 * np.pi * f * u) > rng.uniform(-0.7, 0.7)
        else:
            edge, ratio = rng.uniform(0.04, 0.16), rng.uniform(1, 3)
            row = np.floor(v * f * ratio)
            m = (np.mod(u * f + 0.5 * np.mod(row, 2), 1) > edge) & (np.mod(v * f * ratio, 1) > edge * ratio)
        b = np.clip(a + rng.normal(0, 55, 3), 0, 255)
        out = np.where(m[..., None], a, b) + (field(rng, h, w, 5, 4) * rng.uniform(2, 18))[..., None]
    else:
        y, x = np.mgrid[0:h, 0:w].astype(np.float32) / max(h, w)
        ang = rng.uniform(0, 2 * np.pi)
        m = np.clip(x * np.cos(ang) + y * np.sin(ang) * 0.5 + 0.5, 0, 1)[..., None]
        out = a * m + b * (1 - m) + (field(rng, h, w, 4) * rng.uniform(0, 8))[..., None]
    return np.clip(out, 0, 255).astype(np.uint8)


def surface(rng: np.random.Generator, photos: Photos | None, h: int, w: int, wild: float = 1.0) -> np.ndarray:
    """A texture for an object or a plane: a piece of a photograph or a procedural one."""
    if photos is not None and rng.random() < 1 - 0.5 * wild:
        return photos.crop(rng, h, w, wild)
    return procedural(rng, h, w)


def backdrop(rng: np.random.Generator, photos: Photos | None, side: int, wild: float = 1.0) -> np.ndarray:
    """A background [side, side, 3]: photograph, wall and floor in perspective, or a collage of surfaces.

    `wild` below 1 draws more of the photographs, and of the collages only that share.
    """
    r = rng.random()
    if photos is not None and r < 1 - 0.5 * wild:
        return photos.crop(rng, side, side, wild)
    if r < 1 - 0.2 * wild:
        horizon = int(side * rng.uniform(0.15, 0.75))
        out = np.empty((side, side, 3), np.uint8)
        wall = surface(rng, photos, side, side, wild)
        if rng.random() < 0.6:
            s = rng.uniform(0.5, side / 50)
            wall = cv2.GaussianBlur(wall, (0, 0), s)
        out[:horizon] = wall[:horizon]
        floor = surface(rng, photos, side, side, wild)
        spread = rng.uniform(0.15, 0.5)
        src = np.float32([[side * spread, 0], [side * (1 - spread), 0], [side, side], [0, side]])
        dst = np.float32([[0, 0], [side, 0], [side, side - horizon], [0, side - horizon]])
        warp = cv2.getPerspectiveTransform(src, dst)
        out[horizon:] = cv2.warpPerspective(
            floor, warp, (side, side - horizon), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        )
        return out
    out = surface(rng, photos, side, side)
    for _ in range(int(rng.integers(1, 6))):
        m = field(rng, side, side, int(rng.integers(1, 5)), int(rng.integers(2, 6))) > rng.uniform(0.2, 1.5)
        out = np.where(m[..., None], surface(rng, photos, side, side), out)
    return out
