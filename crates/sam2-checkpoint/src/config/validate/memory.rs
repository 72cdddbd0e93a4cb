//! The half of a model that only video uses: memory attention and memory encoder.

use super::super::{ModelConfig, PositionEmbeddingSineConfig, RoPEAttentionConfig};
use super::rules::{
    Check, MAX_DIM, MAX_LAYERS, divides, equal, finite, fraction, in_range, only, value,
};

impl ModelConfig {
    pub(super) fn check_memory_attention(&self) -> Check {
        let attention = &self.memory_attention;
        let (hidden, mem) = (self.hidden_dim(), self.mem_dim());
        equal(
            "memory_attention.d_model",
            attention.d_model,
            hidden,
            "image_encoder.neck.d_model",
        )?;
        equal(
            "memory_attention.layer.d_model",
            attention.layer.d_model,
            hidden,
            "image_encoder.neck.d_model",
        )?;
        in_range(
            "memory_attention.num_layers",
            attention.num_layers,
            1,
            MAX_LAYERS,
        )?;
        in_range(
            "memory_attention.layer.dim_feedforward",
            attention.layer.dim_feedforward,
            1,
            4 * MAX_DIM,
        )?;
        fraction("memory_attention.layer.dropout", attention.layer.dropout)?;
        only(
            "memory_attention.batch_first",
            attention.batch_first,
            "true",
        )?;
        let (own, cross) = (
            &attention.layer.self_attention,
            &attention.layer.cross_attention,
        );
        check_rope("memory_attention.layer.self_attention", own, hidden, hidden)?;
        check_rope("memory_attention.layer.cross_attention", cross, hidden, mem)?;
        only(
            "memory_attention.layer.cross_attention.rope_k_repeat",
            cross.rope_k_repeat,
            "true (keys of several frames)",
        )
    }

    pub(super) fn check_memory_encoder(&self) -> Check {
        let encoder = &self.memory_encoder;
        let hidden = self.hidden_dim();
        in_range("memory_encoder.out_dim", encoder.out_dim, 4, MAX_DIM)?;
        divides(
            "memory_encoder.out_dim",
            encoder.out_dim,
            hidden,
            "d_model (an object pointer is split into tokens)",
        )?;
        equal(
            "memory_encoder.in_dim",
            encoder.in_dim,
            hidden,
            "image_encoder.neck.d_model",
        )?;
        equal(
            "memory_encoder.position_encoding.num_pos_feats",
            encoder.position_encoding.num_pos_feats,
            encoder.out_dim,
            "memory_encoder.out_dim",
        )?;
        check_sine(
            "memory_encoder.position_encoding",
            &encoder.position_encoding,
        )?;

        let sampler = &encoder.mask_downsampler;
        equal(
            "memory_encoder.mask_downsampler.embed_dim",
            sampler.embed_dim,
            hidden,
            "image_encoder.neck.d_model",
        )?;
        in_range(
            "memory_encoder.mask_downsampler.stride",
            sampler.stride,
            2,
            16,
        )?;
        in_range(
            "memory_encoder.mask_downsampler.kernel_size",
            sampler.kernel_size,
            1,
            64,
        )?;
        in_range(
            "memory_encoder.mask_downsampler.padding",
            sampler.padding,
            0,
            64,
        )?;
        only(
            "memory_encoder.mask_downsampler.total_stride",
            sampler.total_stride == 16,
            "16",
        )?;
        let Some(layers) = sampler.num_layers() else {
            return value(
                "memory_encoder.mask_downsampler.stride",
                format!(
                    "{} to no power is the total stride {}",
                    sampler.stride, sampler.total_stride
                ),
            );
        };
        let mut side = self.image_size;
        for _ in 0..layers {
            side = (side + 2 * sampler.padding).saturating_sub(sampler.kernel_size)
                / sampler.stride
                + 1;
        }
        if side != self.image_embedding_size() {
            return value(
                "memory_encoder.mask_downsampler.padding",
                format!(
                    "masks come out {side} x {side}, but the image embedding is {0} x {0}",
                    self.image_embedding_size()
                ),
            );
        }

        let (fuser, block) = (&encoder.fuser, &encoder.fuser.layer);
        in_range(
            "memory_encoder.fuser.num_layers",
            fuser.num_layers,
            1,
            MAX_LAYERS,
        )?;
        if fuser.input_projection && fuser.dim != Some(hidden) {
            return value(
                "memory_encoder.fuser.dim",
                format!("must be {hidden} (d_model) with input_projection"),
            );
        }
        equal(
            "memory_encoder.fuser.layer.dim",
            block.dim,
            hidden,
            "image_encoder.neck.d_model",
        )?;
        in_range(
            "memory_encoder.fuser.layer.kernel_size",
            block.kernel_size,
            1,
            63,
        )?;
        only(
            "memory_encoder.fuser.layer.padding",
            2 * block.padding + 1 == block.kernel_size,
            "(kernel_size - 1) / 2",
        )?;
        fraction("memory_encoder.fuser.layer.drop_path", block.drop_path)?;
        finite(
            "memory_encoder.fuser.layer.layer_scale_init_value",
            block.layer_scale_init_value,
        )
    }
}

pub(super) fn check_sine(path: &'static str, sine: &PositionEmbeddingSineConfig) -> Check {
    // Half for y, half for x, each in pairs of sine and cosine.
    divides(path, 4, sine.num_pos_feats, "num_pos_feats")?;
    if !(sine.temperature.is_finite() && sine.temperature > 0.0) {
        return value(
            path,
            format!("temperature is {}, but must be positive", sine.temperature),
        );
    }
    if sine.scale.is_some() && !sine.normalize {
        return value(path, "normalize must be true when scale is given".into());
    }
    finite(path, sine.scale.unwrap_or(1.0))
}

pub(super) fn check_rope(
    path: &'static str,
    rope: &RoPEAttentionConfig,
    dim: usize,
    kv_dim: usize,
) -> Check {
    equal(path, rope.embedding_dim, dim, "embedding_dim = d_model")?;
    equal(
        path,
        rope.kv_dim(),
        kv_dim,
        "kv_in_dim = channels of its keys",
    )?;
    in_range(path, rope.downsample_rate, 1, dim)?;
    in_range(path, rope.num_heads, 1, rope.internal_dim())?;
    divides(
        path,
        rope.num_heads,
        rope.internal_dim(),
        "the attention's width",
    )?;
    // Rotations work on pairs, half of them for x and half for y.
    divides(
        path,
        4,
        rope.internal_dim() / rope.num_heads,
        "the width of a head",
    )?;
    fraction(path, rope.dropout)?;
    for side in rope.feat_sizes {
        in_range(path, side, 1, 1024)?;
    }
    if !(rope.rope_theta.is_finite() && rope.rope_theta > 0.0) {
        return value(
            path,
            format!("rope_theta is {}, but must be positive", rope.rope_theta),
        );
    }
    Ok(())
}
