#!/usr/bin/env python3
"""Times tracking beside the official PyTorch predictor: the same seeded weights, frames and clicks, in one run.

    python benches/peers_video.py --work DIR --sam2 target/release/sam2 [--case t:8:1,4] [--case nano:10:1,4,16] [--threads 2]

A --case is MODEL:FRAMES:OBJECTS[,OBJECTS...]; MODEL is an official configuration (t, s, b+, l, 2.0t, ...) with seeded
weights, or `nano`, the built-in model with its own. One process per contestant, one after the other. Per number of objects:
    frame_ms    a pass over the clip, divided by the frames after the prompted one (whose encoding is part of the prompts)
and for the parts of it what `sam2 bench --video` says; of PyTorch's, its own methods are timed. Frames are in memory on both
sides; PyTorch's pass fills holes with OpenCV as the CUDA kernel would. Bounds: with one object at most 1.5 times PyTorch's time
for a frame, and at most 0.8 times what another object costs it. The machine's load at the start of each row stands in the
table: figures beside a busy neighbour are no figures.
Needs the environment of tests/parity/requirements.txt. Figures: benches/TRACKING.md.
"""
import argparse, json, os, pathlib, platform, subprocess, sys, tempfile, time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
PARITY = ROOT / "tests" / "parity"
NANO = (ROOT / "models" / "nano" / "sam2-nano.yaml", ROOT / "models" / "sam2-nano.safetensors")
SIZE = (854, 480)  # DAVIS
FIRST_BOUND, ADDED_BOUND = 1.5, 0.8
PARTS = ("encode_ms", "memory_attention_ms", "decode_ms", "memory_encode_ms")


