//! Memory attention (sam2/modeling/memory_attention.py, and `RoPEAttention` of sam/transformer.py):
//! the frame's features look at each other, then at the memories of earlier frames.

use crate::ops::norm::EPS_DEFAULT;
use crate::ops::{Activation, AxialRope, LayerNorm, Linear, attention, from_vec, mlp_residual};
use crate::position_encoding;
use crate::weights::{LoadError, Weights};
use burn::tensor::Tensor;
use sam2_checkpoint::config::{
    Activation as ActivationName, MemoryAttentionLayerConfig, ModelConfig, RoPEAttentionConfig,
};

/// `RoPEAttention`: attention whose queries and keys are turned by their place in the map.
#[derive(Debug)]
struct RoPEAttention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    out_proj: Linear,
    num_heads: usize,
    internal_dim: usize,
    rope: AxialRope,
}

impl RoPEAttention {
    /// `side`: of the square map that the queries come from.
    fn load(w: &mut Weights, c: &RoPEAttentionConfig, side: usize) -> Result<Self, LoadError> {
        let (dim, internal) = (c.embedding_dim, c.internal_dim());
        // The official table is made anew, square, where `feat_sizes` does not fit the queries.
        let [end_x, end_y] = match c.feat_sizes[0] * c.feat_sizes[1] == side * side {
            true => c.feat_sizes,
            false => [side, side],
        };
        Ok(Self {
            q_proj: Linear::load(&mut w.at("q_proj"), dim, internal)?,
            k_proj: Linear::load(&mut w.at("k_proj"), c.kv_dim(), internal)?,
            v_proj: Linear::load(&mut w.at("v_proj"), c.kv_dim(), internal)?,
            out_proj: Linear::load(&mut w.at("out_proj"), internal, dim)?,
            num_heads: c.num_heads,
            internal_dim: internal,
            rope: AxialRope::new(
                internal / c.num_heads,
                end_x,
                end_y,
                c.rope_theta,
                w.device(),
            ),
        })
    }

    /// `residual + out_proj(attention)`. `q [B or 1, N, C]`, `k` and `v` `[B, M, D]`,
    /// `residual [B or 1, N, C]`; the last `num_k_exclude_rope` keys (object pointers) have no place.
    fn forward_add(
        &self,
        q: Tensor<3>,
        k: Tensor<3>,
        v: Tensor<3>,
        num_k_exclude_rope: usize,
        residual: Tensor<3>,
    ) -> Tensor<3> {
        let ([_, n, c], [b, m, width]) = (q.dims(), v.dims());
        let heads = self.num_heads;
        let q = self
            .rope
            .apply(self.q_proj.forward(q), heads, n)
            .expand([b, n, self.internal_dim]);
        let k = self
            .rope
            .apply(self.k_proj.forward(k), heads, m - num_k_exclude_rope);
        let attended = if heads == 1 && width < self.internal_dim {
            // The weights of a query sum to 1, so the projection of the mean is the mean of the
            // projections: with 64 channels of memory against 256, a third of the work less.
            self.v_proj.forward(attention(q, k, v, 1))
        } else {
            attention(q, k, self.v_proj.forward(v), heads)
        };
        self.out_proj
            .forward_add(attended, residual.expand([b, n, c]))
    }
}

/// `MemoryAttentionLayer`.
#[derive(Debug)]
struct MemoryAttentionLayer {
    self_attn: RoPEAttention,
    cross_attn_image: RoPEAttention,
    linear1: Linear,
    linear2: Linear,
    norm1: LayerNorm,
    norm2: LayerNorm,
    norm3: LayerNorm,
    activation: Activation,
    pos_enc_at_attn: bool,
    pos_enc_at_cross_attn_queries: bool,
}

