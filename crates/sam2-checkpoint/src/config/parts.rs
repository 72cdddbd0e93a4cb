//! The parts of a configuration, one struct per class of the official `sam2/modeling`.
//!
//! Field names, nesting and defaults are those of the Python constructors, so a yaml in the
//! official layout maps onto these structs without renaming.

use serde::{Deserialize, Serialize};

/// Activation of a memory attention layer (`get_activation_fn` of `sam2_utils.py`).
///
/// The official function also knows `glu`, which no published model uses and whose halved width
/// does not fit `linear2`; it is refused when a configuration is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    Relu,
    Gelu,
}

/// How the top-down path of the neck doubles its resolution (`FpnNeck.fpn_interp_model`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FpnInterp {
    Nearest,
    Bilinear,
}

/// How lateral and top-down features meet in the neck (`FpnNeck.fuse_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FuseType {
    Sum,
    Avg,
}

/// `backbones/hieradet.py`, class `Hiera`: the trunk of the image encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HieraConfig {
    /// Channels of the first stage.
    pub embed_dim: usize,
    /// Heads of the first stage.
    pub num_heads: usize,
    /// Stochastic depth; training only.
    pub drop_path_rate: f64,
    /// Number of stage changes that halve the resolution.
    pub q_pool: usize,
    /// Stride of a stage change; only `[2, 2]` is supported, as the neck doubles.
    pub q_stride: [usize; 2],
    /// Blocks per stage.
    pub stages: Vec<usize>,
    /// Factor of the channels at a stage change.
    pub dim_mul: f64,
    /// Factor of the heads at a stage change.
    pub head_mul: f64,
    /// `[H, W]` of the background positional embedding.
    pub window_pos_embed_bkg_spatial_size: [usize; 2],
    /// Window size per stage where attention is not global.
    pub window_spec: Vec<usize>,
    /// Indices of the blocks with global attention.
    pub global_att_blocks: Vec<usize>,
    /// A file the official trunk would start from; must be absent, weights come from the checkpoint.
    pub weights_path: Option<String>,
    /// Only `true` is supported: the neck needs every stage.
    pub return_interm_layers: bool,
}

impl Default for HieraConfig {
    fn default() -> Self {
        Self {
            embed_dim: 96,
            num_heads: 1,
            drop_path_rate: 0.0,
            q_pool: 3,
            q_stride: [2, 2],
            stages: vec![2, 3, 16, 3],
            dim_mul: 2.0,
            head_mul: 2.0,
            window_pos_embed_bkg_spatial_size: [14, 14],
            window_spec: vec![8, 4, 14, 7],
            global_att_blocks: vec![12, 16, 20],
            weights_path: None,
            return_interm_layers: true,
        }
    }
}

/// `position_encoding.py`, class `PositionEmbeddingSine`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PositionEmbeddingSineConfig {
    /// Channels of the encoding, y half before x half.
    pub num_pos_feats: usize,
    #[serde(default = "ten_thousand")]
    pub temperature: f64,
    #[serde(default = "yes")]
    pub normalize: bool,
    /// `None` means 2π.
    #[serde(default)]
    pub scale: Option<f64>,
    /// Fills a CUDA cache in the official code; has no effect here.
    #[serde(default = "yes")]
    pub warmup_cache: bool,
    /// Size for that cache; has no effect here.
    #[serde(default = "default_cache_size")]
    pub image_size: usize,
    /// Strides for that cache; has no effect here.
    #[serde(default = "default_cache_strides")]
    pub strides: Vec<usize>,
}

impl PositionEmbeddingSineConfig {
    /// The encoding with the official defaults and `num_pos_feats` channels.
    pub fn new(num_pos_feats: usize) -> Self {
        Self {
            num_pos_feats,
            temperature: ten_thousand(),
            normalize: true,
            scale: None,
            warmup_cache: true,
            image_size: default_cache_size(),
            strides: default_cache_strides(),
        }
    }
}

/// `backbones/image_encoder.py`, class `FpnNeck`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FpnNeckConfig {
    pub position_encoding: PositionEmbeddingSineConfig,
    /// Channels of every level after the neck; the model's `hidden_dim`.
    pub d_model: usize,
    /// Channels of the trunk's stages, lowest resolution first.
    pub backbone_channel_list: Vec<usize>,
    /// Only 1 is supported, as in every published model.
    #[serde(default = "one")]
    pub kernel_size: usize,
    /// Only 1 is supported.
    #[serde(default = "one")]
    pub stride: usize,
    /// Only 0 is supported.
    #[serde(default)]
    pub padding: usize,
    #[serde(default = "bilinear")]
    pub fpn_interp_model: FpnInterp,
    #[serde(default = "sum")]
    pub fuse_type: FuseType,
    /// Levels that receive top-down features; `None` means all.
    #[serde(default)]
    pub fpn_top_down_levels: Option<Vec<usize>>,
}

/// `backbones/image_encoder.py`, class `ImageEncoder`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageEncoderConfig {
    pub trunk: HieraConfig,
    pub neck: FpnNeckConfig,
    /// Number of lowest-resolution levels that are dropped after the neck.
    #[serde(default)]
    pub scalp: usize,
}

