//! Points, boxes and masks to embeddings (sam2/modeling/sam/prompt_encoder.py).

use crate::ops::norm::EPS_BACKBONE;
use crate::ops::{Activation, LayerNorm, Linear, PatchLinear, from_vec};
use crate::position_encoding::PositionEmbeddingRandom;
use crate::weights::{LoadError, Weights};
use burn::tensor::{Device, Tensor};

/// Meaning of a point. The numbers are the official labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PointLabel {
    /// -1: padding, "not a point".
    NotAPoint,
    /// 0
    Background,
    /// 1
    Foreground,
    /// 2
    BoxTopLeft,
    /// 3
    BoxBottomRight,
}

impl PointLabel {
    /// The label's index among `point_embeddings`; `None` for padding.
    fn index(self) -> Option<usize> {
        match self {
            Self::NotAPoint => None,
            Self::Background => Some(0),
            Self::Foreground => Some(1),
            Self::BoxTopLeft => Some(2),
            Self::BoxBottomRight => Some(3),
        }
    }
}

/// A labelled point, in pixels of the model's square input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PromptPoint {
    pub x: f32,
    pub y: f32,
    pub label: PointLabel,
}

impl PromptPoint {
    /// The filler that the video model supplies where no point was given.
    pub const PADDING: Self = Self {
        x: 0.0,
        y: 0.0,
        label: PointLabel::NotAPoint,
    };
}

/// `PromptEncoder`.
#[derive(Debug)]
pub struct PromptEncoder {
    pe_layer: PositionEmbeddingRandom,
    /// Background, foreground, top left, bottom right: `[C]` each, on the host.
    point_embeddings: Vec<Vec<f32>>,
    not_a_point_embed: Vec<f32>,
    mask_downscaling: MaskDownscaling,
    no_mask_embed: Tensor<1>,
    /// The encoding of the embedding's grid, `[1, HW, C]`.
    dense_pe: Tensor<3>,
    embed_dim: usize,
    image_size: usize,
    device: Device,
}

/// `mask_downscaling`: two 2 x 2 convolutions with stride 2, then one 1 x 1.
#[derive(Debug)]
struct MaskDownscaling {
    conv1: PatchLinear,
    norm1: LayerNorm,
    conv2: PatchLinear,
    norm2: LayerNorm,
    conv3: Linear,
}

impl PromptEncoder {
    /// Channels of the mask path, fixed in the official `_build_sam_heads`.
    const MASK_IN_CHANS: usize = 16;

    pub fn load(w: &mut Weights, embed_dim: usize, image_size: usize) -> Result<Self, LoadError> {
        let side = image_size / 16;
        let gaussian = w
            .at("pe_layer")
            .values("positional_encoding_gaussian_matrix", &[2, embed_dim / 2])?;
        let pe_layer = PositionEmbeddingRandom::new(gaussian);
        let dense_pe = from_vec(
            pe_layer.grid(side, side),
            [1, side * side, embed_dim],
            w.device(),
        );
        let chans = Self::MASK_IN_CHANS;
        let masks = w.at("mask_downscaling");
        let point = |i: usize| {
            w.at(&format!("point_embeddings.{i}"))
                .values("weight", &[1, embed_dim])
        };
        Ok(Self {
            point_embeddings: (0..4).map(point).collect::<Result<_, _>>()?,
            not_a_point_embed: w
                .at("not_a_point_embed")
                .values("weight", &[1, embed_dim])?,
            mask_downscaling: MaskDownscaling {
                conv1: PatchLinear::load(&mut masks.at("0"), 1, chans / 4, 2)?,
                norm1: LayerNorm::load(&mut masks.at("1"), chans / 4, EPS_BACKBONE)?,
                conv2: PatchLinear::load(&mut masks.at("3"), chans / 4, chans, 2)?,
                norm2: LayerNorm::load(&mut masks.at("4"), chans, EPS_BACKBONE)?,
                conv3: Linear::load_pointwise(&mut masks.at("6"), chans, embed_dim)?,
            },
            no_mask_embed: w
                .at("no_mask_embed")
                .tensor::<2>("weight", [1, embed_dim])?
                .squeeze(),
            pe_layer,
            dense_pe,
            embed_dim,
            image_size,
            device: w.device().clone(),
        })
    }

    /// `get_dense_pe`: `[1, HW, C]`.
    pub fn dense_pe(&self) -> &Tensor<3> {
        &self.dense_pe
    }

    /// Sparse embeddings of a batch of equally many points, `[B, N + 1, C]`: the padding token (0, 0)
    /// labelled -1 comes last, always (the official code passes `boxes=None`). `None` for empty
    /// lists, as `points=None` there.
    pub fn embed_points(&self, batch: &[Vec<PromptPoint>]) -> Option<Tensor<3>> {
        let points = batch.first().map_or(0, Vec::len);
        if points == 0 {
            return None;
        }
        let mut out = Vec::with_capacity(batch.len() * (points + 1) * self.embed_dim);
        for list in batch {
            for point in list.iter().chain([&PromptPoint::PADDING]) {
                self.embed_point(point, &mut out);
            }
        }
        Some(from_vec(
            out,
            [batch.len(), points + 1, self.embed_dim],
            &self.device,
        ))
    }

    fn embed_point(&self, point: &PromptPoint, out: &mut Vec<f32>) {
        let Some(index) = point.label.index() else {
            out.extend_from_slice(&self.not_a_point_embed);
            return;
        };
        let start = out.len();
        // To the centre of the pixel, then to [0, 1].
        let size = self.image_size as f32;
        self.pe_layer
            .encode((point.x + 0.5) / size, (point.y + 0.5) / size, out);
        for (o, e) in out[start..].iter_mut().zip(&self.point_embeddings[index]) {
            *o += e;
        }
    }

    /// Dense embeddings, `[B, HW, C]` (or `[1, HW, C]` without masks, to broadcast): of mask prompts
    /// `[B, S / 4, S / 4, 1]` in logits, or the learned "no mask".
    pub fn embed_masks(&self, masks: Option<Tensor<4>>) -> Tensor<3> {
        let tokens = (self.image_size / 16).pow(2);
        match masks {
            None => self
                .no_mask_embed
                .clone()
                .reshape([1, 1, self.embed_dim])
                .expand([1, tokens, self.embed_dim]),
            Some(masks) => {
                let [b, ..] = masks.dims();
                self.mask_downscaling
                    .forward(masks)
                    .reshape([b, tokens, self.embed_dim])
            }
        }
    }
}

impl MaskDownscaling {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = Activation::Gelu.apply(self.norm1.forward(self.conv1.forward(x)));
        let x = Activation::Gelu.apply(self.norm2.forward(self.conv2.forward(x)));
        self.conv3.forward(x)
    }
}
