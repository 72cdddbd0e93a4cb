"""Where the memory modules start from, and clips stored as features to teach them on.

From a random start the memory never said where the object is: hours beside the still pictures ended with an empty mask
on the frame after a perfect one (video J 0.03). What helped is a start that already does what SAM 2's memory comes to
do, and many cheap steps: the image encoder stands still, so a clip is encoded once and used dozens of times.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from torch.nn import functional as F

from . import loader
from .model import normalise
from .video import encode

MEMORY_MODULES = ("memory_", "maskmem_", "mask_downsample", "obj_ptr_", "no_obj_")
"""How the keys of the memory's own weights begin; the others make masks of single pictures."""

CONTENT = 48  # channels of a memory token that say what is seen there; the other 16 say whether it is the object
APPEARANCE = 0.6  # weight of "looks alike" in the attention of a place to the memory
NEARNESS = 0.8  # weight of "lies near" in it
QUIET = 0.2  # what is left of the other residual branches, so that the decoder at first sees the features it knows


def begin(model, features: torch.Tensor) -> None:
    """Sets memory encoder and memory attention to a constructed start; features are coarsest FPN maps [N, C, H, W].

    A memory token becomes (what is seen there: the first CONTENT principal components; whether it is the object). The
    cross-attention looks for tokens that look alike and lie near: in RoPE, high-frequency pairs of channels with equal
    keys and queries everywhere leave a bump around the own place, low-frequency pairs barely turn and compare content.
    The last norm gives the features back their own scale and mean, which is what the decoder knows.
    """
    channels = features.shape[1]
    flat = features.permute(0, 2, 3, 1).reshape(-1, channels)
    mean, std, scale = flat.mean(0), flat.std(0), flat.std(1).mean()
    normed = F.layer_norm(flat, (channels,))
    middle, spread = normed.mean(0), normed.std(0)
    weight, axes = torch.linalg.eigh(torch.cov((normed - middle).T))
    weight, axes = weight.flip(0), axes.flip(1)
    # Whitened, but noise is not blown up.
    project = (axes[:, :CONTENT] / weight[:CONTENT].sqrt().clamp(min=0.15)).T
    # Axial RoPE: the first half of the pairs turns with x, the second with y, the fast ones first in each.
    pairs = channels // 4
    slow = [half + 2 * p + e for half in (0, 2 * pairs) for p in range(pairs - CONTENT // 4, pairs) for e in (0, 1)]
    fast = [half + 2 * p for half in (0, 2 * pairs) for p in range(pairs // 4)]
    encoder = model.memory_encoder
    with torch.no_grad():
        encoder.pix_feat_proj.weight.zero_()
        encoder.pix_feat_proj.bias.zero_()
        encoder.pix_feat_proj.weight[:CONTENT, :, 0, 0] = project / scale
        encoder.pix_feat_proj.bias[:CONTENT] = -(project / scale) @ mean
        last = encoder.mask_downsampler.encoder[-1]
        torch.nn.init.normal_(last.weight, 0, 0.1)
        last.weight[:CONTENT] = 0
        last.bias[:CONTENT] = 0
        for layer in encoder.fuser.layers:
            layer.gamma.fill_(1e-3)
        encoder.out_proj.weight.zero_()
        encoder.out_proj.bias.zero_()
        encoder.out_proj.weight[:CONTENT, :CONTENT, 0, 0] = torch.eye(CONTENT)
        encoder.out_proj.weight[CONTENT:, CONTENT:, 0, 0].normal_(0, 0.2)
        for layer in model.memory_attention.layers:
            cross = layer.cross_attn_image
            for p in (cross.q_proj, cross.k_proj):
                p.weight.mul_(0.1)
                p.bias.zero_()
            layer.norm2.weight.fill_(1)
            layer.norm2.bias.zero_()
            cross.q_proj.weight[slow] = APPEARANCE * project
            cross.q_proj.bias[slow] = -APPEARANCE * (project @ middle)
            cross.k_proj.weight[slow] = 0
            cross.k_proj.weight[slow, list(range(CONTENT))] = 1
            for p in (cross.q_proj, cross.k_proj):
                for c in fast:
                    p.weight[c : c + 2] = 0
                    p.bias[c : c + 2] = NEARNESS
            cross.v_proj.weight.normal_(0, 0.03)
            cross.v_proj.weight[:, CONTENT:].normal_(0, 0.3)
            cross.v_proj.bias.zero_()
            torch.nn.init.normal_(cross.out_proj.weight, 0, 0.09)
            cross.out_proj.bias.zero_()
            for branch in (layer.self_attn.out_proj, layer.linear2):
                branch.weight.mul_(QUIET)
                branch.bias.mul_(QUIET)
        model.memory_attention.norm.weight.copy_(std / spread)
        model.memory_attention.norm.bias.copy_(mean - std / spread * middle)


class StoredClips:
    """Clips in FOLDER as features f16 and masks, made once by `fill`; `batch` reads some of them."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._open: dict[str, np.ndarray] = {}

    def fill(self, model, cache: Path, seed: int, count: int, frames: int, slow: float, wild: float = 1.0) -> None:
        """Renders and encodes `count` clips with a model whose encoder will stand still; done before: returns at once.

        What is there of an interrupted call is kept. Stored clips of another shape or seed are replaced. `slow` and
        `wild` as in `loader.Clips`.
        """
        side = model.image_size
        want = {"seed": seed, "count": count, "frames": frames, "slow": slow, "wild": wild, "side": side}
        note = self.folder / "pool.json"
        have = json.loads(note.read_text()) if note.is_file() else {}
        done = have.pop("done", 0)
        fresh = have != want
        self.folder.mkdir(parents=True, exist_ok=True)
        widths = [model.sam_mask_decoder.conv_s0.out_channels, model.sam_mask_decoder.conv_s1.out_channels, model.hidden_dim]
        shapes = [(count, frames, c, side >> (2 + k), side >> (2 + k)) for k, c in enumerate(widths)]
        stores = [(f"features{k}.npy", np.float16, s) for k, s in enumerate(shapes)]
        stores.append(("masks.npy", np.uint8, (count, frames, side, side)))
        if fresh:
            done = 0
            files = [open_memmap(self.folder / name, mode="w+", dtype=kind, shape=shape) for name, kind, shape in stores]
        else:
            files = [open_memmap(self.folder / name, mode="r+") for name, _, _ in stores]
        clips = iter(loader.batches(loader.Clips(cache, side, frames, seed, start=done, slow=slow, wild=wild), 1, 1 if done < count else 0))
        training = model.training
        model.eval()
        while done < count:
            clip = next(clips)
            out = encode(model, normalise(clip["image"][0]))["backbone_fpn"]
            for f, o in zip(files, [*out, clip["masks"][0]]):
                f[done] = o.numpy()
            done += 1
            if done % 50 == 0 or done == count:
                for f in files:
                    f.flush()
                part = note.with_suffix(".part")
                part.write_text(json.dumps(want | {"done": done}))
                os.replace(part, note)
                print(f"stored clips: {done}/{count}", flush=True)
        model.train(training)

    def batch(self, model, picked: np.ndarray) -> tuple[dict, torch.Tensor]:
        """Some clips as `video.follow` takes them: backbone outputs of B * T frames, and masks uint8 [B, T, S, S]."""
        maps = [self._read(f"features{k}.npy", picked).float().flatten(0, 1) for k in range(3)]
        pos = [model.image_encoder.neck.position_encoding(m[:1]).expand(len(m), -1, -1, -1) for m in maps]
        return {"backbone_fpn": maps, "vision_pos_enc": pos}, self._read("masks.npy", picked)

    def _read(self, name: str, picked: np.ndarray) -> torch.Tensor:
        if name not in self._open:
            self._open[name] = np.load(self.folder / name, mmap_mode="r")
        return torch.from_numpy(np.stack([self._open[name][i] for i in picked]))
