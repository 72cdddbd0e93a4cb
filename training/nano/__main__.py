"""`python -m nano COMMAND`: see training/README.md."""

from __future__ import annotations

import argparse
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(prog="nano", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("train",):
        c = commands.add_parser(name)
        c.add_argument("--work", type=Path, required=True, help="folder for checkpoint, log and exports")
        c.add_argument("--cache", type=Path, required=True, help="folder of the sprite caches")
        c.add_argument("--phases", type=Path)
        c.add_argument("--data", type=Path)
        c.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    if args.command == "train":
        from .train import PHASES, Trainer

        Trainer(args.work, args.cache, args.phases or PHASES, args.data, args.threads).run()


if __name__ == "__main__":
    main()
