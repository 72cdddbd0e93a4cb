#!/usr/bin/env python3
"""Reference outputs of the official SAM 2 PyTorch code, on seeded weights.

The official weights are not needed: every parameter and buffer of the official model is drawn from a
seeded generator at a realistic scale, so each key of the checkpoint matters to the output, and both
implementations load the same file.

    python3 -m venv venv && venv/bin/pip install -r tests/parity/requirements.txt
    SAM2_BUILD_CUDA=0 venv/bin/pip install --no-build-isolation sam2==1.1.0

    reference.py checkpoint --config t --seed 1 --out tiny.pt          # official layout: {"model": state_dict}
    reference.py checkpoint --config micro.yaml --seed 4 --half --out micro.safetensors
    reference.py image --config t --seed 1 --image picture.png --prompts prompts.json --out ref.npz
    reference.py video --config t --seed 1 --frames DIR --prompts track.json --out ref.npz [--both-ways]
    compare.py ref.npz project.npz                                     # holds the two side by side

Configurations: t, s, b+, l (SAM 2.1), 2.0t, 2.0s, 2.0b+, 2.0l (SAM 2.0), or the path of a yaml file in
the official layout. `--weights FILE` takes a checkpoint file instead of a seed. PNG pictures compare
exactly; JPEG decoders differ by a grey level here and there.

Two things differ from the official code on purpose. Filling small holes needs its CUDA kernel, which is
replaced by the same labelling on the CPU; without it the code would warn and leave the holes. And the
video predictor stores memory as bfloat16 for the GPU, which is left out: parity is that of the network.

prompts.json (image): a list of {"points": [[x, y], ...], "labels": [1, 0, ...], "box": [x0, y0, x1, y1],
"multimask": true, "refine": false} in pixels of the picture; points and box are each optional, not both.
"refine": true feeds the previous prompt's best low-resolution logits as the mask input.

track.json (video): a list of steps, taken in order, then one pass forward (and with --both-ways one
backward, which the official code starts at the earliest prompted frame; the last pass over a frame stands):
  {"frame": 0, "object": 1, "points": ..., "labels": ..., "box": ...}   a second entry for the same frame
        and object replaces its clicks and keeps its logits
  {"frame": 0, "object": 1, "mask": "m.png"}     a mask prompt, path relative to the file (white = object)
  {"propagate": "forward" | "backward", "start": 3, "max_frames": 4}   a pass in the middle (start and
        max_frames optional), so that a later step is a correction of a tracked frame
  {"remove": 2}                                  remove an object
  {"clear": 1, "frame": 5}                       clear all prompts of an object on a frame
A list that ends with a propagate step gets no further pass. A correction of a tracked frame is not a
conditioning frame in the official code: a pass over that frame tracks it anew, a pass that starts beside it
remembers the correction.

What the .npz holds: for `image`, `e` [1, C, S/16, S/16] (image embedding), `h0` [1, C/8, S/4, S/4] and
`h1` [1, C/4, S/8, S/8] (high-resolution features), and per prompt i `low_i` [M, S/4, S/4] (logits), `iou_i`
[M], `mask_i` [M, H, W] (boolean, full size); for `video`, `logits_F_O` [S/4, S/4] and `mask_F_O` [H, W] of
frame F and object O.
"""
import argparse, json, pathlib, re, tempfile, warnings

warnings.filterwarnings("ignore")
import numpy as np
import torch

CONFIGS = {
    **{k: f"configs/sam2.1/sam2.1_hiera_{k}.yaml" for k in ("t", "s", "b+", "l")},
    **{f"2.0{k}": f"configs/sam2/sam2_hiera_{k}.yaml" for k in ("t", "s", "b+", "l")},
}
FRAME_SUFFIXES = (".png", ".jpg", ".jpeg")


def seeded_state(model, seed, presence=2.0, attention=1.0):
    """Give every tensor of `model` a value drawn from `seed`, in key order.

    `attention` scales queries and keys of mask decoder and memory attention. At 1 their softmaxes are nearly hard at full
    size, and rounding of 1e-7 comes out as 1e-2 of the logits, in the official code too; at 0.25 they are soft, and all of
    the network can be held to 1e-5.
    """
    g = torch.Generator().manual_seed(seed)
    state = model.state_dict()
    for key in sorted(state):
        t = state[key]
        if not t.is_floating_point():
            continue
        noise = torch.randn(t.shape, generator=g)
        norm = any(s in key for s in (".norm", "norm1", "norm2", "norm3", "layer_norm")) and t.ndim == 1
        if "gaussian_matrix" in key:
            value = noise
        elif key.endswith(".gamma"):
            value = 0.3 + 0.05 * noise
        elif norm and key.endswith("weight"):
            value = 1.0 + 0.1 * noise
        elif t.ndim >= 2 and "embed" not in key and "tpos" not in key and "token" not in key:
            value = noise * (1.0 / t[0].numel() ** 0.5)
        elif t.ndim >= 2:
            value = 0.5 * noise
        else:
            value = 0.05 * noise
        if key.endswith("pred_obj_score_head.layers.2.bias"):
            value = value + presence  # at 2 objects are mostly present, around 0 they vanish and return
        if "cross_attn_image" in key and key.endswith(("v_proj.weight", "out_proj.weight")):
            value = value * 4.0  # the memory weighs enough that an error in it shows
        if key.startswith(("sam_mask_decoder.transformer.", "memory_attention.")) and key.endswith(("q_proj.weight", "k_proj.weight")):
            value = value * attention
        state[key] = value.to(t.dtype)
    return state


