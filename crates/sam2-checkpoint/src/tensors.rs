//! The tensors that a model of a given configuration has, worked out from the configuration.
//!
//! This list is what strictness is held against: it follows the official constructors module by
//! module, and a test compares it with the state_dict of the official code.

use crate::config::{MemoryEncoderConfig, ModelConfig};

/// Hyperparameters that `sam2_base.py::_build_sam_heads` writes out instead of taking from a yaml.
const MASK_IN_CHANS: usize = 16;
const NUM_MASK_TOKENS: usize = 4;
const TRANSFORMER_DEPTH: usize = 2;
const TRANSFORMER_MLP_DIM: usize = 2048;
const IOU_HEAD_DEPTH: usize = 3;
const IOU_HEAD_HIDDEN_DIM: usize = 256;
const POINT_EMBEDDINGS: usize = 4;

/// Every key of the official state_dict of `config` with its shape as PyTorch gives it (a `Linear`
/// is `[out, in]`), sorted by key.
///
/// The configuration should have passed [`ModelConfig::validate`]; another one gives a list as
/// well, of a model that cannot be built.
pub fn expected_tensors(config: &ModelConfig) -> Vec<(String, Vec<usize>)> {
    let mut list = List::default();
    list.sam2_base(config);
    list.image_encoder(config);
    list.memory_attention(config);
    list.memory_encoder(&config.memory_encoder);
    list.prompt_encoder(config.hidden_dim());
    list.mask_decoder(config);
    list.0.sort();
    list.0
}

/// Collects names; the methods that add a layer are named after PyTorch's.
#[derive(Default)]
struct List(Vec<(String, Vec<usize>)>);

impl List {
    fn parameter(&mut self, name: impl Into<String>, shape: &[usize]) {
        self.0.push((name.into(), shape.to_vec()));
    }

    fn linear(&mut self, name: &str, inputs: usize, outputs: usize) {
        self.parameter(format!("{name}.weight"), &[outputs, inputs]);
        self.parameter(format!("{name}.bias"), &[outputs]);
    }

    fn conv(&mut self, name: &str, inputs: usize, outputs: usize, kernel: usize) {
        self.parameter(format!("{name}.weight"), &[outputs, inputs, kernel, kernel]);
        self.parameter(format!("{name}.bias"), &[outputs]);
    }

    /// PyTorch stores a transposed convolution as `[in, out, kH, kW]`.
    fn conv_transpose(&mut self, name: &str, inputs: usize, outputs: usize, kernel: usize) {
        self.parameter(format!("{name}.weight"), &[inputs, outputs, kernel, kernel]);
        self.parameter(format!("{name}.bias"), &[outputs]);
    }

    /// `LayerNorm` and `LayerNorm2d` alike.
    fn norm(&mut self, name: &str, channels: usize) {
        self.parameter(format!("{name}.weight"), &[channels]);
        self.parameter(format!("{name}.bias"), &[channels]);
    }

    /// `sam2_utils.py`, class `MLP`.
    fn mlp(&mut self, name: &str, inputs: usize, hidden: usize, outputs: usize, layers: usize) {
        for layer in 0..layers {
            let from = if layer == 0 { inputs } else { hidden };
            let to = if layer + 1 == layers { outputs } else { hidden };
            self.linear(&format!("{name}.layers.{layer}"), from, to);
        }
    }

    /// `sam/transformer.py`, class `Attention`.
    fn attention(&mut self, name: &str, dim: usize, internal: usize, kv_dim: usize) {
        self.linear(&format!("{name}.q_proj"), dim, internal);
        self.linear(&format!("{name}.k_proj"), kv_dim, internal);
        self.linear(&format!("{name}.v_proj"), kv_dim, internal);
        self.linear(&format!("{name}.out_proj"), internal, dim);
    }

    /// The parameters that `sam2_base.py` owns itself.
    fn sam2_base(&mut self, config: &ModelConfig) {
        let (hidden, mem) = (config.hidden_dim(), config.mem_dim());
        self.parameter("maskmem_tpos_enc", &[config.num_maskmem, 1, 1, mem]);
        self.parameter("no_mem_embed", &[1, 1, hidden]);
        self.parameter("no_mem_pos_enc", &[1, 1, hidden]);
        if config.use_obj_ptrs_in_encoder {
            self.conv("mask_downsample", 1, 1, 4);
            if config.use_mlp_for_obj_ptr_proj {
                self.mlp("obj_ptr_proj", hidden, hidden, hidden, 3);
            } else {
                self.linear("obj_ptr_proj", hidden, hidden);
            }
        }
        if config.proj_tpos_enc_in_obj_ptrs {
            self.linear("obj_ptr_tpos_proj", hidden, mem);
        }
        if config.pred_obj_scores && config.use_obj_ptrs_in_encoder {
            self.parameter("no_obj_ptr", &[1, hidden]);
        }
        if config.no_obj_embed_spatial {
            self.parameter("no_obj_embed_spatial", &[1, mem]);
        }
    }

