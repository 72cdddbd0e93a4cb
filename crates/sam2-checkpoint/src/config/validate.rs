//! Whether a configuration can be built at all, decided before anything is allocated.
//!
//! The rules are the assertions of the official constructors, the shapes that would not fit in its
//! forward passes, and bounds that a hostile configuration cannot cross.

use super::{ConfigError, ModelConfig, RoPEAttentionConfig};

/// Bound on the parameters of a model: over four times `large`, and 4 GB in f32.
pub const MAX_PARAMETERS: u64 = 1_000_000_000;

/// Bound on any channel count, head count or kernel.
const MAX_DIM: usize = 16_384;
/// Bound on blocks and layers in one place.
const MAX_LAYERS: usize = 256;
/// Bound on the side of the network's input, in pixels.
const MAX_IMAGE_SIZE: usize = 4096;

type Check = Result<(), ConfigError>;

impl ModelConfig {
    /// Checks every value against its range and against the others.
    ///
    /// # Errors
    /// [`ConfigError::Value`] names the first key that does not fit and what it has to be;
    /// [`ConfigError::TooManyParameters`] when each value is in range but their product is not.
    pub fn validate(&self) -> Check {
        self.check_trunk()?;
        self.check_neck()?;
        self.check_levels()?;
        self.check_memory_encoder()?;
        self.check_memory_attention()?;
        self.check_flags()?;
        let parameters = self.num_parameters();
        if parameters > MAX_PARAMETERS {
            return Err(ConfigError::TooManyParameters {
                parameters,
                limit: MAX_PARAMETERS,
            });
        }
        Ok(())
    }

    fn check_trunk(&self) -> Check {
        let trunk = &self.image_encoder.trunk;
        in_range("image_encoder.trunk.embed_dim", trunk.embed_dim, 1, MAX_DIM)?;
        in_range("image_encoder.trunk.num_heads", trunk.num_heads, 1, MAX_DIM)?;
        fraction("image_encoder.trunk.drop_path_rate", trunk.drop_path_rate)?;
        in_range(
            "image_encoder.trunk.stages (their number)",
            trunk.stages.len(),
            1,
            8,
        )?;
        for &blocks in &trunk.stages {
            in_range("image_encoder.trunk.stages", blocks, 1, MAX_LAYERS)?;
        }
        if trunk.window_spec.len() != trunk.stages.len() {
            return value(
                "image_encoder.trunk.window_spec",
                format!(
                    "needs one window per stage: {} for {} stages",
                    trunk.window_spec.len(),
                    trunk.stages.len()
                ),
            );
        }
        for &window in &trunk.window_spec {
            in_range("image_encoder.trunk.window_spec", window, 1, 256)?;
        }
        if trunk.q_pool >= trunk.stages.len() {
            return value(
                "image_encoder.trunk.q_pool",
                format!(
                    "is {}, but {} stages have {} changes",
                    trunk.q_pool,
                    trunk.stages.len(),
                    trunk.stages.len() - 1
                ),
            );
        }
        only(
            "image_encoder.trunk.q_stride",
            trunk.q_stride == [2, 2],
            "[2, 2]",
        )?;
        only(
            "image_encoder.trunk.return_interm_layers",
            trunk.return_interm_layers,
            "true",
        )?;
        only(
            "image_encoder.trunk.weights_path",
            trunk.weights_path.is_none(),
            "null (weights come from the checkpoint)",
        )?;
        factor("image_encoder.trunk.dim_mul", trunk.dim_mul)?;
        factor("image_encoder.trunk.head_mul", trunk.head_mul)?;
        for side in trunk.window_pos_embed_bkg_spatial_size {
            in_range(
                "image_encoder.trunk.window_pos_embed_bkg_spatial_size",
                side,
                1,
                1024,
            )?;
        }
        let depth: usize = trunk.stages.iter().sum();
        if let Some(&block) = trunk
            .global_att_blocks
            .iter()
            .find(|&&block| block >= depth)
        {
            return value(
                "image_encoder.trunk.global_att_blocks",
                format!(
                    "names block {block}, but the trunk has blocks 0 to {}",
                    depth - 1
                ),
            );
        }
        for block in trunk.blocks() {
            in_range(
                "image_encoder.trunk.dim_mul (channels after a stage change)",
                block.dim_out,
                1,
                MAX_DIM,
            )?;
            in_range(
                "image_encoder.trunk.head_mul (heads after a stage change)",
                block.num_heads,
                1,
                MAX_DIM,
            )?;
            divides(
                "image_encoder.trunk.num_heads",
                block.num_heads,
                block.dim_out,
                "channels of its block",
            )?;
            if block.q_pool && block.dim == block.dim_out {
                return value(
                    "image_encoder.trunk.dim_mul",
                    "must change the channels where q_pool halves the picture".into(),
                );
            }
            if block.q_pool && block.window_size % 2 != 0 {
                return value(
                    "image_encoder.trunk.window_spec",
                    format!(
                        "window {} is pooled 2 x 2 and must be even",
                        block.window_size
                    ),
                );
            }
        }
        Ok(())
    }

