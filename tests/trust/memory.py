#!/usr/bin/env python3
"""Estimated and measured memory of models, and what happens with too little of it; prints a Markdown table.

    python3 tests/trust/memory.py --sam2 target/release/sam2 --model tiny=tiny.pt --model base_plus=base_plus.pt [--size 1024 --size 512]

Estimated: what is asked for before the first large allocation, as the refusal of a run in 240 MB says. Measured: the most that was
resident of `sam2 segment` with one picture and one click, on the CPU with two threads. Then the same with half of the estimate,
by `ulimit -v` and by a memory cgroup where one can be made: it must end with status 1 and one line that names both figures;
and with a cgroup of the estimate and a quarter, where it must work. Exit status 1 where anything is otherwise. Linux, standard
library only.
"""

import argparse
import contextlib
import os
import pathlib
import re
import resource
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PICTURE = ROOT / "tests/fixtures/micro/images/large.png"


@contextlib.contextmanager
def cgroup(most):
    """A memory cgroup (version 2 or 1) of `most` bytes, or None."""
    v2 = pathlib.Path("/sys/fs/cgroup/cgroup.controllers").exists()
    base = pathlib.Path("/sys/fs/cgroup") if v2 else pathlib.Path("/sys/fs/cgroup/memory")
    folder = base / f"sam2-memory-{os.getpid()}"
    try:
        folder.mkdir()
        (folder / ("memory.max" if v2 else "memory.limit_in_bytes")).write_text(str(most))
    except OSError:
        yield None
        return
    try:
        yield folder
    finally:
        folder.rmdir()


def segment(sam2, model, size, space=None, group=None):
    """One picture: exit status, peak MB, the last line of stderr."""
    def limit():
        if space:
            resource.setrlimit(resource.RLIMIT_AS, (space, space))
        if group:
            (group / "cgroup.procs").write_text(str(os.getpid()))

    with tempfile.TemporaryDirectory() as out, tempfile.TemporaryFile() as errors:
        command = [str(sam2), "segment", str(PICTURE), "--point", "100,80", "--out", out, "--device", "cpu", "--threads", "2", "-q",
                   "--image-size", str(size), *(["--model", model] if model else [])]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, preexec_fn=limit)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        lines = errors.read().decode(errors="replace").strip().splitlines() or [""]
        return process.returncode, usage.ru_maxrss // 1024, lines[-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sam2", type=pathlib.Path, default=ROOT / "target/release/sam2")
    parser.add_argument("--model", action="append", default=[], metavar="NAME=FILE", help="without: the built-in one")
    parser.add_argument("--size", action="append", type=int, default=[])
    options = parser.parse_args()
    sam2, bad = options.sam2.resolve(), []
    print("| model | input | estimated | measured | half of it, ulimit -v | half of it, cgroup | a quarter more, cgroup |\n|---|---|---|---|---|---|---|")
    for named in options.model or ["sam2-nano="]:
        name, file = named.split("=", 1)
        for size in options.size or [1024, 512]:
            _, _, line = segment(sam2, file, size, space=240 << 20)
            told = re.search(r"needs about (\d+) MB", line)
            if not told:
                sys.exit(f"{name} {size}: 240 MB are no refusal: {line}")
            need = int(told[1]) << 20
            status, peak, line = segment(sam2, file, size)
            cells = []
            if status != 0 or peak > need >> 20:
                bad.append(f"{name} {size}: status {status}, {peak} MB: {line}")

            def held(what, answer, wanted):
                status, _, line = answer
                fine = status == wanted and (wanted == 0 or line.count(" MB") >= 2)
                cells.append({0: "works", 1: "refused, both figures"}.get(status, f"status {status}") if fine else f"**{status}: {line}**")
                if not fine:
                    bad.append(f"{name} {size}, {what}: {status}: {line}")

            held("ulimit", segment(sam2, file, size, space=need // 2), 1)
            for what, most, wanted in (("half", need // 2, 1), ("more", need * 5 // 4, 0)):
                with cgroup(most) as group:
                    if group is None:
                        cells.append("no cgroup")
                    else:
                        held(what, segment(sam2, file, size, group=group), wanted)
            print(f"| {name} | {size} | {need >> 20} MB | {peak} MB | " + " | ".join(cells) + " |", flush=True)
    for line in bad:
        print(line, file=sys.stderr)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
