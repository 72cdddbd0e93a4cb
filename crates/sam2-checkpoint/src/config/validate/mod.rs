//! Whether a configuration can be built at all, decided before anything is allocated.
//!
//! The rules are the assertions of the official constructors, the shapes that would not fit in its
//! forward passes, and bounds that a hostile configuration cannot cross.

mod memory;
mod rules;

use self::memory::check_sine;
use self::rules::{
    Check, MAX_DIM, MAX_IMAGE_SIZE, MAX_LAYERS, divides, factor, finite, fraction, in_range, only,
    value,
};
use super::{ConfigError, ModelConfig};

/// Bound on the parameters of a model: over four times `large`, and 4 GB in f32.
pub const MAX_PARAMETERS: u64 = 1_000_000_000;

impl ModelConfig {
    /// Checks every value against its range and against the others.
    ///
    /// # Errors
    /// [`ConfigError::Value`] names the first key that does not fit and what it has to be;
    /// [`ConfigError::TooManyParameters`] when each value is in range but their product is not.
    pub fn validate(&self) -> Result<(), ConfigError> {
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