impl MemoryAttentionLayer {
    fn load(
        w: &mut Weights,
        c: &MemoryAttentionLayerConfig,
        side: usize,
    ) -> Result<Self, LoadError> {
        let (dim, hidden) = (c.d_model, c.dim_feedforward);
        let norm = |name: &str| LayerNorm::load(&mut w.at(name), dim, EPS_DEFAULT);
        Ok(Self {
            self_attn: RoPEAttention::load(&mut w.at("self_attn"), &c.self_attention, side)?,
            cross_attn_image: RoPEAttention::load(
                &mut w.at("cross_attn_image"),
                &c.cross_attention,
                side,
            )?,
            linear1: Linear::load(&mut w.at("linear1"), dim, hidden)?,
            linear2: Linear::load(&mut w.at("linear2"), hidden, dim)?,
            norm1: norm("norm1")?,
            norm2: norm("norm2")?,
            norm3: norm("norm3")?,
            activation: match c.activation {
                ActivationName::Relu => Activation::Relu,
                ActivationName::Gelu => Activation::Gelu,
            },
            pos_enc_at_attn: c.pos_enc_at_attn,
            pos_enc_at_cross_attn_queries: c.pos_enc_at_cross_attn_queries,
        })
    }

    /// `tgt [B or 1, N, C]`, `query_pos [1, N, C]`, `keys` and `memory` `[B, M, D]`, to `[B, N, C]`.
    fn forward(
        &self,
        tgt: Tensor<3>,
        query_pos: &Tensor<3>,
        keys: &Tensor<3>,
        memory: &Tensor<3>,
        num_k_exclude_rope: usize,
    ) -> Tensor<3> {
        let placed = |x: &Tensor<3>, add: bool| match add {
            true => x.clone() + query_pos.clone(),
            false => x.clone(),
        };
        let normed = self.norm1.forward(tgt.clone());
        let q = placed(&normed, self.pos_enc_at_attn);
        let tgt = self.self_attn.forward_add(q.clone(), q, normed, 0, tgt);

        let normed = self.norm2.forward(tgt.clone());
        let q = placed(&normed, self.pos_enc_at_cross_attn_queries);
        let (keys, memory) = (keys.clone(), memory.clone());
        let tgt = self
            .cross_attn_image
            .forward_add(q, keys, memory, num_k_exclude_rope, tgt);

        mlp_residual(
            tgt,
            &self.norm3,
            &self.linear1,
            self.activation,
            &self.linear2,
        )
    }
}

/// `MemoryAttention`.
#[derive(Debug)]
pub struct MemoryAttention {
    layers: Vec<MemoryAttentionLayer>,
    norm: LayerNorm,
    pos_enc_at_input: bool,
    pos_enc_at_cross_attn_keys: bool,
    /// Sine encoding of the frame's map (the neck's last level), `[1, N, C]`.
    curr_pos: Tensor<3>,
}

impl MemoryAttention {
    pub fn load(w: &mut Weights, config: &ModelConfig) -> Result<Self, LoadError> {
        let c = &config.memory_attention;
        let (side, dim) = (config.image_embedding_size(), c.d_model);
        let layer = |i: usize| {
            MemoryAttentionLayer::load(&mut w.at(&format!("layers.{i}")), &c.layer, side)
        };
        let sine = &config.image_encoder.neck.position_encoding;
        let curr_pos = position_encoding::sine(side, side, sine);
        Ok(Self {
            layers: (0..c.num_layers).map(layer).collect::<Result<_, _>>()?,
            norm: LayerNorm::load(&mut w.at("norm"), dim, EPS_DEFAULT)?,
            pos_enc_at_input: c.pos_enc_at_input,
            pos_enc_at_cross_attn_keys: c.layer.pos_enc_at_cross_attn_keys,
            curr_pos: from_vec(curr_pos, [1, side * side, dim], w.device()),
        })
    }

    /// The frame's features `curr [1, N, C]`, conditioned on the memories of `B` objects: `memory` and
    /// `memory_pos` `[B, M, D]`, whose last `num_obj_ptr_tokens` tokens are object pointers and the
    /// others whole maps. To `[B, N, C]`.
    ///
    /// All objects share the frame, so the first layer's self-attention runs once for all of them.
    pub fn forward(
        &self,
        curr: Tensor<3>,
        memory: Tensor<3>,
        memory_pos: Tensor<3>,
        num_obj_ptr_tokens: usize,
    ) -> Tensor<3> {
        let keys = match self.pos_enc_at_cross_attn_keys {
            true => memory.clone() + memory_pos,
            false => memory.clone(),
        };
        let mut output = match self.pos_enc_at_input {
            true => curr + self.curr_pos.clone() * 0.1,
            false => curr,
        };
        for layer in &self.layers {
            output = layer.forward(output, &self.curr_pos, &keys, &memory, num_obj_ptr_tokens);
        }
        self.norm.forward(output)
    }
}
