"""The training loop: phases from a file, a checkpoint every few minutes, an average of the weights for evaluation.

Everything needed to go on lies in WORK/checkpoint.pt (written to a temporary name and renamed), so the run may be
killed at any moment. The phase file is read again at every checkpoint: a phase can be cut short or lengthened live.
"""

from __future__ import annotations

import csv
import json
import os
import time
import tomllib
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from . import evaluate, loader, ranks
from .clicks import click_grads
from .dense import DenseHead, TaughtHead, dense_loss
from .memory import MEMORY_MODULES, StoredClips, begin
from .model import build, normalise, twin
from .muon import Muon, Pair, is_matrix
from .video import MemoryHint, follow, video_step

PHASES = Path(__file__).resolve().parents[1] / "phases.toml"
SAVE_SECONDS = 150
EVAL_SECONDS = 1200
LOG_SECONDS = 20


class Trainer:
    """Holds model, average, optimiser and position in the curriculum."""

    def __init__(self, work: Path, cache: Path, phases: Path = PHASES, data: Path | None = None, threads: int = 2):
        self.work, self.cache, self.phase_file, self.data = work, cache, phases, data
        work.mkdir(parents=True, exist_ok=True)
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        self.phase, self.step, self.total, self.updates, self.seconds, self.best = 0, 0, 0, 0, 0.0, -1.0
        self.model = build(128)
        self.head = DenseHead()
        self.hint = MemoryHint()
        self.taught = TaughtHead()
        self.average: dict[str, torch.Tensor] = {}
        self.optimiser = None
        self.saved_optimiser = None
        path = work / "checkpoint.pt"
        if path.is_file():
            self.load(torch.load(path, map_location="cpu", weights_only=True))
            self.say(f"resumed: phase {self.phase}, step {self.step}, {self.seconds / 3600:.2f} h")

    def say(self, text: str) -> None:
        if ranks.rank() == 0:
            print(text, flush=True)

    def seed(self, base: int) -> int:
        """Every phase and every process draws its own."""
        return base + self.phase + 1000 * ranks.rank()

    def load(self, c: dict) -> None:
        self.model.load_state_dict(c["model"])
        self.head.load_state_dict(c["head"])
        self.hint.load_state_dict(c["hint"])
        if "taught" in c:
            self.taught.load_state_dict(c["taught"])
        self.average, self.saved_optimiser = c["average"], c["optimiser"]
        self.phase, self.step, self.total = c["phase"], c["step"], c["total"]
        self.updates, self.seconds, self.best = c["updates"], c["seconds"], c["best"]

    def start(self, weights: Path, phase: str | None) -> None:
        """Begins with the weights of a .safetensors file under official keys, at the phase of that name (default: the first)."""
        state = {k: v.float() for k, v in load_file(weights).items()}
        self.model.load_state_dict(state)
        self.average = {k: v.clone() for k, v in state.items()}
        # The average is one of many updates already: it does not begin anew at the first step.
        self.updates = 1000
        if phase is not None:
            names = [p["name"] for p in self.phases()]
            if phase not in names:
                raise ValueError(f"no phase called {phase} in {self.phase_file}; there are {', '.join(names)}")
            self.phase = names.index(phase)
        if self.phase > 0:
            self.keep(self.phases()[self.phase - 1]["name"])
        self.say(f"starts from {weights} at phase {self.phases()[self.phase]['name']}")

    def save(self) -> None:
        if ranks.rank() > 0:
            return
        state = {
            "model": self.model.state_dict(), "head": self.head.state_dict(), "hint": self.hint.state_dict(), "taught": self.taught.state_dict(), "average": self.average,
            "optimiser": self.optimiser.state_dict() if self.optimiser else None,
            "phase": self.phase, "step": self.step, "total": self.total, "updates": self.updates, "seconds": self.seconds, "best": self.best,
        }  # fmt: skip
        part = self.work / "checkpoint.pt.part"
        torch.save(state, part)
        os.replace(part, self.work / "checkpoint.pt")

    def keep(self, name: str) -> None:
        """Puts the average aside as what the phase `name` ended with."""
        if ranks.rank() == 0:
            torch.save(self.average, self.work / f"kept-{name}.pt")

    def mean_of(self, names: list[str], memory: bool = False) -> dict[str, torch.Tensor]:
        """The mean of what some phases ended with, but with the memory's modules as they are now; or, `memory`, of these modules only.

        Scenes are not photographs: between two trainings on them the mean of the weights does better on photographs than either.
        """
        kept = [torch.load(self.work / f"kept-{name}.pt", weights_only=True) for name in names]
        state = {k: v.clone() for k, v in self.average.items()}
        for k, v in state.items():
            if v.dtype.is_floating_point and k.startswith(MEMORY_MODULES) == memory:
                state[k] = torch.stack([one[k] for one in kept]).mean(0)
        return state

    def phases(self) -> list[dict]:
        return tomllib.loads(self.phase_file.read_text())["phase"]

    def resize(self, side: int) -> None:
        """The same weights in a model for another input size (positional grids differ, parameters do not)."""
        if self.model.image_size != side:
            state = self.model.state_dict()
            self.model = build(side)
            self.model.load_state_dict(state)

    def make_optimiser(self, p: dict) -> None:
        groups: dict[str, list] = {"encoder": [], "decoder": [], "rest": [*self.head.parameters(), *self.hint.parameters(), *self.taught.parameters()]}
        for name, q in self.model.named_parameters():
            # What forward_image runs is the encoder: stored features have been through conv_s0 and conv_s1.
            if name.startswith(("image_encoder.", "sam_mask_decoder.conv_s")):
                groups["encoder"].append(q)
            else:
                # no_mem_embed goes into every single picture's features: it is no part of the memory, for all its name.
                still = ("sam_mask_decoder.", "sam_prompt_encoder.", "no_mem_embed")
                groups["decoder" if name.startswith(still) else "rest"].append(q)
        matrices: dict[str, list] = {}
        if "muon" in p:
            names = {q: name for name, q in self.model.named_parameters()}
            for kind in ("encoder", "decoder"):
                matrices[kind] = [q for q in groups[kind] if is_matrix(names[q], q)]
                groups[kind] = [q for q in groups[kind] if not is_matrix(names[q], q)]
        self.optimiser = torch.optim.AdamW(
            [{"params": params, "kind": kind, "scale": 1.0} for kind, params in groups.items()],
            lr=p["lr"], betas=(0.9, 0.98), weight_decay=0.03,
        )  # fmt: skip
        if matrices:
            rates = [{"params": params, "kind": kind, "scale": p["muon"] / p["lr"]} for kind, params in matrices.items()]
            self.optimiser = Pair(self.optimiser, Muon(rates, p["muon"]))
        saved, self.saved_optimiser = self.saved_optimiser, None
        ours = self.optimiser.param_groups
        if saved is not None and [len(g["params"]) for g in saved["param_groups"]] == [len(g["params"]) for g in ours]:
            self.optimiser.load_state_dict(saved)

    def set_rates(self, p: dict) -> bool:
        """Sets this step's rates: warm-up, then cosine to `end` of the rate; returns whether the encoder learns."""
        at = self.step / p["steps"]
        rate = p["lr"] * min(1, (self.step + 1) / p.get("warmup", 100))
        end = p.get("end", 0.3)
        rate *= end + (1 - end) * 0.5 * (1 + np.cos(np.pi * min(at, 1)))
        learns = self.step >= p.get("freeze", 0)
        for g in self.optimiser.param_groups:
            g["lr"] = float(rate) * {"encoder": p.get("encoder", 1.0) * learns, "decoder": p.get("decoder", 1.0), "rest": 1.0}[g["kind"]] * g.get("scale", 1.0)
        return learns

    def update_average(self) -> None:
        # Counted in updates: early on, an average over 500 of them would still be mostly the random start.
        self.updates += 1
        decay = min(0.998, self.updates / (10 + self.updates))
        with torch.no_grad():
            for k, v in self.model.state_dict().items():
                if k in self.average and v.dtype.is_floating_point:
                    self.average[k].lerp_(v, 1 - decay)
                else:
                    self.average[k] = v.detach().clone()

    def log(self, name: str, row: dict) -> None:
        path = self.work / "log.csv"
        new = not path.exists()
        with open(path, "a", newline="") as f:
            w = csv.writer(f)
            if new:
                w.writerow(["hours", "phase", "step", "samples", "key", "value"])
            for k, v in row.items():
                w.writerow([f"{self.seconds / 3600:.4f}", name, self.step, self.total, k, f"{v:.4f}"])

    def evaluate(self, p: dict) -> None:
        """Scores the average on the selection half of the photographs; keeps it as best.pt when it is the best so far."""
        if ranks.rank() > 0 or self.data is None or not p.get("evaluate", p.get("rounds", 0) > 0 or p["kind"] == "video"):
            return
        side = p.get("eval_side", max(256, p["side"]))
        mean = evaluate.summary(evaluate.evaluate(self.average, self.data, side, half=0))["overall"]
        value = evaluate.score(mean)
        print(f"evaluation at {side}: {json.dumps(mean)}", flush=True)
        path = self.work / "eval.csv"
        new = not path.exists()
        with open(path, "a", newline="") as f:
            w = csv.writer(f)
            if new:
                w.writerow(["hours", "phase", "step", "side", *evaluate.METRICS, "oracle1"])
            row = [mean[m] for m in (*evaluate.METRICS, "oracle1")]
            w.writerow([f"{self.seconds / 3600:.4f}", p["name"], self.step, side, *row])
        # Tracking is worth a little of the still pictures: without the margin no video phase could ever be "best".
        if value > self.best - (0.02 if p["kind"] == "video" else 0.0):
            self.best = max(self.best, value)
            torch.save({"average": self.average, "score": value, "side": side}, self.work / "best.pt.part")
            os.replace(self.work / "best.pt.part", self.work / "best.pt")

    def run(self) -> None:
        """Trains until the last phase is done."""
        while self.phase < len(self.phases()):
            self.run_phase()
            if self.phases()[self.phase].get("keep"):
                self.keep(self.phases()[self.phase]["name"])
            self.phase, self.step = self.phase + 1, 0
            # The moments stay good: the parameters are the same, only pictures and rates change.
            self.saved_optimiser = self.optimiser.state_dict()
            self.save()

    def scene_step(self, p: dict, images, batch: dict, rng: np.random.Generator, learns: bool) -> dict:
        """Backward pass of one batch of scenes: dense queries (weight `dense`), prompts (up to `rounds`), or both.

        Prompts reach the encoder with the factor `into`: 0 lets the decoder learn beside an encoder that only the dense
        queries teach, both from one walk through the encoder, which costs most.
        """
        values, heads, grads = {"loss": 0.0}, [], []
        with torch.set_grad_enabled(learns):
            raw = list(self.model.image_encoder(images)["backbone_fpn"])
        if p.get("dense", 0) > 0:
            loss, values["iou"] = dense_loss(self.head, raw, batch["labels"], p.get("queries", 32))
            heads.append(loss * p["dense"])
            grads.append(None)
            values["loss"] += loss.item()
        if p.get("taught", 0) > 0 and "taught" in batch:
            loss = self.taught.loss(raw, batch["taught"])
            if loss is not None:
                values["taught"] = loss.item()
                heads.append(loss * p["taught"])
                grads.append(None)
        if p.get("rounds", 0) > 0:
            # As many in every process: they wait for each other.
            rounds = int(np.random.default_rng([9, self.phase, self.step]).integers(1, p["rounds"] + 1))
            loss, ious, back = click_grads(
                self.model, raw, batch["masks"], rng, rounds, None if p.get("outlines") else p.get("focal", 0.0), p.get("boxes", 0.4)
            )
            values |= {"clicks_loss": loss, **ious}
            if learns and p.get("into", 1.0) > 0:
                heads += raw
                grads += [g * p.get("into", 1.0) for g in back]
        # The throw-away heads also learn while the encoder stands still, which is what it waits for.
        if heads:
            torch.autograd.backward(heads, grads)
        return values

    def clips_beside(self, p: dict):
        """A step of small clips to take beside each step of scenes, where the phase has a table `clips`; else None.

        Decoder, prompts and memory learn both at once, so that neither is forgotten for the other.
        """
        c = p.get("clips")
        if c is None:
            return None
        model = twin(self.model, c["side"]).train()
        frames = c.get("frames", 4)
        if "pool" in c:
            return self.stored_clips(p, c, model, frames)
        data = loader.Clips(self.cache, c["side"], frames, seed=self.seed(101), start=self.step * c["batch"], wild=p.get("wild", 1.0))
        batches = loader.batches(data, c["batch"], 1)

        def step(rng: np.random.Generator) -> dict:
            batch = next(batches)
            images = normalise(batch["image"].flatten(0, -4)).view(batch["image"].shape)
            return video_step(model, images, batch["masks"], rng, p.get("focal", 0.0), self.hint)[1]

        return step

    def stored_clips(self, p: dict, c: dict, model, frames: int):
        """As `clips_beside`, on `pool` clips encoded once: the image encoder has to stand still through the phase."""
        if p.get("freeze", 0) < p["steps"]:
            raise ValueError(f"phase {p['name']}: stored clips need freeze >= steps, the image encoder would leave its features behind")
        count = c["pool"]
        # Every process keeps a share of its own.
        count //= ranks.count()
        stored = StoredClips(self.work / f"clips{ranks.rank() or ''}")
        stored.fill(model, self.cache, self.seed(101), count, frames, c.get("slow", 1.0), p.get("wild", 1.0))
        if c.get("begin") and self.step == 0:
            begin(model, stored.batch(model, np.arange(min(100, count)))[0]["backbone_fpn"][2])

        def step(rng: np.random.Generator) -> dict:
            out, masks = stored.batch(model, rng.integers(0, count, c["batch"]))
            return follow(model, out, masks, rng, p.get("focal", 0.0), self.hint)[1]

        return step

    def run_phase(self) -> None:
        # The first process may still be writing what the phase before ended with.
        ranks.wait()
        p = self.phases()[self.phase]
        self.resize(p["side"])
        if "mean" in p and self.step == 0:
            self.average = self.mean_of(p["mean"])
        if "mean_memory" in p and self.step == 0:
            self.average = self.mean_of(p["mean_memory"], memory=True)
        if p.get("from_average") and self.step == 0:
            self.model.load_state_dict(self.average)
            # The average starts anew: modules that `begin` sets are no mean of what they were and what they become.
            self.average, self.updates = {}, 0
        self.make_optimiser(p)
        self.model.train()
        start, seed = self.step * p["batch"], self.seed(1)
        if p["kind"] == "video":
            scenes = loader.Clips(self.cache, p["side"], p.get("frames", 8), seed=seed, start=start)
        else:
            scenes = loader.Scenes(
                self.cache, p["side"], p.get("prompts", 1), seed=seed, start=start,
                part_share=p.get("part_share", 0.15), wild=p.get("wild", 1.0), views=self.work / "views", view_share=p.get("views", 0.0),
            )  # fmt: skip
        batches = loader.batches(scenes, p["batch"], p.get("workers", 1))
        clips = self.clips_beside(p)
        ranks.share(self.model)
        sums: dict[str, list[float]] = {}
        logged = saved = tick = evaluated = time.monotonic()
        while self.step < p["steps"]:
            batch = next(batches)
            rng = np.random.default_rng([7, self.phase, self.step, ranks.rank()])
            learns = self.set_rates(p)
            self.optimiser.zero_grad(set_to_none=True)
            images = batch["image"]
            images = normalise(images.flatten(0, -4)).view(images.shape)
            if p["kind"] == "video":
                loss, values = video_step(self.model, images, batch["masks"], rng, p.get("focal", 0.0), self.hint)
                values["loss"] = loss
            else:
                values = self.scene_step(p, images, batch, rng, learns)
                if clips:
                    values |= clips(rng)
            ranks.average_gradients(q for g in self.optimiser.param_groups for q in g["params"])
            # Encoder and the rest apart: early decoder gradients must not drown the encoder's.
            norms = [torch.nn.utils.clip_grad_norm_(g["params"], 1.0) for g in self.optimiser.param_groups]
            if not all(torch.isfinite(n) for n in norms):
                self.say(f"step {self.step}: gradient not finite, skipped")
            else:
                self.optimiser.step()
                self.update_average()
            self.step += 1
            self.total += p["batch"] * ranks.count()
            for k, v in values.items():
                sums.setdefault(k, []).append(v)
            now = time.monotonic()
            self.seconds += now - tick
            tick = now
            if ranks.rank() == 0 and now - logged > LOG_SECONDS:
                row = {k: float(np.mean(v)) for k, v in sums.items()}
                row["per_second"] = ranks.count() * p["batch"] * len(sums["loss"]) / (now - logged)
                print(p["name"], self.step, json.dumps({k: round(v, 3) for k, v in row.items()}), flush=True)
                self.log(p["name"], row)
                sums, logged = {}, now
            if ranks.agreed(now - saved > SAVE_SECONDS):
                self.save()
                p = self.phases()[self.phase]
                if ranks.agreed(now - evaluated > EVAL_SECONDS):
                    self.evaluate(p)
                    evaluated = time.monotonic()
                saved = tick = time.monotonic()
        self.save()
        self.evaluate(p)


def train(work: Path, cache: Path, phases: Path, data: Path | None, threads: int, start: Path | None, phase: str | None) -> None:
    """Goes on from WORK's checkpoint, or begins: with the weights of `start`, at `phase`, where they are given."""
    trainer = Trainer(work, cache, phases, data, threads)
    if start is not None and trainer.total == 0:
        trainer.start(start, phase)
    trainer.run()
