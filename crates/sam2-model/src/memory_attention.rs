//! Memory attention (sam2/modeling/memory_attention.py, and `RoPEAttention` of sam/transformer.py):
//! the frame's features look at each other, then at the memories of earlier frames.

use crate::ops::norm::EPS_DEFAULT;
use crate::ops::{
    Activation, AxialRope, LayerNorm, Linear, attention, attention_in_parts, from_vec, mlp_residual,
};
use crate::position_encoding;
use crate::weights::{LoadError, Weights};
use burn::tensor::Tensor;
use sam2_checkpoint::config::{
    Activation as ActivationName, MemoryAttentionLayerConfig, ModelConfig, RoPEAttentionConfig,
};

/// Keys and values, `[B, M, D]`, that one tensor may hold.
#[derive(Debug)]
struct KeyPart {
    k: Tensor<3>,
    v: Tensor<3>,
    /// The last of them (object pointers) have no place, the others are whole maps (the official
    /// `num_k_exclude_rope`).
    unplaced: usize,
}

impl KeyPart {
    fn len(&self) -> usize {
        self.k.dims()[1]
    }
}

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

    /// `residual + out_proj(attention)`. `q [B or 1, N, C]`, `residual [B or 1, N, C]`, and one part of
    /// the keys at least.
    fn forward_add(&self, q: Tensor<3>, parts: &[KeyPart], residual: Tensor<3>) -> Tensor<3> {
        let [_, n, c] = q.dims();
        let [b, _, width] = parts.first().map_or([1; 3], |part| part.v.dims());
        let heads = self.num_heads;
        let q = self
            .rope
            .apply(self.q_proj.forward(q), heads, n)
            .expand([b, n, self.internal_dim]);
        // The weights of a query sum to 1, so the projection of the mean is the mean of the
        // projections: with 64 channels of memory against 256, a third of the work less.
        let project_mean = heads == 1 && width < self.internal_dim;
        let projected = |part: &KeyPart| {
            let k = self.k_proj.forward(part.k.clone());
            let placed = part.len() - part.unplaced;
            let v = match project_mean {
                true => part.v.clone(),
                false => self.v_proj.forward(part.v.clone()),
            };
            (self.rope.apply(k, heads, placed), v)
        };
        let attended = match parts {
            [all] => {
                let (k, v) = projected(all);
                attention(q, k, v, heads)
            }
            parts => {
                let most = parts.iter().map(KeyPart::len).max().unwrap_or(1);
                attention_in_parts(q, parts.iter().map(projected), most, heads)
            }
        };
        let attended = match project_mean {
            true => self.v_proj.forward(attended),
            false => attended,
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

    /// `tgt [B or 1, N, C]`, `query_pos [1, N, C]`, and the memories, to `[B, N, C]`.
    fn forward(&self, tgt: Tensor<3>, query_pos: &Tensor<3>, memory: &[KeyPart]) -> Tensor<3> {
        let placed = |x: &Tensor<3>, add: bool| match add {
            true => x.clone() + query_pos.clone(),
            false => x.clone(),
        };
        let normed = self.norm1.forward(tgt.clone());
        let q = placed(&normed, self.pos_enc_at_attn);
        let itself = KeyPart {
            k: q.clone(),
            v: normed,
            unplaced: 0,
        };
        let tgt = self.self_attn.forward_add(q, &[itself], tgt);

        let normed = self.norm2.forward(tgt.clone());
        let q = placed(&normed, self.pos_enc_at_cross_attn_queries);
        let tgt = self.cross_attn_image.forward_add(q, memory, tgt);

        mlp_residual(
            tgt,
            &self.norm3,
            &self.linear1,
            self.activation,
            &self.linear2,
        )
    }
}

/// Tokens of the memories of `B` objects: all of them, or as many as one tensor on a GPU may hold.
#[derive(Debug, Clone)]
pub struct MemoryPart {
    /// `[B, M, D]`.
    pub tokens: Tensor<3>,
    /// Where and when they are from, `[B, M, D]`.
    pub places: Tensor<3>,
    /// So many of the last tokens are those of object pointers; the others are whole maps.
    pub pointer_tokens: usize,
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

    /// The frame's features `curr [1, N, C]`, conditioned on the memories of `B` objects, which come in
    /// one part at least. To `[B, N, C]`.
    ///
    /// All objects share the frame, so the first layer's self-attention runs once for all of them.
    pub fn forward(&self, curr: Tensor<3>, memory: Vec<MemoryPart>) -> Tensor<3> {
        let keys = |part: MemoryPart| KeyPart {
            k: match self.pos_enc_at_cross_attn_keys {
                true => part.tokens.clone() + part.places,
                false => part.tokens.clone(),
            },
            v: part.tokens,
            unplaced: part.pointer_tokens,
        };
        let memory: Vec<KeyPart> = memory.into_iter().map(keys).collect();
        let mut output = match self.pos_enc_at_input {
            true => curr + self.curr_pos.clone() * 0.1,
            false => curr,
        };
        for layer in &self.layers {
            output = layer.forward(output, &self.curr_pos, &memory);
        }
        self.norm.forward(output)
    }
}
