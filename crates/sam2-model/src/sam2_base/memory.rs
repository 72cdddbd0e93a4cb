//! The memory of a video (`SAM2Base`): conditioning a frame on what is remembered, and remembering it.

use super::{ImageFeatures, Sam2Base};
use crate::memory_attention::MemoryAttention;
use crate::memory_encoder::MemoryEncoder;
use crate::ops::cpu::{parallel::for_each_chunk, simd};
use crate::ops::{Activation, GPU_ELEMENTS, Linear, Mlp, PatchLinear, from_vec, is_cpu};
use crate::position_encoding::{self, sine_1d};
use crate::weights::{LoadError, Weights};
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};
use burn::tensor::{Device, Tensor, activation, module};
use sam2_checkpoint::config::ModelConfig;

/// `obj_ptr_proj`: a mask token to an object pointer; the identity for models without pointers.
#[derive(Debug)]
pub(super) struct ObjPtrProj(Option<Mlp>);

impl ObjPtrProj {
    fn load(w: &mut Weights, c: &ModelConfig) -> Result<Self, LoadError> {
        let (dim, w) = (c.hidden_dim(), &mut w.at("obj_ptr_proj"));
        Ok(Self(
            match (c.use_obj_ptrs_in_encoder, c.use_mlp_for_obj_ptr_proj) {
                (false, _) => None,
                (true, false) => Some(Mlp::single(Linear::load(w, dim, dim)?)),
                (true, true) => Some(Mlp::load(w, &[dim; 4], Activation::Relu, false)?),
            },
        ))
    }

    /// `[B, 4, C]` to the same shape.
    pub(super) fn forward(&self, tokens: Tensor<3>) -> Tensor<3> {
        match &self.0 {
            Some(mlp) => mlp.forward(tokens),
            None => tokens,
        }
    }
}

/// `obj_ptr_tpos_proj`, on the host: a few hundred values a frame.
#[derive(Debug)]
struct HostLinear {
    /// `[out, in]`, as in the file.
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl HostLinear {
    fn forward(&self, x: &[f32]) -> Vec<f32> {
        let rows = self.weight.chunks_exact(x.len()).zip(&self.bias);
        rows.map(|(row, bias)| row.iter().zip(x).map(|(w, x)| w * x).sum::<f32>() + bias)
            .collect()
    }
}

/// The parts of `SAM2Base` that only video needs.
#[derive(Debug)]
pub struct MemoryModules {
    pub memory_attention: MemoryAttention,
    pub memory_encoder: MemoryEncoder,
    /// The memory's sine encoding plus `maskmem_tpos_enc`, by `t_pos`: `[1, HW, D]` each.
    maskmem_pos: Vec<Tensor<3>>,
    pub(super) obj_ptr_proj: ObjPtrProj,
    obj_ptr_tpos_proj: Option<HostLinear>,
    /// `[C]`, the pointer of an absent object.
    pub(super) no_obj_ptr: Option<Vec<f32>>,
    pub(super) mask_downsample: Option<PatchLinear>,
    /// `[D]`, added to the memory of a frame without the object.
    no_obj_embed_spatial: Option<Vec<f32>>,
}

impl MemoryModules {
    /// Reads every tensor under its official key. `no_mem_pos_enc` is part of every file and is read,
    /// but no model that the official code can run on a video uses it
    /// ([`Sam2Base::supports_video`]).
    pub fn load(w: &mut Weights, c: &ModelConfig) -> Result<Self, LoadError> {
        let (dim, mem) = (c.hidden_dim(), c.mem_dim());
        let side = c.image_embedding_size();
        w.values("no_mem_pos_enc", &[1, 1, dim])?;
        let tpos = w.values("maskmem_tpos_enc", &[c.num_maskmem, 1, 1, mem])?;
        let sine = position_encoding::sine(side, side, &c.memory_encoder.position_encoding);
        let place = |t_pos: usize| {
            // The official index: prompted frames (t_pos 0) have the last one.
            let tpos = &tpos[(c.num_maskmem - t_pos - 1) * mem..][..mem];
            let values = sine
                .iter()
                .zip(tpos.iter().cycle())
                .map(|(a, b)| a + b)
                .collect();
            from_vec(values, [1, side * side, mem], w.device())
        };
        let maskmem_pos = (0..c.num_maskmem).map(place).collect();
        let when = |flag: bool, name: &str, shape: &[usize]| -> Result<_, LoadError> {
            flag.then(|| w.values(name, shape)).transpose()
        };
        let tpos_proj = w.at("obj_ptr_tpos_proj");
        let has_no_obj_ptr = c.pred_obj_scores && c.use_obj_ptrs_in_encoder;
        Ok(Self {
            no_obj_ptr: when(has_no_obj_ptr, "no_obj_ptr", &[1, dim])?,
            no_obj_embed_spatial: when(c.no_obj_embed_spatial, "no_obj_embed_spatial", &[1, mem])?,
            memory_attention: MemoryAttention::load(&mut w.at("memory_attention"), c)?,
            memory_encoder: MemoryEncoder::load(&mut w.at("memory_encoder"), &c.memory_encoder)?,
            maskmem_pos,
            obj_ptr_proj: ObjPtrProj::load(w, c)?,
            obj_ptr_tpos_proj: match c.proj_tpos_enc_in_obj_ptrs {
                false => None,
                true => Some(HostLinear {
                    weight: tpos_proj.values("weight", &[mem, dim])?,
                    bias: tpos_proj.values("bias", &[mem])?,
                }),
            },
            mask_downsample: match c.use_obj_ptrs_in_encoder {
                false => None,
                true => Some(PatchLinear::load(&mut w.at("mask_downsample"), 1, 1, 4)?),
            },
        })
    }
}

/// What one object remembers of other frames, in the order of a [`super::plan::MemoryPlan`].
#[derive(Debug, Clone, Default)]
pub struct ObjectMemory<'a> {
    /// `t_pos` and the spatial memory `[1, HW, D]`.
    pub frames: Vec<(usize, Tensor<3>)>,
    /// Scaled distance in frames and the pointer `[C]`.
    pub pointers: Vec<(f32, &'a [f32])>,
}

impl Sam2Base {
    /// Can this model track at all? With `directly_add_no_mem_embed: false` the official code stops
    /// at the first prompted frame (its rotary attention cannot take the single dummy token), so there
    /// is nothing to follow.
    pub fn supports_video(&self) -> bool {
        self.config.directly_add_no_mem_embed
    }

