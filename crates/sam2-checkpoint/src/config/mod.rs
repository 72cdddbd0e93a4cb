//! Model configurations: the official yaml layout, checked, as plain values.

mod derived;
mod detect;
mod error;
mod official;
mod parse;
mod parts;
mod validate;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Deserializer, Serialize};

pub use derived::BlockConfig;
pub use detect::detect;
pub use error::ConfigError;
pub use official::{Size, Version};
pub use parts::*;
pub use validate::MAX_PARAMETERS;

/// Everything that `sam2_base.py` takes to build a model, with its defaults, and the flags that
/// `sam2_video_predictor.py` adds.
///
/// A value that came out of [`ModelConfig::from_yaml`], [`ModelConfig::from_json`] or
/// [`ModelConfig::official`] is valid: sizes are positive and bounded, shapes fit each other, and
/// options that this project does not implement were refused by name. A value changed by hand is
/// checked with [`ModelConfig::validate`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    pub image_encoder: ImageEncoderConfig,
    pub memory_attention: MemoryAttentionConfig,
    pub memory_encoder: MemoryEncoderConfig,
    /// Frames the memory holds: one prompted, the rest the previous ones.
    #[serde(default = "default_num_maskmem")]
    pub num_maskmem: usize,
    /// Side of the square the network sees, in pixels.
    #[serde(default = "default_image_size")]
    pub image_size: usize,
    /// Pixels of the input per cell of the image embedding; only 16 is supported.
    #[serde(default = "default_backbone_stride")]
    pub backbone_stride: usize,
    #[serde(default = "one")]
    pub sigmoid_scale_for_mem_enc: f64,
    #[serde(default)]
    pub sigmoid_bias_for_mem_enc: f64,
    /// On frames with clicks, the memory encoder sees the mask cut at 0 (what the person saw).
    #[serde(default)]
    pub binarize_mask_from_pts_for_mem_enc: bool,
    #[serde(default)]
    pub use_mask_input_as_output_without_sam: bool,
    /// Prompted frames that take part in memory attention; -1 means all.
    #[serde(default = "no_limit")]
    pub max_cond_frames_in_attn: i64,
    #[serde(default)]
    pub directly_add_no_mem_embed: bool,
    #[serde(default)]
    pub use_high_res_features_in_sam: bool,
    #[serde(default)]
    pub multimask_output_in_sam: bool,
    /// Fewest clicks that ask for three masks (a box counts as two).
    #[serde(default = "one_click")]
    pub multimask_min_pt_num: usize,
    /// Most clicks that ask for three masks.
    #[serde(default = "one_click")]
    pub multimask_max_pt_num: usize,
    #[serde(default)]
    pub multimask_output_for_tracking: bool,
    #[serde(default)]
    pub use_multimask_token_for_obj_ptr: bool,
    #[serde(default)]
    pub iou_prediction_use_sigmoid: bool,
    #[serde(default = "one_click")]
    pub memory_temporal_stride_for_eval: usize,
    #[serde(default)]
    pub non_overlap_masks_for_mem_enc: bool,
    #[serde(default)]
    pub use_obj_ptrs_in_encoder: bool,
    #[serde(default = "default_max_obj_ptrs")]
    pub max_obj_ptrs_in_encoder: usize,
    #[serde(default = "yes")]
    pub add_tpos_enc_to_obj_ptrs: bool,
    #[serde(default)]
    pub proj_tpos_enc_in_obj_ptrs: bool,
    #[serde(default)]
    pub use_signed_tpos_enc_to_obj_ptrs: bool,
    #[serde(default)]
    pub only_obj_ptrs_in_the_past_for_eval: bool,
    #[serde(default)]
    pub pred_obj_scores: bool,
    #[serde(default)]
    pub pred_obj_scores_mlp: bool,
    #[serde(default)]
    pub fixed_no_obj_ptr: bool,
    #[serde(default)]
    pub soft_no_obj_ptr: bool,
    #[serde(default)]
    pub use_mlp_for_obj_ptr_proj: bool,
    #[serde(default)]
    pub no_obj_embed_spatial: bool,
    #[serde(default, deserialize_with = "null_as_default")]
    pub sam_mask_decoder_extra_args: MaskDecoderExtraArgs,
    /// `torch.compile` in the official code; has no effect here.
    #[serde(default)]
    pub compile_image_encoder: bool,
    /// Video: holes up to this many low-resolution pixels are filled in what is shown.
    #[serde(default)]
    pub fill_hole_area: usize,
    /// Video: objects do not overlap in what is shown.
    #[serde(default)]
    pub non_overlap_masks: bool,
    /// Video: forget surrounding frames after a correction (the official code crashes with it).
    #[serde(default)]
    pub clear_non_cond_mem_around_input: bool,
    /// Video: a corrected frame becomes a prompted one.
    #[serde(default)]
    pub add_all_frames_to_correct_as_cond: bool,
}

impl ModelConfig {
    /// Sets what `build_sam2` and `build_sam2_video_predictor` set by default
    /// (`apply_postprocessing=True` in `build_sam.py`), whatever the yaml said: dynamic multimask
    /// via stability with delta 0.05 and threshold 0.98, and for video the binarised memory of
    /// clicked frames and holes filled up to 8 low-resolution pixels.
    ///
    /// [`from_yaml`](Self::from_yaml) and [`official`](Self::official) call it, as the official
    /// builders do.
    pub fn apply_postprocessing(&mut self) {
        self.sam_mask_decoder_extra_args = MaskDecoderExtraArgs {
            dynamic_multimask_via_stability: true,
            dynamic_multimask_stability_delta: 0.05,
            dynamic_multimask_stability_thresh: 0.98,
        };
        self.binarize_mask_from_pts_for_mem_enc = true;
        self.fill_hole_area = 8;
    }
}

/// `sam_mask_decoder_extra_args: null` is the official default and means "no arguments".
fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

fn yes() -> bool {
    true
}
fn one() -> f64 {
    1.0
}
fn one_click() -> usize {
    1
}
fn no_limit() -> i64 {
    -1
}
fn default_num_maskmem() -> usize {
    7
}
fn default_image_size() -> usize {
    512
}
fn default_backbone_stride() -> usize {
    16
}
fn default_max_obj_ptrs() -> usize {
    16
}