    fn check_neck(&self) -> Check {
        let neck = &self.image_encoder.neck;
        in_range("image_encoder.neck.d_model", neck.d_model, 16, MAX_DIM)?;
        // Eight heads at half width in the two-way transformer, an eighth of it in the upscaling.
        divides("image_encoder.neck.d_model", 16, neck.d_model, "d_model")?;
        let channels = self.image_encoder.trunk.channel_list();
        if neck.backbone_channel_list != channels {
            return value(
                "image_encoder.neck.backbone_channel_list",
                format!(
                    "is {:?}, but the trunk gives {channels:?}",
                    neck.backbone_channel_list
                ),
            );
        }
        only("image_encoder.neck.kernel_size", neck.kernel_size == 1, "1")?;
        only("image_encoder.neck.stride", neck.stride == 1, "1")?;
        only("image_encoder.neck.padding", neck.padding == 0, "0")?;
        let levels = channels.len();
        if let Some(level) = neck
            .fpn_top_down_levels
            .iter()
            .flatten()
            .find(|&&level| level >= levels)
        {
            return value(
                "image_encoder.neck.fpn_top_down_levels",
                format!(
                    "names level {level}, but there are levels 0 to {}",
                    levels - 1
                ),
            );
        }
        let sine = &neck.position_encoding;
        if sine.num_pos_feats != neck.d_model {
            return value(
                "image_encoder.neck.position_encoding.num_pos_feats",
                format!(
                    "is {}, but is added to features of d_model {}",
                    sine.num_pos_feats, neck.d_model
                ),
            );
        }
        check_sine("image_encoder.neck.position_encoding", sine)
    }

    fn check_levels(&self) -> Check {
        only("backbone_stride", self.backbone_stride == 16, "16")?;
        in_range("image_size", self.image_size, 32, MAX_IMAGE_SIZE)?;
        let multiple = self.image_size_multiple();
        if !self.image_size.is_multiple_of(multiple) {
            return value(
                "image_size",
                format!(
                    "is {}, but must be a multiple of {multiple}",
                    self.image_size
                ),
            );
        }
        let sizes = self.trunk_feature_sizes(self.image_size);
        let kept = sizes.len().saturating_sub(self.image_encoder.scalp);
        if kept < self.num_feature_levels() {
            return value(
                "image_encoder.scalp",
                format!(
                    "leaves {kept} levels, but the mask decoder needs {}",
                    self.num_feature_levels()
                ),
            );
        }
        for (level, pair) in sizes.windows(2).enumerate() {
            if self.is_top_down_level(level) && pair[0] != 2 * pair[1] {
                return value(
                    "image_encoder.neck.fpn_top_down_levels",
                    format!(
                        "level {level} is {0} x {0} and cannot take the doubled {1} x {1} below it",
                        pair[0], pair[1]
                    ),
                );
            }
        }
        // What the prompt encoder and the upscaling of the mask decoder assume: strides 16, 8, 4.
        for (doublings, &size) in self
            .backbone_feature_sizes(self.image_size)
            .iter()
            .rev()
            .enumerate()
        {
            let needed = self.image_embedding_size() << doublings;
            if size != needed {
                return value(
                    "image_encoder.scalp",
                    format!(
                        "leaves a {size} x {size} level where the mask decoder needs {needed} x {needed}"
                    ),
                );
            }
        }
        Ok(())
    }