def clicks(objects):
    """Where `sam2 bench --video` clicks, as parts of the picture."""
    return [((i + 0.5) / 4 % 1.0, (i // 4 + 0.5) / 4 % 1.0) for i in range(objects)]


def timed(target, name, sums, key):
    """Counts the time of a method in sums[key]."""
    inner = getattr(target, name)

    def outer(*args, **kwargs):
        start = time.perf_counter()
        try:
            return inner(*args, **kwargs)
        finally:
            sums[key] += time.perf_counter() - start

    setattr(target, name, outer)


def pytorch(folder, config, weights, frames, counts, threads):
    """Runs in a process of its own (see main): the official video predictor on the CPU."""
    sys.path.insert(0, str(PARITY))
    import torch

    import reference

    torch.set_num_threads(threads)
    model = reference.build(config, video=True, weights=weights)
    sums = dict.fromkeys(PARTS, 0.0)
    timed(model, "forward_image", sums, "encode_ms")
    timed(model, "_prepare_memory_conditioned_features", sums, "memory_attention_ms")
    timed(model, "_forward_sam_heads", sums, "decode_ms")
    timed(model, "_encode_new_memory", sums, "memory_encode_ms")
    runs = []
    with torch.inference_mode(), tempfile.TemporaryDirectory() as d:
        for i, frame in enumerate(sorted(folder.glob("*.png"))[:frames]):
            pathlib.Path(d, f"{i:05d}.jpg").symlink_to(frame.resolve())  # the loader reads by content
        for objects in counts:
            state = model.init_state(d)
            width, height = state["video_width"], state["video_height"]
            start = time.perf_counter()
            for i, (x, y) in enumerate(clicks(objects)):
                model.add_new_points_or_box(state, frame_idx=0, obj_id=i, points=[[x * width, y * height]], labels=[1])
            prompt = time.perf_counter() - start
            sums.update(dict.fromkeys(PARTS, 0.0))
            start = time.perf_counter()
            for _ in model.propagate_in_video(state):
                pass
            each = 1000 / (frames - 1)
            runs.append({"objects": objects, "prompt_ms": prompt * 1000, "frame_ms": (time.perf_counter() - start) * each,
                         **{part: seconds * each for part, seconds in sums.items()}})
    status = pathlib.Path("/proc/self/status").read_text()
    print(json.dumps({"device": f"PyTorch {torch.__version__}", "threads": threads, "runs": runs,
                      "peak_rss_mb": int(status.split("VmHWM:")[1].split()[0]) / 1024}))


def contestant(command):
    load = os.getloadavg()[0]
    done = subprocess.run(command, capture_output=True, text=True)
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        sys.exit(f"exit status {done.returncode} of {' '.join(command)}: {done.stderr.strip()[-600:]}")
    return {**json.loads(lines[-1]), "load": load}


def prepare(work, config):
    """The checkpoint, and the frames when they are not there yet."""
    sys.path.insert(0, str(PARITY))
    import pictures
    from PIL import Image

    folder = work / "clip"
    folder.mkdir(parents=True, exist_ok=True)
    for t in range(16):
        path = folder / f"{t:05d}.png"
        if not path.exists():
            Image.fromarray(pictures.frame(*SIZE, t, 16)).save(path)
    if config == "nano":
        return folder, str(NANO[0]), NANO[1]
    weights = work / f"{config}.pt"
    if not weights.exists():
        command = [sys.executable, str(PARITY / "reference.py"), "checkpoint", "--config", config, "--seed", "1", "--out", str(weights)]
        subprocess.run(command, check=True, stdout=sys.stderr)
    return folder, config, weights


def table(name, frames, ours, theirs):
    """Rows of both, and the ratios with their bounds; second value: whether all are held."""
    rows, held = [], True
    for who, r in (("sam2", ours), ("PyTorch", theirs)):
        for run in r["runs"]:
            parts = " | ".join(f"{run[p]:.0f}" for p in PARTS)
            rows.append(f"| {name} | {frames} | {who} | {run['objects']} | {run['frame_ms']:.0f} | {parts} | {1000 / run['frame_ms']:.2f} "
                        f"| {r['peak_rss_mb']:.0f} | {r['load']:.1f} |")
    ratios = []

    def ratio(what, a, b, bound):
        nonlocal held
        held &= a <= bound * b
        ratios.append(f"| {name} | {what} | {a:.0f} | {b:.0f} | {a / b:.2f} | {bound:g} | {'yes' if a <= bound * b else 'NO'} |")

    pairs = list(zip(ours["runs"], theirs["runs"]))
    (first_a, first_b), later = pairs[0], pairs[1:]
    ratio(f"a frame with {first_a['objects']} object", first_a["frame_ms"], first_b["frame_ms"], FIRST_BOUND)
    for a, b in later:
        more = a["objects"] - first_a["objects"]
        ratio(f"another object, of {a['objects']}", (a["frame_ms"] - first_a["frame_ms"]) / more, (b["frame_ms"] - first_b["frame_ms"]) / more, ADDED_BOUND)
    return rows, ratios, held


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--work", type=pathlib.Path, required=True, help="folder for checkpoints and frames")
    ap.add_argument("--sam2", type=pathlib.Path, default=ROOT / "target/release/sam2")
    ap.add_argument("--case", action="append", metavar="MODEL:FRAMES:OBJECTS,...")
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--out", type=pathlib.Path, help="write the table here too")
    ap.add_argument("--pytorch-row", nargs=5, help=argparse.SUPPRESS)
    a = ap.parse_args()
    if a.pytorch_row:
        folder, config, weights, frames, counts = a.pytorch_row
        return pytorch(pathlib.Path(folder), config, weights, int(frames), [int(n) for n in counts.split(",")], a.threads)
    rows, ratios, held = [], [], True
    for case in a.case or ["nano:10:1,4,16", "t:8:1,4"]:
        name, frames, counts = case.split(":")
        clip, config, weights = prepare(a.work, name)
        threads = ["--threads", str(a.threads)]
        model = [] if name == "nano" else ["--model", str(weights)]
        ours = contestant([str(a.sam2.resolve()), "bench", "--video", "--json", "--device", "cpu", *threads, *model,
                           "--clip", str(clip), "--frames", frames, "--objects", counts])
        print(f"sam2 {case}: {json.dumps(ours)}", file=sys.stderr, flush=True)
        theirs = contestant([sys.executable, __file__, "--work", str(a.work), *threads, "--pytorch-row", str(clip), config, str(weights), frames, counts])
        print(f"pytorch {case}: {json.dumps(theirs)}", file=sys.stderr, flush=True)
        more = table(name, frames, ours, theirs)
        rows, ratios, held = rows + more[0], ratios + more[1], held and more[2]
    text = "\n".join([
        f"{time.strftime('%Y-%m-%d', time.gmtime())}, {platform.machine()}, {a.threads} threads of {os.cpu_count()} cores, a clip of {SIZE[0]} x {SIZE[1]}; milliseconds a frame",
        "", "| model | frames | | objects | frame | encode | memory attention | decode | memory encode | frames/s | peak MB | machine's load |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|", *rows,
        "", "| model | | sam2 ms | PyTorch ms | ratio | bound | held |", "|---|---|---|---|---|---|---|", *ratios,
    ]) + "\n"
    print(text)
    if a.out:
        a.out.write_text(text)
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
