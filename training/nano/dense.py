"""Dense query pre-training of the encoder: "which pixels belong to the same object as this one?".

A throw-away head on the stride-4 map: for Q random pixels the logit of every other pixel is a dot product of a query
MLP and a 1 x 1 key map. It teaches the encoder grouping at once, where clicks through a random decoder teach nothing.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from sam2.modeling.position_encoding import PositionEmbeddingSine

from .losses import dice


class DenseHead(nn.Module):
    """Query and key projections over the sum of all FPN levels, brought to stride 4."""

    def __init__(self, channels: int = 128, dim: int = 64):
        super().__init__()
        self.lateral = nn.ModuleList([nn.Conv2d(channels, dim, 1) for _ in range(3)])
        self.mix = nn.Sequential(nn.GroupNorm(8, dim), nn.GELU(), nn.Conv2d(dim, dim, 3, padding=1), nn.GELU())
        # Twins look alike: only place tells them apart, and the maps of the FPN carry little of it.
        self.place = PositionEmbeddingSine(dim, normalize=True, warmup_cache=False, scale=None, temperature=100)
        self.key = nn.Conv2d(2 * dim, dim, 1)
        self.query = nn.Sequential(nn.Linear(2 * dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))
        self.bias = nn.Parameter(torch.tensor(-1.0))

    def forward(self, fpn: list[torch.Tensor], at: torch.Tensor) -> torch.Tensor:
        """fpn: stride 4, 8, 16 maps [B, C, h, w]; at: [B, Q] flat stride-4 indices; logits [B, Q, S/4, S/4]."""
        size = fpn[0].shape[-2:]
        x = self.lateral[0](fpn[0])
        for conv, f in zip(self.lateral[1:], fpn[1:]):
            x = x + F.interpolate(conv(f), size=size, mode="bilinear", align_corners=False)
        x = self.mix(x)
        x = torch.cat([x, self.place(x)], 1)
        b, c, h, w = x.shape
        picked = x.flatten(2).gather(2, at[:, None, :].expand(b, c, -1))
        q = self.query(picked.transpose(1, 2))
        logits = torch.bmm(q, self.key(x).flatten(2)) * (c / 2) ** -0.5
        return logits.view(b, -1, h, w) + self.bias


def dense_loss(head: DenseHead, raw: list[torch.Tensor], labels: torch.Tensor, queries: int = 32):
    """Loss and mean IoU of one batch: raw FPN maps of the image encoder, labels uint8 [B, S, S] (0 = backdrop)."""
    small = labels[:, 2::4, 2::4].long()
    flat = small.flatten(1)
    # Small objects get more than their share of the queries; the backdrop is one "object" among them.
    count = F.one_hot(flat, int(flat.max()) + 1).sum(1).float()
    weight = count.clamp(min=8).gather(1, flat) ** -0.7
    weight = torch.where(flat == 0, weight * 0.5, weight)
    at = torch.multinomial(weight, queries, replacement=True)
    target = (small[:, None] == flat.gather(1, at)[:, :, None, None]).float()
    logits = head(raw, at)
    bce = F.binary_cross_entropy_with_logits(logits, target)
    loss = 2 * bce + dice(logits, target).mean()
    with torch.no_grad():
        on, want = logits > 0, target > 0.5
        inter = (on & want).sum((-2, -1)).float()
        iou = (inter / (on | want).sum((-2, -1)).clamp(min=1)).mean().item()
    return loss, iou


class TaughtHead(nn.Module):
    """A throw-away linear reading of the FPN maps that has to say what the teacher sees at every place."""

    def __init__(self, channels: int = 128, dim: int = 128):
        super().__init__()
        self.lateral = nn.ModuleList([nn.Conv2d(channels, dim, 1) for _ in range(3)])
        self.norm = nn.BatchNorm2d(dim, affine=False)

    def loss(self, fpn: list[torch.Tensor], taught: torch.Tensor) -> torch.Tensor | None:
        """Mean squared error against standardised features [B, 128, 64, 64]; rows of not-a-number have no teacher."""
        rows = torch.isfinite(taught[:, 0, 0, 0])
        if not rows.any():
            return None
        size = taught.shape[-2:]
        want = self.norm(taught[rows]).clamp(-4, 4)
        said = sum(F.interpolate(conv(f[rows]), size=size, mode="bilinear", align_corners=False) for conv, f in zip(self.lateral, fpn))
        return F.mse_loss(said, want)
