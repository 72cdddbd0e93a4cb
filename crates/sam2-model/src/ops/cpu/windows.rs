//! Attention inside the windows of a Hiera block, and the max-pool of its queries.

use super::attention::one_head;
use super::gemm::Mat;
use super::parallel::{SharedOut, for_each, for_each_chunk};

/// The windows of one Hiera block over a `[B, H, W, 3 * heads * width]` map of q, k and v.
#[derive(Clone, Copy)]
pub struct Windows {
    pub batch: usize,
    pub height: usize,
    pub width: usize,
    pub window: usize,
    pub heads: usize,
    pub head_width: usize,
    /// Max-pool the queries by 2 x 2: the output has half the height and width.
    pub pool: bool,
}

/// Window attention. Places beyond the map (when the window does not divide it) are tokens too, as in
/// the official code, which pads *before* the qkv layer: they hold that layer's bias.
pub fn window_attention(qkv: &[f32], bias: &[f32], w: Windows) -> Vec<f32> {
    let channels = w.heads * w.head_width;
    let stride = if w.pool { 2 } else { 1 };
    let (out_h, out_w) = (w.height / stride, w.width / stride);
    let mut out = vec![0.0; w.batch * out_h * out_w * channels];
    let (rows, cols) = (w.height.div_ceil(w.window), w.width.div_ceil(w.window));
    let shared = SharedOut::new(&mut out);
    let tokens = w.window * w.window;
    let (out_window, out_tokens) = (w.window / stride, tokens / (stride * stride));
    for_each(w.batch * rows * cols, |task| {
        let (b, wy, wx) = (task / (rows * cols), task / cols % rows, task % cols);
        let mut local = vec![0.0; tokens * 3 * channels];
        for (t, token) in local.chunks_exact_mut(3 * channels).enumerate() {
            let (y, x) = (wy * w.window + t / w.window, wx * w.window + t % w.window);
            if y < w.height && x < w.width {
                let at = ((b * w.height + y) * w.width + x) * 3 * channels;
                token.copy_from_slice(&qkv[at..at + 3 * channels]);
            } else {
                token.copy_from_slice(bias);
            }
        }
        let pooled = w.pool.then(|| pool_queries(&local, w.window, channels));
        let q = match &pooled {
            Some(pooled) => Mat::rows(pooled, channels),
            None => Mat::rows(&local, 3 * channels),
        };
        let mut result = vec![0.0; out_tokens * channels];
        for h in 0..w.heads {
            let column = h * w.head_width;
            one_head(
                (out_tokens, tokens, w.head_width, w.head_width),
                Mat {
                    data: &q.data[column..],
                    ..q
                },
                Mat::rows(&local[channels + column..], 3 * channels),
                Mat::rows(&local[2 * channels + column..], 3 * channels),
                &mut result[column..],
                channels,
            );
        }
        for (t, token) in result.chunks_exact(channels).enumerate() {
            let (y, x) = (
                wy * out_window + t / out_window,
                wx * out_window + t % out_window,
            );
            if y < out_h && x < out_w {
                let at = ((b * out_h + y) * out_w + x) * channels;
                // SAFETY: places of one window belong to one task.
                unsafe { shared.slice(at, channels) }.copy_from_slice(token);
            }
        }
    });
    out
}

/// Max of 2 x 2 queries of a window of `[tokens, 3 * channels]`: `[tokens / 4, channels]`.
fn pool_queries(local: &[f32], window: usize, channels: usize) -> Vec<f32> {
    let half = window / 2;
    let mut pooled = vec![0.0; half * half * channels];
    for (t, out) in pooled.chunks_exact_mut(channels).enumerate() {
        let (y, x) = (t / half * 2, t % half * 2);
        let at = |dy: usize, dx: usize| ((y + dy) * window + x + dx) * 3 * channels;
        for (c, o) in out.iter_mut().enumerate() {
            let corners = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(dy, dx)| local[at(dy, dx) + c]);
            *o = max4(corners);
        }
    }
    pooled
}

/// Max over 2 x 2 blocks of `[B, H, W, C]`, `H` and `W` even.
pub fn max_pool_2x2(x: &[f32], [b, h, w, c]: [usize; 4]) -> Vec<f32> {
    let (oh, ow) = (h / 2, w / 2);
    let mut out = vec![0.0; b * oh * ow * c];
    for_each_chunk(&mut out, (ow * c).max(1), |row, out| {
        let (b, y) = (row / oh, row % oh * 2);
        for (ox, out) in out.chunks_exact_mut(c).enumerate() {
            let at = |dy: usize, dx: usize| ((b * h + y + dy) * w + ox * 2 + dx) * c;
            for (i, o) in out.iter_mut().enumerate() {
                *o = max4([(0, 0), (0, 1), (1, 0), (1, 1)].map(|(dy, dx)| x[at(dy, dx) + i]));
            }
        }
    });
    out
}

/// Max that keeps a NaN, as torch's max-pool does.
#[inline(always)]
fn max4(v: [f32; 4]) -> f32 {
    v.into_iter().fold(
        f32::NEG_INFINITY,
        |m, v| if v > m || v.is_nan() { v } else { m },
    )
}
