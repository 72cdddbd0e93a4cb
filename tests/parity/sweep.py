#!/usr/bin/env python3
"""The full-size parity sweep: the `sam2` binary against the official code, every configuration and seed.

    cargo xtask parity                       # makes the environment and calls this
    python tests/parity/sweep.py --sam2 target/release/sam2 --work DIR [--configs t,2.0l] [--seeds 1,2,3] [--device cpu]
                                 [--kinds image,video] [--cases wide,drift] [--references-only] [--keep] [--fresh] [--table FILE]

For each configuration and seed: a checkpoint of seeded weights in the official layout (.pt for odd seeds,
.safetensors for even ones), what the official code answers, what `sam2 segment` or `sam2 track` answers, and the
worst figures in a Markdown table. Exit status 1 when a case is beyond its bounds (those of compare.py).

Everything but the figures lands in --work: some 4 GB for all of it, and 2 GB more for the checkpoint of the moment (--keep
keeps them all). A run that was stopped goes on where it was: references are kept, and a case is skipped while its
figures come from the same binary (by SHA-256), unless --fresh. The figures themselves are in results.json beside the
table, so that what one machine held another adds to; the table shows everything known, with its day.
Time on 2 cores: micro in seconds; tiny some 10 minutes a seed, large 30, nearly all of it video.
"""
import argparse, contextlib, gc, hashlib, json, pathlib, platform, shutil, subprocess, sys, time
from dataclasses import dataclass

import numpy as np
from PIL import Image

import compare
import pictures

HERE = pathlib.Path(__file__).resolve().parent
MICRO = HERE.parent / "fixtures" / "micro" / "micro.yaml"
NANO = HERE.parents[1] / "models" / "nano" / "sam2-nano.yaml"
TRAINED = HERE.parents[1] / "models" / "sam2-nano.safetensors"  # the one set of trained weights; it stands under seed 0
CONFIGS = ("micro", "nano", "t", "s", "b+", "l", "2.0t", "2.0s", "2.0b+", "2.0l")
INPUTS = 1  # raise it when pictures, prompts or seeded weights change: older references are then left alone
SEEDS, OTHER_SEEDS = (1, 11, 12, 13), {"micro": (1, 2, 3, 4, 41), "nano": (0,)}  # micro's 4 varies most between frames and objects
ATTENTION = {11: 0.25, 12: 0.25, 13: 0.25}  # soft attention: full size without the rounding of seed 1 (reference.py says why)
PRESENCE = {41: -0.5}  # bias of the object score where it is not 2: objects vanish and return
VIDEO_SIZE = (427, 241)
VIDEO_CASES = ("both-ways", "forward", "drift")
KINDS = (compare.EMBEDDING, compare.LOGITS, compare.IOU, compare.MASK)


@dataclass(frozen=True)
class Case:
    """One call of the binary: `name` is unique for a configuration and seed."""

    name: str
    prompts: list
    picture: tuple = ()  # (width, height) of an image case
    frames: int = 0
    both_ways: bool = False

    @property
    def video(self):
        return self.frames > 0

    @property
    def bounds(self):
        return compare.VIDEO_BOUNDS if self.video else compare.IMAGE_BOUNDS


def cases(config, seed, kinds):
    """What is held for a configuration and seed, cheapest first."""
    out = []
    if "image" in kinds:
        for name, size in pictures.FULL_SIZES.items():
            out.append(Case(name, pictures.prompts(*size), picture=size))
    if "video" in kinds:
        out.append(Case("both-ways", pictures.tracks(*VIDEO_SIZE, first=4), frames=10, both_ways=True))
        if seed == 11 or config in OTHER_SEEDS:
            out.append(Case("forward", pictures.tracks(*VIDEO_SIZE), frames=10))
        if config in OTHER_SEEDS or (config == "t" and seed == 11):  # one object: drift, not objects, is the question
            out.append(Case("drift", pictures.tracks(*VIDEO_SIZE)[:1], frames=50))
    return out


