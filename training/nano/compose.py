"""Scenes with exact masks: sprites lit, retextured, posed, shadowed and layered over a backdrop, then "photographed".

Targets are whole objects first (what a person means by a click), parts second. All pictures are square because SAM 2
squashes every picture to a square; `aspect` squeezes the sprites as that does to a wide photograph.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from . import textures
from .creatures import creature
from .sprites import SpriteBank

KIND_WEIGHTS = {"render": 0.27, "person": 0.36, "emoji": 0.12, "clipart": 0.15}
CALM_WEIGHTS = {"render": 0.30, "person": 0.55, "emoji": 0.05, "clipart": 0.10}
CREATURE_WEIGHT = 0.10
MIN_AREA = 0.0025
"""Smallest visible part of the picture a target may cover; below, a stride-4 map has nothing to learn from."""


@dataclass
class Layer:
    """A lit sprite: premultiplied RGBA float32 [h, w, 4] in 0..1 and part numbers uint8 [h, w]."""

    rgba: np.ndarray
    parts: np.ndarray


@dataclass
class Light:
    """First-order ambient light (colour + slope per direction) and one sun, drawn once per scene."""

    base: np.ndarray
    slope: np.ndarray
    sun: np.ndarray
    gloss: float
    shadow: np.ndarray
    """Offset of cast shadows per unit of height, and their blur: (dx, squash, blur, strength)."""

    @staticmethod
    def draw(rng: np.random.Generator) -> "Light":
        base = rng.uniform(0.35, 1.0) * (1 + rng.normal(0, 0.08, 3))
        slope = rng.normal(0, 0.18, (3, 1)) + rng.normal(0, 0.04, (3, 3))
        slope[1] += 0.2  # most light comes from above
        sun = rng.uniform(0, 1.1) * (1 + rng.normal(0, 0.1, 3))
        shadow = np.array([rng.normal(0, 0.7), rng.uniform(0.1, 0.5), rng.uniform(0.01, 0.06), rng.uniform(0.0, 0.75)])
        return Light(base, slope, sun, rng.uniform(0, 0.5) ** 2, shadow)


def light(sprite: np.ndarray, albedo: np.ndarray, lamp: Light, gloss: float = 0.0) -> np.ndarray:
    """Shades a sprite [h, w, 10] with the given albedo float32 [h, w, 3] (0..1); returns premultiplied RGBA."""
    n = (sprite[..., 3:6].astype(np.float32) - 127) / 127
    ao = sprite[..., 6:7].astype(np.float32) / 255
    lit = sprite[..., 7:8].astype(np.float32) / 255
    a = sprite[..., 9:10].astype(np.float32) / 255
    shade = np.maximum(lamp.base + n @ lamp.slope, 0.35 * lamp.base).astype(np.float32) * ao + lit * lamp.sun.astype(np.float32)
    rgb = albedo * shade
    if gloss > 0:
        half = np.array([0.3, 0.75, 0.6], np.float32)
        rgb += gloss * np.maximum(n @ half, 0)[..., None] ** 24
    return np.concatenate([np.clip(rgb, 0, 1) * a, a], 2)


def dress(rng: np.random.Generator, sprite: np.ndarray, photos, wild: float = 1.0) -> np.ndarray:
    """Albedo float32 [h, w, 3] in 0..1: the sprite's own, recoloured, patched or with parts in other textures."""
    h, w = sprite.shape[:2]
    albedo = textures.recolour(rng, sprite[..., :3], 0.8 * wild).astype(np.float32) / 255
    parts = sprite[..., 8]
    flat = albedo[parts > 0].std() < 0.08 if (parts > 0).any() else False
    if rng.random() < (0.6 if flat else 0.2 * wild):
        ids = np.unique(parts[parts > 0])
        for k in rng.permutation(ids)[: rng.integers(1, 5)]:
            t = textures.surface(rng, photos, h, w, wild).astype(np.float32) / 255
            mix = rng.uniform(0.5, 1)
            m = (parts == k)[..., None]
            albedo = np.where(m, albedo * (1 - mix) + t * mix, albedo)
    if rng.random() < 0.25 * wild:  # patches, as on a cow or a cat: one object of several colours
        spots = textures.field(rng, h, w, int(rng.integers(1, 4)), int(rng.integers(2, 7)))
        m = np.clip((spots - rng.uniform(-0.5, 1)) * rng.uniform(4, 30), 0, 1)[..., None] * rng.uniform(0.6, 1)
        albedo = albedo * (1 - m) + textures.colour(rng) / 255 * m
    if photos is not None and rng.random() < 0.12 * wild:
        # All of it in one photograph's texture: only outline and a little shading tell it from a backdrop like that.
        mix = rng.uniform(0.6, 0.95)
        albedo = albedo * (1 - mix) + photos.crop(rng, h, w).astype(np.float32) / 255 * mix
    if rng.random() < 0.1:
        albedo *= np.clip(1 + 0.2 * textures.field(rng, h, w, 5, 6)[..., None], 0.2, 2)
    return albedo.clip(0, 1)


