//! What the official constructors work out of a configuration, as plain values.

use super::{HieraConfig, ModelConfig};

/// One `MultiScaleBlock` of the trunk, as `Hiera.__init__` lays it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockConfig {
    /// Position in `trunk.blocks`.
    pub index: usize,
    /// Stage, counted from 0.
    pub stage: usize,
    /// Channels in.
    pub dim: usize,
    /// Channels out; where it differs from `dim` the block has a `proj`.
    pub dim_out: usize,
    pub num_heads: usize,
    /// Side of an attention window in tokens; 0 means global attention.
    pub window_size: usize,
    /// Whether queries are max-pooled 2 x 2, which halves the resolution.
    pub q_pool: bool,
}

/// MLP ratio of a block (`MultiScaleBlock.mlp_ratio`, never set by a yaml).
const MLP_RATIO: usize = 4;

impl BlockConfig {
    /// Width of the hidden layer of the block's MLP.
    pub fn mlp_dim(&self) -> usize {
        self.dim_out * MLP_RATIO
    }
}

impl HieraConfig {
    /// Index of the last block of each stage.
    pub fn stage_ends(&self) -> Vec<usize> {
        let mut count = 0;
        self.stages
            .iter()
            .map(|blocks| {
                count += blocks;
                count.saturating_sub(1)
            })
            .collect()
    }

    /// Every block of the trunk in order. A stage change happens in the first block of the next
    /// stage, which still attends in the windows of the stage before.
    pub fn blocks(&self) -> Vec<BlockConfig> {
        let (mut dim, mut heads, mut index) = (self.embed_dim, self.num_heads, 0);
        let mut blocks = Vec::new();
        for (stage, &count) in self.stages.iter().enumerate() {
            for place in 0..count {
                let changes = place == 0 && stage > 0;
                let dim_out = if changes {
                    scaled(dim, self.dim_mul)
                } else {
                    dim
                };
                if changes {
                    heads = scaled(heads, self.head_mul);
                }
                let window_stage = if changes { stage - 1 } else { stage };
                let window_size = if self.global_att_blocks.contains(&index) {
                    0
                } else {
                    self.window_spec.get(window_stage).copied().unwrap_or(0)
                };
                blocks.push(BlockConfig {
                    index,
                    stage,
                    dim,
                    dim_out,
                    num_heads: heads,
                    window_size,
                    q_pool: changes && stage <= self.q_pool,
                });
                dim = dim_out;
                index += 1;
            }
        }
        blocks
    }

    /// Channels after each stage, lowest resolution first (`Hiera.channel_list`).
    pub fn channel_list(&self) -> Vec<usize> {
        let blocks = self.blocks();
        self.stage_ends()
            .iter()
            .rev()
            .filter_map(|&end| blocks.get(end))
            .map(|block| block.dim_out)
            .collect()
    }
}

/// Python's `int(value * factor)`.
fn scaled(value: usize, factor: f64) -> usize {
    (value as f64 * factor) as usize
}

impl ModelConfig {
    /// Channels of the image embedding and of every prompt token (`SAM2Base.hidden_dim`).
    pub fn hidden_dim(&self) -> usize {
        self.image_encoder.neck.d_model
    }

    /// Channels of a memory (`SAM2Base.mem_dim`).
    pub fn mem_dim(&self) -> usize {
        self.memory_encoder.out_dim
    }

    /// 3 with high-resolution features in the mask decoder, else 1 (`SAM2Base.num_feature_levels`).
    pub fn num_feature_levels(&self) -> usize {
        if self.use_high_res_features_in_sam {
            3
        } else {
            1
        }
    }

    /// Side of the image embedding at the configured image size
    /// (`SAM2Base.sam_image_embedding_size`).
    pub fn image_embedding_size(&self) -> usize {
        self.image_size / self.backbone_stride.max(1)
    }

    /// Side of a low-resolution mask and of a mask prompt, at the configured image size.
    pub fn low_res_size(&self) -> usize {
        4 * self.image_embedding_size()
    }

    /// Side of the square feature map after each stage of the trunk for a picture of
    /// `image_size`, highest resolution first.
    pub fn trunk_feature_sizes(&self, image_size: usize) -> Vec<usize> {
        // PatchEmbed: kernel 7, stride 4, padding 3.
        let mut side = image_size.div_ceil(4);
        let trunk = &self.image_encoder.trunk;
        (0..trunk.stages.len())
            .map(|stage| {
                if stage > 0 && stage <= trunk.q_pool {
                    side /= 2;
                }
                side
            })
            .collect()
    }

    /// The levels that leave the image encoder, highest resolution first, as
    /// `SAM2ImagePredictor._bb_feat_sizes` and for any image size: the last is the embedding.
    pub fn backbone_feature_sizes(&self, image_size: usize) -> Vec<usize> {
        let mut sizes = self.trunk_feature_sizes(image_size);
        sizes.truncate(sizes.len().saturating_sub(self.image_encoder.scalp));
        sizes.split_off(sizes.len().saturating_sub(self.num_feature_levels()))
    }

    /// Whether level `level` of the neck receives features from the level below it.
    pub fn is_top_down_level(&self, level: usize) -> bool {
        self.image_encoder
            .neck
            .fpn_top_down_levels
            .as_ref()
            .is_none_or(|levels| levels.contains(&level))
    }

    /// Image sizes must be a multiple of this: the last stage must come out even, and the window
    /// embedding must tile the first feature map. 32 for every published model.
    pub fn image_size_multiple(&self) -> usize {
        let trunk = &self.image_encoder.trunk;
        let stage_stride = 4usize << trunk.q_pool.min(16);
        let tile = 4 * trunk.window_spec.first().copied().unwrap_or(1).max(1);
        lcm(lcm(stage_stride, tile), self.backbone_stride.max(1))
    }

    /// The same model at another image size; positional embeddings interpolate.
    ///
    /// # Errors
    /// [`ConfigError::Value`](super::ConfigError::Value) names the multiple that sizes must keep.
    pub fn with_image_size(&self, image_size: usize) -> Result<Self, super::ConfigError> {
        let config = Self {
            image_size,
            ..self.clone()
        };
        config.validate()?;
        Ok(config)
    }

    /// Number of parameters and buffers of the official state_dict.
    pub fn num_parameters(&self) -> u64 {
        crate::expected_tensors(self)
            .iter()
            .map(|(_, shape)| shape.iter().map(|&dim| dim as u64).product::<u64>())
            .sum()
    }
}

fn lcm(a: usize, b: usize) -> usize {
    fn gcd(a: usize, b: usize) -> usize {
        if b == 0 { a } else { gcd(b, a % b) }
    }
    a / gcd(a, b).max(1) * b
}
