#!/usr/bin/env python3
"""Writes the official code's intermediate activations, to find where a port begins to differ.

    dump.py image --config micro.yaml --weights F --image P.png --prompts prompts.json --out D.npz
    dump.py video --config micro.yaml --weights F --frames DIR --prompts track.json --out D.npz [--both-ways]
    dump.py list D.npz [WORD...]             # keys, shapes and figures, in the order they were computed

Arguments are those of reference.py (--seed in place of --weights too). A key reads

    SEQUENCE|CONTEXT|MODULE|in.NAME or out.NAME

SEQUENCE counts calls in order of execution. CONTEXT is `image`, `prompt I`, or `frame F object O`. MODULE is the
attribute path in the official model, such as image_encoder.trunk.blocks.3, or a method: `.pos_embed` of the
trunk, `.dense_pe`, `.track_step`, `.new_memory` (the memory that is stored, after no_obj_embed_spatial).
NAME is the argument or the index in a returned tuple, nested ones joined by dots.
The file grows with the model: micro image 6 MB, micro video of 12 frames 90 MB. Write it outside the repository.
"""
import argparse, contextlib, json, pathlib
import numpy as np
import torch

import reference

# One class per step that a port writes as one function.
CLASSES = (
    "ImageEncoder Hiera PatchEmbed MultiScaleBlock MultiScaleAttention FpnNeck PositionEmbeddingSine "
    "PromptEncoder TwoWayTransformer TwoWayAttentionBlock Attention MaskDecoder "
    "MemoryAttention MemoryAttentionLayer RoPEAttention MemoryEncoder MaskDownSampler Fuser CXBlock"
).split()
NAMES = ("obj_ptr_proj", "obj_ptr_tpos_proj", "mask_downsample", "sam_prompt_encoder.mask_downscaling",
         "sam_mask_decoder.output_upscaling", "sam_mask_decoder.iou_prediction_head", "sam_mask_decoder.pred_obj_score_head")


class Recorder:
    """Collects named arrays in the order of execution."""

    def __init__(self):
        self.out, self.sequence, self.context = {}, 0, "image"

    def add(self, module, tensors):
        for name, t in tensors:
            self.out[f"{self.sequence:05d}|{self.context}|{module}|{name}"] = t
        self.sequence += 1

    def hook(self, name):
        def record(_, args, kwargs, result):
            self.add(name, [*flat("in", args), *flat("in", kwargs), *flat("out", result)])

        return record

    def wrap(self, owner, method, name):
        """Records what `owner.method` takes and returns."""
        original = getattr(owner, method)

        def recorded(*args, **kwargs):
            result = original(*args, **kwargs)
            self.add(name, [*flat("in", args), *flat("out", result)])
            return result

        setattr(owner, method, recorded)

    @contextlib.contextmanager
    def within(self, context):
        before, self.context = self.context, context
        yield
        self.context = before


def flat(prefix, value):
    """Yields (name, array) for each tensor in a nest of tuples, lists and dicts."""
    if torch.is_tensor(value):
        yield prefix, value.detach().cpu().numpy().copy()
    elif isinstance(value, dict):
        for k, v in value.items():
            yield from flat(f"{prefix}.{k}", v)
    elif isinstance(value, (tuple, list)):
        if len(value) == 1:
            yield from flat(prefix, value[0])
        else:
            for i, v in enumerate(value):
                yield from flat(f"{prefix}.{i}", v)


def attach(model, recorder):
    for name, module in model.named_modules():
        if type(module).__name__ in CLASSES or name in NAMES:
            module.register_forward_hook(recorder.hook(name), with_kwargs=True)
    recorder.wrap(model.image_encoder.trunk, "_get_pos_embed", "image_encoder.trunk.pos_embed")
    recorder.wrap(model.sam_prompt_encoder, "get_dense_pe", "sam_prompt_encoder.dense_pe")
    recorder.wrap(model, "track_step", "track_step")
    recorder.wrap(model, "_encode_new_memory", "new_memory")
    if not hasattr(model, "_run_single_frame_inference"):
        return
    single, memory = model._run_single_frame_inference, model._run_memory_encoder

    def object_of(state, output_dict):
        index = next(i for i, d in state["output_dict_per_obj"].items() if d is output_dict)
        return state["obj_ids"][index]

    def run_single(inference_state, output_dict, frame_idx, *args, **kwargs):
        with recorder.within(f"frame {frame_idx} object {object_of(inference_state, output_dict)}"):
            return single(inference_state, output_dict, frame_idx, *args, **kwargs)

    def run_memory(inference_state, frame_idx, *args, **kwargs):
        with recorder.within(f"frame {frame_idx} preflight"):
            return memory(inference_state, frame_idx, *args, **kwargs)

    model._run_single_frame_inference, model._run_memory_encoder = run_single, run_memory


def dump_image(model, recorder, image, prompts):
    """The calls of reference.image_reference, with the prompt's number as context."""
    from sam2.sam2_image_predictor import SAM2ImagePredictor

    predict, number = SAM2ImagePredictor.predict, iter(range(len(prompts)))

    def predict_in_context(self, *args, **kwargs):
        with recorder.within(f"prompt {next(number)}"):
            return predict(self, *args, **kwargs)

    SAM2ImagePredictor.predict = predict_in_context
    return reference.image_reference(model, image, prompts)


def show(path, words):
    with np.load(path) as z:
        for key in z.files:
            if all(w in key for w in words):
                a = z[key]
                v = a.astype(np.float64)
                print(f"{key}  {a.dtype} {list(a.shape)}" + (f" mean {v.mean():.5g} std {v.std():.5g} first {v.flat[0]:.6g}" if v.size else ""))


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sub = ap.add_subparsers(dest="what", required=True)
    p = sub.add_parser("list")
    p.add_argument("file")
    p.add_argument("words", nargs="*")
    for what in ("image", "video"):
        p = sub.add_parser(what)
        p.add_argument("--config", required=True)
        p.add_argument("--seed", type=int, default=0)
        p.add_argument("--presence", type=float, default=2.0)
        p.add_argument("--weights", type=pathlib.Path)
        p.add_argument("--prompts", type=pathlib.Path, required=True)
        p.add_argument("--out", type=pathlib.Path, required=True)
        p.add_argument("--image" if what == "image" else "--frames", type=pathlib.Path, required=True)
        if what == "video":
            p.add_argument("--both-ways", action="store_true")
    a = ap.parse_args()
    if a.what == "list":
        return show(a.file, a.words)
    recorder = Recorder()
    model = reference.build(a.config, a.seed, video=a.what == "video", weights=a.weights, presence=a.presence)
    attach(model, recorder)
    steps = json.loads(a.prompts.read_text())
    if a.what == "image":
        answers = dump_image(model, recorder, a.image, steps)
    else:
        answers = reference.video_reference(model, a.frames, steps, a.both_ways, a.prompts.parent)
    np.savez(a.out, **recorder.out, **answers)
    print(f"{a.out}: {recorder.sequence} calls, {len(recorder.out)} arrays, {a.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