def pick(rng: np.random.Generator, bank: SpriteBank, photos, lamp: Light, size: float, wild: float = 1.0) -> tuple[np.ndarray, Layer]:
    """A random sprite about `size` pixels long, dressed and lit; returns it with its layer."""
    if rng.random() < CREATURE_WEIGHT:
        sprite = creature(rng, photos, int(np.clip(size * 1.3, 48, 256)))
    else:
        sprite = bank.draw(rng, KIND_WEIGHTS if rng.random() < wild else CALM_WEIGHTS)
    step = int(max(sprite.shape[:2]) / max(size * 1.6, 24))
    if step > 1:  # far larger than needed: thin it first, shading costs by the pixel
        sprite = sprite[::step, ::step]
    if rng.random() < 0.5:
        sprite = sprite[:, ::-1]
        sprite = sprite.copy()
        sprite[..., 3] = 254 - np.minimum(sprite[..., 3], 254)
    return sprite, Layer(light(sprite, dress(rng, sprite, photos, wild), lamp, lamp.gloss * (rng.random() < 0.4)), sprite[..., 8])


def pose(shape: tuple[int, int], centre: tuple[float, float], size: float, aspect: float, angle: float) -> np.ndarray:
    """Affine [2, 3] that puts a sprite of `shape` (h, w), `size` pixels long, at `centre` (x, y), squeezed by `aspect`."""
    h, w = shape
    s = size / max(h, w)
    c, d = np.cos(angle), np.sin(angle)
    m = np.array([[aspect * s * c, -aspect * s * d], [s * d, s * c]])
    t = np.array(centre) - m @ np.array([w / 2, h / 2])
    return np.concatenate([m, t[:, None]], 1)


