"""Ray-cast views of the Sweet Home 3D furniture (CC0 / CC-BY OBJ models) into relightable sprites.

A sprite is not a picture but what a picture is made of, so that the composer can light every copy differently:
uint8 [H, W, 10] = albedo RGB, normal XYZ (127 + 127 n, camera space), ambient occlusion, one baked sun (n.l and
its shadow), part number (0 = nothing, 1.. = parts by area), alpha.
"""

from __future__ import annotations

import hashlib
import multiprocessing as mp
import re
import sys
from pathlib import Path

import numpy as np

SIDE = 288
"""Longest side of a rendered view in pixels; the composer only shrinks from here, which also smooths the edges."""

VIEWS = {"Characters": 14, "Vehicles": 14, "Exterior": 7, "Miscellaneous": 5}
"""Views per model: what photographs are mostly of (people, animals, vehicles, plants) is drawn more often."""
DEFAULT_VIEWS = 3
MAX_OBJ_BYTES = 12_000_000


def catalog(root: Path) -> list[dict]:
    """Reads the five PluginFurnitureCatalog.properties: model path, category, creator and licence of each model."""
    found = []
    for prop in sorted(root.glob("*/PluginFurnitureCatalog.properties")):
        fields: dict[str, dict[str, str]] = {}
        for line in prop.read_text(encoding="latin-1").splitlines():
            m = re.match(r"(\w+)#(\d+)=(.*)", line)
            if m:
                fields.setdefault(m[2], {})[m[1]] = m[3].strip()
        for f in fields.values():
            path = prop.parent / f.get("model", "").lstrip("/")
            if path.suffix.lower() == ".obj" and path.is_file():
                found.append(
                    {
                        "path": path,
                        "category": f.get("category", ""),
                        "creator": f.get("creator", ""),
                        "name": f.get("name", path.stem),
                        "library": prop.parent.name,
                    }
                )
    return found


def load_obj(path: Path):
    """Triangles of one OBJ as (corners [F, 3, 3], uv [F, 3, 2], part [F], materials); materials = (rgb, image or None)."""
    import cv2
    import trimesh

    scene = trimesh.load(path, process=False, force="scene")
    corners, uvs, parts, mats = [], [], [], []
    for mesh in scene.geometry.values():
        if not hasattr(mesh, "faces") or len(mesh.faces) == 0:
            continue
        f = np.asarray(mesh.faces)
        visual = mesh.visual
        uv = getattr(visual, "uv", None)
        uv = np.zeros((len(mesh.vertices), 2)) if uv is None or len(uv) != len(mesh.vertices) else np.asarray(uv)
        mat = getattr(visual, "material", None)
        rgb = np.full(3, 180.0)
        image = None
        if mat is not None:
            diffuse = getattr(mat, "diffuse", None)
            if diffuse is not None:
                rgb = np.asarray(diffuse, dtype=float)[:3]
            picture = getattr(mat, "image", None)
            if picture is not None:
                image = np.asarray(picture.convert("RGB"))
                if max(image.shape[:2]) > 512:
                    s = 512 / max(image.shape[:2])
                    image = cv2.resize(image, None, fx=s, fy=s, interpolation=cv2.INTER_AREA)
        corners.append(np.asarray(mesh.vertices)[f])
        uvs.append(uv[f])
        parts.append(np.full(len(f), len(mats)))
        mats.append((rgb, image))
    if not corners:
        raise ValueError(f"{path}: no triangles")
    return (
        np.concatenate(corners).astype(np.float32),
        np.concatenate(uvs).astype(np.float32),
        np.concatenate(parts),
        mats,
    )