/// `sam/transformer.py`, class `RoPEAttention` (and its base `Attention`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoPEAttentionConfig {
    pub embedding_dim: usize,
    pub num_heads: usize,
    #[serde(default = "one")]
    pub downsample_rate: usize,
    /// Training only.
    #[serde(default)]
    pub dropout: f64,
    /// Channels of keys and values; `None` means `embedding_dim`.
    #[serde(default)]
    pub kv_in_dim: Option<usize>,
    #[serde(default = "ten_thousand")]
    pub rope_theta: f64,
    /// Whether the table of the queries is repeated for keys of several frames.
    #[serde(default)]
    pub rope_k_repeat: bool,
    /// `[W, H]` of the table prepared at construction; it is computed anew for other sizes.
    #[serde(default = "default_feat_sizes")]
    pub feat_sizes: [usize; 2],
}

impl RoPEAttentionConfig {
    /// Width inside the attention, `embedding_dim / downsample_rate`.
    pub fn internal_dim(&self) -> usize {
        self.embedding_dim / self.downsample_rate.max(1)
    }

    /// Channels of keys and values.
    pub fn kv_dim(&self) -> usize {
        self.kv_in_dim.unwrap_or(self.embedding_dim)
    }
}

/// `memory_attention.py`, class `MemoryAttentionLayer`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryAttentionLayerConfig {
    pub activation: Activation,
    pub cross_attention: RoPEAttentionConfig,
    pub d_model: usize,
    pub dim_feedforward: usize,
    /// Training only.
    pub dropout: f64,
    pub pos_enc_at_attn: bool,
    pub pos_enc_at_cross_attn_keys: bool,
    pub pos_enc_at_cross_attn_queries: bool,
    pub self_attention: RoPEAttentionConfig,
}

/// `memory_attention.py`, class `MemoryAttention`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryAttentionConfig {
    pub d_model: usize,
    pub pos_enc_at_input: bool,
    pub layer: MemoryAttentionLayerConfig,
    pub num_layers: usize,
    /// Only `true` is supported; it names a memory order and changes no result.
    #[serde(default = "yes")]
    pub batch_first: bool,
}

/// `memory_encoder.py`, class `MaskDownSampler`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MaskDownSamplerConfig {
    pub embed_dim: usize,
    pub kernel_size: usize,
    pub stride: usize,
    pub padding: usize,
    pub total_stride: usize,
}

impl Default for MaskDownSamplerConfig {
    fn default() -> Self {
        Self {
            embed_dim: 256,
            kernel_size: 4,
            stride: 4,
            padding: 0,
            total_stride: 16,
        }
    }
}

impl MaskDownSamplerConfig {
    /// Number of strided convolutions: the n with `stride^n == total_stride`, if there is one.
    pub fn num_layers(&self) -> Option<usize> {
        if self.stride < 2 {
            return None;
        }
        let (mut reached, mut layers) = (1usize, 0usize);
        while reached < self.total_stride {
            reached = reached.checked_mul(self.stride)?;
            layers += 1;
        }
        (reached == self.total_stride).then_some(layers)
    }
}

/// `memory_encoder.py`, class `CXBlock`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CXBlockConfig {
    pub dim: usize,
    #[serde(default = "seven")]
    pub kernel_size: usize,
    #[serde(default = "three")]
    pub padding: usize,
    /// Training only.
    #[serde(default)]
    pub drop_path: f64,
    /// Above zero the block has a learned `gamma`.
    #[serde(default = "default_layer_scale")]
    pub layer_scale_init_value: f64,
    /// Whether `dwconv` is depth-wise (one group per channel) or full.
    #[serde(default = "yes")]
    pub use_dwconv: bool,
}

/// `memory_encoder.py`, class `Fuser`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FuserConfig {
    pub layer: CXBlockConfig,
    pub num_layers: usize,
    #[serde(default)]
    pub dim: Option<usize>,
    #[serde(default)]
    pub input_projection: bool,
}

/// `memory_encoder.py`, class `MemoryEncoder`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryEncoderConfig {
    /// Channels of a memory; the model's `mem_dim`.
    pub out_dim: usize,
    pub mask_downsampler: MaskDownSamplerConfig,
    pub fuser: FuserConfig,
    pub position_encoding: PositionEmbeddingSineConfig,
    #[serde(default = "default_in_dim")]
    pub in_dim: usize,
}

/// `SAM2Base.sam_mask_decoder_extra_args`: how a single mask falls back to the best of three.
///
/// The defaults are those of `MaskDecoder` (off); `build_sam2` turns it on, see
/// [`ModelConfig::apply_postprocessing`](super::ModelConfig::apply_postprocessing).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MaskDecoderExtraArgs {
    pub dynamic_multimask_via_stability: bool,
    /// In logits: the areas at ±delta are compared.
    pub dynamic_multimask_stability_delta: f64,
    /// A single mask whose stability is below this gives way.
    pub dynamic_multimask_stability_thresh: f64,
}

impl Default for MaskDecoderExtraArgs {
    fn default() -> Self {
        Self {
            dynamic_multimask_via_stability: false,
            dynamic_multimask_stability_delta: 0.05,
            dynamic_multimask_stability_thresh: 0.98,
        }
    }
}

fn yes() -> bool {
    true
}
fn one() -> usize {
    1
}
fn three() -> usize {
    3
}
fn seven() -> usize {
    7
}
fn ten_thousand() -> f64 {
    10_000.0
}
fn default_layer_scale() -> f64 {
    1e-6
}
fn default_in_dim() -> usize {
    256
}
fn default_cache_size() -> usize {
    1024
}
fn default_cache_strides() -> Vec<usize> {
    vec![4, 8, 16, 32]
}
fn default_feat_sizes() -> [usize; 2] {
    [64, 64]
}
fn bilinear() -> FpnInterp {
    FpnInterp::Bilinear
}
fn sum() -> FuseType {
    FuseType::Sum
}
