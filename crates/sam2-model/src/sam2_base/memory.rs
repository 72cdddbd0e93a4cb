//! The memory of a video (`SAM2Base`): what conditioning a frame and remembering it are made of.

mod condition;
mod encode;

pub use condition::ObjectMemory;

use super::Sam2Base;
use crate::memory_attention::MemoryAttention;
use crate::memory_encoder::MemoryEncoder;
use crate::ops::{Activation, Linear, Mlp, PatchLinear, from_vec};
use crate::position_encoding;
use crate::weights::{LoadError, Weights};
use burn::tensor::Tensor;
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

impl Sam2Base {
    /// Can this model track at all? With `directly_add_no_mem_embed: false` the official code stops
    /// at the first prompted frame (its rotary attention cannot take the single dummy token), so there
    /// is nothing to follow.
    pub fn supports_video(&self) -> bool {
        self.config.directly_add_no_mem_embed
    }
}
