"""Clips with exact masks: the composer's objects moving over a moving camera's backdrop.

Objects drift, grow, turn (a squeeze that comes and goes, with a slow bend of the whole outline), cross each other, leave
and come back; light changes; look-alikes walk beside the target. True turning in 3D would need a rendered view per
frame and is not done here.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from . import textures
from .compose import Layer, Light, cast, paste, photograph, pick, pose
from .sprites import SpriteBank


@dataclass
class Path:
    """How one object moves; `at(t)` for t in 0..1 gives centre (x, y), size, aspect, angle, all in picture sides."""

    start: np.ndarray
    speed: np.ndarray
    sway: np.ndarray
    size: float
    grow: float
    turn: float
    phase: float
    angle: float
    spin: float

    @staticmethod
    def draw(rng: np.random.Generator, size: float, target: bool) -> "Path":
        start = rng.uniform(0.25, 0.75, 2) if target else rng.uniform(0, 1, 2)
        reach = rng.choice([0.1, 0.35, 0.9], p=[0.4, 0.4, 0.2])
        speed = rng.normal(0, reach, 2) * [1, 0.5]
        if not target and rng.random() < 0.5:  # walks through the middle, most likely past the target
            speed = (rng.uniform(0.35, 0.65, 2) - start) * rng.uniform(1, 2.2)
        return Path(
            start, speed, rng.normal(0, 0.06, 2), size, rng.normal(0, 0.35), rng.uniform(0, 0.5) * (rng.random() < 0.6),
            rng.uniform(0, 6.28), rng.normal(0, 0.12), rng.normal(0, 0.4),
        )  # fmt: skip

    def at(self, t: float) -> tuple[np.ndarray, float, float, float]:
        wave = np.sin(self.phase + 5 * t) - np.sin(self.phase)
        centre = self.start + self.speed * t + self.sway * wave
        squeeze = 1 - self.turn * 0.5 * (1 + np.sin(self.phase + 4 * t))
        return centre, self.size * float(np.exp(self.grow * t)), squeeze, self.angle + self.spin * t


def bend(layer: Layer, fx: np.ndarray, fy: np.ndarray, amount: float) -> Layer:
    """The layer with its outline pushed along a smooth field, `amount` in pixels."""
    h, w = layer.parts.shape
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    push = np.float32(amount)  # a float64 here would make maps that OpenCV refuses
    mx, my = x + push * fx, y + push * fy
    return Layer(
        cv2.remap(layer.rgba, mx, my, cv2.INTER_LINEAR), cv2.remap(layer.parts, mx, my, cv2.INTER_NEAREST)
    )


def clip(
    rng: np.random.Generator, bank: SpriteBank, photos, side: int, frames: int, span: float = 1.0, wild: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Frames uint8 [T, S, S, 3] and one object's masks bool [T, S, S], well visible on frame 0 (elsewhere maybe gone).

    `span` is the share of the whole movement that these frames show: 1 is a clip of a few seconds, 0.1 neighbouring frames;
    `wild` as in `compose.scene`.
    """
    while True:
        pictures, owners, area = _draw(rng, bank, photos, side, frames, span, wild)
        first = owners[0] == 1
        if first.sum() > 0.008 * side * side and first.sum() > 0.45 * area:
            return pictures, owners == 1


def _draw(rng, bank, photos, side: int, frames: int, span: float, wild: float):
    lamp = Light.draw(rng)
    wide = int(side * 1.5)
    ground = textures.backdrop(rng, photos, wide, wild).astype(np.float32) / 255
    aspect = rng.uniform(0.5, 1.1)
    count = int(rng.integers(1, 6))
    target_size = float(np.exp(rng.uniform(np.log(0.2), np.log(0.8))))
    actors = []
    for k in range(count):
        size = target_size if k == 0 else float(np.clip(target_size * rng.uniform(0.5, 1.4), 0.12, 0.9))
        if k == 1 and rng.random() < 0.35:
            layer = actors[0][0]  # a look-alike
        else:
            layer = pick(rng, bank, photos, lamp, size * side, wild)[1]
        shape = layer.parts.shape
        fields = [textures.field(rng, *shape, 2, 2) for _ in range(2)]
        actors.append((layer, Path.draw(rng, size, k == 0), fields, rng.uniform(0, 0.03) * max(shape)))
    depth = rng.permutation(count)
    pan, zoom = rng.normal(0, 0.12, 2), rng.normal(0, 0.12)
    shake = rng.uniform(0, 0.006)
    fade = rng.normal(0, 0.15)
    camera_seed = int(rng.integers(1 << 31))
    shadows = rng.random() < 0.75
    pictures = np.empty((frames, side, side, 3), np.uint8)
    owners = np.zeros((frames, side, side), np.uint8)
    area = 0.0
    for f in range(frames):
        t = span * f / max(1, frames - 1)
        z = float(np.exp(zoom * t))
        shift = pan * t + rng.normal(0, shake, 2)
        m = np.array([[z, 0, 0.0], [0, z, 0.0]])
        m[:, 2] = side / 2 - z * (np.array([wide, wide]) / 2 - shift * side)
        img = cv2.warpAffine(ground, m, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        for k in depth:
            layer, path, (fx, fy), amount = actors[k]
            centre, size, squeeze, angle = path.at(t)
            if amount > 0.5:
                layer = bend(layer, fx, fy, amount * np.sin(path.phase + 5 * t))
            at = (((centre - 0.5 + shift) * z + 0.5) * side).tolist()
            pm = pose(layer.parts.shape, at, size * z * side, aspect * squeeze, angle)
            if shadows:
                cast(img, layer, pm, lamp, np.random.default_rng(camera_seed))
            alpha, _ = paste(img, layer, pm)
            if k == 0 and f == 0:
                area = float((alpha > 0.5).sum())
            owners[f][alpha > 0.5] = k + 1
        img = img * (1 + fade * t) + rng.normal(0, 0.008, (side, side, 1))
        # The same camera for every frame: its random draws are repeated, only the grain above is new.
        pictures[f] = photograph(np.random.default_rng(camera_seed), img.astype(np.float32), wild)
    return pictures, owners, area
