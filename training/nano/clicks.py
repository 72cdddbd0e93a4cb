"""Prompts through the real decoder, with corrective rounds."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from . import losses, prompts
from .model import decode, to_decoder


def mask_loss(logits: torch.Tensor, target: torch.Tensor, focal: float | None) -> torch.Tensor:
    """Per-mask loss [N, M] of logits and targets [N, M, h, w]: BCE and dice early on; `focal` > 0 moves weight from BCE to focal loss.

    `focal` None: BCE and dice weighted towards outlines. Focal loss asks for little inside an object (its alpha is 0.25), and on so
    few pictures the logits stay near 0: the mask of a box was best cut at -0.5 where the other two losses put it at 0.
    """
    if focal is None:
        weight = losses.outline_weight(target[:, 0])
        return losses.outlined(logits, target, weight[:, None].expand_as(target))
    loss = losses.dice(logits, target)
    if focal > 0:
        loss = loss + focal * losses.focal(logits, target)
    return loss + (2.0 if focal == 0 else 0.5) * losses.bce(logits, target)


def round_loss(masks, ious, score, target, single_click: bool, focal: float | None):
    """Loss of one decoder round and the logits that go into the next.

    masks [N, 4, h, w], ious [N, 4], score [N, 1], target [N, h, w] in 0..1. A single click is ambiguous: only the best
    of the three multimask tokens learns (as the paper), token 0 a little; with more prompts token 0 learns and the
    three follow a little, for the official decoder falls back on them when token 0 is unstable.
    """
    n = len(target)
    t = target[:, None].expand_as(masks)
    each = mask_loss(masks, t, focal)
    best = each[:, 1:].min(1).values
    loss = (best + 0.4 * each[:, 0]) if single_click else (each[:, 0] + 0.3 * best)
    true_iou = losses.iou(masks.detach(), t)
    loss = loss + (ious - true_iou).abs().mean(1)
    loss = loss + 0.05 * F.binary_cross_entropy_with_logits(score[:, 0], torch.ones(n))
    if single_click:
        pick = ious[:, 1:].argmax(1) + 1
    else:
        pick = torch.zeros(n, dtype=torch.long)
    rows = torch.arange(n)
    return loss.mean(), masks[rows, pick].detach(), true_iou[rows, pick].mean().item()


def click_grads(model, raw: list[torch.Tensor], masks: torch.Tensor, rng: np.random.Generator, rounds: int, focal: float | None, box_share: float):
    """Backward pass through decoder and prompt encoder; returns loss, IoU per round, and the gradients of `raw`.

    raw: FPN maps [B, 128, .., ..] of the image encoder, masks uint8 [B, K, S, S]. Gradients of all rounds gather on the maps,
    so that the caller walks back through the encoder once, or not at all. IoU keys: click1, click2, ... or box, box+1, ...
    """
    b, k = masks.shape[:2]
    full = masks.flatten(0, 1)
    target = F.avg_pool2d(full[:, None].float(), 4)[:, 0]
    hard = (target > 0.5).numpy()
    roots = [f.detach().requires_grad_() for f in raw]
    fpn = to_decoder(model, roots)
    leaves = [f.detach().requires_grad_() for f in fpn]
    box = rng.random() < box_share
    if box:
        points = prompts.boxes(full.numpy() > 0, rng)
        labels = torch.tensor([[2, 3]]).expand(b * k, 2)
    else:
        points = prompts.first_clicks(hard, rng)
        labels = torch.ones(b * k, 1, dtype=torch.long)
    prev, out, total = None, {}, 0.0
    for r in range(rounds):
        if prev is not None:
            p, lab = prompts.corrections(prev.numpy() > 0, hard, rng)
            points, labels = torch.cat([points, p], 1), torch.cat([labels, lab], 1)
        mask_input = None if prev is None else prev[:, None].clamp(-32, 32)
        low, ious, _, score = decode(model, leaves, points, labels, mask_input, k)
        loss, prev, iou = round_loss(low, ious, score, target, r == 0 and not box, focal)
        (loss / rounds).backward()
        total += loss.item() / rounds
        out[f"click{r + 1}" if not box else f"box+{r}" if r else "box"] = iou
    torch.autograd.backward(fpn, [f.grad for f in leaves])
    return total, out, [f.grad for f in roots]
