"""The training side: the yaml builds, losses and steps do what they say, exports load strictly."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nano import clicks, dense, evaluate, export, losses, model


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return model.build(64)


def halves(b: int, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures 64 x 64 whose left part is red and right part blue, and the masks of both in turn."""
    images = torch.zeros(b, 3, 64, 64, dtype=torch.uint8)
    masks = torch.zeros(b, k, 64, 64, dtype=torch.uint8)
    for i in range(b):
        cut = 16 + 8 * i
        images[i, 0, :, :cut], images[i, 2, :, cut:] = 200, 200
        masks[i, ::2, :, :cut], masks[i, 1::2, :, cut:] = 1, 1
    return images, masks


def test_the_shipped_size():
    m = model.build()
    n = sum(p.numel() for p in m.parameters())
    assert m.image_size == 384 and 4e6 < n < 8e6


def test_losses_at_known_places():
    target = torch.zeros(1, 8, 12)
    target[:, :, :3] = 1
    good, bad = (target * 2 - 1) * 20, (1 - target * 2) * 20
    for f in (losses.dice, losses.focal, losses.bce):
        assert f(good, target).item() < 0.01 < f(bad, target).item()
    assert losses.iou(good, target).item() == 1 and losses.iou(bad, target).item() == 0
    assert losses.iou(torch.full((1, 4, 4), -1.0), torch.zeros(1, 4, 4)).item() == 1
    # dice with 24 of 96 cells: an empty prediction keeps only the smoothing, 1 - 1 / (24 + 1)
    assert losses.dice(torch.full((1, 8, 12), -50.0), target).item() == pytest.approx(0.96, abs=1e-4)


def test_single_click_teaches_the_best_of_three():
    target = torch.zeros(2, 16, 16)
    target[:, 4:12, 2:9] = 1
    masks = torch.full((2, 4, 16, 16), -3.0)
    masks[:, 2] = (target * 2 - 1) * 9
    masks.requires_grad_()
    ious = torch.tensor([[0.1, 0.2, 0.9, 0.3]]).repeat(2, 1)
    loss, prev, iou = clicks.round_loss(masks, ious, torch.zeros(2, 1), target, True, 0.0)
    loss.backward()
    assert iou == 1 and (prev == masks[:, 2]).all()
    assert masks.grad[:, 1].abs().max() == 0 and masks.grad[:, 3].abs().max() == 0
    assert masks.grad[:, 0].abs().max() > 0


def test_click_steps_learn_one_batch(net):
    images, masks = halves(3, 4)
    x = model.normalise(images)
    optimiser = torch.optim.AdamW(net.parameters(), 2e-3)
    seen = []
    for i in range(20):
        optimiser.zero_grad()
        raw = list(net.image_encoder(x)["backbone_fpn"])
        loss, ious, grads = clicks.click_grads(net, raw, masks, np.random.default_rng(i), 2, 0.0, 0.0)
        torch.autograd.backward(raw, grads)
        optimiser.step()
        seen.append(loss)
        assert set(ious) == {"click1", "click2"}
        assert all(g.abs().max() > 0 for g in grads)
    assert np.mean(seen[-5:]) < 0.75 * np.mean(seen[:5])


def test_prompts_alone_leave_the_encoder_untouched(net):
    images, masks = halves(2, 2)
    net.zero_grad(set_to_none=True)
    with torch.no_grad():
        raw = list(net.image_encoder(model.normalise(images))["backbone_fpn"])
    clicks.click_grads(net, raw, masks, np.random.default_rng(0), 1, 0.0, 1.0)
    assert all(p.grad is None for p in net.image_encoder.parameters())
    assert any(p.grad is not None for p in net.sam_mask_decoder.parameters())


def test_dense_queries_score_and_learns(net):
    images, masks = halves(3, 1)
    head = dense.DenseHead()
    labels = masks[:, 0] + 1
    optimiser = torch.optim.AdamW([*net.parameters(), *head.parameters()], 2e-3)
    scores = []
    for _ in range(20):
        optimiser.zero_grad()
        raw = list(net.image_encoder(model.normalise(images))["backbone_fpn"])
        loss, iou = dense.dense_loss(head, raw, labels, 8)
        loss.backward()
        optimiser.step()
        scores.append(iou)
    assert np.mean(scores[-5:]) > 0.6 and np.mean(scores[-5:]) > np.mean(scores[:3])


def test_export_is_strict_and_f16(tmp_path):
    state = model.build().state_dict()
    path = export.export(state, tmp_path)
    assert path.stat().st_size <= 16_000_000
    from safetensors.torch import load_file

    back = load_file(path)
    assert {v.dtype for v in back.values()} == {torch.float16}
    model.build().load_state_dict({k: v.float() for k, v in back.items()}, strict=True)
    assert torch.load(tmp_path / "sam2-nano.pt", weights_only=True).keys() == {"model"}
    state.pop("no_mem_embed")
    with pytest.raises(RuntimeError, match="no_mem_embed"):
        export.export(state, tmp_path)