    /// `backbones/hieradet.py` and `backbones/image_encoder.py`.
    fn image_encoder(&mut self, config: &ModelConfig) {
        let trunk = &config.image_encoder.trunk;
        let name = "image_encoder.trunk";
        let [height, width] = trunk.window_pos_embed_bkg_spatial_size;
        let window = trunk.window_spec.first().copied().unwrap_or(0);
        self.parameter(
            format!("{name}.pos_embed"),
            &[1, trunk.embed_dim, height, width],
        );
        self.parameter(
            format!("{name}.pos_embed_window"),
            &[1, trunk.embed_dim, window, window],
        );
        self.conv(&format!("{name}.patch_embed.proj"), 3, trunk.embed_dim, 7);
        for block in trunk.blocks() {
            let name = format!("{name}.blocks.{}", block.index);
            self.norm(&format!("{name}.norm1"), block.dim);
            self.linear(&format!("{name}.attn.qkv"), block.dim, 3 * block.dim_out);
            self.linear(&format!("{name}.attn.proj"), block.dim_out, block.dim_out);
            self.norm(&format!("{name}.norm2"), block.dim_out);
            self.mlp(
                &format!("{name}.mlp"),
                block.dim_out,
                block.mlp_dim(),
                block.dim_out,
                2,
            );
            if block.dim != block.dim_out {
                self.linear(&format!("{name}.proj"), block.dim, block.dim_out);
            }
        }
        let neck = &config.image_encoder.neck;
        for (level, &channels) in neck.backbone_channel_list.iter().enumerate() {
            let name = format!("image_encoder.neck.convs.{level}.conv");
            self.conv(&name, channels, neck.d_model, neck.kernel_size);
        }
    }

    /// `memory_attention.py`.
    fn memory_attention(&mut self, config: &ModelConfig) {
        let attention = &config.memory_attention;
        let layer = &attention.layer;
        let dim = layer.d_model;
        for index in 0..attention.num_layers {
            let name = format!("memory_attention.layers.{index}");
            for (own, rope) in [
                ("self_attn", &layer.self_attention),
                ("cross_attn_image", &layer.cross_attention),
            ] {
                self.attention(
                    &format!("{name}.{own}"),
                    rope.embedding_dim,
                    rope.internal_dim(),
                    rope.kv_dim(),
                );
            }
            self.linear(&format!("{name}.linear1"), dim, layer.dim_feedforward);
            self.linear(&format!("{name}.linear2"), layer.dim_feedforward, dim);
            for norm in ["norm1", "norm2", "norm3"] {
                self.norm(&format!("{name}.{norm}"), dim);
            }
        }
        self.norm("memory_attention.norm", attention.d_model);
    }

    /// `memory_encoder.py`.
    fn memory_encoder(&mut self, encoder: &MemoryEncoderConfig) {
        let sampler = &encoder.mask_downsampler;
        let mut channels = 1;
        let layers = sampler.num_layers().unwrap_or(0);
        for layer in 0..layers {
            // Conv, LayerNorm2d and an activation without parameters, in one Sequential.
            let name = format!("memory_encoder.mask_downsampler.encoder.{}", 3 * layer);
            let out = channels * sampler.stride * sampler.stride;
            self.conv(&name, channels, out, sampler.kernel_size);
            self.norm(
                &format!("memory_encoder.mask_downsampler.encoder.{}", 3 * layer + 1),
                out,
            );
            channels = out;
        }
        let name = format!("memory_encoder.mask_downsampler.encoder.{}", 3 * layers);
        self.conv(&name, channels, sampler.embed_dim, 1);

        self.conv(
            "memory_encoder.pix_feat_proj",
            encoder.in_dim,
            encoder.in_dim,
            1,
        );
        let (fuser, block) = (&encoder.fuser, &encoder.fuser.layer);
        if let (true, Some(dim)) = (fuser.input_projection, fuser.dim) {
            self.conv("memory_encoder.fuser.proj", dim, dim, 1);
        }
        for layer in 0..fuser.num_layers {
            let name = format!("memory_encoder.fuser.layers.{layer}");
            let inputs = if block.use_dwconv { 1 } else { block.dim };
            self.conv(
                &format!("{name}.dwconv"),
                inputs,
                block.dim,
                block.kernel_size,
            );
            self.norm(&format!("{name}.norm"), block.dim);
            self.linear(&format!("{name}.pwconv1"), block.dim, 4 * block.dim);
            self.linear(&format!("{name}.pwconv2"), 4 * block.dim, block.dim);
            if block.layer_scale_init_value > 0.0 {
                self.parameter(format!("{name}.gamma"), &[block.dim]);
            }
        }
        if encoder.out_dim != encoder.in_dim {
            self.conv(
                "memory_encoder.out_proj",
                encoder.in_dim,
                encoder.out_dim,
                1,
            );
        }
    }

