"""Curves from log.csv and eval.csv, and predicted against true IoU of an evaluation."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402


def curves(work: Path, out: Path) -> None:
    """Training IoU by key and validation metrics over hours of training, one picture."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(12, 4))
    keep = ("iou", "click1", "click2", "click3", "box", "j")
    series: dict[str, list[tuple[float, float]]] = defaultdict(list)
    starts: dict[str, float] = {}
    with open(work / "log.csv") as f:
        for r in csv.DictReader(f):
            starts.setdefault(r["phase"], float(r["hours"]))
            if r["key"] in keep:
                series[r["key"]].append((float(r["hours"]), float(r["value"])))
    for key in keep:
        if series[key]:
            h, v = zip(*series[key])
            n = max(1, len(v) // 60)
            smooth = [sum(v[max(0, i - n) : i + 1]) / len(v[max(0, i - n) : i + 1]) for i in range(len(v))]
            left.plot(h, smooth, label=key)
    left.set(title="training (generated scenes)", xlabel="hours", ylabel="IoU", ylim=(0, 1))
    for name, h in starts.items():
        left.axvline(h, color="#bbb", lw=0.8)
        left.text(h, 0.97, name, rotation=90, va="top", fontsize=7)
    left.legend(fontsize=8)
    if (work / "eval.csv").is_file():
        with open(work / "eval.csv") as f:
            rows = list(csv.DictReader(f))
        for key in ("click1", "click3", "click5", "box"):
            right.plot([float(r["hours"]) for r in rows], [float(r[key]) for r in rows], "o-", ms=3, label=key)
        right.legend(fontsize=8)
    right.set(title="photographs, selection half", xlabel="hours", ylim=(0, 1))
    fig.tight_layout()
    fig.savefig(out, dpi=80)


def calibration(report: Path, out: Path) -> None:
    """Predicted against true IoU of every prompt in an evaluation report."""
    rows = json.loads(report.read_text())["rows"]
    fig, ax = plt.subplots(figsize=(4.5, 4.5))
    for p, t in (("predicted1", "click1"), ("predicted3", "click3"), ("predicted5", "click5"), ("predicted_box", "box")):
        ax.plot([r[p] for r in rows], [r[t] for r in rows], ".", ms=5, label=t)
    ax.plot([0, 1], [0, 1], color="#bbb", lw=0.8)
    ax.set(xlabel="predicted IoU", ylabel="true IoU", xlim=(0, 1), ylim=(0, 1))
    ax.legend(fontsize=8)
    fig.tight_layout()
    fig.savefig(out, dpi=80)
