"""Muon (Jordan et al. 2024) for the matrices, AdamW for everything else.

On dense queries from scratch it needed half the steps of AdamW alone, each a sixth slower on one core. torch.optim.Muon iterates in
bfloat16, which a CPU without it emulates at a quarter of the speed of float32; hence these few lines.
"""

from __future__ import annotations

import torch

STEPS, COEFFICIENTS = 5, (3.4445, -4.7750, 2.0315)


def orthogonal(g: torch.Tensor) -> torch.Tensor:
    """The matrix [m, n] with all singular values moved to about 1, by a quintic Newton-Schulz iteration."""
    a, b, c = COEFFICIENTS
    tall = g.shape[0] > g.shape[1]
    x = g.T if tall else g
    x = x / (x.norm() + 1e-7)
    for _ in range(STEPS):
        s = x @ x.T
        x = a * x + (b * s + c * s @ s) @ x
    return x.T if tall else x


def is_matrix(name: str, q: torch.Tensor) -> bool:
    """Whether Muon takes it: weights of linear layers, but no embedding and no token."""
    return q.ndim == 2 and min(q.shape) >= 8 and "embed" not in name and "token" not in name


class Muon(torch.optim.Optimizer):
    """Orthogonalised momentum, with the size of an AdamW step (root mean square 0.2), so that rates compare."""

    def __init__(self, groups: list[dict], lr: float, momentum: float = 0.95, weight_decay: float = 0.03):
        super().__init__(groups, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for q in group["params"]:
                if q.grad is None or group["lr"] == 0:
                    continue
                state = self.state[q]
                if not state:
                    state["momentum"] = torch.zeros_like(q)
                m = state["momentum"].lerp_(q.grad, 1 - group["momentum"])
                update = q.grad.lerp(m, group["momentum"])
                # Queries, keys and values in one matrix are three.
                parts = update.chunk(3) if q.shape[0] == 3 * q.shape[1] else [update]
                update = torch.cat([orthogonal(p) * 0.2 * max(p.shape) ** 0.5 for p in parts])
                q.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-group["lr"])


class Pair:
    """Two optimisers as one."""

    def __init__(self, adamw: torch.optim.Optimizer, muon: Muon):
        self.both = (adamw, muon)

    @property
    def param_groups(self) -> list[dict]:
        return [g for o in self.both for g in o.param_groups]

    def zero_grad(self, set_to_none: bool = True) -> None:
        for o in self.both:
            o.zero_grad(set_to_none=set_to_none)

    def step(self) -> None:
        for o in self.both:
            o.step()

    def state_dict(self) -> dict:
        # As one optimiser's, for the check of its groups.
        states = [o.state_dict() for o in self.both]
        return {"both": states, "param_groups": [g for s in states for g in s["param_groups"]]}

    def load_state_dict(self, state: dict) -> None:
        for o, s in zip(self.both, state["both"], strict=True):
            o.load_state_dict(s)
