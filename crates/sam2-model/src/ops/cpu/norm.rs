//! LayerNorm over the last dimension.

use super::parallel::{for_each_chunk, row_block};
use super::simd::multiversion;

#[inline(always)]
fn layer_norm_body(x: &[f32], gamma: &[f32], beta: &[f32], eps: f32, out: &mut [f32]) {
    let width = gamma.len();
    // The first maps of the mask downsampler: a quarter of a million rows each at 1024 x 1024.
    match width {
        4 => return narrow_rows::<4>(x, gamma, beta, eps, out),
        16 => return narrow_rows::<16>(x, gamma, beta, eps, out),
        _ => {}
    }
    for (row, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        let mean = sum(row, |v| v) / width as f32;
        let var = sum(row, |v| (v - mean) * (v - mean)) / width as f32;
        let scale = 1.0 / (var + eps).sqrt();
        for (((o, v), g), b) in out.iter_mut().zip(row).zip(gamma).zip(beta) {
            *o = (v - mean) * scale * g + b;
        }
    }
}

/// Rows of a width known to the compiler, summed one value after the other (as [`sum`] does up to 16).
#[inline(always)]
fn narrow_rows<const W: usize>(x: &[f32], gamma: &[f32], beta: &[f32], eps: f32, out: &mut [f32]) {
    let (rows, _) = x.as_chunks::<W>();
    let (outs, _) = out.as_chunks_mut::<W>();
    let (gamma, beta) = (&gamma[..W], &beta[..W]);
    for (row, out) in rows.iter().zip(outs) {
        let mean = row.iter().sum::<f32>() / W as f32;
        let centred = row.map(|v| v - mean);
        let var = centred.iter().map(|v| v * v).sum::<f32>() / W as f32;
        let scale = 1.0 / (var + eps).sqrt();
        for (((o, v), g), b) in out.iter_mut().zip(centred).zip(gamma).zip(beta) {
            *o = v * scale * g + b;
        }
    }
}

/// A sum in 16 lanes, which the compiler may vectorise (a plain float sum it may not).
#[inline(always)]
fn sum(row: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0_f32; 16];
    let chunks = row.chunks_exact(16);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, v) in lanes.iter_mut().zip(chunk) {
            *lane += f(*v);
        }
    }
    for (lane, v) in lanes.iter_mut().zip(rest) {
        *lane += f(*v);
    }
    lanes.iter().sum()
}

multiversion! {
    /// LayerNorm of every row of `gamma.len()` elements, on this thread.
    pub fn layer_norm_rows(x: &[f32], gamma: &[f32], beta: &[f32], eps: f32, out: &mut [f32])
        = layer_norm_body
}

/// LayerNorm of `x [rows, width]`, `width = gamma.len()`.
pub fn layer_norm(x: &[f32], gamma: &[f32], beta: &[f32], eps: f32) -> Vec<f32> {
    let width = gamma.len();
    let mut out = vec![0.0; x.len()];
    let block = row_block(x.len() / width, 4096) * width;
    for_each_chunk(&mut out, block, |i, chunk| {
        layer_norm_rows(&x[i * block..][..chunk.len()], gamma, beta, eps, chunk);
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_the_asked_mean_and_spread() {
        let width = 37;
        let x: Vec<f32> = (0..width * 50)
            .map(|i| (i as f32 * 0.37).sin() * 5.0 + 3.0)
            .collect();
        let (gamma, beta) = (vec![2.0; width], vec![0.5; width]);
        let out = layer_norm(&x, &gamma, &beta, 1e-6);
        for row in out.chunks(width) {
            let mean: f64 = row.iter().map(|&v| v as f64).sum::<f64>() / width as f64;
            let var: f64 =
                row.iter().map(|&v| (v as f64 - mean).powi(2)).sum::<f64>() / width as f64;
            assert!(
                (mean - 0.5).abs() < 1e-5 && (var - 4.0).abs() < 1e-4,
                "{mean} {var}"
            );
        }
    }

    #[test]
    fn narrow_rows_are_as_the_others() {
        for width in [4, 16] {
            let x: Vec<f32> = (0..width * 9)
                .map(|i| (i as f32 * 0.7).sin() * 3.0)
                .collect();
            let gamma: Vec<f32> = (0..width).map(|i| 1.0 + i as f32 * 0.1).collect();
            let beta = vec![0.25; width];
            let out = layer_norm(&x, &gamma, &beta, 1e-6);
            for (row, out) in x.chunks(width).zip(out.chunks(width)) {
                let mean = sum(row, |v| v) / width as f32;
                let var = sum(row, |v| (v - mean) * (v - mean)) / width as f32;
                let scale = 1.0 / (var + 1e-6).sqrt();
                for (i, o) in out.iter().enumerate() {
                    let expected = (row[i] - mean) * scale * gamma[i] + beta[i];
                    // A product and a sum may be fused on one of the ways.
                    assert!((o - expected).abs() <= 1e-6, "{o} {expected}");
                }
            }
        }
    }

    #[test]
    fn nan_stays() {
        let out = layer_norm(&[f32::NAN, 1.0], &[1.0, 1.0], &[0.0, 0.0], 1e-6);
        assert!(out.iter().all(|v| v.is_nan()));
    }
}