def connected_components(mask):
    """The official CUDA kernel's job on the CPU, so that small holes are filled here too."""
    import cv2

    labels, areas = torch.zeros_like(mask, dtype=torch.int32), torch.zeros_like(mask, dtype=torch.int32)
    for i in range(mask.shape[0]):
        _, l, stats, _ = cv2.connectedComponentsWithStats(mask[i, 0].numpy().astype("uint8"), connectivity=8)
        area = stats[:, cv2.CC_STAT_AREA].copy()
        area[0] = 0
        labels[i, 0], areas[i, 0] = torch.from_numpy(l), torch.from_numpy(area[l])
    return labels, areas


class Float32Torch:
    """torch, with float32 in bfloat16's place (see the module's docstring)."""

    bfloat16 = torch.float32

    def __getattr__(self, name):
        return getattr(torch, name)


def load_weights(path):
    """The state dict of a .safetensors or an official .pt file."""
    if str(path).endswith(".safetensors"):
        from safetensors.torch import load_file

        return load_file(path)
    return torch.load(path, weights_only=True)["model"]


def build(config, seed=0, video=False, weights=None, presence=2.0, attention=1.0):
    """The official model of `config`, in eval mode on the CPU, with seeded weights or those of a file."""
    import sam2.sam2_video_predictor
    import sam2.utils.misc
    from hydra.utils import instantiate
    from omegaconf import OmegaConf
    from sam2.build_sam import build_sam2, build_sam2_video_predictor

    sam2.utils.misc.get_connected_components = connected_components
    sam2.sam2_video_predictor.torch = Float32Torch()
    if config in CONFIGS:
        make = build_sam2_video_predictor if video else build_sam2
        model = make(CONFIGS[config], None, device="cpu", mode="eval")
    else:  # a yaml file, with the settings that the two functions above add
        cfg = OmegaConf.load(config)
        for kind, value in (("via_stability", True), ("stability_delta", 0.05), ("stability_thresh", 0.98)):
            OmegaConf.update(cfg, f"model.sam_mask_decoder_extra_args.dynamic_multimask_{kind}", value, force_add=True)
        if video:
            cfg.model._target_ = "sam2.sam2_video_predictor.SAM2VideoPredictor"
            cfg.model.binarize_mask_from_pts_for_mem_enc = True
            cfg.model.fill_hole_area = 8
        model = instantiate(cfg.model, _recursive_=True)
    model.load_state_dict(load_weights(weights) if weights else seeded_state(model, seed, presence, attention))
    return model.eval()


def save_checkpoint(model, path, half=False):
    """Write `model` in the official layout; `half` rounds to float16 first."""
    state = {k: v.contiguous() for k, v in model.state_dict().items()}
    if half:
        state = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    if str(path).endswith(".safetensors"):
        from safetensors.torch import save_file

        save_file(state, str(path))
    else:
        torch.save({"model": state}, path)
    return state


