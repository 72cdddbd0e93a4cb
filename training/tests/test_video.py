"""Clips and the video step: what moves is what the masks say, and every memory module learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sam2.modeling.position_encoding import apply_rotary_enc, compute_axial_cis

from nano import clips, loader, memory, model, sprites, train, video
from test_generator import disc


def bank(tmp_path):
    tmp_path.mkdir(exist_ok=True)
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


def test_a_slow_clip_moves_less(tmp_path):
    b = bank(tmp_path)
    whole, slow = (
        np.mean([np.mean(np.diff(clips.clip(np.random.default_rng(s), b, None, 64, 4, span)[1].astype(int), axis=0) != 0) for s in range(6)])
        for span in (1.0, 0.1)
    )
    assert slow < 0.5 * whole


def test_stored_clips_are_made_once_and_give_what_the_encoder_gives(tmp_path):
    bank(tmp_path / "cache")
    np.savez(tmp_path / "cache" / "photos.npz", plain=np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8))
    net = model.build(64)
    stored = memory.StoredClips(tmp_path / "clips")
    stored.fill(net, tmp_path / "cache", seed=3, count=3, frames=2, slow=0.2)
    out, masks = stored.batch(net, np.array([2, 0]))
    clip = next(iter(loader.Clips(tmp_path / "cache", 64, 2, seed=3, start=2, slow=0.2)))
    assert torch.equal(masks[0], clip["masks"])
    fresh = video.encode(net.eval(), model.normalise(clip["image"]))
    for kept, new in zip(out["backbone_fpn"], fresh["backbone_fpn"]):
        torch.testing.assert_close(kept[:2], new, atol=2e-3, rtol=2e-3)
    for kept, new in zip(out["vision_pos_enc"], fresh["vision_pos_enc"]):
        torch.testing.assert_close(kept[:2], new)
    # Done is done: a model with other weights finds the clips as they are. Another shape is another set.
    before = (tmp_path / "clips" / "features2.npy").stat().st_mtime_ns
    stored.fill(model.build(64), tmp_path / "cache", seed=3, count=3, frames=2, slow=0.2)
    assert (tmp_path / "clips" / "features2.npy").stat().st_mtime_ns == before
    again = memory.StoredClips(tmp_path / "clips")
    again.fill(net, tmp_path / "cache", seed=3, count=2, frames=3, slow=0.2)
    assert again.batch(net, np.array([1]))[1].shape == (1, 3, 64, 64)


def test_memory_begins_by_looking_at_what_is_alike_and_near():
    """From the constructed start a place attends to the memory of the same content beside it."""
    torch.manual_seed(0)
    net = model.build(256).eval()
    mean, std = torch.randn(128), torch.rand(128) + 0.5
    features = torch.randn(8, 128, 16, 16) * std.view(1, -1, 1, 1) + mean.view(1, -1, 1, 1)
    now = features[:1]
    moved = now.roll(1, dims=3)  # what was at x is now at x + 1
    cis = compute_axial_cis(dim=128, end_x=16, end_y=16, theta=10000.0)

    def found() -> float:
        """The share of places whose first cross-attention is strongest where they came from."""
        with torch.no_grad():
            kept = net.memory_encoder(now, torch.zeros(1, 1, 256, 256), skip_mask_sigmoid=True)["vision_features"]
            cross = net.memory_attention.layers[0].cross_attn_image
            query = torch.nn.functional.layer_norm(moved.flatten(2).transpose(1, 2), (128,))
            key = kept.flatten(2).transpose(1, 2)
            q, k = apply_rotary_enc(cross.q_proj(query)[:, None], cross.k_proj(key)[:, None], freqs_cis=cis)
            strongest = (q[0, 0] @ k[0, 0].T).argmax(1).numpy()
        y, x = np.divmod(np.arange(256), 16)
        return float((strongest == y * 16 + (x - 1) % 16).mean())

    before = found()
    memory.begin(net, features)
    assert found() > 0.5 > 10 * before


def test_stored_clips_need_an_encoder_that_stands_still(tmp_path):
    trainer = train.Trainer(tmp_path, tmp_path, threads=1)
    p = {"name": "x", "kind": "scenes", "side": 64, "batch": 1, "steps": 5, "freeze": 4, "clips": {"side": 64, "batch": 1, "pool": 2}}
    with pytest.raises(ValueError, match="freeze >= steps"):
        trainer.clips_beside(p)
