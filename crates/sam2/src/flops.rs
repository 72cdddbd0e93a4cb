//! Operations of the network's parts, worked out from the configuration: two per multiplication and
//! addition. For throughput (GFLOP/s), and to say beforehand how long a video will take.

use sam2_checkpoint::ModelConfig;

/// FLOP of the image encoder (trunk and neck) and of the decoder's two high-resolution convolutions,
/// which run once per picture. Normalisation, activations and softmax are left out, as is custom.
pub fn encode(config: &ModelConfig) -> f64 {
    let trunk = &config.image_encoder.trunk;
    let mut side = config.image_size.div_ceil(4);
    let mut total = conv(side, 3, trunk.embed_dim, 7);
    let mut stage_sides = vec![side];
    for block in trunk.blocks() {
        let tokens = (side * side) as f64;
        let (dim, out) = (block.dim as f64, block.dim_out as f64);
        let next = if block.q_pool { side / 2 } else { side };
        let queries = (next * next) as f64;
        // Windows are padded to whole ones, and attention runs on the padding too.
        let (padded, window) = match block.window_size {
            0 => (tokens, tokens),
            w => ((side.div_ceil(w) * w).pow(2) as f64, (w * w) as f64),
        };
        let padded_queries = if block.q_pool { padded / 4.0 } else { padded };
        total += 2.0 * padded * dim * 3.0 * out;
        total += 2.0 * 2.0 * padded_queries * window * out;
        total += 2.0 * padded_queries * out * out;
        if block.dim != block.dim_out {
            total += 2.0 * tokens * dim * out;
        }
        total += 2.0 * 2.0 * queries * out * block.mlp_dim() as f64;
        if next != side {
            stage_sides.push(next);
        }
        side = next;
    }
    // Lateral 1 x 1 convolutions of the neck, widest map last in its list.
    let hidden = config.hidden_dim();
    for (side, dim) in stage_sides.iter().zip(trunk.channel_list().iter().rev()) {
        total += conv(*side, *dim, hidden, 1);
    }
    if config.use_high_res_features_in_sam {
        for (side, out) in stage_sides.iter().zip([hidden / 8, hidden / 4]) {
            total += conv(*side, hidden, out, 1);
        }
    }
    total
}

/// FLOP of memory attention for one object on one frame whose memory is full: what an object adds to a
/// frame of a video, but for the decoder and the memory encoder, which are small beside it.
pub fn memory_attention(config: &ModelConfig) -> f64 {
    let attention = &config.memory_attention;
    let layer = &attention.layer;
    let queries = config.image_embedding_size().pow(2) as f64;
    let width = attention.d_model as f64;
    let memory_width = config.mem_dim() as f64;
    // A pointer is split into tokens of the memory's width.
    let pointer = config.hidden_dim() as f64 / memory_width;
    let pointers = match config.use_obj_ptrs_in_encoder {
        true => config.max_obj_ptrs_in_encoder as f64 * pointer,
        false => 0.0,
    };
    let keys = config.num_maskmem as f64 * queries + pointers;
    let own = layer.self_attention.internal_dim() as f64;
    let cross = layer.cross_attention.internal_dim() as f64;
    let self_attention = 8.0 * queries * width * own + 4.0 * queries * queries * own;
    let cross_attention = 4.0 * queries * width * cross
        + 4.0 * keys * memory_width * cross
        + 4.0 * queries * keys * cross;
    let mlp = 4.0 * queries * width * layer.dim_feedforward as f64;
    attention.num_layers as f64 * (self_attention + cross_attention + mlp)
}

fn conv(side: usize, from: usize, to: usize, kernel: usize) -> f64 {
    2.0 * (side * side * from * to * kernel * kernel) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use sam2_checkpoint::{Size, Version};

    #[test]
    fn tiny_at_1024_is_what_a_profiler_counted() {
        // 292 GFLOP counted by torch.utils.flop_counter on the official encoder at 1024 x 1024;
        // what counts as an operation differs a little, hence 5 %.
        let tiny = ModelConfig::official(Size::Tiny, Version::V2_1);
        let gflop = encode(&tiny) / 1e9;
        assert!((gflop / 292.0 - 1.0).abs() < 0.05, "{gflop}");
        let small = tiny.with_image_size(512).unwrap();
        assert!(encode(&small) < encode(&tiny) / 3.5);
    }

    #[test]
    fn an_object_of_tiny_costs_twice_its_encode() {
        // 590 GFLOP: counted on the official memory attention at 1024 x 1024 with seven memories.
        let tiny = ModelConfig::official(Size::Tiny, Version::V2_1);
        let gflop = memory_attention(&tiny) / 1e9;
        assert!((gflop / 590.0 - 1.0).abs() < 0.05, "{gflop}");
    }
}
