"""Losses of SAM 2's appendix, on stride-4 logits."""

from __future__ import annotations

import torch
from torch.nn import functional as F


def dice(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Soft dice loss [...] of logits [..., H, W] against a 0..1 target of the same shape (+1 smoothing, as official)."""
    p = logits.sigmoid().flatten(-2)
    t = target.flatten(-2)
    return 1 - (2 * (p * t).sum(-1) + 1) / (p.sum(-1) + t.sum(-1) + 1)


def focal(logits: torch.Tensor, target: torch.Tensor, alpha: float = 0.25, gamma: float = 2.0) -> torch.Tensor:
    """Sigmoid focal loss [...], mean over pixels (official sigmoid_focal_loss)."""
    ce = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    p = logits.sigmoid()
    hit = p * target + (1 - p) * (1 - target)
    a = alpha * target + (1 - alpha) * (1 - target)
    return (a * ce * (1 - hit) ** gamma).flatten(-2).mean(-1)


def bce(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy [...], mean over pixels."""
    return F.binary_cross_entropy_with_logits(logits, target, reduction="none").flatten(-2).mean(-1)


def iou(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """IoU [...] of logits > 0 with target > 0.5; 1 where both are empty."""
    on, want = logits > 0, target > 0.5
    union = (on | want).flatten(-2).sum(-1).float()
    inter = (on & want).flatten(-2).sum(-1).float()
    return torch.where(union > 0, inter / union.clamp(min=1), torch.ones_like(union))


def outline_weight(target: torch.Tensor, reach: int = 9) -> torch.Tensor:
    """Weight [N, H, W] of every pixel of masks [N, H, W]: 1 in the middle of things, up to 6 where inside and outside meet.

    As F3Net's loss for salient objects (Wei et al. 2020): gaps between legs and outlines are few pixels among many.
    """
    near = F.avg_pool2d(target[:, None], reach, 1, reach // 2, count_include_pad=False)[:, 0]
    return 1 + 5 * (near - target).abs()


def outlined(logits: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Cross-entropy (twice) and dice loss [...], both weighted by `weight`; all of the shape [..., H, W]."""
    ce = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    w, p, t = weight.flatten(-2), logits.sigmoid().flatten(-2), target.flatten(-2)
    overlap = 1 - (2 * (p * t * w).sum(-1) + 1) / ((p * w).sum(-1) + (t * w).sum(-1) + 1)
    return 2 * (ce.flatten(-2) * w).sum(-1) / w.sum(-1) + overlap