    /// `sam/prompt_encoder.py`.
    fn prompt_encoder(&mut self, dim: usize) {
        let name = "sam_prompt_encoder";
        self.parameter(
            format!("{name}.pe_layer.positional_encoding_gaussian_matrix"),
            &[2, dim / 2],
        );
        for point in 0..POINT_EMBEDDINGS {
            self.parameter(format!("{name}.point_embeddings.{point}.weight"), &[1, dim]);
        }
        self.parameter(format!("{name}.not_a_point_embed.weight"), &[1, dim]);
        self.parameter(format!("{name}.no_mask_embed.weight"), &[1, dim]);
        let quarter = MASK_IN_CHANS / 4;
        self.conv(&format!("{name}.mask_downscaling.0"), 1, quarter, 2);
        self.norm(&format!("{name}.mask_downscaling.1"), quarter);
        self.conv(
            &format!("{name}.mask_downscaling.3"),
            quarter,
            MASK_IN_CHANS,
            2,
        );
        self.norm(&format!("{name}.mask_downscaling.4"), MASK_IN_CHANS);
        self.conv(&format!("{name}.mask_downscaling.6"), MASK_IN_CHANS, dim, 1);
    }

    /// `sam/mask_decoder.py` and the `TwoWayTransformer` inside it.
    fn mask_decoder(&mut self, config: &ModelConfig) {
        let dim = config.hidden_dim();
        let name = "sam_mask_decoder";
        for layer in 0..TRANSFORMER_DEPTH {
            let name = format!("{name}.transformer.layers.{layer}");
            self.attention(&format!("{name}.self_attn"), dim, dim, dim);
            self.attention(
                &format!("{name}.cross_attn_token_to_image"),
                dim,
                dim / 2,
                dim,
            );
            self.attention(
                &format!("{name}.cross_attn_image_to_token"),
                dim,
                dim / 2,
                dim,
            );
            self.mlp(&format!("{name}.mlp"), dim, TRANSFORMER_MLP_DIM, dim, 2);
            for norm in ["norm1", "norm2", "norm3", "norm4"] {
                self.norm(&format!("{name}.{norm}"), dim);
            }
        }
        self.attention(
            &format!("{name}.transformer.final_attn_token_to_image"),
            dim,
            dim / 2,
            dim,
        );
        self.norm(&format!("{name}.transformer.norm_final_attn"), dim);

        self.parameter(format!("{name}.iou_token.weight"), &[1, dim]);
        self.parameter(
            format!("{name}.mask_tokens.weight"),
            &[NUM_MASK_TOKENS, dim],
        );
        self.conv_transpose(&format!("{name}.output_upscaling.0"), dim, dim / 4, 2);
        self.norm(&format!("{name}.output_upscaling.1"), dim / 4);
        self.conv_transpose(&format!("{name}.output_upscaling.3"), dim / 4, dim / 8, 2);
        if config.use_high_res_features_in_sam {
            self.conv(&format!("{name}.conv_s0"), dim, dim / 8, 1);
            self.conv(&format!("{name}.conv_s1"), dim, dim / 4, 1);
        }
        for token in 0..NUM_MASK_TOKENS {
            self.mlp(
                &format!("{name}.output_hypernetworks_mlps.{token}"),
                dim,
                dim,
                dim / 8,
                3,
            );
        }
        self.mlp(
            &format!("{name}.iou_prediction_head"),
            dim,
            IOU_HEAD_HIDDEN_DIM,
            NUM_MASK_TOKENS,
            IOU_HEAD_DEPTH,
        );
        if config.pred_obj_scores {
            self.parameter(format!("{name}.obj_score_token.weight"), &[1, dim]);
            if config.pred_obj_scores_mlp {
                self.mlp(&format!("{name}.pred_obj_score_head"), dim, dim, 1, 3);
            } else {
                self.linear(&format!("{name}.pred_obj_score_head"), dim, 1);
            }
        }
    }
}

#[cfg(test)]
mod tests;
