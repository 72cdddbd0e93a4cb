#!/usr/bin/env python3
"""Hold an .npz written by the project against one written by reference.py.

    compare.py reference.npz project.npz [--embedding 1e-4] [--logits 1e-3] [--iou 1e-3] [--mask 0.999] [--json]

Embedding and features: relative L2 error. Low-resolution logits and IoU scores: largest absolute
difference over the largest absolute value. Masks: intersection over union (1 where both are empty).
Exit status 1 when a figure is beyond its bound, or a key is missing, not finite or of another shape.
Video is held with --logits 2e-3: an error there feeds the frames after it.
"""
import argparse, json, sys
import numpy as np

EMBEDDING, IOU, MASK, LOGITS = "embedding rel L2", "IoU score rel max", "mask IoU", "logits rel max"
IMAGE_BOUNDS = {EMBEDDING: 1e-4, LOGITS: 1e-3, IOU: 1e-3, MASK: 0.999}
VIDEO_BOUNDS = {**IMAGE_BOUNDS, LOGITS: 2e-3}


def kind_of(key):
    """Which figure a key of the .npz is held by."""
    if key.startswith("mask_"):
        return MASK
    if key in ("e", "h0", "h1"):
        return EMBEDDING
    return IOU if key.startswith("iou_") else LOGITS


def figure_of(kind, r, g):
    """The one figure of a key: `r` the reference, `g` the project's array of the same shape."""
    if kind == MASK:
        union = np.logical_or(r, g).sum()
        return 1.0 if union == 0 else float(np.logical_and(r, g).sum() / union)
    r, g = r.astype(np.float64), g.astype(np.float64)
    if kind == EMBEDDING:
        return float(np.linalg.norm(r - g) / max(np.linalg.norm(r), 1e-6))
    return float(np.abs(r - g).max() / max(np.abs(r).max(), 1e-6))


def compare(ref, got, bounds=IMAGE_BOUNDS):
    """Returns (worst figure of each kind, lines that say what is beyond its bound).

    `ref` and `got` map keys to arrays. Keys of `got` that `ref` lacks are ignored.
    """
    bad, worst = [], {}
    for key in ref:
        if key not in got:
            bad.append(f"{key}: missing")
            continue
        r, g, kind = ref[key], got[key], kind_of(key)
        if r.shape != g.shape:
            bad.append(f"{key}: shape {g.shape}, reference {r.shape}")
            continue
        if kind != MASK and not np.isfinite(g).all():
            bad.append(f"{key}: not finite")
            continue
        figure = figure_of(kind, r, g)
        worst[kind] = (min if kind == MASK else max)(worst.get(kind, figure), figure)
        if not (figure >= bounds[kind] if kind == MASK else figure <= bounds[kind]):
            bad.append(f"{key}: {kind} {figure:.3g}, bound {bounds[kind]:g}")
    return worst, bad


def load(path):
    """All arrays of an .npz, by key."""
    with np.load(path) as z:
        return {k: z[k] for k in z.files}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("reference")
    ap.add_argument("project")
    ap.add_argument("--embedding", type=float, default=IMAGE_BOUNDS[EMBEDDING])
    ap.add_argument("--logits", type=float, default=IMAGE_BOUNDS[LOGITS])
    ap.add_argument("--iou", type=float, default=IMAGE_BOUNDS[IOU])
    ap.add_argument("--mask", type=float, default=IMAGE_BOUNDS[MASK])
    ap.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    a = ap.parse_args()
    ref = load(a.reference)
    bounds = {EMBEDDING: a.embedding, LOGITS: a.logits, IOU: a.iou, MASK: a.mask}
    worst, bad = compare(ref, load(a.project), bounds)
    if a.json:
        print(json.dumps({"worst": worst, "bad": bad, "keys": len(ref)}))
    else:
        for line in bad:
            print(line)
        print("worst: " + ", ".join(f"{k} {v:.3g}" for k, v in worst.items()) + f"; {len(ref)} keys, {len(bad)} beyond bound")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