    /// Objects that may go through the network at once, each with memories of so many frames and so many
    /// pointers, so that no tensor on a GPU passes WebGPU's guaranteed binding, and a CPU keeps the keys
    /// of a few objects only. All prompted frames are looked at, so that there is no largest number of
    /// frames: one object alone passes the binding from 32 of them on at 1024 x 1024.
    pub fn objects_per_pass(&self, frames: usize, pointers: usize) -> usize {
        let largest = largest_tensor(&self.config, frames, pointers);
        (GPU_ELEMENTS / largest).clamp(1, 64)
    }

    /// `_prepare_memory_conditioned_features` for a frame that has memories: its features, conditioned
    /// on those of each of `B` objects, `[B, HW, C]`. All objects have equally many memory frames and
    /// pointers, and at least one of either.
    pub fn condition_on_memory(
        &self,
        features: &ImageFeatures,
        objects: &[ObjectMemory],
    ) -> Tensor<3> {
        let m = &self.memory;
        let memory = objects.iter().map(|object| {
            let frames = object.frames.iter().map(|(_, memory)| memory.clone());
            Tensor::cat(frames.chain(self.pointer_tokens(object)).collect(), 1)
        });
        let places = objects.iter().map(|object| {
            let frames = object
                .frames
                .iter()
                .map(|(t_pos, _)| m.maskmem_pos[*t_pos].clone());
            Tensor::cat(frames.chain(self.pointer_places(object)).collect(), 1)
        });
        let memory = Tensor::cat(memory.collect(), 0);
        let places = Tensor::cat(places.collect(), 0);
        let pointers = objects.first().map_or(0, |object| object.pointers.len());
        let tokens = pointers * self.tokens_per_pointer();
        m.memory_attention
            .forward(features.embed.clone(), memory, places, tokens)
    }

    /// A pointer is split into tokens of the memory's width.
    fn tokens_per_pointer(&self) -> usize {
        self.config.hidden_dim() / self.config.mem_dim()
    }

    /// `[1, P * C / D, D]`.
    fn pointer_tokens(&self, object: &ObjectMemory) -> Option<Tensor<3>> {
        let values: Vec<f32> = object
            .pointers
            .iter()
            .flat_map(|(_, ptr)| ptr.iter().copied())
            .collect();
        self.on_device(values)
    }

    /// The temporal encoding of the pointers, the same for all tokens of one: `[1, P * C / D, D]`.
    fn pointer_places(&self, object: &ObjectMemory) -> Option<Tensor<3>> {
        let (c, repeat) = (&self.config, self.tokens_per_pointer());
        let place =
            |distance: f32| match (&self.memory.obj_ptr_tpos_proj, c.add_tpos_enc_to_obj_ptrs) {
                (_, false) => vec![0.0; c.mem_dim()],
                (Some(proj), true) => proj.forward(&sine_1d(distance, c.hidden_dim())),
                (None, true) => sine_1d(distance, c.mem_dim()),
            };
        let places = object
            .pointers
            .iter()
            .flat_map(|(d, _)| place(*d).repeat(repeat));
        self.on_device(places.collect())
    }

    fn on_device(&self, values: Vec<f32>) -> Option<Tensor<3>> {
        let width = self.config.mem_dim();
        let tokens = values.len() / width;
        (tokens > 0).then(|| from_vec(values, [1, tokens, width], self.device()))
    }

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

/// Elements of the largest tensor that one object adds to a batch, with memories of so many frames and
/// so many pointers.
fn largest_tensor(c: &ModelConfig, frames: usize, pointers: usize) -> usize {
    let side = c.image_embedding_size();
    let tokens = side * side;
    let width = c.memory_attention.layer.cross_attention.internal_dim();
    let keys = frames * tokens + pointers * (c.hidden_dim() / c.mem_dim());
    let tensors = [
        keys * width.max(c.mem_dim()),
        tokens * 4 * c.hidden_dim(),
        c.image_size * c.image_size,
    ];
    tensors.into_iter().max().unwrap_or(1).max(1)
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
    use sam2_checkpoint::config::{Size, Version};

    #[test]
    fn a_batch_shrinks_with_the_memories_that_are_looked_at() {
        let config = ModelConfig::official(Size::Tiny, Version::V2_1);
        let batch = |frames, pointers| GPU_ELEMENTS / largest_tensor(&config, frames, pointers);
        assert_eq!((batch(1, 1), batch(7, 16)), (4, 2));
        // Prompted frames beyond the usual one: two objects with 10 memories each would be too much.
        assert_eq!(batch(10, 16), 1);
        // The bound of a binding, in elements of four bytes.
        for frames in 1..32 {
            let together = largest_tensor(&config, frames, 16) * batch(frames, 16).max(1);
            assert!(together * 4 <= 128 << 20, "{frames} frames: {together}");
        }
    }

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