class Sweep:
    def __init__(self, args):
        self.a, self.work = args, args.work
        self.work.mkdir(parents=True, exist_ok=True)
        self.results_file = args.table.with_name("results.json")
        self.results = json.loads(self.results_file.read_text()) if self.results_file.exists() else {}
        self.binary = None
        if args.sam2:
            self.binary = hashlib.sha256(args.sam2.read_bytes()).hexdigest()

    def say(self, text):
        print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)

    # Inputs -------------------------------------------------------------------------------------

    def input_of(self, case):
        """The picture, or the folder of frames, drawn when it is not there yet."""
        folder = self.work / f"inputs{INPUTS}"
        if not case.video:
            path = folder / f"{case.name}.png"
            if not path.exists():
                folder.mkdir(exist_ok=True)
                save_png(path, pictures.picture(*case.picture, seed=case.picture[0]))
            return path
        path = folder / f"frames{case.frames}"
        path.mkdir(parents=True, exist_ok=True)
        for t in range(case.frames):
            frame = path / f"{t:05d}.png"
            if not frame.exists():
                save_png(frame, pictures.frame(*VIDEO_SIZE, t, case.frames))
        return path

    def reference_of(self, config, seed, case):
        return self.work / f"references{INPUTS}" / f"{config}_seed{seed}_{case.name}.npz"

    def checkpoint_of(self, config, seed):
        if config == "nano":
            return TRAINED
        return self.work / "checkpoints" / f"{config}_seed{seed}{'.pt' if seed % 2 else '.safetensors'}"

    def floor_of(self, config, seed, case):
        return self.reference_of(config, seed, case).with_suffix(".floor.json")

    def has_floor(self, config, case):
        return not case.video or config in OTHER_SEEDS  # a second video pass of a full model takes too long

    def make_references(self, config, seed, wanted):
        """Runs the official code for each case in `wanted`, and writes the checkpoint when it is not there."""
        import reference

        checkpoint = self.checkpoint_of(config, seed)
        need_checkpoint = self.binary and not checkpoint.exists()
        missing = [c for c in wanted if not self.reference_of(config, seed, c).exists()
                   or (self.has_floor(config, c) and not self.floor_of(config, seed, c).exists())]
        name = {"micro": str(MICRO), "nano": str(NANO)}.get(config, config)
        weights = TRAINED if config == "nano" else None
        for video in (False, True):
            todo = [c for c in missing if c.video == video]
            if not todo and not (need_checkpoint and not video):
                continue
            model = reference.build(name, seed, video=video, weights=weights, presence=PRESENCE.get(seed, 2.0), attention=ATTENTION.get(seed, 1.0))
            if need_checkpoint and not video:
                checkpoint.parent.mkdir(exist_ok=True)
                partial = checkpoint.with_name("partial-" + checkpoint.name)
                reference.save_checkpoint(model, partial)
                partial.rename(checkpoint)
            for case in todo:
                start = time.time()
                source = self.input_of(case)

                def answer():
                    if video:
                        return reference.video_reference(model, source, case.prompts, case.both_ways)
                    return reference.image_reference(model, source, case.prompts)

                out = answer()
                if self.has_floor(config, case):
                    with other_kernels():
                        floor, _ = compare.compare(out, answer(), case.bounds)
                    self.floor_of(config, seed, case).parent.mkdir(exist_ok=True)
                    self.floor_of(config, seed, case).write_text(json.dumps(floor))
                path = self.reference_of(config, seed, case)
                path.parent.mkdir(exist_ok=True)
                partial = path.with_name("partial-" + path.name)
                np.savez_compressed(partial, **out)
                partial.rename(path)
                self.say(f"{config} seed {seed} {case.name}: official code, {time.time() - start:.0f} s")
            del model
            gc.collect()

    # The project --------------------------------------------------------------------------------

    def run_binary(self, config, seed, case):
        """Calls the binary; returns (arrays or None, what went wrong, seconds)."""
        folder = self.work / "ours"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        prompts, npz = folder / "prompts.json", folder / "out.npz"
        prompts.write_text(json.dumps(case.prompts))
        command = [str(self.a.sam2.resolve()), "track" if case.video else "segment", str(self.input_of(case)),
                   "--model", str(self.checkpoint_of(config, seed)), "--prompts", str(prompts), "--npz", str(npz),
                   "--out", str(folder / "masks"), "--device", self.a.device]
        if config == "micro":
            command += ["--config", str(MICRO)]
        if case.both_ways:
            command += ["--both-ways"]
        start = time.time()
        done = subprocess.run(command, capture_output=True, text=True)
        seconds = time.time() - start
        if done.returncode != 0:
            return None, f"exit status {done.returncode}: {done.stderr.strip()[-300:]}", seconds
        if not npz.exists():
            return None, "no .npz was written", seconds
        return compare.load(npz), None, seconds

    def hold(self, config, seed, case):
        got, problem, seconds = self.run_binary(config, seed, case)
        entry = {"config": config, "seed": seed, "case": case.name, "device": self.a.device, "binary": self.binary, "day": time.strftime("%Y-%m-%d", time.gmtime()),
                 "seconds": round(seconds, 1), "worst": {}, "bad": [problem] if problem else []}
        if got is not None:
            ref = compare.load(self.reference_of(config, seed, case))
            entry["worst"], entry["bad"] = compare.compare(ref, got, case.bounds)
            floor = self.floor_of(config, seed, case)
            entry["floor"] = json.loads(floor.read_text()) if floor.exists() else {}
            if case.video:
                entry["edge"] = at_the_edge(ref, got)
            if case.name == "drift":
                entry["frames"] = by_frame(ref, got)
        self.results[key_of(config, seed, case.name, self.a.device)] = entry
        partial = self.results_file.with_suffix(".partial")
        partial.write_text(json.dumps(self.results, indent=1))
        partial.rename(self.results_file)
        figures = ", ".join(f"{k} {entry['worst'][k]:.3g}" for k in KINDS if k in entry["worst"])
        self.say(f"{config} seed {seed} {case.name}: {'FAILED: ' + '; '.join(entry['bad'][:3]) if entry['bad'] else 'ok'} ({figures}; {seconds:.0f} s)")

    def is_done(self, config, seed, case):
        entry = self.results.get(key_of(config, seed, case.name, self.a.device))
        return not self.a.fresh and entry is not None and entry["binary"] == self.binary

    def run(self):
        failed = 0
        for config in self.a.configs:
            for seed in self.a.seeds or OTHER_SEEDS.get(config, SEEDS):
                wanted = [c for c in cases(config, seed, self.a.kinds) if not self.a.cases or c.name in self.a.cases]
                todo = [c for c in wanted if not self.is_done(config, seed, c)] if self.binary else wanted
                if todo:
                    self.make_references(config, seed, todo)
                if self.binary:
                    for case in todo:
                        self.hold(config, seed, case)
                        write_table(self.results, self.a)
                    failed += sum(bool(self.results[key_of(config, seed, c.name, self.a.device)]["bad"]) for c in wanted)
                    if not self.a.keep and config != "nano":
                        self.checkpoint_of(config, seed).unlink(missing_ok=True)
        if self.binary:
            write_table(self.results, self.a)
            self.say(f"{failed} cases beyond their bounds; table in {self.a.table}")
        return 1 if failed else 0


