//! Masks from image and prompt embeddings (sam2/modeling/sam/mask_decoder.py).

use super::transformer::{TwoWaySizes, TwoWayTransformer};
use crate::ops::norm::EPS_BACKBONE;
use crate::ops::{Activation, ConvTranspose2x2, LayerNorm, Linear, Mlp, matmul_transposed};
use crate::weights::{LoadError, Weights};
use burn::tensor::Tensor;
use sam2_checkpoint::config::ModelConfig;

/// Mask tokens: one for a single mask, three for the ambiguous case.
pub const NUM_MASK_TOKENS: usize = 4;

/// The high-resolution features that `SAM2Base.forward_image` projects once per picture.
#[derive(Debug, Clone)]
pub struct HighResFeatures {
    /// Stride 4, `[B, S / 4, S / 4, C / 8]`.
    pub s0: Tensor<4>,
    /// Stride 8, `[B, S / 8, S / 8, C / 4]`.
    pub s1: Tensor<4>,
}

/// Everything the decoder predicts, for all four mask tokens; which of them are an answer is decided on
/// the host ([`crate::select`]), after the mask check has seen them.
#[derive(Debug, Clone)]
pub struct DecoderOutput {
    /// Logits, `[B, 4, S / 4, S / 4]`.
    pub masks: Tensor<4>,
    /// Predicted IoU, `[B, 4]`.
    pub iou: Tensor<2>,
    /// `[B, 4, C]`.
    pub mask_tokens: Tensor<3>,
    /// Logits of "the object is there", `[B, 1]`; 10 where the model does not predict it.
    pub object_score: Tensor<2>,
}

/// `MaskDecoder`.
#[derive(Debug)]
pub struct MaskDecoder {
    transformer: TwoWayTransformer,
    /// (object score, IoU, mask) tokens in that order, `[1, T, C]`.
    output_tokens: Tensor<3>,
    upscale1: ConvTranspose2x2,
    upscale_norm: LayerNorm,
    upscale2: ConvTranspose2x2,
    /// conv_s0 and conv_s1, where high-resolution features are used.
    high_res: Option<[Linear; 2]>,
    output_hypernetworks_mlps: Vec<Mlp>,
    iou_prediction_head: Mlp,
    pred_obj_score_head: Option<Mlp>,
    dim: usize,
}

impl MaskDecoder {
    /// Hidden width of the IoU head and of the transformer's MLP, fixed in `_build_sam_heads`.
    const IOU_HEAD_HIDDEN: usize = 256;
    const TRANSFORMER: (usize, usize, usize) = (2, 8, 2048);

    pub fn load(w: &mut Weights, c: &ModelConfig) -> Result<Self, LoadError> {
        let dim = c.hidden_dim();
        let (depth, num_heads, mlp_dim) = Self::TRANSFORMER;
        let sizes = TwoWaySizes {
            depth,
            embedding_dim: dim,
            num_heads,
            mlp_dim,
        };
        let token = |name: &str, n: usize| w.at(name).tensor("weight", [n, dim]);
        let mut tokens = vec![
            token("iou_token", 1)?,
            token("mask_tokens", NUM_MASK_TOKENS)?,
        ];
        if c.pred_obj_scores {
            tokens.insert(0, token("obj_score_token", 1)?);
        }
        let hyper = |i: usize| {
            let w = &mut w.at(&format!("output_hypernetworks_mlps.{i}"));
            Mlp::load(w, &[dim, dim, dim, dim / 8], Activation::Relu, false)
        };
        let hidden = Self::IOU_HEAD_HIDDEN;
        let iou_sizes = [dim, hidden, hidden, NUM_MASK_TOKENS];
        let up = w.at("output_upscaling");
        Ok(Self {
            transformer: TwoWayTransformer::load(&mut w.at("transformer"), &sizes)?,
            output_tokens: Tensor::cat(tokens, 0).unsqueeze(),
            upscale1: ConvTranspose2x2::load(&mut up.at("0"), dim, dim / 4)?,
            upscale_norm: LayerNorm::load(&mut up.at("1"), dim / 4, EPS_BACKBONE)?,
            upscale2: ConvTranspose2x2::load(&mut up.at("3"), dim / 4, dim / 8)?,
            high_res: match c.use_high_res_features_in_sam {
                false => None,
                true => Some([
                    Linear::load_pointwise(&mut w.at("conv_s0"), dim, dim / 8)?,
                    Linear::load_pointwise(&mut w.at("conv_s1"), dim, dim / 4)?,
                ]),
            },
            output_hypernetworks_mlps: (0..NUM_MASK_TOKENS).map(hyper).collect::<Result<_, _>>()?,
            iou_prediction_head: Mlp::load(
                &mut w.at("iou_prediction_head"),
                &iou_sizes,
                Activation::Relu,
                c.iou_prediction_use_sigmoid,
            )?,
            pred_obj_score_head: match (c.pred_obj_scores, c.pred_obj_scores_mlp) {
                (false, _) => None,
                (true, false) => Some(Mlp::single(Linear::load(
                    &mut w.at("pred_obj_score_head"),
                    dim,
                    1,
                )?)),
                (true, true) => Some(Mlp::load(
                    &mut w.at("pred_obj_score_head"),
                    &[dim, dim, dim, 1],
                    Activation::Relu,
                    false,
                )?),
            },
            dim,
        })
    }