def test_evaluation_of_a_perfect_and_a_blind_predictor():
    want = np.zeros((40, 60), bool)
    want[10:30, 5:25] = True

    class Fixed:
        def __init__(self, mask):
            self.mask = mask

        def predict(self, points=None, labels=None, box=None, mask_input=None, multimask_output=False):
            n = 3 if multimask_output else 1
            return np.repeat(self.mask[None], n, 0).astype(np.float32), np.linspace(0.2, 0.9, n), np.zeros((n, 16, 16), np.float32)

    good, blind = evaluate.measure(Fixed(want), want), evaluate.measure(Fixed(~want), want)
    assert all(good[m] == 1 for m in evaluate.METRICS) and all(blind[m] == 0 for m in evaluate.METRICS)


def test_the_official_predictor_runs_at_another_size():
    """Its feature grids are written in for 1024 x 1024; a wrong one fails in set_image."""
    state = model.build(64).state_dict()
    p = evaluate.predictor(state, 128)
    with torch.inference_mode():
        p.set_image(np.zeros((40, 60, 3), np.uint8))
    want = np.zeros((40, 60), bool)
    want[10:30, 5:25] = True
    row = evaluate.measure(p, want)
    assert all(0 <= row[m] <= 1 for m in (*evaluate.METRICS, "predicted1", "predicted_box"))


def test_halves_keep_a_sequence_together():
    items = [{"image": f"davis_img/{n}.jpg"} for n in ("car-turn_00010", "car-turn_00020", "dog_00001")]
    assert evaluate.scene_of(items[0]) == evaluate.scene_of(items[1]) != evaluate.scene_of(items[2])


def test_training_starts_from_shipped_weights_at_a_phase(tmp_path):
    from safetensors.torch import save_file

    from nano.train import Trainer

    phases = tmp_path / "phases.toml"
    phases.write_text('[[phase]]\nname = "one"\nside = 64\n[[phase]]\nname = "two"\nside = 128\n')
    torch.manual_seed(5)
    shipped = {k: v.half() if v.dtype.is_floating_point else v for k, v in model.build(64).state_dict().items()}
    save_file({k: v.contiguous() for k, v in shipped.items()}, tmp_path / "shipped.safetensors")
    trainer = Trainer(tmp_path, tmp_path, phases, threads=1)
    trainer.start(tmp_path / "shipped.safetensors", "two")
    assert trainer.phase == 1
    for state in (trainer.model.state_dict(), trainer.average):
        assert all(torch.equal(state[k], v.float()) for k, v in shipped.items())
    with pytest.raises(ValueError, match="no phase called three in .*; there are one, two"):
        trainer.start(tmp_path / "shipped.safetensors", "three")


def test_the_mean_of_two_phases_leaves_the_memory_alone(tmp_path):
    from nano.train import Trainer

    trainer = Trainer(tmp_path, tmp_path, threads=1)
    state = model.build(64).state_dict()
    for name, value in (("one", 1.0), ("two", 3.0)):
        trainer.average = {k: torch.full_like(v, value) for k, v in state.items()}
        trainer.keep(name)
    trainer.average = {k: torch.full_like(v, 7.0) for k, v in state.items()}
    mean = trainer.mean_of(["one", "two"])
    for key, value in (
        ("image_encoder.trunk.pos_embed", 2), ("sam_mask_decoder.iou_token.weight", 2), ("no_mem_embed", 2),
        ("memory_encoder.out_proj.weight", 7), ("maskmem_tpos_enc", 7), ("obj_ptr_proj.layers.0.weight", 7), ("no_obj_ptr", 7),
    ):  # fmt: skip
        assert (mean[key] == value).all(), key
    memory = trainer.mean_of(["one", "two"], memory=True)
    assert (memory["maskmem_tpos_enc"] == 2).all() and (memory["no_mem_embed"] == 7).all()


def test_a_decoder_that_stands_still_keeps_what_single_pictures_take(tmp_path):
    from nano.train import Trainer

    trainer = Trainer(tmp_path, tmp_path, threads=1)
    trainer.make_optimiser({"lr": 1e-3})
    kinds = {id(q): g["kind"] for g in trainer.optimiser.param_groups for q in g["params"]}
    assert kinds[id(trainer.model.no_mem_embed)] == "decoder"
    assert kinds[id(trainer.model.maskmem_tpos_enc)] == "rest"
    assert kinds[id(trainer.model.image_encoder.trunk.pos_embed)] == "encoder"
