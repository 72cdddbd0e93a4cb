"""The video phases: memory attention, memory encoder, pointers and the occlusion head on generated clips.

Runs the official SAM2Base frame by frame, exactly as its video predictor does, with gradients through the bank. The
image encoder stands still: its features are computed once without gradients, which is most of the cost.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from . import losses, prompts
from .clicks import mask_loss


class MemoryHint(torch.nn.Module):
    """A throw-away head that reads the object off the memory-conditioned features alone.

    The decoder can do without the memory for a long time (it guesses the most prominent thing), and then nothing teaches
    the memory: after 900 clips its features said nothing about the object. This head gives them a gradient of their own.
    """

    def __init__(self, channels: int = 128):
        super().__init__()
        self.read = torch.nn.Conv2d(channels, 1, 1)

    def loss(self, features: torch.Tensor, masks: torch.Tensor) -> tuple[torch.Tensor, float]:
        """Loss and IoU of conditioned features [B, C, H, W] against masks [B, S, S] averaged down to [B, H, W]."""
        logits = self.read(features)[:, 0]
        want = F.adaptive_avg_pool2d(masks[:, None].float(), logits.shape[-2:])[:, 0]
        loss = 2 * losses.bce(logits, want) + losses.dice(logits, want)
        return loss.mean(), losses.iou(logits.detach(), want).mean().item()


def encode(model, frames: torch.Tensor, chunk: int = 8):
    """Backbone outputs of normalised frames [N, 3, S, S] without gradients (conv_s0 and conv_s1 included)."""
    with torch.no_grad():
        outs = [model.forward_image(frames[i : i + chunk]) for i in range(0, len(frames), chunk)]
    return {
        key: [torch.cat([o[key][level] for o in outs]) for level in range(len(outs[0][key]))]
        for key in ("backbone_fpn", "vision_pos_enc")
    }


def frame_features(model, out, rows: torch.Tensor):
    """The features of some frames in the layout of SAM2Base.track_step: lists of [HW, B, C], and sizes."""
    picked = {k: [f[rows] for f in out[k]] for k in ("backbone_fpn", "vision_pos_enc")}
    _, feats, pos, sizes = model._prepare_backbone_features(picked)
    return feats, pos, sizes


def conditioned(model) -> list[torch.Tensor]:
    """A list that from now on receives every memory-conditioned feature map [B, C, H, W] of an official model."""
    seen: list[torch.Tensor] = []
    official = type(model)._prepare_memory_conditioned_features

    def watched(**given):
        seen.append(official(model, **given))
        return seen[-1]

    model._prepare_memory_conditioned_features = watched
    return seen


def video_step(model, frames: torch.Tensor, masks: torch.Tensor, rng: np.random.Generator, focal: float, hint: MemoryHint):
    """Backward pass of a batch of clips; frames normalised [B, T, 3, S, S], masks uint8 [B, T, S, S].

    Frame 0 is prompted by a box (half), a click or the mask; one later frame may get a corrective click. Each frame
    learns masks (best of three where the official tracker outputs three), IoU and presence; `hint` teaches the memory
    directly. Returns loss and mean J.
    """
    return follow(model, encode(model, frames.flatten(0, 1)), masks, rng, focal, hint)


def follow(model, out: dict, masks: torch.Tensor, rng: np.random.Generator, focal: float, hint: MemoryHint):
    """`video_step` on frames already encoded: `out` as `encode` gives it, for masks uint8 [B, T, S, S]."""
    b, t = masks.shape[:2]
    target = F.avg_pool2d(masks.float(), 4)
    hard = (target > 0.5).numpy()
    present = masks.flatten(2).any(2).float()
    bank: dict = {"cond_frame_outputs": {}, "non_cond_frame_outputs": {}}
    correct_at = int(rng.integers(1, t)) if rng.random() < 0.4 else -1
    kind = rng.choice(["box", "click", "mask"], p=[0.5, 0.3, 0.2])
    losses_, js, hints = [], [], []
    seen = conditioned(model)
    for f in range(t):
        feats, pos, sizes = frame_features(model, out, torch.arange(b) * t + f)
        points = mask_input = None
        if f == 0 and kind == "mask":
            mask_input = masks[:, 0, None].float()
        elif f == 0 and kind == "box":
            points = {"point_coords": prompts.boxes(masks[:, 0].numpy() > 0, rng), "point_labels": torch.tensor([[2, 3]]).expand(b, 2).int()}
        elif f == 0:
            points = {"point_coords": prompts.first_clicks(hard[:, 0], rng), "point_labels": torch.ones(b, 1).int()}
        elif f == correct_at:
            with torch.no_grad():
                guess = model._track_step(f, False, feats, pos, sizes, None, None, bank, t, False, None)[1]
            p, lab = prompts.corrections(guess[3][:, 0].numpy() > 0, hard[:, f], rng)
            # Where the object is gone a click would be a lie: such rows get a negative one.
            points = {"point_coords": p, "point_labels": lab.int()}
        current, sam, _, _ = model._track_step(f, f == 0, feats, pos, sizes, points, mask_input, bank, t, False, None)
        multi, _, ious, low, high, pointer, score = sam
        current["pred_masks"], current["pred_masks_high_res"], current["obj_ptr"] = low, high, pointer
        model._encode_memory_in_output(feats, sizes, points, True, high, score, current)
        bank["cond_frame_outputs" if f == 0 else "non_cond_frame_outputs"][f] = current
        if mask_input is not None:
            continue  # the mask was given: nothing to learn on this frame but its memory
        want = target[:, f, None].expand_as(multi)
        here = present[:, f]
        each = mask_loss(multi.clamp(-32, 32), want, focal)
        best = each.min(1).values
        gap = (ious - losses.iou(multi.detach(), want)).abs().mean(1)
        loss = ((best + gap) * here).sum() / here.sum().clamp(min=1)
        loss = loss + 0.5 * F.binary_cross_entropy_with_logits(score[:, 0], here)
        if f > 0:
            told, read = hint.loss(seen[-1], masks[:, f])
            loss = loss + 0.5 * told
            hints.append(read)
        losses_.append(loss)
        js.append(losses.iou(low.detach()[:, 0], target[:, f])[here > 0].mean().item() if here.any() else 1.0)
    total = torch.stack(losses_).mean()
    total.backward()
    del model._prepare_memory_conditioned_features
    read = {"hint": float(np.mean(hints))}
    return total.item(), {"j_first": js[0], "j_last": js[-1], "j": float(np.mean(js)), **read}
