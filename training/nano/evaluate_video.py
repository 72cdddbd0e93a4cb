"""J of the clips through the official video predictor: the tight box of frame 0, propagated; frame 0 not counted."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import torch

from .evaluate import iou, read_mask
from .model import YAML


def evaluate(state: dict[str, torch.Tensor], data: Path) -> dict:
    """{"clip": J, ..., "mean": J} for every clip of DATA/manifest.json (frames NNNNN.jpg, masks NNNNN.png beside)."""
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    config = OmegaConf.load(YAML)
    # As official build_sam2_video_predictor: these options have no weights.
    config.model._target_ = "sam2.sam2_video_predictor.SAM2VideoPredictor"
    config.model.sam_mask_decoder_extra_args = {
        "dynamic_multimask_via_stability": True,
        "dynamic_multimask_stability_delta": 0.05,
        "dynamic_multimask_stability_thresh": 0.98,
    }
    config.model.binarize_mask_from_pts_for_mem_enc = True
    config.model.fill_hole_area = 0  # needs CUDA; the CPU returns its input
    model = instantiate(config.model, _recursive_=True).eval()
    model.load_state_dict(state)
    out = {}
    for clip in json.loads((data / "manifest.json").read_text())["videos"]:
        folder = data / clip["dir"]
        frames = sorted(folder.glob("*.jpg"))
        with tempfile.TemporaryDirectory() as tmp, torch.inference_mode():
            for i, f in enumerate(frames):
                (Path(tmp) / f"{i:05d}.jpg").symlink_to(f.resolve())
            session = model.init_state(tmp, offload_video_to_cpu=True)
            first = read_mask(frames[0].with_suffix(".png"))
            ys, xs = np.flatnonzero(first.any(1)), np.flatnonzero(first.any(0))
            model.add_new_points_or_box(session, 0, 1, box=np.array([xs[0], ys[0], xs[-1], ys[-1]], np.float32))
            js = []
            for i, _, logits in model.propagate_in_video(session):
                want = read_mask(frames[i].with_suffix(".png"))
                if i > 0:
                    js.append(iou(logits[0, 0].numpy() > 0, want))
        out[folder.name] = round(float(np.mean(js)), 4)
    out["mean"] = round(float(np.mean(list(out.values()))), 4)
    return out
