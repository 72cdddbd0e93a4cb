#!/usr/bin/env python3
"""Starved of CPU: the command line under a fifth of one core, and less in the middle of a video.

    cargo build --release -p sam2-cli
    python3 tests/trust/starve.py --sam2 target/release/sam2 --write tests/trust/STARVED.md

Every case runs free and starved at the same number of threads and must give the same bits: masks, and
the logits of --npz. Starving is a cgroup quota where one can be made (version 1 or 2, as root), else
SIGSTOP and SIGCONT in bursts. Standard library only. Exit status 1 where anything differs.
"""

import argparse
import array
import contextlib
import hashlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
MICRO = ROOT / "tests/fixtures/micro"
PERIOD_US = 100_000


class Cgroup:
    """A quota of the kernel's own scheduler."""

    name = "cgroup quota"

    def __init__(self):
        v2 = pathlib.Path("/sys/fs/cgroup/cgroup.controllers").exists()
        base = pathlib.Path("/sys/fs/cgroup") if v2 else pathlib.Path("/sys/fs/cgroup/cpu")
        self.v2, self.folder = v2, base / f"sam2-starve-{os.getpid()}"
        self.folder.mkdir()
        try:
            self.limit(1.0)
        except OSError:
            self.close()
            raise

    def limit(self, cores):
        quota = int(cores * PERIOD_US)
        if self.v2:
            (self.folder / "cpu.max").write_text(f"{quota} {PERIOD_US}")
        else:
            (self.folder / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (self.folder / "cpu.cfs_quota_us").write_text(str(quota))

    def start(self, command, **more):
        enter = lambda: (self.folder / "cgroup.procs").write_text(str(os.getpid()))
        return subprocess.Popen(command, preexec_fn=enter, **more)

    def close(self):
        with contextlib.suppress(OSError):
            self.folder.rmdir()


class Bursts:
    """Stopped and continued by signals: `cores` of every tenth of a second."""

    name = "SIGSTOP and SIGCONT in bursts"

    def __init__(self):
        self.share, self.process = 1.0, None

    def limit(self, cores):
        self.share = cores

    def start(self, command, **more):
        self.process = subprocess.Popen(command, **more)
        threading.Thread(target=self._beat, args=(self.process,), daemon=True).start()
        return self.process

    def _beat(self, process):
        while process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
                time.sleep(0.1 * self.share)
                if self.share < 1:
                    process.send_signal(signal.SIGSTOP)
                    time.sleep(0.1 * (1 - self.share))
                    process.send_signal(signal.SIGCONT)

    def close(self):
        pass


def starver():
    try:
        return Cgroup()
    except OSError:
        return Bursts()


def run(sam2, arguments, threads, folder, limiter=None, share=1.0, falling=None):
    """Runs to the end; `falling` = (after this line of stdout, this share). None threads: its own choice."""
    folder.mkdir()
    command = [str(sam2), *arguments, "--out", "masks", "--device", "cpu", "--progress", "never"]
    if threads is not None:
        command += ["--threads", str(threads)]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("SAM2_", "MAX_", "OMP_", "TORCH_"))}
    pipes = dict(cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    began = time.monotonic()
    if limiter is None:
        process = subprocess.Popen(command, **pipes)
    else:
        limiter.limit(share)
        process = limiter.start(command, **pipes)
    peak = [0]
    watch = threading.Thread(target=watch_memory, args=(process.pid, peak), daemon=True)
    watch.start()
    errors = []
    drain = threading.Thread(target=lambda: errors.append(process.stderr.read()), daemon=True)
    drain.start()
    lines = 0
    for _ in process.stdout:
        lines += 1
        if falling and limiter and lines == falling[0]:
            limiter.limit(falling[1])
    status = process.wait()
    drain.join()
    seconds = time.monotonic() - began
    return {
        "status": status, "lines": lines, "seconds": seconds, "peak_mb": peak[0] // 1024, "stderr": errors[0],
        "faults": len(re.findall("mask_fault|was refused", errors[0])), "bits": bits_of(folder),
    }


def watch_memory(pid, peak):
    """The high-water mark of resident memory, in KiB."""
    while True:
        try:
            text = pathlib.Path(f"/proc/{pid}/status").read_text()
        except OSError:
            return
        found = re.search(r"VmHWM:\s+(\d+)", text)
        if not found:
            return
        peak[0] = max(peak[0], int(found[1]))
        time.sleep(0.05)


def bits_of(folder):
    """A hash of everything written: the masks' bytes and the arrays' values."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(str(path.relative_to(folder)).encode())
        if path.suffix == ".npz":
            with zipfile.ZipFile(path) as pack:
                for name in sorted(pack.namelist()):
                    digest.update(name.encode() + pack.read(name))
        else:
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def floats(path):
    """Every f32 array of an .npz."""
    found = {}
    with zipfile.ZipFile(path) as pack:
        for name in pack.namelist():
            data = pack.read(name)
            length = int.from_bytes(data[8:10], "little")
            if b"'<f4'" in data[:10 + length]:
                found[name] = array.array("f", data[10 + length:])
    return found


def apart(a, b):
    """Largest difference of two packs of arrays, as a part of each array's largest value."""
    worst = 0.0
    for name, first in a.items():
        second = b[name]
        largest = max((abs(v) for v in first), default=0.0) or 1.0
        worst = max(worst, max((abs(x - y) for x, y in zip(first, second)), default=0.0) / largest)
    return worst


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sam2", type=pathlib.Path, default=ROOT / "target/release/sam2")
    parser.add_argument("--write", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true", help="two threads only")
    options = parser.parse_args()
    sam2 = options.sam2.resolve()
    model = ["--model", str(MICRO / "weights/seed41.safetensors"), "--config", str(MICRO / "micro.yaml")]
    picture = str(MICRO / "images/large.png")
    cases = {
        "segment, micro": ["segment", picture, *model, "--prompts", str(MICRO / "prompts/large.json"), "--npz", "x.npz", "--json"],
        "segment, the embedded model": ["segment", picture, "--point", "100,80", "--npz", "x.npz", "--json"],
        "track, the embedded model": ["track", str(MICRO / "frames"), "--point", "52,54", "--max-frames", "6", "--npz", "x.npz", "--json"],
        "track, micro, 3 objects": ["track", str(MICRO / "frames"), *model, "--prompts", str(MICRO / "tracks.json"), "--npz", "x.npz", "--json"],
    }
    limiter = starver()
    rows, bad = [], []
    across = []
    try:
        with tempfile.TemporaryDirectory() as base:
            base = pathlib.Path(base)
            for number, (case, arguments) in enumerate(cases.items()):
                packs = {}
                for threads in [2] if options.quick else [1, 2, 4, 8]:
                    place = base / f"{number}-{threads}"
                    place.mkdir()
                    free = run(sam2, arguments, threads, place / "free")
                    packs[threads] = floats(place / "free/x.npz") if free["status"] == 0 else {}
                    if free["status"] != 0:
                        bad.append(f"{case}: free, it ended with {free['status']}: {free['stderr'][-300:]}")
                        continue
                    plans = [("20 %", 0.2, None)]
                    if case.startswith("track, micro"):
                        plans.append(("100 %, from frame 3 on 20 %, then 5 % of a core", 1.0, (3, 0.05)))
                    for words, share, falling in plans:
                        starved = run(sam2, arguments, threads, place / f"starved{share}", limiter, share, falling)
                        same = starved["bits"] == free["bits"] and starved["lines"] == free["lines"]
                        if not same or starved["status"] != 0 or starved["faults"]:
                            bad.append(f"{case}, {threads} threads, {words}: {starved['stderr'][-300:]}")
                        rows.append((case, threads, words.replace("20 %, then ", "") if falling else words, free, starved, same))
                        print(rows[-1][:3], f"{free['seconds']:.1f} s, {starved['seconds']:.1f} s", "same" if same else "DIFFERENT", flush=True)
                if len(packs) > 1:
                    first = packs[min(packs)]
                    for threads, pack in packs.items():
                        if first and pack and threads != min(packs):
                            worst = apart(first, pack)
                            across.append((case, threads, worst))
                            if worst > 1e-5:
                                bad.append(f"{case}: 1 and {threads} threads are {worst:.1e} apart")
            # Its own choice of threads under the quota.
            limiter.limit(0.2)
            asked = limiter.start([str(sam2), "devices", "--json"], stdout=subprocess.PIPE, text=True)
            chosen = json.loads(asked.communicate()[0])
    finally:
        limiter.close()
    text = report(limiter, rows, across, chosen, bad)
    if options.write:
        options.write.write_text(text)
    print(text)
    sys.exit(1 if bad else 0)


def report(limiter, rows, across, chosen, bad):
    lines = [
        "# Starved of CPU", "", "Written by", "",
        "    python3 tests/trust/starve.py --sam2 target/release/sam2 --write tests/trust/STARVED.md", "",
        f"Starved by: {limiter.name}. *same*: every mask and every logit has the same bits as in the free run",
        "at the same number of threads. The times are those of a machine that others used as well.", "",
        "| case | threads | CPU granted | free | starved | peak free | peak starved | faults | same |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for case, threads, words, free, starved, same in rows:
        lines.append(
            f"| {case} | {threads} | {words} | {free['seconds']:.1f} s | {starved['seconds']:.1f} s "
            f"| {free['peak_mb']} MB | {starved['peak_mb']} MB | {starved['faults']} | {'yes' if same else '**no**'} |")
    lines += ["", "Across numbers of threads (largest difference of any array, as a part of its largest value; bound 1e-5):", ""]
    lines += [f"- {case}: 1 and {threads} threads: {worst:.1e}" for case, threads, worst in across]
    lines += ["", f"Under a quota of 0.2 cores `sam2 devices` says: `{json.dumps(chosen.get('cpu', chosen))}`.", ""]
    lines += [f"FAILED: {line}" for line in bad]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    main()
