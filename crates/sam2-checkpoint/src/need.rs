//! How much memory a model will need, asked before it is loaded.

use crate::config::ModelConfig;

/// No single buffer is larger: WebGPU binds at most 128 MiB, and the network splits attention
/// scores and MLPs to stay below it.
const MAX_BUFFER: u64 = 128 << 20;
/// Code, thread stacks, the decoded picture and the allocator's slack.
const RUNTIME: u64 = 96 << 20;
/// Activations are f32.
const ELEMENT: u64 = 4;

/// An estimate in bytes of what loading a model and encoding a picture with it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryNeed {
    /// All parameters as f32.
    pub parameters: u64,
    /// The largest tensor once more, as it is read and handed over.
    pub loading: u64,
    /// The fattest moment of the image encoder.
    pub activations: u64,
    /// What any model needs.
    pub runtime: u64,
}

impl MemoryNeed {
    /// Bytes at the worst moment: loading and encoding do not fall together.
    pub fn total(&self) -> u64 {
        let passing = self.loading.max(self.activations);
        self.parameters
            .saturating_add(passing)
            .saturating_add(self.runtime)
    }
}

/// Estimates the memory for `config` with pictures of `image_size` x `image_size` (the side the
/// network sees, not the photograph's).
///
/// Activations are the sum of
/// - the input and its normalised copy, `2 * 3 * S²`;
/// - the stages' outputs and the neck's, which live until the end;
/// - the largest block of the trunk: for T tokens (padded to whole windows) the larger of
///   attention, `T * (2 dim + 4 dim_out)` (residual, norm, qkv, output) with twice the scores
///   (before and after softmax, at most 128 MiB each), and MLP, `T' * 10 dim_out` (residual, norm,
///   hidden layer before and after its activation, which is again split at 128 MiB).
///
/// The decoder and a frame's memory attention at one object stay below the encoder. The figure is
/// an estimate from shapes, not a measurement.
pub fn memory_need(config: &ModelConfig, image_size: usize) -> MemoryNeed {
    let sides = config.trunk_feature_sizes(image_size);
    let square = |side: usize| (side as u64).saturating_mul(side as u64);
    let channels = config.image_encoder.trunk.channel_list();
    let hidden = config.hidden_dim() as u64;
    let kept: u64 = sides
        .iter()
        .zip(channels.iter().rev())
        .map(|(&side, &dim)| square(side) * (dim as u64 + hidden))
        .sum();

    let block_peak = config
        .image_encoder
        .trunk
        .blocks()
        .iter()
        .map(|block| {
            let out_side = sides.get(block.stage).copied().unwrap_or(0);
            let side = if block.q_pool { 2 * out_side } else { out_side };
            let (dim, dim_out) = (block.dim as u64, block.dim_out as u64);
            let window = if block.window_size == 0 {
                side
            } else {
                block.window_size
            };
            let tokens = square(side.next_multiple_of(window.max(1)));
            let queries = if block.q_pool { tokens / 4 } else { tokens };
            let scores = queries * square(window) * block.num_heads as u64 * ELEMENT;
            let attention = tokens * (2 * dim + 4 * dim_out) * ELEMENT + 2 * scores.min(MAX_BUFFER);
            let tokens_out = square(out_side);
            let hidden_layer = tokens_out * block.mlp_dim() as u64 * ELEMENT;
            let mlp = tokens_out * 2 * dim_out * ELEMENT + 2 * hidden_layer.min(MAX_BUFFER);
            attention.max(mlp)
        })
        .max()
        .unwrap_or(0);

    let tensors = crate::expected_tensors(config);
    let largest = tensors
        .iter()
        .map(|(_, shape)| shape.iter().map(|&dim| dim as u64).product());
    MemoryNeed {
        parameters: config.num_parameters() * ELEMENT,
        loading: largest.max().unwrap_or(0) * ELEMENT,
        activations: (2 * 3 * square(image_size) + kept) * ELEMENT + block_peak,
        runtime: RUNTIME,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Size, Version};

    fn need(size: Size, image_size: usize) -> MemoryNeed {
        memory_need(&ModelConfig::official(size, Version::V2_1), image_size)
    }

    #[test]
    fn larger_models_and_pictures_need_more() {
        let totals = Size::ALL.map(|size| need(size, 1024).total());
        assert!(totals.is_sorted(), "{totals:?}");
        assert!(need(Size::Tiny, 512).total() < need(Size::Tiny, 1024).total());
        assert_eq!(need(Size::Tiny, 1024).parameters, 4 * 38_962_754);
    }

    #[test]
    fn the_estimates_are_of_the_right_size() {
        // ORT-web holds tiny at 1024² in 1.3 GB; every published model fits the 4 GiB of wasm.
        let tiny = need(Size::Tiny, 1024).total();
        assert!((500 << 20..1300 << 20).contains(&tiny), "{tiny}");
        assert!(need(Size::Large, 1024).total() < 4 << 30);
    }
}
