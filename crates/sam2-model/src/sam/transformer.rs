//! The two-way transformer of the mask decoder (sam2/modeling/sam/transformer.py).

use crate::ops::norm::EPS_DEFAULT;
use crate::ops::{Activation, LayerNorm, Linear, Mlp, attention};
use crate::weights::{LoadError, Weights};
use burn::tensor::Tensor;

/// `Attention`: projections, heads, output projection.
#[derive(Debug)]
pub struct Attention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    out_proj: Linear,
    num_heads: usize,
}

impl Attention {
    pub fn load(
        w: &mut Weights,
        embedding_dim: usize,
        num_heads: usize,
        downsample_rate: usize,
    ) -> Result<Self, LoadError> {
        let internal = embedding_dim / downsample_rate;
        Ok(Self {
            q_proj: Linear::load(&mut w.at("q_proj"), embedding_dim, internal)?,
            k_proj: Linear::load(&mut w.at("k_proj"), embedding_dim, internal)?,
            v_proj: Linear::load(&mut w.at("v_proj"), embedding_dim, internal)?,
            out_proj: Linear::load(&mut w.at("out_proj"), internal, embedding_dim)?,
            num_heads,
        })
    }

    /// `q [B, N, C]`, `k` and `v` `[B, M, C]`, to `[B, N, C]`.
    pub fn forward(&self, q: Tensor<3>, k: Tensor<3>, v: Tensor<3>) -> Tensor<3> {
        let (q, k, v) = (
            self.q_proj.forward(q),
            self.k_proj.forward(k),
            self.v_proj.forward(v),
        );
        self.out_proj.forward(attention(q, k, v, self.num_heads))
    }
}

/// `TwoWayAttentionBlock`: tokens to themselves, tokens to image, MLP, image to tokens.
#[derive(Debug)]
struct TwoWayAttentionBlock {
    self_attn: Attention,
    norm1: LayerNorm,
    cross_attn_token_to_image: Attention,
    norm2: LayerNorm,
    mlp: Mlp,
    norm3: LayerNorm,
    cross_attn_image_to_token: Attention,
    norm4: LayerNorm,
    skip_first_layer_pe: bool,
}

impl TwoWayAttentionBlock {
    fn load(w: &mut Weights, c: &TwoWaySizes, first: bool) -> Result<Self, LoadError> {
        let &TwoWaySizes {
            embedding_dim: dim,
            num_heads: heads,
            mlp_dim,
            ..
        } = c;
        let norm = |name: &str| LayerNorm::load(&mut w.at(name), dim, EPS_DEFAULT);
        let attention = |name: &str, rate| Attention::load(&mut w.at(name), dim, heads, rate);
        Ok(Self {
            self_attn: attention("self_attn", 1)?,
            norm1: norm("norm1")?,
            cross_attn_token_to_image: attention("cross_attn_token_to_image", 2)?,
            norm2: norm("norm2")?,
            mlp: Mlp::load(
                &mut w.at("mlp"),
                &[dim, mlp_dim, dim],
                Activation::Relu,
                false,
            )?,
            norm3: norm("norm3")?,
            cross_attn_image_to_token: attention("cross_attn_image_to_token", 2)?,
            norm4: norm("norm4")?,
            skip_first_layer_pe: first,
        })
    }

    fn forward(
        &self,
        queries: Tensor<3>,
        keys: Tensor<3>,
        query_pe: &Tensor<3>,
        key_pe: &Tensor<3>,
    ) -> (Tensor<3>, Tensor<3>) {
        let queries = if self.skip_first_layer_pe {
            self.self_attn
                .forward(queries.clone(), queries.clone(), queries)
        } else {
            let q = queries.clone() + query_pe.clone();
            queries.clone() + self.self_attn.forward(q.clone(), q, queries)
        };
        let queries = self.norm1.forward(queries);

        let q = queries.clone() + query_pe.clone();
        let k = keys.clone() + key_pe.clone();
        let attended = self
            .cross_attn_token_to_image
            .forward(q, k.clone(), keys.clone());
        let queries = self.norm2.forward(queries + attended);

        let queries = self
            .norm3
            .forward(queries.clone() + self.mlp.forward(queries));

        let q = queries.clone() + query_pe.clone();
        let attended = self
            .cross_attn_image_to_token
            .forward(k, q, queries.clone());
        (queries, self.norm4.forward(keys + attended))
    }
}

/// Sizes of a `TwoWayTransformer`.
#[derive(Debug, Clone, Copy)]
pub struct TwoWaySizes {
    pub depth: usize,
    pub embedding_dim: usize,
    pub num_heads: usize,
    pub mlp_dim: usize,
}

/// `TwoWayTransformer`.
#[derive(Debug)]
pub struct TwoWayTransformer {
    layers: Vec<TwoWayAttentionBlock>,
    final_attn_token_to_image: Attention,
    norm_final_attn: LayerNorm,
}

impl TwoWayTransformer {
    pub fn load(w: &mut Weights, c: &TwoWaySizes) -> Result<Self, LoadError> {
        let layer =
            |i: usize| TwoWayAttentionBlock::load(&mut w.at(&format!("layers.{i}")), c, i == 0);
        Ok(Self {
            layers: (0..c.depth).map(layer).collect::<Result<_, _>>()?,
            final_attn_token_to_image: Attention::load(
                &mut w.at("final_attn_token_to_image"),
                c.embedding_dim,
                c.num_heads,
                2,
            )?,
            norm_final_attn: LayerNorm::load(
                &mut w.at("norm_final_attn"),
                c.embedding_dim,
                EPS_DEFAULT,
            )?,
        })
    }

    /// `image [B, HW, C]`, `image_pe [1, HW, C]`, `tokens [B, N, C]`: processed tokens and image.
    pub fn forward(
        &self,
        image: Tensor<3>,
        image_pe: &Tensor<3>,
        tokens: Tensor<3>,
    ) -> (Tensor<3>, Tensor<3>) {
        let (mut queries, mut keys) = (tokens.clone(), image);
        for layer in &self.layers {
            (queries, keys) = layer.forward(queries, keys, &tokens, image_pe);
        }
        let q = queries.clone() + tokens;
        let k = keys.clone() + image_pe.clone();
        let attended = self.final_attn_token_to_image.forward(q, k, keys.clone());
        (self.norm_final_attn.forward(queries + attended), keys)
    }
}
