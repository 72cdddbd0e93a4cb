#!/usr/bin/env python3
"""Times the project beside its peers, on the same seeded weights, in one run, and prints ratios.

    python benches/peers.py --work DIR [--sam2 target/release/sam2] [--runs 3]
        [--extra "NAME=COMMAND --model {model}"] [--only pytorch,ort1,ort2,sam2,wasm] [--out FILE.md]

Peers: PyTorch on the CPU (the official predictor), onnxruntime-web in wasm with one and two threads (in Node).
Everything is one process per contestant, one after the other, one warm-up and then the median of --runs.
The wasm engine is the one of web/dist (`cargo xtask wasm`). Figures mean the same everywhere, those of `sam2 bench --json`:
    encode_ms     a decoded RGB picture to its embedding (onnxruntime-web without the resize, in its favour)
    decode_ms     one click to three masks, thresholded at the picture's size
    peak_rss_mb   VmHWM of the process
An --extra is NAME=COMMAND of a program that prints the same JSON object on its last line; {model} and {dir} are filled
in. Needs the environment of tests/parity/requirements.txt, `pip install onnx onnxslim onnxscript`, and `npm ci` in benches/.
The load of the machine at the start of each row stands in the table: figures beside a busy neighbour are no figures.
"""
import argparse, json, os, pathlib, platform, shlex, subprocess, sys, time

HERE = pathlib.Path(__file__).resolve().parent
RATIOS = (  # (project's row, peer's row, figure, bound)
    ("sam2", "pytorch", "encode_ms", 1.5),
    ("sam2", "pytorch", "decode_ms", 2.0),
    ("sam2", "pytorch", "peak_rss_mb", 1.0),
    ("sam2 wasm, 1 thread", "ort-web, 1 thread", "encode_ms", 1.2),
    ("sam2 wasm, 1 thread", "ort-web, 1 thread", "decode_ms", 2.0),
    ("sam2 wasm, 1 thread", "ort-web, 1 thread", "peak_rss_mb", 1.0),
)


def pytorch(folder, size, threads, runs):
    """Runs in a process of its own (see main): the official predictor on the CPU."""
    sys.path.insert(0, str(HERE.parent / "tests" / "parity"))
    import numpy as np
    import torch
    from sam2.sam2_image_predictor import SAM2ImagePredictor

    import reference

    torch.set_num_threads(threads)
    start = time.perf_counter()
    predictor = SAM2ImagePredictor(reference.build("t", weights=folder / "model.pt"))
    load = time.perf_counter() - start
    width, height = size
    picture = np.fromfile(folder / "picture.rgb", dtype=np.uint8).reshape(height, width, 3)
    point, label = np.array([[width * 0.41, height * 0.57]], dtype=np.float32), np.array([1], dtype=np.int32)

    def median(work):
        work()
        times = []
        for _ in range(runs):
            start = time.perf_counter()
            work()
            times.append(time.perf_counter() - start)
        return sorted(times)[runs // 2] * 1000

    encode = median(lambda: predictor.set_image(picture))
    decode = median(lambda: predictor.predict(point_coords=point, point_labels=label, multimask_output=True))
    status = pathlib.Path("/proc/self/status").read_text()
    rss = int(status.split("VmHWM:")[1].split()[0]) / 1024
    print(json.dumps({"model": "model.pt", "device": f"PyTorch {torch.__version__}", "threads": threads, "load_ms": load * 1000,
                      "encode_ms": encode, "decode_ms": decode, "peak_rss_mb": rss}))


def row(name, command):
    """One contestant: its figures, or None and a line that says why."""
    load = os.getloadavg()[0]
    done = subprocess.run(command, capture_output=True, text=True)
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        print(f"{name}: exit status {done.returncode}: {done.stderr.strip()[-400:]}", file=sys.stderr, flush=True)
        return None
    figures = json.loads(lines[-1])
    figures["load"] = load
    print(f"{name}: {json.dumps(figures)}", file=sys.stderr, flush=True)
    return figures


def table(rows):
    lines = [
        f"{time.strftime('%Y-%m-%d', time.gmtime())}, {platform.machine()}, {os.cpu_count()} cores, tiny at 1024 x 1024",
        "",
        "| | threads | load ms | encode ms | decode ms | peak MB | machine's load |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, r in rows.items():
        lines.append(f"| {name} | {r.get('threads', '')} | {r['load_ms']:.0f} | {r['encode_ms']:.0f} | {r['decode_ms']:.0f} | {r['peak_rss_mb']:.0f} | {r['load']:.1f} |")
    ratios = []
    for ours, peer, figure, bound in RATIOS:
        if ours in rows and peer in rows:
            ratio = rows[ours][figure] / rows[peer][figure]
            ratios.append(f"| {ours} / {peer} | {figure} | {ratio:.2f} | {bound:g} | {'yes' if ratio <= bound else 'NO'} |")
    if ratios:
        lines += ["", "| ratio | figure | measured | bound | held |", "|---|---|---|---|---|", *ratios]
    return "\n".join(lines) + "\n"


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--work", type=pathlib.Path, required=True, help="folder for the exported models")
    ap.add_argument("--sam2", type=pathlib.Path, help="the release binary")
    ap.add_argument("--size", default="1280x853")
    ap.add_argument("--runs", type=int, default=3)
    ap.add_argument("--threads", type=int, default=2, help="threads of PyTorch and the native binary")
    ap.add_argument("--extra", action="append", default=[], metavar="NAME=COMMAND")
    ap.add_argument("--only", type=lambda s: s.split(","), default=["pytorch", "ort1", "ort2", "sam2", "wasm"])
    ap.add_argument("--out", type=pathlib.Path, help="write the table here too")
    ap.add_argument("--pytorch-row", action="store_true", help=argparse.SUPPRESS)
    a = ap.parse_args()
    size = tuple(map(int, a.size.split("x")))
    if a.pytorch_row:
        return pytorch(a.work, size, a.threads, a.runs)
    if not (a.work / "decoder.onnx").exists():
        subprocess.run([sys.executable, str(HERE / "export_onnx.py"), "--size", a.size, "--out", str(a.work)], check=True, stdout=sys.stderr)
    contestants = {}
    if "pytorch" in a.only:
        contestants["pytorch"] = [sys.executable, __file__, "--pytorch-row", "--work", str(a.work), "--size", a.size,
                                  "--threads", str(a.threads), "--runs", str(a.runs)]
    for n in (1, 2):
        if f"ort{n}" in a.only:
            contestants[f"ort-web, {n} thread{'s' if n > 1 else ''}"] = [
                "node", str(HERE / "ort_web.mjs"), "--dir", str(a.work), "--threads", str(n), "--runs", str(a.runs)]
    if "sam2" in a.only and a.sam2:
        contestants["sam2"] = [str(a.sam2.resolve()), "bench", "--json", "--model", str(a.work / "model.pt"), "--device", "cpu",
                               "--threads", str(a.threads), "--runs", str(a.runs)]
    if "wasm" in a.only:
        contestants["sam2 wasm, 1 thread"] = ["node", str(HERE / "sam2_wasm.mjs"), "--model", str(a.work / "model.pt"), "--runs", str(a.runs)]
    for extra in a.extra:
        name, _, command = extra.partition("=")
        contestants[name] = [p.format(model=a.work / "model.pt", dir=a.work) for p in shlex.split(command)]
    rows = {name: figures for name, command in contestants.items() if (figures := row(name, command))}
    text = table(rows)
    print(text)
    if a.out:
        a.out.write_text(text)
    sys.exit(0 if len(rows) == len(contestants) else 1)


if __name__ == "__main__":
    main()
