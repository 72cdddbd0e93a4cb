#!/usr/bin/env python3
"""Does memory grow with a clip's length? Resident memory of one `sam2 track` after so many frames.

    python3 tests/memory/growth.py target/release/sam2 [--frames 3000] [--objects 4] [--at 100,300,1000,3000] [-- OPTIONS OF sam2 track]

A clip of 192 x 108 in Y4M, written here: a disc that goes to and fro, so that tracking has something to do. Prints what was
resident when the mask of that many frames had been written, with seconds a frame since the row before. A run that is stopped (Ctrl-C) prints what it has. Linux, standard library only.
"""

import argparse
import json
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

WIDTH, HEIGHT = 192, 108


def clip(path, frames):
    """Grey noise that stays, and a lighter disc of radius 16."""
    noise = bytes((x * 7919 + y * 104729) % 60 + 60 for y in range(HEIGHT) for x in range(WIDTH))
    flat = bytes([128]) * (2 * (WIDTH // 2) * (HEIGHT // 2))
    with path.open("wb") as file:
        file.write(b"YUV4MPEG2 W%d H%d F25:1 Ip A1:1 C420jpeg\n" % (WIDTH, HEIGHT))
        for frame in range(frames):
            at = frame % 200
            cx, cy = 30 + (at if at < 100 else 200 - at) * 130 // 100, HEIGHT // 2
            picture = bytearray(noise)
            for y in range(cy - 16, cy + 17):
                half = int((16 * 16 - (y - cy) ** 2) ** 0.5)
                picture[y * WIDTH + cx - half:y * WIDTH + cx + half + 1] = bytes([210]) * (2 * half + 1)
            file.write(b"FRAME\n" + picture + flat)


def resident(pid):
    """VmRSS and VmHWM in MB; None when the process has just ended."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    found = [re.search(rf"{key}:\s+(\d+)", text) for key in ("VmRSS", "VmHWM")]
    return [int(f[1]) >> 10 for f in found] if all(found) else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--frames", type=int, default=3000)
    parser.add_argument("--objects", type=int, default=1)
    parser.add_argument("--at", type=lambda s: [int(n) for n in s.split(",")], default=[100, 300, 1000, 3000])
    here = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    args, more = parser.parse_args(sys.argv[1:here]), sys.argv[here + 1:]
    print("| frames | resident | highest so far | seconds a frame |\n|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder, "clip.y4m")
        clip(source, args.frames)
        prompts = pathlib.Path(folder, "prompts.json")
        click = lambda i: {"frame": 0, "object": i + 1, "points": [[30 + 20 * i % 150, 54 + 30 * (i // 8) % 50]], "labels": [1]}
        prompts.write_text(json.dumps([click(i) for i in range(args.objects)]))
        command = [args.binary, "track", str(source), "--prompts", str(prompts), "--max-frames", "0", "--json", "--device", "cpu",
                   "--progress", "never", *more]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        signal.signal(signal.SIGINT, lambda *_: process.send_signal(signal.SIGINT))
        done, began = 0, (0, time.monotonic())
        for _ in process.stdout:
            done += 1
            sizes = resident(process.pid) if done in args.at else None
            if sizes:
                now, most = sizes
                each = (time.monotonic() - began[1]) / (done - began[0])
                began = (done, time.monotonic())
                print(f"| {done} | {now} MB | {most} MB | {each:.2f} |", flush=True)
        log = process.stderr.read()
        process.wait()
    told = re.search(r"features of .*", log)
    print(f"\n{done} frames; {told[0] if told else log[-300:]}")
    sys.exit(process.returncode)


if __name__ == "__main__":
    main()
