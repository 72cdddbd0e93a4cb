"""The network: official modules, built from the yaml that ships, at any input size of the curriculum."""

from __future__ import annotations

from pathlib import Path

import torch
from omegaconf import OmegaConf

YAML = Path(__file__).resolve().parents[2] / "models" / "nano" / "sam2-nano.yaml"
MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)


def build(side: int | None = None, yaml: Path = YAML):
    """An official SAM2Base with random weights; `side` overrides image_size (weights fit every size)."""
    from hydra.utils import instantiate

    config = OmegaConf.load(yaml)
    if side is not None:
        config.model.image_size = side
        grid = [side // 16, side // 16]
        layer = config.model.memory_attention.layer
        layer.self_attention.feat_sizes = grid
        layer.cross_attention.feat_sizes = grid
    # What build_sam2 and build_sam2_video_predictor add at inference has no weights; training needs none of it.
    return instantiate(config.model, _recursive_=True)


def twin(model, side: int):
    """A model for another input size with `model`'s own parameters: what is learnt in one is learnt in both."""
    other = build(side)
    # The buffers as well: the Fourier features of the prompts are a random matrix of their own in every model.
    other.load_state_dict(model.state_dict())
    shared = dict(model.named_parameters())
    for path, module in other.named_modules():
        for name in list(module._parameters):
            module._parameters[name] = shared[f"{path}.{name}" if path else name]
    return other


def normalise(images: torch.Tensor) -> torch.Tensor:
    """uint8 [B, 3, S, S] to the network's float32 input."""
    return (images.float() / 255 - MEAN) / STD


def to_decoder(model, raw: list[torch.Tensor]) -> list[torch.Tensor]:
    """FPN maps as the mask decoder takes them: [B, 16, S/4, S/4], [B, 32, S/8, S/8], [B, 128, S/16, S/16].

    `raw` are the three maps of the image encoder, all of 128 channels. The first two go through conv_s0 and conv_s1 (as in
    SAM2Base.forward_image); the last gets no_mem_embed, as in SAM2ImagePredictor.
    """
    decoder = model.sam_mask_decoder
    return [decoder.conv_s0(raw[0]), decoder.conv_s1(raw[1]), raw[2] + model.no_mem_embed.view(1, -1, 1, 1)]


def decode(model, fpn, points, labels, mask_input=None, repeat: int = 1):
    """Prompt encoder and mask decoder for B * repeat prompts, prompt-major within each picture.

    points [B*R, N, 2] in input pixels (half a pixel is added by the prompt encoder), labels [B*R, N];
    mask_input [B*R, 1, S/4, S/4] logits or None. Returns masks [B*R, 4, S/4, S/4] (token 0 is the single mask),
    iou [B*R, 4], object score logits [B*R, 1], tokens [B*R, 4, 128].
    """
    sparse, dense = model.sam_prompt_encoder(points=(points, labels), boxes=None, masks=mask_input)
    high = [f.repeat_interleave(repeat, 0) for f in fpn[:-1]]
    # predict_masks, not forward: training wants all four masks at once, whatever the number of clicks.
    return model.sam_mask_decoder.predict_masks(
        image_embeddings=fpn[-1].repeat_interleave(repeat, 0),
        image_pe=model.sam_prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        repeat_image=False,
        high_res_features=high,
    )
