"""The protocol of the model card, through the official SAM2ImagePredictor.

Centre = maximum of the distance transform, first in row order. One click = multimask, the mask of highest *predicted*
IoU. Later clicks at the centre of the error (the deeper of missed and extra: positive where missed, negative where
extra), single mask with the previous logits. Box = the tight box, single mask. Everything at the picture's own size.
The halves are split by scene, so that frames of one DAVIS sequence never lie on both sides: scenes in order of first
appearance in the manifest, even ones to select on, odd ones to check.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from .model import build
from .prompts import centre, error_centre

CLICKS = 5
METRICS = ("click1", "click3", "click5", "box")


def predictor(state: dict[str, torch.Tensor], side: int | None = None):
    """SAM2ImagePredictor with the decoder options that official build_sam2 sets for inference."""
    from sam2.sam2_image_predictor import SAM2ImagePredictor

    model = build(side)
    model.load_state_dict(state)
    model.eval()
    decoder = model.sam_mask_decoder
    decoder.dynamic_multimask_via_stability = True
    decoder.dynamic_multimask_stability_delta = 0.05
    decoder.dynamic_multimask_stability_thresh = 0.98
    p = SAM2ImagePredictor(model)
    # Official code has the grids of 1024 x 1024 written in.
    p._bb_feat_sizes = [(model.image_size // n, model.image_size // n) for n in (4, 8, 16)]
    return p


def read(path: Path) -> np.ndarray:
    """A picture as uint8 RGB [H, W, 3]."""
    from PIL import Image

    return np.asarray(Image.open(path).convert("RGB"))


def read_mask(path: Path) -> np.ndarray:
    """A ground-truth mask as bool [H, W]."""
    from PIL import Image

    return np.asarray(Image.open(path).convert("L")) > 127


def iou(a: np.ndarray, b: np.ndarray) -> float:
    union = int((a | b).sum())
    return float((a & b).sum() / union) if union else 1.0


def measure(p, want: np.ndarray) -> dict:
    """Scores of one mask bool [H, W] of the picture set in the predictor: IoU per metric, and predicted IoUs beside."""
    out: dict = {}
    i, j = centre(want)
    points, labels = [[j, i]], [1]
    masks, score, low = p.predict(np.array(points), np.array(labels), multimask_output=True)
    k = int(score.argmax())
    pred, low = masks[k] > 0, low[k : k + 1]
    out["click1"], out["predicted1"] = iou(pred, want), float(score[k])
    out["oracle1"] = max(iou(m > 0, want) for m in masks)
    for n in range(2, CLICKS + 1):
        missed, extra = want & ~pred, pred & ~want
        if missed.any() or extra.any():
            i, j, label = error_centre(missed, extra)
            points.append([j, i])
            labels.append(label)
        masks, score, low = p.predict(np.array(points), np.array(labels), mask_input=low, multimask_output=False)
        pred = masks[0] > 0
        out[f"click{n}"], out[f"predicted{n}"] = iou(pred, want), float(score[0])
    ys, xs = np.flatnonzero(want.any(1)), np.flatnonzero(want.any(0))
    box = np.array([xs[0], ys[0], xs[-1], ys[-1]])
    masks, score, _ = p.predict(box=box, multimask_output=False)
    out["box"], out["predicted_box"] = iou(masks[0] > 0, want), float(score[0])
    return out


def source(item: dict) -> str:
    """davis (one object) | davis_parts (several) | coco | voc | ..., from the file name."""
    name = Path(item["image"]).name
    if item["image"].startswith("davis"):
        return "davis" if item.get("single_object") else "davis_several"
    return Path(name).stem.split("_")[0] if "_" in name else "single"


def scene_of(item: dict) -> str:
    """The DAVIS sequence, or the picture."""
    path = Path(item["image"])
    return path.stem.rsplit("_", 1)[0] if path.parent.name.startswith("davis") else path.stem


def evaluate(state: dict[str, torch.Tensor], data: Path, side: int | None = None, half: int | None = None) -> list[dict]:
    """One row per mask of DATA/manifest.json; `half` 0 or 1 takes only even or odd scenes."""
    items = json.loads((data / "manifest.json").read_text())["images"]
    halves: dict[str, int] = {}
    for item in items:
        halves.setdefault(scene_of(item), len(halves) % 2)
    p = predictor(state, side)
    rows, shown = [], None
    for item in items:
        side_of = halves[scene_of(item)]
        if half is not None and side_of != half:
            continue
        want = read_mask(data / item["mask"])
        if not want.any():
            continue
        if item["image"] != shown:
            with torch.inference_mode():
                p.set_image(read(data / item["image"]))
            shown = item["image"]
        row = measure(p, want)
        rows.append({"image": item["image"], "mask": item["mask"], "half": side_of, "source": source(item), "area": float(want.mean()), **row})
    return rows


def summary(rows: list[dict]) -> dict:
    """Mean of every metric: overall, by half, by source."""

    def mean(part: list[dict]) -> dict:
        out = {m: round(float(np.mean([r[m] for r in part])), 4) for m in (*METRICS, "oracle1")} if part else {}
        return {**out, "n": len(part)}

    by = {s: mean([r for r in rows if r["source"] == s]) for s in sorted({r["source"] for r in rows})}
    return {
        "overall": mean(rows),
        "select half": mean([r for r in rows if r["half"] == 0]),
        "other half": mean([r for r in rows if r["half"] == 1]),
        "by_source": by,
    }


def score(s: dict) -> float:
    """The one figure to select by: the mean of the four metrics."""
    return float(np.mean([s[m] for m in METRICS]))