    fn check_memory_attention(&self) -> Check {
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

    fn check_memory_encoder(&self) -> Check {
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

    fn check_flags(&self) -> Check {
        in_range("num_maskmem", self.num_maskmem, 1, 64)?;
        in_range(
            "max_obj_ptrs_in_encoder",
            self.max_obj_ptrs_in_encoder,
            1,
            256,
        )?;
        in_range(
            "memory_temporal_stride_for_eval",
            self.memory_temporal_stride_for_eval,
            1,
            1024,
        )?;
        in_range("multimask_min_pt_num", self.multimask_min_pt_num, 0, 1024)?;
        in_range("multimask_max_pt_num", self.multimask_max_pt_num, 0, 1024)?;
        in_range("fill_hole_area", self.fill_hole_area, 0, 1 << 24)?;
        finite("sigmoid_scale_for_mem_enc", self.sigmoid_scale_for_mem_enc)?;
        finite("sigmoid_bias_for_mem_enc", self.sigmoid_bias_for_mem_enc)?;
        let extra = &self.sam_mask_decoder_extra_args;
        finite(
            "sam_mask_decoder_extra_args.dynamic_multimask_stability_delta",
            extra.dynamic_multimask_stability_delta,
        )?;
        finite(
            "sam_mask_decoder_extra_args.dynamic_multimask_stability_thresh",
            extra.dynamic_multimask_stability_thresh,
        )?;
        if self.max_cond_frames_in_attn < -1 || (0..2).contains(&self.max_cond_frames_in_attn) {
            // select_closest_cond_frames asserts at least 2.
            return value(
                "max_cond_frames_in_attn",
                format!(
                    "is {}, but must be -1 (all) or at least 2",
                    self.max_cond_frames_in_attn
                ),
            );
        }
        if self.proj_tpos_enc_in_obj_ptrs && !self.add_tpos_enc_to_obj_ptrs {
            return value(
                "proj_tpos_enc_in_obj_ptrs",
                "needs add_tpos_enc_to_obj_ptrs: true".into(),
            );
        }
        if self.fixed_no_obj_ptr && !(self.pred_obj_scores && self.use_obj_ptrs_in_encoder) {
            return value(
                "fixed_no_obj_ptr",
                "needs pred_obj_scores: true and use_obj_ptrs_in_encoder: true".into(),
            );
        }
        Ok(())
    }
}

fn check_sine(path: &'static str, sine: &super::PositionEmbeddingSineConfig) -> Check {
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

fn check_rope(path: &'static str, rope: &RoPEAttentionConfig, dim: usize, kv_dim: usize) -> Check {
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

fn value(path: &'static str, message: String) -> Check {
    Err(ConfigError::Value { path, message })
}

fn in_range(path: &'static str, found: usize, min: usize, max: usize) -> Check {
    if (min..=max).contains(&found) {
        return Ok(());
    }
    value(
        path,
        format!("is {found}, but must be between {min} and {max}"),
    )
}

fn divides(path: &'static str, divisor: usize, found: usize, what: &str) -> Check {
    if found != 0 && found.is_multiple_of(divisor) {
        return Ok(());
    }
    value(path, format!("{divisor} must divide {found} ({what})"))
}

fn equal(path: &'static str, found: usize, wanted: usize, because: &str) -> Check {
    if found == wanted {
        return Ok(());
    }
    value(
        path,
        format!("is {found}, but must be {wanted} ({because})"),
    )
}

fn only(path: &'static str, holds: bool, supported: &str) -> Check {
    if holds {
        return Ok(());
    }
    value(path, format!("only {supported} is supported"))
}

fn finite(path: &'static str, found: f64) -> Check {
    if found.is_finite() {
        return Ok(());
    }
    value(path, format!("is {found}, but must be a finite number"))
}

fn fraction(path: &'static str, found: f64) -> Check {
    if (0.0..=1.0).contains(&found) {
        return Ok(());
    }
    value(path, format!("is {found}, but a rate is between 0 and 1"))
}

fn factor(path: &'static str, found: f64) -> Check {
    if found.is_finite() && (0.125..=16.0).contains(&found) {
        return Ok(());
    }
    value(
        path,
        format!("is {found}, but must be between 0.125 and 16"),
    )
}
