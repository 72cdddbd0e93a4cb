#!/usr/bin/env python3
"""The session API starved of CPU: a fifth of one core all the time, and less in the middle of a propagation.

    cargo build --release -p sam2-cli
    python3 tests/trust/starve_api.py --sam2 target/release/sam2 --write tests/trust/STARVED-API.md

Every case is a service of its own and one script of a client: a session, prompts for three objects, a propagation listened to
by server-sent events, a click into a second session while it runs, a correction and a second propagation, all masks. Free and
starved, the masks and scores must be the same. A request that fails or takes longer than a minute fails the case. Starving is a
cgroup quota where one can be made, and bursts of SIGSTOP and SIGCONT as well. Standard library only. Exit status 1 where
anything differs.
"""

import argparse
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

from starve import MICRO, ROOT, Bursts, Cgroup, watch_memory

PATIENCE = 60  # seconds a client waits for one answer
POINTS = {1: [52, 54], 2: [150, 90], 7: [110, 60]}


class Service:
    """`sam2 serve --api` in `folder`, under `limiter`."""

    def __init__(self, sam2, folder, arguments, threads, limiter):
        (folder / "web").mkdir()
        (folder / "web/index.html").write_text("<!doctype html><title>page</title>")
        shutil.copytree(MICRO / "frames", folder / "media/clip")
        keep = {k: v for k, v in os.environ.items() if not k.startswith(("SAM2_", "MAX_", "OMP_", "TORCH_"))}
        command = [str(sam2), "serve", "--api", "--web", "web", "--port", "0", "--device", "cpu", "--threads", str(threads), *arguments]
        self.log, self.peak = [], [0]
        self.process = limiter.start(
            command, cwd=folder, env={**keep, "SAM2_MEDIA_DIR": str(folder / "media")},
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        threading.Thread(target=watch_memory, args=(self.process.pid, self.peak), daemon=True).start()
        for line in self.process.stderr:
            self.log.append(line)
            found = re.search(r" at (http://[^/ ]+)/", line)
            if found:
                self.url = found[1].replace("localhost", "127.0.0.1") + "/api/v1"
                break
        else:
            sys.exit(f"the service ended: {''.join(self.log)}")
        threading.Thread(target=lambda: self.log.extend(self.process.stderr), daemon=True).start()
        self.slowest = 0.0

    def ask(self, method, path, body=None):
        """One request, to its end; an HTTP error raises."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)
        began = time.monotonic()
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            text = answer.read()
        self.slowest = max(self.slowest, time.monotonic() - began)
        return json.loads(text) if text else None

    def events(self, path):
        """The names and data of server-sent events, until the service ends the stream."""
        name = None
        with urllib.request.urlopen(self.url + path, timeout=PATIENCE) as stream:
            for line in stream:
                key, _, value = line.decode().strip().partition(": ")
                if key == "event":
                    name = value
                elif key == "data":
                    yield name, json.loads(value)

    def end(self):
        self.process.terminate()
        return self.process.wait(timeout=PATIENCE)


def script(service, on_frame):
    """What the client does; returns all that must not depend on time."""
    opened = lambda: "/sessions/" + service.ask("POST", "/sessions", {"video_path": "clip"})["id"]
    click = lambda session, frame, object, point: service.ask(
        "POST", f"{session}/prompts", {"frame": frame, "object": object, "points": [point], "labels": [1]})
    first, second = opened(), opened()
    answers = [click(first, 0, object, point) for object, point in POINTS.items()]
    service.ask("POST", f"{first}/propagation")
    heard, beside = [], None
    for name, data in service.events(f"{first}/propagation/events"):
        heard.append(name)
        on_frame(len(heard))
        if len(heard) == 4:
            beside = click(second, 2, 5, POINTS[1])  # waits for one frame of the other's, not for its clip
    answers.append(beside)
    answers.append(click(first, 5, 1, [60, 60]))
    service.ask("POST", f"{first}/propagation", {"start_frame": 5})
    while service.ask("GET", f"{first}/propagation")["state"] in ("queued", "running"):
        time.sleep(0.05)
    progress = service.ask("GET", f"{first}/propagation")
    answers.append(service.ask("GET", f"{first}/masks"))
    service.ask("DELETE", first)
    return {"end": (heard[-1], progress["state"], progress["done"]), "bits": hashlib.sha256(json.dumps(answers, sort_keys=True).encode()).hexdigest()[:16]}


def run(sam2, arguments, threads, limiter, share, falling):
    with tempfile.TemporaryDirectory() as folder:
        limiter.limit(share)
        service = Service(sam2, pathlib.Path(folder), arguments, threads, limiter)
        began = time.monotonic()
        try:
            on_frame = lambda frame: limiter.limit(falling[1]) if falling and frame == falling[0] else None
            answer = script(service, on_frame)
            answer["problem"] = None
        except (OSError, KeyError, IndexError) as error:
            answer = {"problem": f"{error}", "bits": "", "end": ()}
        seconds = time.monotonic() - began
        limiter.limit(1.0)
        status = service.end()
    log = "".join(service.log)
    return {**answer, "seconds": seconds, "slowest": service.slowest, "peak_mb": service.peak[0] // 1024, "status": status,
            "faults": len(re.findall("mask_fault|was refused|ERROR", log)), "log": log}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sam2", type=pathlib.Path, default=ROOT / "target/release/sam2")
    parser.add_argument("--write", type=pathlib.Path)
    options = parser.parse_args()
    sam2 = options.sam2.resolve()
    micro = ["--model", str(MICRO / "weights/seed41.safetensors"), "--config", str(MICRO / "micro.yaml")]
    limiters = []
    try:
        limiters.append(Cgroup())
    except OSError:
        pass
    limiters.append(Bursts())
    rows, bad = [], []
    try:
        for case, arguments, threads in (("micro", micro, 1), ("micro", micro, 2), ("micro", micro, 8), ("the embedded model", [], 2)):
            free = run(sam2, arguments, threads, limiters[0], 2.0 if isinstance(limiters[0], Cgroup) else 1.0, None)
            if free["problem"]:
                bad.append(f"{case}, {threads} threads, free: {free['problem']}")
                continue
            for limiter in limiters:
                for words, share, falling in (("20 %", 0.2, None), ("100 %, from frame 3 on 5 % of a core", 1.0, (3, 0.05))):
                    if case != "micro" and falling:
                        continue  # some minutes, and nothing new
                    starved = run(sam2, arguments, threads, limiter, share, falling)
                    same = (starved["bits"], starved["end"]) == (free["bits"], free["end"])
                    if not same or starved["faults"] or starved["status"] != 0:
                        bad.append(f"{case}, {threads} threads, {limiter.name}, {words}: {starved['problem']} {starved['log'][-300:]}")
                    rows.append((case, threads, limiter.name, words, free, starved, same))
                    print(rows[-1][:4], f"{free['seconds']:.1f} s, {starved['seconds']:.1f} s", "same" if same else "DIFFERENT", flush=True)
    finally:
        for limiter in limiters:
            limiter.close()
    lines = [
        "# The session API starved of CPU", "", "Written by", "",
        "    python3 tests/trust/starve_api.py --sam2 target/release/sam2 --write tests/trust/STARVED-API.md", "",
        "A service and one client: three objects, a propagation of 12 frames, a click into another session",
        "while it runs, a correction and a second propagation. *same*: every mask, score and end is that of the",
        "free run at the same number of threads. *slowest*: the longest that one request took, of a minute",
        "that the client waits. The times are those of a machine that others used as well.", "",
        "| model | threads | starved by | CPU granted | free | starved | slowest | peak free | peak starved | faults | same |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for case, threads, name, words, free, starved, same in rows:
        lines.append(
            f"| {case} | {threads} | {name} | {words} | {free['seconds']:.1f} s | {starved['seconds']:.1f} s | {starved['slowest']:.1f} s "
            f"| {free['peak_mb']} MB | {starved['peak_mb']} MB | {starved['faults']} | {'yes' if same else '**no**'} |")
    lines += [""] * bool(bad) + [f"FAILED: {line}" for line in bad]
    text = "\n".join(lines).rstrip() + "\n"
    if options.write:
        options.write.write_text(text)
    print(text)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
