"""Made-up animals: bodies, heads, limbs and tails of random proportions, with coats of several colours.

Photographs are full of animals, the model libraries are not; what matters to a mask is that one thing can have thin
legs, a tail and a patched coat.
"""

from __future__ import annotations

import cv2
import numpy as np

from . import textures
from .sprites import CHANNELS, inflate


def creature(rng: np.random.Generator, photos, side: int) -> np.ndarray:
    """A random animal-like sprite uint8 [h, w, 10], about `side` pixels long."""
    part = np.zeros((side, side), np.uint8)
    c = np.array([0.5, 0.45]) * side
    length, thick = rng.uniform(0.18, 0.3) * side, rng.uniform(0.08, 0.17) * side
    tilt = rng.normal(0, 12)
    cv2.ellipse(part, _i(c), (int(length), int(thick)), tilt, 0, 360, 1, -1)
    along = np.array([np.cos(np.deg2rad(tilt)), np.sin(np.deg2rad(tilt))])
    for k in range(int(rng.choice([2, 4, 4, 4, 6]))):
        hip = c + along * length * rng.uniform(-0.9, 0.9) + [0, thick * 0.5]
        _limb(rng, part, hip, rng.uniform(0.12, 0.4) * side, rng.uniform(0.012, 0.05) * side, np.pi / 2, 2)
    if rng.random() < 0.8:
        _limb(rng, part, c - along * length, rng.uniform(0.08, 0.3) * side, rng.uniform(0.01, 0.04) * side, np.pi + rng.normal(0, 0.7), 3)
    neck = c + along * length * 0.85 - [0, thick * 0.3]
    up = -rng.uniform(0.0, 1.4)
    head = neck + np.array([np.cos(up), np.sin(up)]) * rng.uniform(0.06, 0.22) * side
    cv2.line(part, _i(neck), _i(head), 1, max(2, int(rng.uniform(0.04, 0.12) * side)))
    hr = rng.uniform(0.045, 0.1) * side
    cv2.ellipse(part, _i(head), (int(hr * rng.uniform(1, 1.7)) + 1, int(hr) + 1), rng.uniform(-30, 60), 0, 360, 4, -1)
    for _ in range(int(rng.choice([0, 2, 2]))):
        _limb(rng, part, head - [0, hr * 0.5], hr * rng.uniform(0.6, 2), hr * rng.uniform(0.2, 0.45), -np.pi / 2 + rng.normal(0, 0.7), 4)
    # Bend everything, so that no outline is an ellipse.
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    bend = rng.uniform(0.005, 0.03) * side
    part = cv2.remap(
        part, x + bend * textures.field(rng, side, side, 3), y + bend * textures.field(rng, side, side, 3), cv2.INTER_NEAREST
    )
    solid = part > 0
    albedo = textures.surface(rng, photos, side, side).astype(np.float32) * rng.uniform(0.2, 0.7)
    albedo = albedo + textures.colour(rng) * 0.6
    for k in (2, 3, 4):
        if rng.random() < 0.4:
            albedo = np.where((part == k)[..., None], albedo * 0.4 + textures.colour(rng) * 0.6, albedo)
    out = np.zeros((side, side, CHANNELS), np.uint8)
    out[..., :3] = np.clip(albedo, 0, 255)
    out[..., 3:6] = inflate(solid)
    out[..., 6] = 255
    out[..., 7] = np.clip((out[..., 4].astype(int) - 127) * 1.2 + 80, 0, 255)
    out[..., 8] = part
    out[..., 9] = solid * 255
    ys, xs = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
    return np.ascontiguousarray(out[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1])


def _limb(rng, part: np.ndarray, at, length: float, width: float, angle: float, value: int) -> None:
    """A jointed limb of two or three segments that thins outwards."""
    p = np.asarray(at, float)
    n = int(rng.integers(2, 4))
    for i in range(n):
        angle += rng.normal(0, 0.35)
        q = p + np.array([np.cos(angle), np.sin(angle)]) * length / n
        cv2.line(part, _i(p), _i(q), value, max(1, int(2 * width * (1 - 0.25 * i))))
        p = q


def _i(p) -> tuple[int, int]:
    return int(round(p[0])), int(round(p[1]))
