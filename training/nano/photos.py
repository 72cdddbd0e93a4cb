"""The backdrop photographs, by licence: only public domain, CC0 and CC-BY ones, each named for the model card."""

from __future__ import annotations

import base64
import re
import tempfile
from pathlib import Path

import cv2
import numpy as np
import OpenEXR

from . import rcc

WALLPAPERS = {
    "aitzgorri_by_Aitzol_Berasategi.jpg": "Aitzol Berasategi, CC-BY-4.0",
    "friends_by_Aitzol_Berasategi.jpg": "Aitzol Berasategi, CC-BY-4.0",
    "life_by_Aitzol_Berasategi.jpg": "Aitzol Berasategi, CC-BY-4.0",
    "picosdeeuropa_by_Aitzol_Berasategi.jpg": "Aitzol Berasategi, CC-BY-4.0",
    "sunset_by_Aitzol_Berasategi.jpg": "Aitzol Berasategi, CC-BY-4.0",
    "Picture_0B_by_freespace.jpg": 'Trevor "Freespace", CC-BY-4.0',
    "Picture_1A_by_freespace.jpg": 'Trevor "Freespace", CC-BY-4.0',
    "seeding_by_Clements_Engelhardt.jpg": "Clemens Engelhardt, CC0-1.0",
    "umang_by_Abhishek_Mudgal.jpg": "Abhishek Mudgal, CC-BY-4.0",
    "Wine_by_Jakkub_Mede.jpg": "Jakub Mede, CC-BY-4.0",
}
GCOMPRIS = {
    "categorization": (
        "fishes/fish25 fishes/fish4 fishes/fish8 monuments/greatWall monuments/leMusee monuments/leaningTowerOfPisa "
        "monuments/mountRushmore monuments/zimniPalace others/bucket others/igloo others/pan others/pencil others/volleyball "
        "renewable/dam2 renewable/solar1 renewable/solar2 renewable/windmill renewable/windmill12 tools/measuringTape3 "
        "tools/nailCutter tools/plier1 tools/screwDriver tools/sideCutter1"
    ),
    "explore_world_animals": "animals/crocodile animals/moose animals/panda",
}
"""By .rcc file: public domain, CC0 and CC-BY ones whose content fits the work that Debian's copyright file names; see training/CREDITS-views.md."""
PALAPELI = ("cincinnati-bridge.jpg", "citrus-fruits.jpg", "european-honey-bee.jpg")
SKIMAGE = ("astronaut.png", "brick.png", "chelsea.png", "coffee.png", "grass.png", "gravel.png", "rocket.jpg")
SKLEARN = ("china.jpg", "flower.jpg")


def shrunk(img: np.ndarray) -> np.ndarray:
    """A picture at most 1400 pixels long."""
    s = min(1.0, 1400 / max(img.shape[:2]))
    return cv2.resize(img, None, fx=s, fy=s, interpolation=cv2.INTER_AREA)


def collect(raw: Path, out: Path) -> int:
    """Decodes the photographs and panoramas found under `raw` and in the Python packages into one .npz; returns their number."""
    import sklearn
    import skimage

    paths = [p for p in raw.rglob("*.jpg") if p.name in WALLPAPERS]
    paths += [Path(skimage.__file__).parent / "data" / n for n in SKIMAGE]
    paths += [Path(sklearn.__file__).parent / "datasets" / "images" / n for n in SKLEARN]
    found: dict[str, np.ndarray] = {}
    for path in sorted(paths):
        img = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
        if img is None:
            raise FileNotFoundError(f"{path}: not a picture; unpack the packages named in training/README.md")
        found[path.stem] = shrunk(img)
    for path in sorted(raw.rglob("*.exr.js")):
        found["hdri_" + path.name.split(".")[0]] = panorama(path)
    np.savez(out, **found)
    return len(found)


def collect_objects(raw: Path, out: Path) -> int:
    """Photographs of single things and rooms, for the teacher to find masks in; one .npz as `collect` writes. Returns their number."""
    found: dict[str, np.ndarray] = {}

    def add(name: str, code: bytes) -> None:
        img = cv2.imdecode(np.frombuffer(code, np.uint8), cv2.IMREAD_COLOR_RGB)
        if img is None:
            raise ValueError(f"{name}: not a picture")
        found[name] = shrunk(img)

    for name, wanted in GCOMPRIS.items():
        (path,) = (raw / "gcompris").rglob(f"{name}.rcc")
        files = rcc.entries(path.read_bytes())
        for one in wanted.split():
            (inside,) = (f for f in files if f.endswith(f"/{one}.webp"))
            add("gcompris_" + one.replace("/", "_"), files[inside])
    paths = [p for p in sorted((raw / "palapeli").rglob("*.jpg")) if p.name in PALAPELI]
    # One of the rooms is a render.
    paths += [p for p in sorted((raw / "interiors").rglob("*.jpg")) if not p.name.startswith("pexels-364445")]
    # Not the sheets of people in motion: many small frames on one sheet.
    paths += [p for p in sorted((raw / "stdlib").glob("package/img-*/data/image.jpg")) if "locomotion" not in str(p)]
    for path in paths:
        add(path.parents[1].name + "_" + path.stem if path.stem == "image" else path.stem, path.read_bytes())
    np.savez(out, **found)
    return len(found)


def panorama(path: Path) -> np.ndarray:
    """A CC0 panorama of @pmndrs/assets (EXR as base64 in JavaScript), tone-mapped, its middle band at 1024 x 384."""
    m = re.search(r"base64,([A-Za-z0-9+/=]+)", path.read_text())
    if not m:
        raise ValueError(f"{path}: no base64 data in it")
    with tempfile.NamedTemporaryFile(suffix=".exr") as f:
        f.write(base64.b64decode(m[1]))
        f.flush()
        with OpenEXR.File(f.name) as exr:
            channels = exr.channels()
            hdr = (channels.get("RGB") or channels["RGBA"]).pixels
    # Lamps are infinite in half floats, and would come out as black specks.
    hdr = np.clip(np.asarray(hdr, np.float32)[..., :3], 0, 65504)
    ldr = hdr / (hdr + np.median(hdr) * 1.5 + 1e-6)
    ldr = (np.clip(ldr, 0, 1) ** (1 / 1.6) * 255).astype(np.uint8)
    h = ldr.shape[0]
    band = ldr[int(0.2 * h) : int(0.95 * h)]
    return cv2.resize(band, (1024, 384), interpolation=cv2.INTER_CUBIC)
