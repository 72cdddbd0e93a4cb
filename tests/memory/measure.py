#!/usr/bin/env python3
"""Peak memory, time and disk of `sam2 segment` and `sam2 track`, as a Markdown table.

    python3 tests/memory/measure.py target/release/sam2 [--model NAME=FILE ...] [--case NAME ...]

Needs ffmpeg, which makes the clips: a disc that crosses a noisy background. Peak memory is the process's
VmHWM as the kernel counts it, disk the most that lay in its temporary folder (frames of a video are
kept there as JPEG). Without --model: the built-in one. Linux only.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# Name: width, height, frames (0: a picture).
CASES = {
    "picture 1920 x 1080": (1920, 1080, 0),
    "20 frames 1080p": (1920, 1080, 20),
    "2 s 1080p": (1920, 1080, 60),
    "10 s 720p": (1280, 720, 300),
    "30 s 1080p": (1920, 1080, 300),
    "90 s 1080p": (1920, 1080, 900),
    "10 s 4K": (3840, 2160, 100),
}
SECONDS = {"20 frames 1080p": 1, "2 s 1080p": 2, "10 s 720p": 10, "30 s 1080p": 30, "90 s 1080p": 90, "10 s 4K": 10}


def make(name: str, folder: Path) -> Path:
    """The clip or picture of a case; the disc starts in the middle of the left half."""
    width, height, frames = CASES[name]
    path = folder / (re.sub(r"\W+", "-", name) + (".mp4" if frames else ".png"))
    if path.exists():
        return path
    radius = height // 8
    rate = frames / SECONDS[name] if frames else 1
    duration = SECONDS[name] if frames else 1
    graph = (
        f"color=0x405060:s={width}x{height}:r={rate}:d={duration},noise=alls=30:allf=t[bg];"
        f"color=0xd09030:s={2 * radius}x{2 * radius}:r={rate}:d={duration},format=rgba,"
        f"geq=r='r(X,Y)':g='g(X,Y)':b='b(X,Y)':a='255*lte(hypot(X-{radius},Y-{radius}),{radius})'[disc];"
        f"[bg][disc]overlay=x='{width // 4 - radius}+({width // 2})*t/{duration}':y={height // 2 - radius}"
    )
    codec = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"] if frames else ["-frames:v", "1"]
    subprocess.run(
        ["ffmpeg", "-v", "error", "-y", "-filter_complex", graph, *codec, str(path)], check=True
    )
    return path


def size_of(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            pass
    return total


def peak_kb(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", text)
    return int(found.group(1)) if found else 0


def run(binary: str, model: str | None, name: str, clips: Path, device: str) -> tuple[int, float, int]:
    """Peak MB, seconds per frame, MB of disk."""
    width, height, frames = CASES[name]
    source = make(name, clips)
    point = f"{width // 4},{height // 2}"
    with tempfile.TemporaryDirectory() as temporary, tempfile.TemporaryDirectory() as out:
        args = [binary, "track" if frames else "segment", str(source), "--point", point]
        args += ["--out", out, "--device", device]
        args += ["--max-frames", "0"] if frames else []
        args += ["--model", model] if model else []
        with subprocess.Popen(
            args, env={**os.environ, "TMPDIR": temporary}, stderr=subprocess.PIPE, text=True
        ) as process:
            peak = disk = 0
            while process.poll() is None:
                peak = max(peak, peak_kb(process.pid))
                disk = max(disk, size_of(Path(temporary)))
                time.sleep(0.05)
            log = process.stderr.read()
        if process.returncode != 0:
            sys.exit(log)
        rate = re.search(r"\(([\d.]+) frames/s\)", log)
        masks = len(list(Path(out).rglob("*.png")))
        assert masks == max(frames, 1), f"{masks} masks"
        return peak // 1024, 1 / float(rate.group(1)) if rate else float("nan"), disk >> 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--model", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--case", action="append", default=[], choices=list(CASES))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--clips", type=Path, help="folder that keeps the clips")
    args = parser.parse_args()
    clips = args.clips or Path(tempfile.mkdtemp())
    clips.mkdir(parents=True, exist_ok=True)
    models = [tuple(model.split("=", 1)) for model in args.model] or [("sam2-nano", None)]
    print("| model | input | peak memory | per frame | disk |")
    print("|---|---|---|---|---|")
    for label, file in models:
        for name in args.case or CASES:
            peak, seconds, disk = run(args.binary, file, name, clips, args.device)
            each = "" if seconds != seconds else f"{seconds:.2f} s"
            print(f"| {label} | {name} | {peak} MB | {each} | {disk} MB |", flush=True)
    if not args.clips:
        shutil.rmtree(clips)


if __name__ == "__main__":
    main()
