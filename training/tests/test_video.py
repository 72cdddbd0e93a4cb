"""Clips and the video step: what moves is what the masks say, and every memory module learns."""

from __future__ import annotations

import numpy as np
import torch

from nano import clips, model, sprites, video
from test_generator import disc


def bank(tmp_path):
    w = sprites.SpriteWriter(tmp_path / "a")
    w.add(disc((200, 40, 40)), "render", "test: red")
    w.add(disc((30, 60, 200), 90, 40), "person", "test: blue")
    w.close()
    return sprites.SpriteBank([tmp_path / "a"])


def test_a_clip_shows_its_object_first_and_moves_it(tmp_path):
    b = bank(tmp_path)
    moved = 0.0
    for seed in range(4):
        pictures, masks = clips.clip(np.random.default_rng(seed), b, None, 64, 4)
        assert pictures.shape == (4, 64, 64, 3) and masks.shape == (4, 64, 64)
        assert masks[0].mean() > 0.008
        again, _ = clips.clip(np.random.default_rng(seed), b, None, 64, 4)
        np.testing.assert_array_equal(pictures, again)
        moved += (masks[0] != masks[-1]).mean()
    assert moved > 0.02


def test_every_memory_module_learns():
    torch.manual_seed(0)
    net = model.build(64).train()
    frames = torch.randint(0, 255, (2, 3, 3, 64, 64), dtype=torch.uint8)
    masks = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)
    masks[:, :, 10:40, 5:30] = 1
    masks[1, 2] = 0  # gone on the last frame
    x = model.normalise(frames.flatten(0, 1)).view(2, 3, 3, 64, 64)
    hint = video.MemoryHint()
    for seed in range(6):  # boxes, clicks, masks and corrections all come up
        loss, values = video.video_step(net, x, masks, np.random.default_rng(seed), 1.0, hint)
        assert np.isfinite(loss) and 0 <= values["j"] <= 1
    for name in ("memory_attention", "memory_encoder", "obj_ptr_proj", "sam_mask_decoder.pred_obj_score_head"):
        grads = [p.grad for p in net.get_submodule(name).parameters()]
        assert any(g is not None and g.abs().max() > 0 for g in grads), name
    assert hint.read.weight.grad.abs().max() > 0
    assert net.maskmem_tpos_enc.grad.abs().max() > 0
    assert all(p.grad is None for p in net.image_encoder.parameters())


def test_a_twin_of_another_size_shares_every_weight():
    net = model.build(64)
    other = model.twin(net, 128)
    assert other.image_size == 128
    mine = dict(net.named_parameters())
    assert all(q is mine[name] for name, q in other.named_parameters())
    assert all(torch.equal(b, net.state_dict()[name]) for name, b in other.state_dict().items())
    with torch.no_grad():
        net.maskmem_tpos_enc.fill_(3.0)
    assert (other.maskmem_tpos_enc == 3).all()
