"""The trained weights in the official layout: `.pt` ({"model": state}) and `.safetensors` in f16."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from safetensors.torch import save_file

from .model import build


def averaged(checkpoint: Path) -> dict[str, torch.Tensor]:
    """The averaged weights of a training checkpoint (or the state of an exported .pt)."""
    c = torch.load(checkpoint, map_location="cpu", weights_only=True)
    return c["average"] if "average" in c else c["model"]


def export(state: dict[str, torch.Tensor], out: Path) -> Path:
    """Writes OUT/sam2-nano.pt and OUT/sam2-nano.safetensors (f16) after loading the state strictly; returns the latter.

    Raises RuntimeError (from load_state_dict) when a tensor is missing, unexpected or of another shape, and ValueError
    when one is not finite in f16.
    """
    build().load_state_dict(state, strict=True)
    half = {k: v.half().contiguous() if v.dtype.is_floating_point else v for k, v in state.items()}
    for k, v in half.items():
        if not torch.isfinite(v).all():
            raise ValueError(f"{k}: not finite in f16")
    out.mkdir(parents=True, exist_ok=True)
    torch.save({"model": {k: v.float() for k, v in half.items()}}, out / "sam2-nano.pt.part")
    os.replace(out / "sam2-nano.pt.part", out / "sam2-nano.pt")
    path = out / "sam2-nano.safetensors"
    save_file(half, str(path) + ".part", metadata={"format": "pt"})
    os.replace(str(path) + ".part", path)
    path.chmod(0o644)
    return path
