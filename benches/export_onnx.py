#!/usr/bin/env python3
"""Exports the official image model to ONNX, for onnxruntime to be timed beside the project.

    export_onnx.py --config t --seed 1 --size 1280x853 --out DIR

Writes into DIR the checkpoint model.pt that every contestant loads, encoder.onnx and decoder.onnx (slimmed by
onnxslim), and picture.rgb (raw u8 [H, W, 3]).

    encoder   image [1, 3, 1024, 1024] normalised -> e [1, 256, 64, 64], h0 [1, 32, 256, 256], h1 [1, 64, 128, 128]
    decoder   e, h0, h1, points [1, N, 2] in pixels of 1024, labels [1, N] i64 -> mask [1, 3, H, W] bool, low, iou
The decoder is what one click costs: prompt encoder, mask decoder with three masks, upsampling to the picture, threshold.
"""
import argparse, pathlib, sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "parity"))
import onnx
import onnxslim
import torch

import pictures
import reference


class Encoder(torch.nn.Module):
    """As SAM2ImagePredictor.set_image after the resize."""

    def __init__(self, model):
        super().__init__()
        self.model = model
        trunk, grid = model.image_encoder.trunk, model.image_size // 4
        table = trunk._get_pos_embed((grid, grid)).detach()  # a constant of the size; traced, it leaves If nodes behind
        trunk._get_pos_embed = lambda hw: table

    def forward(self, image):
        features = self.model.forward_image(image)
        h0, h1, e = features["backbone_fpn"][-3:]
        return e + self.model.no_mem_embed.reshape(1, -1, 1, 1), h0, h1


class Decoder(torch.nn.Module):
    """As SAM2ImagePredictor.predict with points and three masks."""

    def __init__(self, model, height, width):
        super().__init__()
        self.prompt, self.decoder, self.size = model.sam_prompt_encoder, model.sam_mask_decoder, (height, width)

    def forward(self, e, h0, h1, points, labels):
        sparse, dense = self.prompt(points=(points, labels), boxes=None, masks=None)
        low, iou, _, _ = self.decoder(
            image_embeddings=e, image_pe=self.prompt.get_dense_pe(), sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense, multimask_output=True, repeat_image=False, high_res_features=[h0, h1])
        full = torch.nn.functional.interpolate(low, self.size, mode="bilinear", align_corners=False)
        return full > 0, low.clamp(-32, 32), iou


def export(module, args, path, inputs, outputs):
    torch.onnx.export(module, args, str(path), input_names=inputs, output_names=outputs, opset_version=17, dynamo=False)
    slim = onnxslim.slim(onnx.load(path))
    onnx.shape_inference.infer_shapes(slim, strict_mode=True, check_type=True)
    del slim.graph.value_info[:]  # the exporter's notes on shapes contradict each other, and onnxruntime refuses them
    onnx.save(slim, path)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, {len(slim.graph.node)} nodes", flush=True)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--config", default="t")
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--size", default="1280x853", help="width x height of the picture")
    ap.add_argument("--out", type=pathlib.Path, required=True)
    a = ap.parse_args()
    width, height = map(int, a.size.split("x"))
    a.out.mkdir(parents=True, exist_ok=True)
    model = reference.build(a.config, a.seed)
    reference.save_checkpoint(model, a.out / "model.pt")
    (a.out / "picture.rgb").write_bytes(pictures.picture(width, height).tobytes())
    size = model.image_size
    with torch.no_grad():
        image = torch.randn(1, 3, size, size)
        encoder = Encoder(model).eval()
        e, h0, h1 = encoder(image)
        export(encoder, (image,), a.out / "encoder.onnx", ["image"], ["e", "h0", "h1"])
        click = (torch.full((1, 1, 2), size / 2.0), torch.ones(1, 1, dtype=torch.int64))
        export(Decoder(model, height, width).eval(), (e, h0, h1, *click), a.out / "decoder.onnx",
               ["e", "h0", "h1", "points", "labels"], ["mask", "low", "iou"])


if __name__ == "__main__":
    main()
