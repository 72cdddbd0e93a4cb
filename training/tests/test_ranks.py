"""Several processes that train together: gradients, agreement, and the same weights in all of them."""

from functools import partial

import numpy as np
import torch

from nano import ranks


def step(folder) -> None:
    """One step of a small network on data that differ between the processes."""
    torch.manual_seed(0)
    used, unused = torch.nn.Linear(3, 2), torch.nn.Linear(2, 2)
    x = torch.full((1, 3), float(ranks.rank() + 1))
    used(x).sum().backward()
    parameters = [*used.parameters(), *unused.parameters()]
    ranks.average_gradients(parameters)
    np.savez(
        folder / f"{ranks.rank()}.npz",
        weight=used.weight.grad.numpy(),
        none=all(q.grad is None for q in unused.parameters()),
        said=ranks.agreed(ranks.rank() == 0),
        count=ranks.count(),
    )


def test_gradients_are_the_mean_over_the_processes(tmp_path):
    ranks.run(partial(step, tmp_path), 2)
    for number in range(2):
        got = np.load(tmp_path / f"{number}.npz")
        # Inputs 1 and 2 give gradients 1 and 2.
        np.testing.assert_allclose(got["weight"], 1.5)
        assert got["none"] and got["said"] and got["count"] == 2


def test_a_gradient_that_only_one_process_has_counts_as_nothing_in_the_other(tmp_path):
    ranks.run(partial(half, tmp_path), 2)
    for number in range(2):
        np.testing.assert_allclose(np.load(tmp_path / f"{number}.npy"), 2.0)


def half(folder) -> None:
    q = torch.nn.Parameter(torch.zeros(3))
    if ranks.rank() == 0:
        q.grad = torch.full((3,), 4.0)
    ranks.average_gradients([q])
    np.save(folder / f"{ranks.rank()}.npy", q.grad.numpy())


def test_alone_nothing_changes(tmp_path):
    ranks.run(partial(step, tmp_path), 1)
    got = np.load(tmp_path / "0.npz")
    np.testing.assert_allclose(got["weight"], 1.0)
    assert got["said"] and got["count"] == 1 and ranks.rank() == 0


def apart(folder) -> None:
    """What the first process writes before `wait` is there for the others; weights that differ are the first one's after `share`."""
    if ranks.rank() == 0:
        np.save(folder / "written.npy", np.ones(1))
    ranks.wait()
    there = (folder / "written.npy").is_file()
    model = torch.nn.Linear(2, 2)
    torch.nn.init.constant_(model.weight, float(ranks.rank() + 5))
    ranks.share(model)
    np.savez(folder / f"{ranks.rank()}.npz", weight=model.weight.detach().numpy(), there=there)


def test_processes_wait_for_the_first_and_take_its_weights(tmp_path):
    ranks.run(partial(apart, tmp_path), 2)
    for number in range(2):
        got = np.load(tmp_path / f"{number}.npz")
        np.testing.assert_allclose(got["weight"], 5.0)
        assert got["there"]
