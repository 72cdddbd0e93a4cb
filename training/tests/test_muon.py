"""The optimiser of matrices: its steps have the size and the direction they should, and it resumes."""

from __future__ import annotations

import copy

import pytest
import torch

from nano.muon import Muon, Pair, is_matrix, orthogonal


@pytest.mark.parametrize("shape", [(32, 32), (16, 64), (96, 24)])
def test_orthogonal_moves_singular_values_to_one(shape):
    torch.manual_seed(0)
    g = torch.randn(shape) * 7
    values = torch.linalg.svdvals(orthogonal(g))
    assert values.min() > 0.5 and values.max() < 1.3
    # The directions stay: U V^T of the polar decomposition.
    u, _, v = torch.linalg.svd(g, full_matrices=False)
    assert torch.nn.functional.cosine_similarity(orthogonal(g).flatten(), (u @ v).flatten(), dim=0) > 0.95


def test_a_step_is_as_large_as_adamws():
    torch.manual_seed(0)
    q = torch.nn.Parameter(torch.randn(3 * 32, 32))  # queries, keys and values
    before = q.detach().clone()
    q.grad = torch.randn_like(q) * 1e-3
    Muon([{"params": [q]}], lr=0.01, weight_decay=0.0).step()
    size = (q.detach() - before).pow(2).mean().sqrt().item()
    assert size == pytest.approx(0.2 * 0.01, rel=0.2)


def test_what_is_a_matrix():
    w = torch.zeros(16, 16)
    assert is_matrix("mlp.layers.0.weight", w)
    assert not is_matrix("iou_token.weight", w) and not is_matrix("pos_embed_window", w)
    assert not is_matrix("mlp.layers.0.bias", w[0]) and not is_matrix("proj.weight", torch.zeros(16, 4, 3, 3))


def make():
    torch.manual_seed(1)
    m = torch.nn.Linear(16, 16)
    return m, Pair(torch.optim.AdamW([m.bias], lr=0.01), Muon([{"params": [m.weight]}], lr=0.01))


def test_pair_learns_and_resumes():
    x = torch.randn(64, 16)
    turned = torch.linalg.qr(torch.randn(16, 16))[0]

    def train(m, o, steps):
        for _ in range(steps):
            o.zero_grad()
            loss = (m(x) - x @ turned).pow(2).mean()
            loss.backward()
            o.step()
        return loss.item()

    m, o = make()
    first = train(m, o, 1)
    assert train(m, o, 200) < 0.1 * first
    again, p = make()
    again.load_state_dict(m.state_dict())
    p.load_state_dict(copy.deepcopy(o.state_dict()))  # as through a file
    assert train(again, p, 3) == pytest.approx(train(m, o, 3))
    assert len(p.state_dict()["param_groups"]) == len(p.param_groups) == 2