    /// conv_s0 and conv_s1 over the pyramid's first two levels, once per picture
    /// (`SAM2Base.forward_image`).
    pub fn project_high_res(&self, s0: Tensor<4>, s1: Tensor<4>) -> Option<HighResFeatures> {
        let [conv_s0, conv_s1] = self.high_res.as_ref()?;
        Some(HighResFeatures {
            s0: conv_s0.forward(s0),
            s1: conv_s1.forward(s1),
        })
    }

    /// `predict_masks`. `image [B or 1, HW, C]`, `image_pe [1, HW, C]`, `sparse [B, N, C]` (none:
    /// no prompt tokens), `dense [B or 1, HW, C]`; high-resolution features with batch B or 1.
    pub fn forward(
        &self,
        image: Tensor<3>,
        image_pe: &Tensor<3>,
        sparse: Option<Tensor<3>>,
        dense: Tensor<3>,
        high_res: Option<&HighResFeatures>,
        batch: usize,
    ) -> DecoderOutput {
        let [_, hw, c] = image.dims();
        let side = hw.isqrt();
        let outputs = self.output_tokens.clone();
        let [_, fixed, _] = outputs.dims();
        let outputs = outputs.expand([batch, fixed, c]);
        let tokens = match sparse {
            Some(sparse) => Tensor::cat(vec![outputs, sparse], 1),
            None => outputs,
        };
        let src = (image + dense).expand([batch, hw, c]);
        let (hs, src) = self.transformer.forward(src, image_pe, tokens);
        let first = fixed - 1 - NUM_MASK_TOKENS;
        let token = |i: usize| hs.clone().narrow(1, i, 1).reshape([batch, self.dim]);
        let mask_tokens = hs.clone().narrow(1, first + 1, NUM_MASK_TOKENS);

        let mut up = self.upscale1.forward(src.reshape([batch, side, side, c]));
        if let Some(features) = high_res {
            up = up + features.s1.clone();
        }
        let up = Activation::Gelu.apply(self.upscale_norm.forward(up));
        let mut up = self.upscale2.forward(up);
        if let Some(features) = high_res {
            up = up + features.s0.clone();
        }
        let up = Activation::Gelu.apply(up);

        let hyper: Vec<Tensor<3>> = self
            .output_hypernetworks_mlps
            .iter()
            .enumerate()
            .map(|(i, mlp)| mlp.forward(mask_tokens.clone().narrow(1, i, 1)))
            .collect();
        let [_, h, w, channels] = up.dims();
        let masks = matmul_transposed(Tensor::cat(hyper, 1), up.reshape([batch, h * w, channels]))
            .reshape([batch, NUM_MASK_TOKENS, h, w]);
        let object_score = match &self.pred_obj_score_head {
            None => Tensor::full([batch, 1], 10.0, &masks.device()),
            Some(head) => head.forward(token(0)),
        };
        let iou = self.iou_prediction_head.forward(token(first));
        DecoderOutput {
            masks,
            iou,
            mask_tokens,
            object_score,
        }
    }
}