def paste(img: np.ndarray, layer: Layer, m: np.ndarray, soften: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Draws the layer onto img float32 [S, S, 3] in place; returns alpha float32 [S, S] and parts uint8 [S, S]."""
    side = img.shape[0]
    src = layer.rgba
    scale = float(np.sqrt(abs(np.linalg.det(m[:, :2]))))
    if scale < 0.75:  # antialias: warpAffine samples four pixels only
        src = cv2.GaussianBlur(src, (0, 0), 0.35 / scale)
    rgba = cv2.warpAffine(src, m, (side, side), flags=cv2.INTER_LINEAR)
    if soften > 0:
        rgba = cv2.GaussianBlur(rgba, (0, 0), soften)
    parts = cv2.warpAffine(layer.parts, m, (side, side), flags=cv2.INTER_NEAREST)
    img *= 1 - rgba[..., 3:]
    img += rgba[..., :3]
    return rgba[..., 3], parts


def cast(img: np.ndarray, layer: Layer, m: np.ndarray, lamp: Light, rng: np.random.Generator) -> None:
    """A soft shadow on what lies behind: the silhouette laid down about its feet, blurred; or a dark contact pool."""
    dx, squash, blur, strength = lamp.shadow
    if strength < 0.08:
        return
    side = img.shape[0]
    a = cv2.warpAffine(np.ascontiguousarray(layer.rgba[..., 3]), m, (side, side))
    rows = np.flatnonzero(a.max(1) > 0.5)
    if not len(rows):
        return
    foot = rows[-1] + 1
    lay = np.array([[1, -dx * squash, dx * squash * foot], [0, squash, foot * (1 - squash)]])
    s = cv2.warpAffine(a, lay, (side, side))
    s = cv2.GaussianBlur(s, (0, 0), max(0.6, blur * side * rng.uniform(0.5, 1)))
    img *= 1 - strength * s[..., None]


@dataclass
class Scene:
    """A picture uint8 [S, S, 3] and its masks: object number per pixel (0 = backdrop) and part number within it."""

    image: np.ndarray
    objects: np.ndarray
    parts: np.ndarray
    full_area: np.ndarray
    """Area in pixels of each object before others covered it, index 0 unused."""


def scene(rng: np.random.Generator, bank: SpriteBank, photos, side: int, wild: float = 1.0) -> Scene:
    """One random scene of 1 to about 9 objects.

    `wild` is how far it may be from a photograph: 1 draws every disguise, noise and false colour at full strength, which
    teaches outlines of any kind; lower values come closer to what cameras see.
    """
    lamp = Light.draw(rng)
    img = textures.backdrop(rng, photos, side, wild).astype(np.float32) / 255
    objects, parts = np.zeros((side, side), np.uint8), np.zeros((side, side), np.uint8)
    aspect = rng.uniform(0.5, 1.1)
    count = int(np.clip(rng.geometric(0.3), 1, 9))
    big = 0.95 if count <= 2 else 0.75
    least = max(0.12, 24 / side)  # in a small picture a small object is a few cells of the stride-4 map
    sizes = side * np.exp(rng.uniform(np.log(max(least, 0.22) if count < 4 else least), np.log(big), count))
    grounded = rng.random() < 0.5
    horizon = rng.uniform(0.2, 0.6)
    soften = rng.choice([0.0, rng.uniform(0.3, 0.9)]) * side / 256
    centres = []
    for s in sizes:
        x = rng.uniform(0.05, 0.95) if count > 1 else rng.uniform(0.2, 0.8)
        y = horizon + (0.95 - horizon) * min(1, s / side) * rng.uniform(0.4, 1.1) if grounded else rng.uniform(0.1, 0.9)
        centres.append((x * side, y * side))
    order = np.argsort([c[1] + 0.3 * s for c, s in zip(centres, sizes)]) if grounded else np.arange(count)
    area = [0.0]
    twin = None
    for i in order:
        if twin is not None and rng.random() < 0.7:
            sprite, layer = twin
            if rng.random() < 0.5:  # the same thing again, lit alike: only place and outline tell them apart
                layer = Layer(layer.rgba[:, ::-1].copy(), layer.parts[:, ::-1].copy())
        else:
            sprite, layer = pick(rng, bank, photos, lamp, float(sizes[i]), wild)
            twin = (sprite, layer) if rng.random() < 0.25 else None
        angle = rng.normal(0, 0.12) if rng.random() < 0.85 else rng.uniform(-np.pi, np.pi)
        m = pose(layer.parts.shape, centres[i], float(sizes[i]), aspect, angle)
        if rng.random() < 0.75:
            cast(img, layer, m, lamp, rng)
        alpha, part = paste(img, layer, m, soften)
        on = alpha > 0.5
        area.append(float(on.sum()))
        objects[on] = len(area) - 1
        parts[on] = part[on]
    img = photograph(rng, img, wild)
    return Scene(img, objects, parts, np.array(area))


def photograph(rng: np.random.Generator, img: np.ndarray, wild: float = 1.0) -> np.ndarray:
    """Camera and file: haze, exposure, vignette, blur, noise, JPEG. float32 [S, S, 3] to uint8."""
    side = img.shape[0]
    if rng.random() < 0.2 * wild:
        img = img * rng.uniform(0.6, 0.95) + textures.colour(rng) / 255 * rng.uniform(0.0, 0.35)
    if rng.random() < 0.3:  # uneven light, e.g. the shade of a tree over everything
        img = img * np.clip(1 + rng.uniform(0.05, 0.3) * textures.field(rng, side, side, 3, 2), 0.3, 1.7)[..., None]
    if rng.random() < 1 - 0.25 * wild:  # a camera exposes for what it sees
        img = img * np.clip(rng.uniform(0.3, 0.55) / (img.mean() + 0.02), 0.6, 3)
    img = np.clip(img, 0, None) * (1 + wild * rng.uniform(-0.35, 0.35)) * (1 + rng.normal(0, 0.06 * wild, 3)).astype(np.float32)
    img = np.clip(img, 0, 1) ** (1 + wild * rng.uniform(-0.3, 0.4))
    r = rng.random() / wild
    if r < 0.3:
        img = cv2.GaussianBlur(img, (0, 0), rng.uniform(0.3, 1.6) * side / 256)
    elif r < 0.38:
        k = int(rng.integers(3, max(4, side // 20)))
        kernel = np.zeros((k, k), np.float32)
        ang = rng.uniform(0, np.pi)
        cv2.line(kernel, *[tuple(int(round((k - 1) / 2 * (1 + q * f))) for f in (np.cos(ang), np.sin(ang))) for q in (-1, 1)], 1)
        img = cv2.filter2D(img, -1, kernel / kernel.sum())
    if rng.random() < 0.6:
        n = rng.normal(0, rng.uniform(0.003, 0.05) * wild, img.shape[:2] + (int(rng.choice([1, 3])),)).astype(np.float32)
        img = img + n
    if rng.random() < 0.06 * wild:
        img = np.repeat(img.mean(2, keepdims=True), 3, 2)
    out = np.clip(img * 255, 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        ok, code = cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25 + 35 * (1 - wild), 92))])
        if ok:
            out = cv2.imdecode(code, cv2.IMREAD_COLOR)
    return out


def targets(rng: np.random.Generator, s: Scene, count: int, part_share: float = 0.15) -> np.ndarray | None:
    """`count` masks bool [count, S, S] drawn from a scene: visible whole objects, `part_share` of them parts.

    None when the scene shows nothing large enough. Objects repeat when there are fewer than `count`: each repeat gets
    other clicks.
    """
    side = s.objects.shape[0]
    least = max(MIN_AREA * side * side, 24)
    whole = []
    for k in range(1, len(s.full_area)):
        seen = int((s.objects == k).sum())
        if seen >= least and seen >= 0.25 * s.full_area[k]:
            whole.append(k)
    if not whole:
        return None
    out = np.empty((count, side, side), bool)
    order = rng.permutation(whole)
    for j in range(count):
        k = int(order[j % len(order)])
        mask = s.objects == k
        if rng.random() < part_share:
            ids, n = np.unique(s.parts[mask], return_counts=True)
            good = ids[(n >= least) & (n > 0.08 * mask.sum()) & (n < 0.7 * mask.sum()) & (ids > 0)]
            if len(good):
                mask = mask & (s.parts == rng.choice(good))
        out[j] = mask
    return out