def render(model, rng: np.random.Generator) -> np.ndarray | None:
    """One random view of a model as a sprite cropped to its pixels, or None when too little of it is visible."""
    from embreex import rtcore_scene
    from embreex.mesh_construction import TriangleMesh

    corners, uvs, part, mats = model
    lo, hi = corners.reshape(-1, 3).min(0), corners.reshape(-1, 3).max(0)
    radius = float(np.linalg.norm(hi - lo)) / 2
    if not np.isfinite(radius) or radius <= 0:
        return None
    tri = (corners - (lo + hi) / 2) / radius
    scene = rtcore_scene.EmbreeScene()
    TriangleMesh(scene, tri)

    azimuth = rng.uniform(0, 2 * np.pi)
    elevation = np.deg2rad(rng.choice([rng.uniform(-8, 20), rng.uniform(10, 55)]))
    roll = np.deg2rad(rng.normal(0, 6))
    back = np.array(
        [np.cos(elevation) * np.sin(azimuth), np.sin(elevation), np.cos(elevation) * np.cos(azimuth)]
    )
    right = np.cross([0, 1, 0], back)
    right /= np.linalg.norm(right)
    up = np.cross(back, right)
    right, up = np.cos(roll) * right + np.sin(roll) * up, np.cos(roll) * up - np.sin(roll) * right
    distance = rng.uniform(2.2, 5.0)
    span = 1.02 / np.sqrt(distance**2 - 1)
    g = (np.arange(SIDE) + 0.5) / SIDE * 2 - 1
    dirs = (
        (g * span)[None, :, None] * right + (-g * span)[:, None, None] * up - back
    ).reshape(-1, 3)
    dirs /= np.linalg.norm(dirs, axis=1, keepdims=True)
    eye = back * distance
    hit = scene.run(
        np.broadcast_to(eye, dirs.shape).astype(np.float32), dirs.astype(np.float32), output=True
    )
    prim = hit["primID"]
    seen = np.flatnonzero(prim >= 0)
    if len(seen) < 0.02 * SIDE * SIDE:
        return None
    p = prim[seen]
    u, v = hit["u"][seen][:, None], hit["v"][seen][:, None]
    tex = uvs[p, 0] * (1 - u - v) + uvs[p, 1] * u + uvs[p, 2] * v
    normal = np.cross(tri[p, 1] - tri[p, 0], tri[p, 2] - tri[p, 0]).astype(np.float32)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    view = dirs[seen]
    normal[(normal * view).sum(1) > 0] *= -1
    point = eye + view * hit["tfar"][seen][:, None] + normal * 2e-3

    albedo = np.zeros((len(seen), 3))
    which = part[p]
    for k in np.unique(which):
        rgb, image = mats[k]
        rows = which == k
        if image is None:
            albedo[rows] = rgb
        else:
            h, w = image.shape[:2]
            t = np.nan_to_num(tex[rows])
            x = (np.mod(t[:, 0], 1) * (w - 1)).astype(int)
            y = ((1 - np.mod(t[:, 1], 1)) * (h - 1)).astype(int)
            albedo[rows] = image[y, x]

    ao = np.zeros(len(seen))
    rays = 5
    for _ in range(rays):
        d = normal + _unit(rng, len(seen)) * 0.98
        d /= np.maximum(np.linalg.norm(d, axis=1, keepdims=True), 1e-9)
        r = scene.run(point.astype(np.float32), d.astype(np.float32), output=True)
        ao += np.where(r["primID"] < 0, 1.0, np.clip(r["tfar"] / 0.8, 0, 1))
    ao /= rays
    sun = _unit(rng, 1)[0] + np.array([0, 0.9, 0]) + back * 0.4
    sun /= np.linalg.norm(sun)
    lit = np.maximum((normal * sun).sum(1), 0)
    shade = scene.run(
        point.astype(np.float32), np.broadcast_to(sun, point.shape).astype(np.float32), output=True
    )
    lit = lit * (shade["primID"] < 0)

    # Parts in order of visible area, so that "part 1" is the largest; more than 250 share the last number.
    ids, counts = np.unique(which, return_counts=True)
    rank = {k: min(i + 1, 250) for i, k in enumerate(ids[np.argsort(-counts)])}
    out = np.zeros((SIDE * SIDE, 10), np.uint8)
    camera = normal @ np.stack([right, up, back], 1)
    out[seen, 0:3] = np.clip(albedo, 0, 255)
    out[seen, 3:6] = np.clip(127 + 127 * camera, 0, 255)
    out[seen, 6] = np.clip(ao * 255, 0, 255)
    out[seen, 7] = np.clip(lit * 255, 0, 255)
    out[seen, 8] = [rank[k] for k in which]
    out[seen, 9] = 255
    return crop(out.reshape(SIDE, SIDE, 10))


def crop(sprite: np.ndarray) -> np.ndarray:
    """The sprite without its empty border (alpha is the last channel)."""
    ys, xs = np.flatnonzero(sprite[..., -1].any(1)), np.flatnonzero(sprite[..., -1].any(0))
    return np.ascontiguousarray(sprite[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1])


def _unit(rng: np.random.Generator, n: int) -> np.ndarray:
    d = rng.normal(size=(n, 3))
    return d / np.linalg.norm(d, axis=1, keepdims=True)


def _job(item: dict) -> list[np.ndarray]:
    import cv2

    cv2.setNumThreads(0)
    path = item["path"]
    if path.stat().st_size > MAX_OBJ_BYTES:
        return []
    seed = int(hashlib.sha256(path.name.encode()).hexdigest()[:8], 16)
    rng = np.random.default_rng(seed)
    try:
        model = load_obj(path)
        views = [render(model, rng) for _ in range(VIEWS.get(item["category"], DEFAULT_VIEWS))]
    except Exception as error:  # one unreadable model must not end the run; it is named and skipped
        print(f"skipped {path}: {error}", file=sys.stderr)
        return []
    return [v for v in views if v is not None]


def render_all(root: Path, write, workers: int = 2) -> int:
    """Renders every model under `root`, calling `write(sprite, item)` for each view; returns how many were written."""
    items = catalog(root)
    # Shuffled, so that a cache cut short still holds every category.
    order = np.random.default_rng(0).permutation(len(items))
    n = 0
    with mp.get_context("spawn").Pool(workers) as pool:
        work = [items[i] for i in order]
        for item, sprites in zip(work, pool.imap(_job, work, chunksize=2)):
            for s in sprites:
                write(s, item)
                n += 1
    return n
