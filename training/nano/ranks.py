"""Several processes with one thread each that train one model: every one draws scenes of its own, and gradients are averaged.

Most of a step is too small to share between threads: two such processes do nearly twice the pictures of one with two threads.
"""

from __future__ import annotations

import datetime
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import distributed, multiprocessing

# The others wait while the first measures and saves.
PATIENCE = datetime.timedelta(hours=1)


def rank() -> int:
    """This process's number, 0 for the one that writes; 0 where there is only one."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def count() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def run(work: Callable[[], None], ranks: int) -> None:
    """Calls `work` (it has to be picklable) in `ranks` processes at once and waits for all; with 1, here."""
    if ranks == 1:
        work()
        return
    with tempfile.TemporaryDirectory() as folder:
        multiprocessing.spawn(_one, (ranks, Path(folder) / "meet", work), ranks)


def _one(number: int, ranks: int, meet: Path, work: Callable[[], None]) -> None:
    # gloo otherwise looks up the machine's name, which need not resolve.
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    distributed.init_process_group("gloo", init_method=f"file://{meet}", rank=number, world_size=ranks, timeout=PATIENCE)
    try:
        work()
    finally:
        distributed.destroy_process_group()


def agreed(value: bool) -> bool:
    """The first process's answer, in all of them: their clocks differ."""
    if not distributed.is_initialized():
        return value
    said = torch.tensor([float(value)])
    distributed.broadcast(said, 0)
    return bool(said.item())


def wait() -> None:
    """Until all processes are here: what the first one writes is read by the others."""
    if distributed.is_initialized():
        distributed.barrier()


def share(model: torch.nn.Module) -> None:
    """The first process's weights, in all of them: what a process worked out from its own data would set them apart for good."""
    if distributed.is_initialized():
        for q in model.parameters():
            distributed.broadcast(q.data, 0)


def average_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Puts the mean over the processes into every gradient; parameters without one anywhere stay without."""
    if not distributed.is_initialized():
        return
    every = list(parameters)
    has = torch.tensor([float(q.grad is not None) for q in every])
    distributed.all_reduce(has, distributed.ReduceOp.MAX)
    some = [q for q, h in zip(every, has.tolist()) if h]
    flat = torch.cat([(torch.zeros_like(q) if q.grad is None else q.grad).flatten() for q in some])
    distributed.all_reduce(flat)
    flat /= count()
    for q, mean in zip(some, flat.split([q.numel() for q in some])):
        q.grad = mean.view_as(q)
