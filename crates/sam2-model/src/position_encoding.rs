//! Position encodings (sam2/modeling/position_encoding.py). Computed once, on the host.

use sam2_checkpoint::config::PositionEmbeddingSineConfig;
use std::f32::consts::TAU;

/// The sine encoding of an `h` x `w` map, `[H, W, C]` row-major: y first, then x, each in (sin, cos)
/// pairs. Positions run from 1 to the side, and with `normalize` to `scale` (2 pi by default)
/// (`PositionEmbeddingSine`).
pub fn sine(h: usize, w: usize, c: &PositionEmbeddingSineConfig) -> Vec<f32> {
    let feats = c.num_pos_feats / 2;
    let scale = c.scale.map_or(TAU, |scale| scale as f32);
    let dim_t: Vec<f32> = (0..feats)
        .map(|i| (c.temperature as f32).powf(2.0 * (i / 2) as f32 / feats as f32))
        .collect();
    let axis = |i: usize, n: usize| -> Vec<f32> {
        let position = match c.normalize {
            true => (i + 1) as f32 / (n as f32 + 1e-6) * scale,
            false => (i + 1) as f32,
        };
        let wave = |(c, t): (usize, &f32)| {
            let angle = position / t;
            if c % 2 == 0 { angle.sin() } else { angle.cos() }
        };
        dim_t.iter().enumerate().map(wave).collect()
    };
    let ys: Vec<_> = (0..h).map(|y| axis(y, h)).collect();
    let xs: Vec<_> = (0..w).map(|x| axis(x, w)).collect();
    let mut out = Vec::with_capacity(h * w * c.num_pos_feats);
    for y in &ys {
        for x in &xs {
            out.extend_from_slice(y);
            out.extend_from_slice(x);
        }
    }
    out
}

/// Random Fourier features of points (`PositionEmbeddingRandom`): `gaussian [2, C / 2]`.
#[derive(Debug, Clone)]
pub struct PositionEmbeddingRandom {
    gaussian: Vec<f32>,
}

impl PositionEmbeddingRandom {
    /// `gaussian` is the buffer `positional_encoding_gaussian_matrix`, `[2, C / 2]`.
    pub fn new(gaussian: Vec<f32>) -> Self {
        Self { gaussian }
    }

    /// Appends the `C` features of a point in `[0, 1]²`: sines, then cosines.
    pub fn encode(&self, x: f32, y: f32, out: &mut Vec<f32>) {
        let half = self.gaussian.len() / 2;
        let (x, y) = (2.0 * x - 1.0, 2.0 * y - 1.0);
        let (gx, gy) = self.gaussian.split_at(half);
        let angles = || gx.iter().zip(gy).map(|(a, b)| TAU * (x * a + y * b));
        out.extend(angles().map(f32::sin));
        out.extend(angles().map(f32::cos));
    }

    /// The encoding of the centres of an `h` x `w` map: `[H, W, C]` row-major.
    pub fn grid(&self, h: usize, w: usize) -> Vec<f32> {
        let mut out = Vec::with_capacity(h * w * self.gaussian.len());
        for y in 0..h {
            for x in 0..w {
                self.encode(
                    (x as f32 + 0.5) / w as f32,
                    (y as f32 + 0.5) / h as f32,
                    &mut out,
                );
            }
        }
        out
    }
}

/// The 1-D sine encoding of a temporal position, `dim` values: sines, then cosines
/// (sam2/modeling/sam2_utils.py, `get_1d_sine_pe`).
pub fn sine_1d(position: f32, dim: usize) -> Vec<f32> {
    let half = dim / 2;
    let angle = |i: usize| position / 10_000_f32.powf(2.0 * (i / 2) as f32 / half as f32);
    (0..half)
        .map(|i| angle(i).sin())
        .chain((0..half).map(|i| angle(i).cos()))
        .collect()
}
