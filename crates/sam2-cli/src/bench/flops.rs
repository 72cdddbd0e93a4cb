//! Operations of one encode, worked out from the configuration: two per multiplication and addition.

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
}
