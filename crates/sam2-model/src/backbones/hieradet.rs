//! The Hiera trunk (sam2/modeling/backbones/hieradet.py), channels-last as there.

use super::resize;
use crate::ops::norm::EPS_BACKBONE;
use crate::ops::{
    Activation, LayerNorm, Linear, PatchEmbed, Windows, attention, from_vec, max_pool_2x2,
    mlp_residual, window_attention,
};
use crate::weights::{LoadError, Weights};
use burn::tensor::Tensor;
use sam2_checkpoint::config::{BlockConfig, HieraConfig};

/// `MultiScaleBlock`: attention (in windows or global, queries optionally pooled), then an MLP.
#[derive(Debug)]
struct MultiScaleBlock {
    plan: BlockConfig,
    norm1: LayerNorm,
    qkv: Linear,
    qkv_bias: Tensor<1>,
    attn_proj: Linear,
    norm2: LayerNorm,
    mlp: [Linear; 2],
    /// Present where the width changes.
    proj: Option<Linear>,
}

impl MultiScaleBlock {
    fn load(w: &mut Weights, plan: BlockConfig) -> Result<Self, LoadError> {
        let BlockConfig { dim, dim_out, .. } = plan;
        let hidden = plan.mlp_dim();
        let qkv = Linear::load(&mut w.at("attn.qkv"), dim, 3 * dim_out)?;
        Ok(Self {
            plan,
            norm1: LayerNorm::load(&mut w.at("norm1"), dim, EPS_BACKBONE)?,
            qkv_bias: w.at("attn.qkv").tensor("bias", [3 * dim_out])?,
            qkv,
            attn_proj: Linear::load(&mut w.at("attn.proj"), dim_out, dim_out)?,
            norm2: LayerNorm::load(&mut w.at("norm2"), dim_out, EPS_BACKBONE)?,
            mlp: [
                Linear::load(&mut w.at("mlp.layers.0"), dim_out, hidden)?,
                Linear::load(&mut w.at("mlp.layers.1"), hidden, dim_out)?,
            ],
            proj: match dim == dim_out {
                true => None,
                false => Some(Linear::load(&mut w.at("proj"), dim, dim_out)?),
            },
        })
    }

    /// `[B, H, W, dim]` to `[B, H', W', dim_out]`, halved where queries are pooled.
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let BlockConfig {
            dim_out,
            num_heads: heads,
            window_size: window,
            q_pool: pool,
            ..
        } = self.plan;
        let normed = self.norm1.forward(x.clone());
        let shortcut = match &self.proj {
            None => x,
            Some(proj) => {
                let projected = proj.forward(normed.clone());
                if pool {
                    max_pool_2x2(projected)
                } else {
                    projected
                }
            }
        };
        let [batch, height, width, _] = normed.dims();
        let qkv = self.qkv.forward(normed);
        let attended = if window > 0 {
            let head_width = dim_out / heads;
            let windows = Windows {
                batch,
                height,
                width,
                window,
                heads,
                head_width,
                pool,
            };
            window_attention(qkv, &self.qkv_bias, windows)
        } else {
            let tokens = height * width;
            let part = |i: usize| qkv.clone().narrow(3, i * dim_out, dim_out);
            let q = if pool { max_pool_2x2(part(0)) } else { part(0) };
            let [_, h, w, _] = q.dims();
            let q = q.reshape([batch, h * w, dim_out]);
            let [k, v] = [part(1), part(2)].map(|t| t.reshape([batch, tokens, dim_out]));
            attention(q, k, v, heads).reshape([batch, h, w, dim_out])
        };
        let x = self.attn_proj.forward_add(attended, shortcut);
        let [b, h, w, c] = x.dims();
        let [first, second] = &self.mlp;
        mlp_residual(
            x.reshape([b, h * w, c]),
            &self.norm2,
            first,
            Activation::Gelu,
            second,
        )
        .reshape([b, h, w, c])
    }
}

/// The trunk: a picture to one feature map per stage.
#[derive(Debug)]
pub struct Hiera {
    patch_embed: PatchEmbed,
    /// `[1, S / 4, S / 4, embed_dim]`: the background embedding resized (bicubic) plus the window
    /// embedding tiled, computed once for the model's input size.
    pos_embed: Tensor<4>,
    blocks: Vec<MultiScaleBlock>,
    stage_ends: Vec<usize>,
}

impl Hiera {
    /// `image_size`: side of the square input in pixels, a multiple of 32.
    pub fn load(w: &mut Weights, c: &HieraConfig, image_size: usize) -> Result<Self, LoadError> {
        let blocks = c.blocks().into_iter().map(|block| {
            MultiScaleBlock::load(&mut w.at(&format!("blocks.{}", block.index)), block)
        });
        let blocks = blocks.collect::<Result<_, _>>()?;
        Ok(Self {
            patch_embed: PatchEmbed::load(&mut w.at("patch_embed"), c.embed_dim)?,
            pos_embed: load_pos_embed(w, c, image_size / 4)?,
            blocks,
            stage_ends: c.stage_ends(),
        })
    }

    /// `[B, 3, S, S]` to the stages' maps `[B, H, W, C]`, the largest first. `on_block(done, of)` is told
    /// of every block: computed on a CPU, on a GPU only handed over.
    pub fn forward(&self, x: Tensor<4>, on_block: &dyn Fn(usize, usize)) -> Vec<Tensor<4>> {
        let mut x = self.patch_embed.forward(x) + self.pos_embed.clone();
        let mut outputs = Vec::with_capacity(self.stage_ends.len());
        for (i, block) in self.blocks.iter().enumerate() {
            x = block.forward(x);
            on_block(i + 1, self.blocks.len());
            if self.stage_ends.contains(&i) {
                outputs.push(x.clone());
            }
        }
        outputs
    }
}

/// `Hiera._get_pos_embed` for a map of `side` x `side`.
fn load_pos_embed(w: &Weights, c: &HieraConfig, side: usize) -> Result<Tensor<4>, LoadError> {
    let channels = c.embed_dim;
    let [bh, bw] = c.window_pos_embed_bkg_spatial_size;
    let window = c.window_spec[0];
    let background = w.values("pos_embed", &[1, channels, bh, bw])?;
    let tile = w.values("pos_embed_window", &[1, channels, window, window])?;
    let mut out = resize::bicubic(&background, [channels, bh, bw], [side, side]);
    for (i, place) in out.chunks_exact_mut(channels).enumerate() {
        let (y, x) = (i / side % window, i % side % window);
        for (k, value) in place.iter_mut().enumerate() {
            *value += tile[(k * window + y) * window + x];
        }
    }
    Ok(from_vec(out, [1, side, side, channels], w.device()))
}
