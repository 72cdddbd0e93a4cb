"""`python -m nano COMMAND`: see training/README.md."""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(prog="nano", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, text: str) -> argparse.ArgumentParser:
        c = commands.add_parser(name, help=text)
        c.add_argument("--work", type=Path, required=True, help="folder for downloads, caches, checkpoint, log and exports")
        c.add_argument("--cache", type=Path, help="folder of the sprite caches (default WORK/cache)")
        return c

    for name, text in (("run", "everything: data, training, export"), ("data", "packages and sprite caches"), ("train", "the curriculum")):
        c = command(name, text)
        c.add_argument("--phases", type=Path, help="curriculum (default training/phases.toml)")
        c.add_argument("--data", type=Path, help="labelled photographs to evaluate on while training (manifest.json)")
        c.add_argument("--threads", type=int, default=2, help="for data, and for training where --ranks is 1")
        c.add_argument("--ranks", type=int, default=2, help="processes that train together, one thread each; 1 = one with --threads")
        c.add_argument("--start", type=Path, help="weights to begin with where WORK has no checkpoint (.safetensors, official keys)")
        c.add_argument("--phase", help="name of the phase to begin with, with --start")
    c = command("views", "photographs with a teacher's masks, for phases-views.toml")
    c.add_argument("--photographs", type=int, default=600, help="how many views of them")
    c.add_argument("--scenes", type=int, default=300, help="how many generated scenes beside them")
    c.add_argument("--threads", type=int, default=2)
    c = command("teacher", "how well the teacher of `views` does on boxes of labelled photographs")
    c.add_argument("--data", type=Path, required=True)
    c.add_argument("--side", type=int, default=192, help="its input size")
    c = command("export", "official .pt and f16 .safetensors")
    c.add_argument("--checkpoint", type=Path, help="default WORK/best.pt, else WORK/checkpoint.pt")
    c = command("eval", "the protocol of the model card, through the official predictor")
    c.add_argument("--checkpoint", type=Path)
    c.add_argument("--data", type=Path, required=True)
    c.add_argument("--side", type=int, help="input size (default: the yaml's)")
    c.add_argument("--video", action="store_true", help="also the clips")
    command("plot", "WORK/curves.png and WORK/calibration.png")
    c = command("gallery", "WORK/gallery.jpg: masks on the page's sample pictures")
    c.add_argument("--checkpoint", type=Path)
    c.add_argument("--pictures", type=Path, default=Path(__file__).resolve().parents[2] / "web" / "app" / "samples")
    c.add_argument("--snap-with", type=Path, metavar="SAM2", help="the `sam2` binary: its embedded model's masks, snapped to edges")
    args = parser.parse_args()
    cache = args.cache or args.work / "cache"

    if args.command in ("run", "data"):
        from . import data

        data.fetch(args.work / "raw")
        data.build(args.work / "raw", cache, args.threads)
    if args.command == "views":
        from . import data

        data.views(args.work / "raw", cache, args.work, args.photographs, args.scenes, args.threads)
    if args.command == "teacher":
        from . import data, teacher

        print(json.dumps(teacher.boxes(teacher.Teacher(args.work / "raw" / data.TEACHER, 2, args.side), args.data), indent=1))
    if args.command in ("run", "train"):
        from . import ranks
        from .train import PHASES, train

        threads = 1 if args.ranks > 1 else args.threads
        ranks.run(partial(train, args.work, cache, args.phases or PHASES, args.data, threads, args.start, args.phase), args.ranks)
    if args.command in ("run", "export"):
        from . import export

        print(export.export(export.averaged(chosen(args)), args.work / "export"))
    if args.command == "eval":
        from . import evaluate, export

        state = export.averaged(chosen(args))
        rows = evaluate.evaluate(state, args.data, args.side)
        report = {"checkpoint": str(chosen(args)), **evaluate.summary(rows), "rows": rows}
        if args.video:
            from . import evaluate_video

            report["video"] = evaluate_video.evaluate(state, args.data)
        (args.work / "eval.json").write_text(json.dumps(report, indent=1))
        print(json.dumps({k: v for k, v in report.items() if k != "rows"}, indent=1))
    if args.command == "plot":
        from . import plots

        plots.curves(args.work, args.work / "curves.png")
        if (args.work / "eval.json").is_file():
            plots.calibration(args.work / "eval.json", args.work / "calibration.png")
    if args.command == "gallery":
        from . import export, gallery

        gallery.gallery(export.averaged(chosen(args)), args.pictures, args.work / "gallery.jpg", args.snap_with)


def chosen(args: argparse.Namespace) -> Path:
    """The checkpoint asked for, else the best by validation, else the last."""
    given = getattr(args, "checkpoint", None)
    best = args.work / "best.pt"
    return given or (best if best.is_file() else args.work / "checkpoint.pt")


if __name__ == "__main__":
    main()
