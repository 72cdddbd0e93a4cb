//! The memory encoder (sam2/modeling/memory_encoder.py): a frame's features and a mask to the memory
//! that later frames look at. Channels-last.

use crate::ops::norm::EPS_BACKBONE;
use crate::ops::{Activation, Conv2d, DepthwiseConv2d, LayerNorm, Linear, Window};
use crate::weights::{LoadError, Weights};
use burn::tensor::Tensor;
use sam2_checkpoint::config::{
    CXBlockConfig, FuserConfig, MaskDownSamplerConfig, MemoryEncoderConfig,
};

/// `MaskDownSampler`: strided convolutions from the model's input size to the embedding's.
#[derive(Debug)]
struct MaskDownSampler {
    steps: Vec<(Conv2d, LayerNorm)>,
    last: Linear,
}

impl MaskDownSampler {
    fn load(w: &mut Weights, c: &MaskDownSamplerConfig) -> Result<Self, LoadError> {
        // `ModelConfig::validate` refuses a total stride that is no power of the stride.
        let layers = c.num_layers().unwrap_or(0);
        let window = Window {
            kernel: c.kernel_size,
            stride: c.stride,
            padding: c.padding,
        };
        let mut channels = 1;
        let mut steps = Vec::with_capacity(layers);
        for layer in 0..layers {
            let outputs = channels * c.stride * c.stride;
            let conv = &mut w.at(&format!("encoder.{}", 3 * layer));
            let norm = &mut w.at(&format!("encoder.{}", 3 * layer + 1));
            steps.push((
                Conv2d::load(conv, channels, outputs, window)?,
                LayerNorm::load(norm, outputs, EPS_BACKBONE)?,
            ));
            channels = outputs;
        }
        let last = &mut w.at(&format!("encoder.{}", 3 * layers));
        Ok(Self {
            steps,
            last: Linear::load_pointwise(last, channels, c.embed_dim)?,
        })
    }

    /// `[B, S, S, 1]` to `[B, S / 16, S / 16, C]`.
    fn forward(&self, mut x: Tensor<4>) -> Tensor<4> {
        for (conv, norm) in &self.steps {
            x = Activation::Gelu.apply(norm.forward(conv.forward(x)));
        }
        self.last.forward(x)
    }
}

/// The spatial convolution of a `CXBlock`.
#[derive(Debug)]
enum BlockConv {
    Depthwise(DepthwiseConv2d),
    Full(Conv2d),
}

/// `CXBlock`, a ConvNeXt block.
#[derive(Debug)]
struct CXBlock {
    dwconv: BlockConv,
    norm: LayerNorm,
    pwconv1: Linear,
    /// `gamma` is folded in: it scales this layer's outputs.
    pwconv2: Linear,
}

impl CXBlock {
    fn load(w: &mut Weights, c: &CXBlockConfig) -> Result<Self, LoadError> {
        let dim = c.dim;
        let window = Window {
            kernel: c.kernel_size,
            stride: 1,
            padding: c.padding,
        };
        let dwconv = &mut w.at("dwconv");
        let mut pwconv2 = Linear::load(&mut w.at("pwconv2"), 4 * dim, dim)?;
        if c.layer_scale_init_value > 0.0 {
            let gamma: Tensor<1> = w.tensor("gamma", [dim])?;
            pwconv2.weight = pwconv2.weight * gamma.clone().unsqueeze::<2>();
            pwconv2.bias = pwconv2.bias.map(|bias| bias * gamma);
        }
        Ok(Self {
            dwconv: match c.use_dwconv {
                true => BlockConv::Depthwise(DepthwiseConv2d::load(dwconv, dim, window)?),
                false => BlockConv::Full(Conv2d::load(dwconv, dim, dim, window)?),
            },
            norm: LayerNorm::load(&mut w.at("norm"), dim, EPS_BACKBONE)?,
            pwconv1: Linear::load(&mut w.at("pwconv1"), dim, 4 * dim)?,
            pwconv2,
        })
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let x = match &self.dwconv {
            BlockConv::Depthwise(conv) => conv.forward(input.clone()),
            BlockConv::Full(conv) => conv.forward(input.clone()),
        };
        let x = self
            .pwconv1
            .forward_act(self.norm.forward(x), Activation::Gelu);
        self.pwconv2.forward_add(x, input)
    }
}

/// `Fuser`.
#[derive(Debug)]
struct Fuser {
    proj: Option<Linear>,
    layers: Vec<CXBlock>,
}

impl Fuser {
    fn load(w: &mut Weights, c: &FuserConfig) -> Result<Self, LoadError> {
        let proj = match (c.input_projection, c.dim) {
            (true, Some(dim)) => Some(Linear::load_pointwise(&mut w.at("proj"), dim, dim)?),
            _ => None,
        };
        let layer = |i: usize| CXBlock::load(&mut w.at(&format!("layers.{i}")), &c.layer);
        Ok(Self {
            proj,
            layers: (0..c.num_layers).map(layer).collect::<Result<_, _>>()?,
        })
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = match &self.proj {
            Some(proj) => proj.forward(x),
            None => x,
        };
        self.layers.iter().fold(x, |x, layer| layer.forward(x))
    }
}

/// `MemoryEncoder`. Its sine encoding does not depend on the frame: `MemoryModules` keeps it.
#[derive(Debug)]
pub struct MemoryEncoder {
    mask_downsampler: MaskDownSampler,
    pix_feat_proj: Linear,
    fuser: Fuser,
    out_proj: Option<Linear>,
}

impl MemoryEncoder {
    pub fn load(w: &mut Weights, c: &MemoryEncoderConfig) -> Result<Self, LoadError> {
        let sampler = &mut w.at("mask_downsampler");
        Ok(Self {
            mask_downsampler: MaskDownSampler::load(sampler, &c.mask_downsampler)?,
            pix_feat_proj: Linear::load_pointwise(&mut w.at("pix_feat_proj"), c.in_dim, c.in_dim)?,
            fuser: Fuser::load(&mut w.at("fuser"), &c.fuser)?,
            out_proj: match c.in_dim == c.out_dim {
                true => None,
                false => Some(Linear::load_pointwise(
                    &mut w.at("out_proj"),
                    c.in_dim,
                    c.out_dim,
                )?),
            },
        })
    }

    /// `pix_feat [1, HW, C]` (the frame, shared by its objects) and masks `[B, S, S, 1]`, after the
    /// sigmoid (`skip_mask_sigmoid=True`), to `[B, HW, D]`.
    pub fn forward(&self, pix_feat: Tensor<3>, masks: Tensor<4>) -> Tensor<3> {
        let masks = self.mask_downsampler.forward(masks);
        let [b, h, w, c] = masks.dims();
        let x = self.pix_feat_proj.forward(pix_feat).reshape([1, h, w, c]) + masks;
        let x = self.fuser.forward(x);
        let x = match &self.out_proj {
            Some(proj) => proj.forward(x),
            None => x,
        };
        let [_, _, _, d] = x.dims();
        x.reshape([b, h * w, d])
    }
}
