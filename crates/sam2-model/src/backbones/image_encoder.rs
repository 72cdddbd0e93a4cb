//! Trunk and FPN neck (sam2/modeling/backbones/image_encoder.py), channels-last.

use super::hieradet::Hiera;
use crate::ops::{Linear, upsample_nearest_2x};
use crate::weights::{LoadError, Weights};
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};
use burn::tensor::{Tensor, module};
use sam2_checkpoint::config::{FpnInterp, FpnNeckConfig, FuseType, ImageEncoderConfig};

/// `FpnNeck`: every stage's map to `d_model` channels, lower maps added into higher ones (nearest) at
/// `fpn_top_down_levels` only.
#[derive(Debug)]
struct FpnNeck {
    /// In the official order: `convs.0` belongs to the smallest map.
    convs: Vec<Linear>,
    /// `None`: all levels.
    top_down_levels: Option<Vec<usize>>,
    interp: FpnInterp,
    fuse: FuseType,
}

impl FpnNeck {
    fn load(w: &mut Weights, c: &FpnNeckConfig) -> Result<Self, LoadError> {
        let convs = c
            .backbone_channel_list
            .iter()
            .enumerate()
            .map(|(i, channels)| {
                Linear::load_pointwise(&mut w.at(&format!("convs.{i}.conv")), *channels, c.d_model)
            });
        Ok(Self {
            convs: convs.collect::<Result<_, _>>()?,
            top_down_levels: c.fpn_top_down_levels.clone(),
            interp: c.fpn_interp_model,
            fuse: c.fuse_type,
        })
    }

    /// Maps `[B, H, W, C]`, the largest first, to as many `[B, H, W, d_model]`; those below `keep`
    /// levels are computed only as far as higher ones need them.
    fn forward(&self, maps: Vec<Tensor<4>>, keep: usize) -> Vec<Tensor<4>> {
        let n = self.convs.len() - 1;
        let mut out = Vec::with_capacity(keep);
        let mut previous: Option<Tensor<4>> = None;
        for (i, map) in maps.into_iter().enumerate().rev() {
            let lateral = self.convs[n - i].forward(map);
            let merged = match previous.take() {
                Some(low) if self.is_top_down(i) => self.fuse(lateral, low),
                _ => lateral,
            };
            previous = Some(merged.clone());
            if i < keep {
                out.push(merged);
            }
        }
        out.reverse();
        out
    }

    fn is_top_down(&self, level: usize) -> bool {
        self.top_down_levels
            .as_ref()
            .is_none_or(|levels| levels.contains(&level))
    }

    fn fuse(&self, lateral: Tensor<4>, low: Tensor<4>) -> Tensor<4> {
        let sum = lateral
            + match self.interp {
                FpnInterp::Nearest => upsample_nearest_2x(low),
                FpnInterp::Bilinear => bilinear_2x(low),
            };
        match self.fuse {
            FuseType::Sum => sum,
            FuseType::Avg => sum / 2.0,
        }
    }
}

/// Bilinear 2 x upsampling of `[B, H, W, C]`, `align_corners=False`.
fn bilinear_2x(x: Tensor<4>) -> Tensor<4> {
    let [_, h, w, _] = x.dims();
    let options = InterpolateOptions::new(InterpolateMode::Bilinear).with_align_corners(false);
    let options = options.with_output_size([2 * h, 2 * w]);
    module::interpolate(x.permute([0, 3, 1, 2]), options).permute([0, 2, 3, 1])
}

/// `ImageEncoder`: a preprocessed picture to its feature pyramid.
#[derive(Debug)]
pub struct ImageEncoder {
    trunk: Hiera,
    neck: FpnNeck,
    scalp: usize,
}

impl ImageEncoder {
    pub fn load(
        w: &mut Weights,
        c: &ImageEncoderConfig,
        image_size: usize,
    ) -> Result<Self, LoadError> {
        Ok(Self {
            trunk: Hiera::load(&mut w.at("trunk"), &c.trunk, image_size)?,
            neck: FpnNeck::load(&mut w.at("neck"), &c.neck)?,
            scalp: c.scalp,
        })
    }

    /// `[B, 3, S, S]` to `[B, H, W, d_model]` at strides 4, 8, 16 (the lowest `scalp` levels dropped).
    pub fn forward(&self, x: Tensor<4>, on_block: &dyn Fn(usize, usize)) -> Vec<Tensor<4>> {
        let maps = self.trunk.forward(x, on_block);
        let keep = maps.len() - self.scalp;
        self.neck.forward(maps, keep)
    }
}