@contextlib.contextmanager
def other_kernels():
    """PyTorch with one thread and without oneDNN: the same code and weights, sums in another order."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.backends.mkldnn.flags(enabled=False):
            yield
    finally:
        torch.set_num_threads(threads)


def key_of(config, seed, case, device):
    return f"{config}|{seed}|{case}|{device}"


def save_png(path, array):
    partial = path.with_suffix(".partial")
    Image.fromarray(array).save(partial, format="PNG", optimize=True)
    partial.rename(path)


def at_the_edge(ref, got):
    """Pixels that the hole filler took on one side only, their logit being 0 but for rounding; and the worst logits figure without them."""
    filled = np.float32(0.1)  # what the official code writes into a hole
    count, worst = 0, 0.0
    for key, r in ref.items():
        if key.startswith("logits_") and key in got and got[key].shape == r.shape:
            g = got[key]
            edge = ((r == filled) & (np.abs(g) < 1e-4)) | ((g == filled) & (np.abs(r) < 1e-4))
            count += int(edge.sum())
            worst = max(worst, compare.figure_of(compare.LOGITS, r, np.where(edge, r, g)))
    return count, worst


def by_frame(ref, got):
    """Worst figure of the logits for each frame, in order."""
    figures = {}
    for key, r in ref.items():
        if key.startswith("logits_") and key in got and got[key].shape == r.shape:
            frame = int(key.split("_")[1])
            figures[frame] = max(figures.get(frame, 0.0), compare.figure_of(compare.LOGITS, r, got[key]))
    return [figures[f] for f in sorted(figures)]


def write_table(results, args):
    """The Markdown table of everything in `results`."""
    order = {c: i for i, c in enumerate(CONFIGS)}
    rows = sorted(results.values(), key=lambda e: (order.get(e["config"], 99), e["seed"], e["device"]))
    shown = lambda worst, k: "" if k not in worst else (f"{worst[k]:.5f}" if k == compare.MASK else f"{worst[k]:.1e}")
    figure = lambda e, k: shown(e["worst"], k)
    floor = lambda e, k: shown(e.get("floor", {}), k)
    image, video = compare.IMAGE_BOUNDS, compare.VIDEO_BOUNDS
    lines = [
        "# Parity with the official code",
        "",
        "Written by `cargo xtask parity` (tests/parity/sweep.py). Seeded weights of every configuration and the trained sam2-nano, the official PyTorch code",
        "(sam2 1.1.0) on one side, the `sam2` binary on the other, the worst figure over all prompts, frames and objects of a case.",
        "",
        f"Bounds: embedding relative L2 {image[compare.EMBEDDING]:g}, logits {image[compare.LOGITS]:g} of the largest (video {video[compare.LOGITS]:g}),"
        f" IoU score {image[compare.IOU]:g}, mask IoU {image[compare.MASK]:g}.",
        "Image cases (eight prompts each): " + ", ".join(f"{n} {w} x {h}" for n, (w, h) in pictures.FULL_SIZES.items()) + ".",
        f"Video cases: a clip of {VIDEO_SIZE[0]} x {VIDEO_SIZE[1]}; `both-ways` and `forward` 10 frames and 3 objects, `drift` 50 frames and one object.",
        "",
        f"{platform.machine()}, {version(args.sam2)}; each figure is of its own day, some of a machine that was busy with other work.",
        "",
        "*Official again*: the official code held against itself, run once more with one thread and without oneDNN: the same code",
        "and weights, sums taken in another order. What it differs from itself by, nobody else can be held to.",
        "Seeds from 11 on have queries and keys of decoder and memory attention at a quarter: full-size softmaxes are then soft,",
        "and rounding stays rounding. At seed 1 they are nearly hard, and the official code is not within the bounds of itself.",
        "",
        "| configuration | seed | case | device | " + " | ".join(KINDS) + " | official again: logits | official again: mask IoU | seconds | day | within bounds |",
        "|---|---|---|---|" + "---|" * (len(KINDS) + 5),
    ]
    for e in rows:
        verdict = "yes" if not e["bad"] else "NO: " + "; ".join(e["bad"][:2]).replace("|", "/").replace("\n", " ")
        if e["bad"] and e.get("floor") and not within(e["floor"], video if e["case"] in VIDEO_CASES else image):
            verdict += "; nor is the official code held against itself"
        count, rest = e.get("edge", (0, 0))
        if e["bad"] and count:
            verdict += f"; {count} pixel(s) whose logit is 0 but for rounding, a hole on one side only: {rest:.1e} without"
        lines.append(f"| {e['config']} | {e['seed'] or 'trained'} | {e['case']} | {e['device']} | " + " | ".join(figure(e, k) for k in KINDS)
                     + f" | {floor(e, compare.LOGITS)} | {floor(e, compare.MASK)} | {e['seconds']:.0f} | {e.get('day', '')} | {verdict} |")
    drift = [e for e in rows if e.get("frames")]
    if drift:
        frames = (0, 1, 4, 9, 19, 29, 39, 49)
        lines += ["", "Drift: worst logits figure at a frame, as a share of the largest logit there.", "",
                  "| configuration | seed | device | " + " | ".join(f"frame {f}" for f in frames) + " |", "|---|---|---|" + "---|" * len(frames)]
        for e in drift:
            lines.append(f"| {e['config']} | {e['seed'] or 'trained'} | {e['device']} | " + " | ".join(f"{e['frames'][f]:.1e}" if f < len(e["frames"]) else "" for f in frames) + " |")
    args.table.write_text("\n".join(lines) + "\n")


def within(worst, bounds):
    """Whether worst figures, by kind, are inside their bounds."""
    return all(v >= bounds[k] if k == compare.MASK else v <= bounds[k] for k, v in worst.items())


def version(binary):
    done = subprocess.run([str(binary.resolve()), "--version"], capture_output=True, text=True)
    return done.stdout.strip() or "sam2"


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--sam2", type=pathlib.Path, help="the release binary")
    ap.add_argument("--work", type=pathlib.Path, required=True, help="folder for checkpoints, references and results")
    ap.add_argument("--configs", type=lambda s: s.split(","), default=list(CONFIGS))
    ap.add_argument("--seeds", type=lambda s: [int(x) for x in s.split(",")], help="default: 1,11,12,13; micro 1,2,3,4,41; nano 0, its trained weights")
    ap.add_argument("--kinds", type=lambda s: s.split(","), default=["image", "video"])
    ap.add_argument("--cases", type=lambda s: s.split(","), help="only these, by name: wide, both-ways, ... (default: all)")
    ap.add_argument("--device", default="cpu")
    ap.add_argument("--threads", type=int, default=0, help="threads of the official code (default: all)")
    ap.add_argument("--references-only", action="store_true", help="only what the official code answers; needs no binary")
    ap.add_argument("--keep", action="store_true", help="keep every checkpoint")
    ap.add_argument("--fresh", action="store_true", help="run the binary again for cases that are done")
    ap.add_argument("--table", type=pathlib.Path, default=HERE / "RESULTS.md")
    a = ap.parse_args()
    unknown = [c for c in a.configs if c not in CONFIGS] + [k for k in a.kinds if k not in ("image", "video")]
    if unknown:
        ap.error(f"unknown: {', '.join(unknown)}; configurations are {', '.join(CONFIGS)}, kinds image and video")
    if a.references_only:
        a.sam2 = None
    elif not a.sam2 or not a.sam2.is_file():
        ap.error("--sam2 must name the built binary (cargo build --release -p sam2-cli), or pass --references-only")
    if a.threads:
        import torch

        torch.set_num_threads(a.threads)
    sys.exit(Sweep(a).run())


if __name__ == "__main__":
    main()