@torch.inference_mode()
def image_reference(model, image, prompts):
    """What SAM2ImagePredictor answers for the picture at `image`: see the module's docstring."""
    from PIL import Image
    from sam2.sam2_image_predictor import SAM2ImagePredictor

    predictor = SAM2ImagePredictor(model)
    size = model.image_size  # the official class has the sizes of 1024 written in
    predictor._bb_feat_sizes = [(size // k, size // k) for k in (4, 8, 16)]
    predictor.set_image(np.array(Image.open(image).convert("RGB")))
    features = predictor._features
    out = {"e": features["image_embed"].numpy()}
    out["h0"], out["h1"] = (h.numpy() for h in features["high_res_feats"])
    previous = None
    for i, p in enumerate(prompts):
        masks, iou, low = predictor.predict(
            point_coords=np.array(p["points"], dtype=np.float32) if p.get("points") else None,
            point_labels=np.array(p["labels"], dtype=np.int32) if p.get("points") else None,
            box=np.array(p["box"], dtype=np.float32) if p.get("box") else None,
            mask_input=previous if p.get("refine") else None,
            multimask_output=p.get("multimask", True),
        )
        previous = low[iou.argmax()][None]
        out[f"low_{i}"], out[f"iou_{i}"], out[f"mask_{i}"] = low, iou, masks.astype(bool)
    return out


def frame_files(folder):
    """The frames of a folder, in the natural order of the numbers in their names."""
    files = [p for p in pathlib.Path(folder).iterdir() if p.suffix.lower() in FRAME_SUFFIXES]
    return sorted(files, key=lambda p: [int(s) if s.isdigit() else s for s in re.split(r"(\d+)", p.name)])


@torch.inference_mode()
def video_reference(model, frames, steps, both_ways=False, folder="."):
    """What SAM2VideoPredictor answers for a folder of frames: see the module's docstring."""
    from PIL import Image

    out = {}
    # The official loader lists only .jpg, but reads by content: PNG frames keep parity exact.
    with tempfile.TemporaryDirectory() as d:
        for i, f in enumerate(frame_files(frames)):
            pathlib.Path(d, f"{i:05d}.jpg").symlink_to(f.resolve())
        state = model.init_state(d)

    def propagate(reverse, start=None, most=None):
        for frame, ids, logits in model.propagate_in_video(
            state, start_frame_idx=start, max_frame_num_to_track=most, reverse=reverse
        ):
            for obj, l in zip(ids, logits):
                out[f"mask_{frame}_{obj}"] = (l[0] > 0).numpy()

    def shown(p, answer):
        """A prompt's own answer is the frame's mask until a pass goes over it."""
        _, ids, logits = answer
        out[f"mask_{p['frame']}_{p['object']}"] = (logits[ids.index(p["object"])][0] > 0).numpy()

    for p in steps:
        if "propagate" in p:
            propagate(p["propagate"] == "backward", p.get("start"), p.get("max_frames"))
        elif "remove" in p:
            model.remove_object(state, p["remove"])
            for key in [k for k in out if k.endswith(f"_{p['remove']}")]:
                del out[key]
        elif "clear" in p:
            model.clear_all_prompts_in_frame(state, p["frame"], p["clear"])
        elif "mask" in p:
            mask = np.array(Image.open(pathlib.Path(folder, p["mask"])).convert("L")) > 127
            shown(p, model.add_new_mask(state, frame_idx=p["frame"], obj_id=p["object"], mask=mask))
        else:
            shown(p, model.add_new_points_or_box(
                state, frame_idx=p["frame"], obj_id=p["object"],
                points=p.get("points"), labels=p.get("labels"), box=p.get("box")))
    if not (steps and "propagate" in steps[-1]):
        propagate(False)
        if both_ways:
            propagate(True)
    for obj_idx, obj in enumerate(state["obj_ids"]):
        per = state["output_dict_per_obj"][obj_idx]
        for kind in ("cond_frame_outputs", "non_cond_frame_outputs"):
            for frame, o in per[kind].items():
                out[f"logits_{frame}_{obj}"] = o["pred_masks"][0, 0].numpy()
    return out


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sub = ap.add_subparsers(dest="what", required=True)
    for what in ("checkpoint", "image", "video"):
        p = sub.add_parser(what)
        p.add_argument("--config", required=True)
        p.add_argument("--seed", type=int, default=0)
        p.add_argument("--presence", type=float, default=2.0, help="bias of the object score: 2 mostly present, 0 comes and goes")
        p.add_argument("--attention", type=float, default=1.0, help="factor of the decoder's and memory attention's queries and keys")
        p.add_argument("--out", type=pathlib.Path, required=True)
        if what == "checkpoint":
            p.add_argument("--half", action="store_true", help="round to float16")
            continue
        p.add_argument("--weights", type=pathlib.Path, help="a checkpoint file instead of a seed")
        p.add_argument("--prompts", type=pathlib.Path, required=True)
        if what == "image":
            p.add_argument("--image", type=pathlib.Path, required=True)
        else:
            p.add_argument("--frames", type=pathlib.Path, required=True, help="folder of 00000.png (exact) or .jpg, ...")
            p.add_argument("--both-ways", action="store_true", help="propagate forward, then backward")
    a = ap.parse_args()

    if a.what == "checkpoint":
        state = save_checkpoint(build(a.config, a.seed, presence=a.presence, attention=a.attention), a.out, a.half)
        print(f"{a.out}: {len(state)} tensors, {sum(t.numel() for t in state.values()) / 1e6:.1f} M values")
        return
    prompts = json.loads(a.prompts.read_text())
    model = build(a.config, a.seed, video=a.what == "video", weights=a.weights, presence=a.presence, attention=a.attention)
    if a.what == "image":
        out = image_reference(model, a.image, prompts)
    else:
        out = video_reference(model, a.frames, prompts, a.both_ways, a.prompts.parent)
    np.savez_compressed(a.out, **out)
    for k, v in out.items():
        v = np.asarray(v, dtype=np.float64)
        print(f"{k}: {v.shape} mean {v.mean():.4g} std {v.std():.4g} min {v.min():.4g} max {v.max():.4g}")


if __name__ == "__main__":
    main()
