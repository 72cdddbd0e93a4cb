//! What a frame leaves behind for later ones (`_encode_new_memory`).

use super::super::{ImageFeatures, Sam2Base};
use crate::ops::cpu::{parallel::for_each_chunk, simd};
use crate::ops::{from_vec, is_cpu};
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};
use burn::tensor::{Device, Tensor, activation, module};

impl Sam2Base {
    /// `_encode_new_memory` for `B` objects of one frame: low-resolution logits `[S / 4, S / 4]` each
    /// and object scores, to memories `[B, HW, D]`.
    ///
    /// `is_mask_from_pts`: the frame was prompted, its masks may be cut at 0
    /// (`binarize_mask_from_pts_for_mem_enc`). `non_overlap_masks_for_mem_enc` has no effect, as in the
    /// official predictor, which encodes one object at a time.
    pub fn encode_new_memory(
        &self,
        features: &ImageFeatures,
        logits: &[&[f32]],
        object_scores: &[f32],
        is_mask_from_pts: bool,
    ) -> Tensor<3> {
        let c = &self.config;
        let binarize = c.binarize_mask_from_pts_for_mem_enc && is_mask_from_pts;
        let (scale, bias) = (c.sigmoid_scale_for_mem_enc, c.sigmoid_bias_for_mem_enc);
        let masks = mask_for_memory(
            logits,
            c.low_res_size(),
            c.image_size,
            Squash {
                binarize,
                scale: scale as f32,
                bias: bias as f32,
            },
            self.device(),
        );
        let memory = self
            .memory
            .memory_encoder
            .forward(features.embed.clone(), masks);
        let Some(absent) = &self.memory.no_obj_embed_spatial else {
            return memory;
        };
        if object_scores.iter().all(|score| *score > 0.0) {
            return memory;
        }
        let shift = |score: &f32| -> Vec<f32> {
            let appears = *score > 0.0;
            absent
                .iter()
                .map(|v| if appears { 0.0 } else { *v })
                .collect()
        };
        let shift: Vec<f32> = object_scores.iter().flat_map(shift).collect();
        memory + from_vec(shift, [object_scores.len(), 1, absent.len()], self.device())
    }
}

/// From logits to what the memory encoder takes.
#[derive(Debug, Clone, Copy)]
struct Squash {
    /// Cut at 0 instead of the sigmoid.
    binarize: bool,
    scale: f32,
    bias: f32,
}

impl Squash {
    #[inline(always)]
    fn apply(self, x: f32) -> f32 {
        let squashed = match self.binarize {
            true => f32::from(u8::from(x > 0.0)),
            false => 1.0 / (1.0 + simd::exp(-x)),
        };
        squashed * self.scale + self.bias
    }
}

/// Low-resolution logits stretched (bilinear, `align_corners=False`) to the model's input, squashed:
/// `[B, S, S, 1]`.
fn mask_for_memory(
    logits: &[&[f32]],
    low: usize,
    size: usize,
    squash: Squash,
    device: &Device,
) -> Tensor<4> {
    let b = logits.len();
    if is_cpu(device) {
        let mut out = vec![0.0; b * size * size];
        let taps = bilinear_taps(low, size);
        for_each_chunk(&mut out, size, |row, out| {
            let (logits, y) = (logits[row / size], row % size);
            let (y0, y1, fy) = taps[y];
            let (top, bottom) = (&logits[y0 * low..][..low], &logits[y1 * low..][..low]);
            for (out, (x0, x1, fx)) in out.iter_mut().zip(&taps) {
                let mix = |row: &[f32]| (1.0 - fx) * row[*x0] + fx * row[*x1];
                *out = squash.apply((1.0 - fy) * mix(top) + fy * mix(bottom));
            }
        });
        return from_vec(out, [b, size, size, 1], device);
    }
    let x: Tensor<4> = from_vec(logits.concat(), [b, 1, low, low], device);
    let options = InterpolateOptions::new(InterpolateMode::Bilinear).with_align_corners(false);
    let x = module::interpolate(x, options.with_output_size([size, size]));
    let x = match squash.binarize {
        true => x.greater_elem(0.0).float(),
        false => activation::sigmoid(x),
    };
    (x * squash.scale + squash.bias).reshape([b, size, size, 1])
}

/// The two places that each output place mixes, and the weight of the second.
fn bilinear_taps(n: usize, out: usize) -> Vec<(usize, usize, f32)> {
    let ratio = n as f32 / out as f32;
    let tap = |i: usize| {
        let real = ((i as f32 + 0.5) * ratio - 0.5).max(0.0);
        let low = (real as usize).min(n - 1);
        (low, (low + 1).min(n - 1), real - low as f32)
    };
    (0..out).map(tap).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_stretched_as_torch_does_then_squashed() {
        // F.interpolate(torch.tensor([[[[0., 4.], [8., 20.]]]]), (4, 4), mode="bilinear",
        // align_corners=False)
        let expected = [
            [0.0, 1.0, 3.0, 4.0],
            [2.0, 3.5, 6.5, 8.0],
            [6.0, 8.5, 13.5, 16.0],
            [8.0, 11.0, 17.0, 20.0],
        ];
        #[allow(deprecated)]
        let device = Device::ndarray();
        let logits = [0.0, 4.0, 8.0, 20.0];
        let squash = Squash {
            binarize: false,
            scale: 20.0,
            bias: -10.0,
        };
        let got = mask_for_memory(&[&logits], 2, 4, squash, &device);
        let got: Vec<f32> = got.into_data().try_into_vec().unwrap();
        for (got, e) in got.iter().zip(expected.as_flattened()) {
            let e = 20.0 / (1.0 + f64::exp(-*e)) - 10.0;
            assert!((f64::from(*got) - e).abs() < 1e-5, "{got} {e}");
        }
        // An absent object is -1024 everywhere: no overflow, and 0 is not above 0.
        let absent = [-1024.0, -1024.0, -1024.0, -1024.0];
        let got = mask_for_memory(&[&absent], 2, 4, squash, &device);
        assert!(
            got.into_data()
                .try_into_vec::<f32>()
                .unwrap()
                .iter()
                .all(|v| *v == -10.0)
        );
        let cut = Squash {
            binarize: true,
            ..squash
        };
        let got = mask_for_memory(&[&[0.0, 0.0, 1.0, 1.0]], 2, 2, cut, &device);
        assert_eq!(
            got.into_data().try_into_vec::<f32>().unwrap(),
            [-10.0, -10.0, 10.0, 10.0]
        );
    }
}
