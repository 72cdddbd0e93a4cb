//! The eight published configurations.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::*;

/// The published sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Size {
    Tiny,
    Small,
    BasePlus,
    Large,
}

impl Size {
    /// All sizes, smallest first.
    pub const ALL: [Size; 4] = [Size::Tiny, Size::Small, Size::BasePlus, Size::Large];

    /// `tiny`, `small`, `base_plus` or `large`, as in the official file names.
    pub fn name(self) -> &'static str {
        match self {
            Size::Tiny => "tiny",
            Size::Small => "small",
            Size::BasePlus => "base_plus",
            Size::Large => "large",
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The published versions: SAM 2 and SAM 2.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Version {
    #[serde(rename = "2.0")]
    V2_0,
    #[serde(rename = "2.1")]
    V2_1,
}

impl Version {
    /// Both versions, older first.
    pub const ALL: [Version; 2] = [Version::V2_0, Version::V2_1];

    /// `2.0` or `2.1`.
    pub fn name(self) -> &'static str {
        match self {
            Version::V2_0 => "2.0",
            Version::V2_1 => "2.1",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl ModelConfig {
    /// The configuration of a published model (`configs/sam2/*.yaml`, `configs/sam2.1/*.yaml`)
    /// with the settings of the official builders on top.
    pub fn official(size: Size, version: Version) -> Self {
        let trunk = trunk(size);
        let new = version == Version::V2_1;
        let mut config = Self {
            image_encoder: ImageEncoderConfig {
                neck: FpnNeckConfig {
                    position_encoding: PositionEmbeddingSineConfig::new(256),
                    d_model: 256,
                    backbone_channel_list: trunk.channel_list(),
                    kernel_size: 1,
                    stride: 1,
                    padding: 0,
                    fpn_interp_model: FpnInterp::Nearest,
                    fuse_type: FuseType::Sum,
                    fpn_top_down_levels: Some(vec![2, 3]),
                },
                trunk,
                scalp: 1,
            },
            memory_attention: memory_attention(),
            memory_encoder: memory_encoder(),
            num_maskmem: 7,
            image_size: 1024,
            backbone_stride: 16,
            sigmoid_scale_for_mem_enc: 20.0,
            sigmoid_bias_for_mem_enc: -10.0,
            binarize_mask_from_pts_for_mem_enc: false,
            use_mask_input_as_output_without_sam: true,
            max_cond_frames_in_attn: -1,
            directly_add_no_mem_embed: true,
            use_high_res_features_in_sam: true,
            multimask_output_in_sam: true,
            multimask_min_pt_num: 0,
            multimask_max_pt_num: 1,
            multimask_output_for_tracking: true,
            use_multimask_token_for_obj_ptr: true,
            iou_prediction_use_sigmoid: true,
            memory_temporal_stride_for_eval: 1,
            non_overlap_masks_for_mem_enc: false,
            use_obj_ptrs_in_encoder: true,
            max_obj_ptrs_in_encoder: 16,
            add_tpos_enc_to_obj_ptrs: new,
            proj_tpos_enc_in_obj_ptrs: new,
            use_signed_tpos_enc_to_obj_ptrs: new,
            only_obj_ptrs_in_the_past_for_eval: true,
            pred_obj_scores: true,
            pred_obj_scores_mlp: true,
            fixed_no_obj_ptr: true,
            soft_no_obj_ptr: false,
            use_mlp_for_obj_ptr_proj: true,
            no_obj_embed_spatial: new,
            sam_mask_decoder_extra_args: MaskDecoderExtraArgs::default(),
            compile_image_encoder: false,
            fill_hole_area: 0,
            non_overlap_masks: false,
            clear_non_cond_mem_around_input: false,
            add_all_frames_to_correct_as_cond: false,
        };
        config.apply_postprocessing();
        config
    }
}

fn trunk(size: Size) -> HieraConfig {
    let (embed_dim, num_heads, stages, global_att_blocks) = match size {
        Size::Tiny => (96, 1, vec![1, 2, 7, 2], vec![5, 7, 9]),
        Size::Small => (96, 1, vec![1, 2, 11, 2], vec![7, 10, 13]),
        // Base plus is what the class defaults describe, embedding and heads apart.
        Size::BasePlus => {
            return HieraConfig {
                embed_dim: 112,
                num_heads: 2,
                ..HieraConfig::default()
            };
        }
        Size::Large => (144, 2, vec![2, 6, 36, 4], vec![23, 33, 43]),
    };
    HieraConfig {
        embed_dim,
        num_heads,
        stages,
        global_att_blocks,
        window_pos_embed_bkg_spatial_size: [7, 7],
        window_spec: if size == Size::Large {
            vec![8, 4, 16, 8]
        } else {
            vec![8, 4, 14, 7]
        },
        ..HieraConfig::default()
    }
}

fn memory_attention() -> MemoryAttentionConfig {
    let self_attention = RoPEAttentionConfig {
        embedding_dim: 256,
        num_heads: 1,
        downsample_rate: 1,
        dropout: 0.1,
        kv_in_dim: None,
        rope_theta: 10_000.0,
        rope_k_repeat: false,
        feat_sizes: [64, 64],
    };
    let cross_attention = RoPEAttentionConfig {
        kv_in_dim: Some(64),
        rope_k_repeat: true,
        ..self_attention.clone()
    };
    MemoryAttentionConfig {
        d_model: 256,
        pos_enc_at_input: true,
        layer: MemoryAttentionLayerConfig {
            activation: Activation::Relu,
            cross_attention,
            d_model: 256,
            dim_feedforward: 2048,
            dropout: 0.1,
            pos_enc_at_attn: false,
            pos_enc_at_cross_attn_keys: true,
            pos_enc_at_cross_attn_queries: false,
            self_attention,
        },
        num_layers: 4,
        batch_first: true,
    }
}

fn memory_encoder() -> MemoryEncoderConfig {
    MemoryEncoderConfig {
        out_dim: 64,
        mask_downsampler: MaskDownSamplerConfig {
            kernel_size: 3,
            stride: 2,
            padding: 1,
            ..MaskDownSamplerConfig::default()
        },
        fuser: FuserConfig {
            layer: CXBlockConfig {
                dim: 256,
                kernel_size: 7,
                padding: 3,
                drop_path: 0.0,
                layer_scale_init_value: 1e-6,
                use_dwconv: true,
            },
            num_layers: 2,
            dim: None,
            input_projection: false,
        },
        position_encoding: PositionEmbeddingSineConfig::new(64),
        in_dim: 256,
    }
}
