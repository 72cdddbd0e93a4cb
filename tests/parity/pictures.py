"""Synthetic pictures and clips for the parity tests, and prompts that fit them.

Drawn here, so that nothing has to be downloaded or credited. No size is square, and x and y differ
everywhere, so that a swap of height and width shows.
"""
import numpy as np

# name: (width, height), all odd in some way
SIZES = {"wide": (200, 120), "tall": (90, 171), "tiny": (23, 17), "large": (1300, 700)}
FULL_SIZES = {"wide": (801, 533), "tall": (417, 1111), "tiny": (23, 17), "large": (1601, 1203)}


def _shape(kind, x, y, cx, cy, rx, ry):
    """A boolean disc, box or diamond, of half-axes rx and ry in units of the picture."""
    dx, dy = np.abs(x - cx) / rx, np.abs(y - cy) / ry
    return {"disc": dx * dx + dy * dy, "box": np.maximum(dx, dy), "diamond": dx + dy}[kind] <= 1


def picture(width, height, seed=0):
    """An RGB picture [height, width, 3], u8: stepped gradients, stripes and a few flat shapes.

    Few distinct values a row, so that PNG stores even the large one in a few kilobytes.
    """
    rng = np.random.default_rng(seed)
    y, x = np.meshgrid((np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width, indexing="ij")
    level = lambda v: np.floor(v * 48) / 48  # steps keep the file small
    img = np.stack([40 + 120 * level(x), 60 + 90 * level(y), 150 - 80 * level((x + y) / 2)], -1)
    img[(np.floor(x * 9 + 2 * level(y)) % 3) == 0] += (10, -14, 18)
    for kind in ("disc", "box", "diamond", "disc", "box"):
        where = _shape(kind, x, y, *rng.uniform(0.15, 0.85, 2), *rng.uniform(0.08, 0.24, 2))
        img[where] = rng.uniform(20, 240, 3)
        img[where & (np.floor(y * 25) % 2 == 0)] *= 0.8
    return np.clip(np.rint(img), 0, 255).astype(np.uint8)


def prompts(width, height):
    """Eight prompts for a picture of this size: every kind that the image predictor takes."""
    p = lambda *xy: [[round(x * width, 2), round(y * height, 2)] for x, y in xy]
    b = lambda x0, y0, x1, y1: [round(x0 * width, 2), round(y0 * height, 2), round(x1 * width, 2), round(y1 * height, 2)]
    return [
        {"points": p((0.41, 0.57)), "labels": [1], "multimask": True},
        {"points": p((0.41, 0.57)), "labels": [1], "multimask": False},
        {"points": p((0.22, 0.31), (0.74, 0.63), (0.52, 0.12)), "labels": [1, 0, 1], "multimask": True},
        {"box": b(0.18, 0.27, 0.66, 0.81), "multimask": False},
        {"box": b(0.31, 0.08, 0.93, 0.58), "points": p((0.6, 0.3), (0.37, 0.51)), "labels": [1, 0], "multimask": False},
        {"points": p((0.55, 0.33), (0.83, 0.19)), "labels": [1, 0], "multimask": False, "refine": True},
        {"box": b(0.05, 0.42, 0.49, 0.97), "multimask": True},
        {"points": p((0.3, 0.7), (0.12, 0.88), (0.44, 0.5), (0.9, 0.05)), "labels": [1, 1, 0, 0], "multimask": True, "refine": True},
    ]


def frame(width, height, t, frames):
    """Frame `t` of a clip: three shapes on paths of their own, of which one leaves and comes back."""
    u = t / max(frames - 1, 1)
    y, x = np.meshgrid((np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width, indexing="ij")
    img = np.stack([70 + 60 * x, 90 + 50 * y, 110 - 40 * x * y], -1)
    img[(np.floor((x + 0.1 * u) * 12) % 4) == 0] += (14, -8, 6)
    for kind, cx, cy, rx, ry, colour in (
        ("disc", 0.2 + 0.55 * u, 0.3 + 0.2 * np.sin(3 * u), 0.13, 0.17, (220, 70, 60)),
        ("box", 0.75 - 0.3 * u, 0.72 - 0.1 * u, 0.14 - 0.04 * u, 0.12, (60, 190, 90)),
        ("diamond", 0.5 + 0.75 * np.sin(np.pi * u), 0.2 + 0.6 * u, 0.12, 0.2, (240, 220, 80)),
    ):
        where = _shape(kind, x, y, cx, cy, rx, ry)
        img[where] = colour
        img[where & (np.floor(x * 30) % 3 == 0)] *= 0.75
    return np.clip(np.rint(img), 0, 255).astype(np.uint8)


def tracks(width, height, first=0):
    """Steps for a clip of at least first + 6 frames, for three objects.

    A point, a box whose clicks are then replaced (its logits stay), a refinement on a later frame,
    and an object that is added late. `first` > 0 leaves frames for a pass backward.
    """
    p = lambda *xy: [[round(x * width, 2), round(y * height, 2)] for x, y in xy]
    b = lambda x0, y0, x1, y1: [round(x0 * width, 2), round(y0 * height, 2), round(x1 * width, 2), round(y1 * height, 2)]
    return [
        {"frame": first, "object": 1, "points": p((0.22, 0.31)), "labels": [1]},
        {"frame": first, "object": 2, "box": b(0.6, 0.58, 0.91, 0.86)},
        {"frame": first, "object": 2, "box": b(0.58, 0.55, 0.9, 0.88), "points": p((0.74, 0.71), (0.5, 0.2)), "labels": [1, 0]},
        {"frame": first + 5, "object": 1, "points": p((0.45, 0.45), (0.8, 0.8)), "labels": [1, 0]},
        {"frame": first + 3, "object": 7, "box": b(0.3, 0.1, 0.8, 0.6)},
    ]
