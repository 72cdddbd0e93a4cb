//! Scaled dot-product attention over interleaved heads, and Hiera's windows.

use super::cpu::attention::{self as kernel, Sizes, Tokens};
use super::cpu::windows as window_kernel;
use super::{GPU_ELEMENTS, cpu, cpu_data};
use burn::tensor::{Tensor, activation};

pub use window_kernel::Windows;

/// `softmax(q k^T / sqrt(d)) v` for `q [B, N, heads * d]`, `k [B, M, heads * d]`,
/// `v [B, M, heads * e]`, heads interleaved in the last dimension: `[B, N, heads * e]`.
///
/// The GPU path takes the queries in blocks, so that no score matrix passes WebGPU's binding floor.
pub fn attention(q: Tensor<3>, k: Tensor<3>, v: Tensor<3>, heads: usize) -> Tensor<3> {
    let [b, n, c] = q.dims();
    let [_, m, cv] = v.dims();
    if let (Some(cq), Some(ck), Some(cv_)) = (cpu_data(&q), cpu_data(&k), cpu_data(&v)) {
        let sizes = Sizes {
            batch: b,
            heads,
            queries: n,
            keys: m,
            width: c / heads,
            value_width: cv / heads,
        };
        let out = kernel::attention(
            Tokens::packed(&cq.data(), n, c),
            Tokens::packed(&ck.data(), m, c),
            Tokens::packed(&cv_.data(), m, cv),
            sizes,
        );
        return cpu::into_tensor(out, [b, n, cv]);
    }
    let split =
        |t: Tensor<3>, len: usize, c: usize| t.reshape([b, len, heads, c / heads]).swap_dims(1, 2);
    let q = split(q, n, c).mul_scalar(1.0 / ((c / heads) as f32).sqrt());
    let k = split(k, m, c).swap_dims(2, 3);
    let v = split(v, m, cv);
    let block = (GPU_ELEMENTS / (b * heads * m)).clamp(1, n);
    let part = |start: usize| {
        let q = q.clone().narrow(2, start, block.min(n - start));
        activation::softmax(q.matmul(k.clone()), 3).matmul(v.clone())
    };
    let out = match block == n {
        true => part(0),
        false => Tensor::cat((0..n).step_by(block).map(part).collect(), 2),
    };
    out.swap_dims(1, 2).reshape([b, n, cv])
}

/// Attention inside the windows of a map of q, k and v, `[B, H, W, 3 * C]`, queries optionally
/// max-pooled 2 x 2: `[B, H', W', C]`. `bias [3 * C]` is the qkv layer's: where the window does not
/// divide the map, the official code pads *before* that layer, so padding tokens hold its bias
/// (sam2/modeling/backbones/utils.py, `window_partition`).
pub fn window_attention(qkv: Tensor<4>, bias: &Tensor<1>, w: Windows) -> Tensor<4> {
    let [b, height, width, c3] = qkv.dims();
    let c = c3 / 3;
    let stride = if w.pool { 2 } else { 1 };
    let (out_h, out_w) = (height / stride, width / stride);
    if let (Some(cpu), Some(bias)) = (cpu_data(&qkv), cpu_data(bias)) {
        let out = window_kernel::window_attention(&cpu.data(), &bias.data(), w);
        return cpu::into_tensor(out, [b, out_h, out_w, c]);
    }
    let (rows, cols) = (height.div_ceil(w.window), width.div_ceil(w.window));
    let (padded_h, padded_w) = (rows * w.window, cols * w.window);
    let padding = |h: usize, w: usize| bias.clone().reshape([1, 1, 1, c3]).expand([b, h, w, c3]);
    let mut qkv = qkv;
    if padded_h > height {
        qkv = Tensor::cat(vec![qkv, padding(padded_h - height, width)], 1);
    }
    if padded_w > width {
        qkv = Tensor::cat(vec![qkv, padding(padded_h, padded_w - width)], 2);
    }
    let n = b * rows * cols;
    let windows = qkv
        .reshape([b, rows, w.window, cols, w.window, c3])
        .permute([0, 1, 3, 2, 4, 5])
        .reshape([n, w.window, w.window, c3]);
    let tokens = w.window * w.window;
    let mut q = windows.clone().narrow(3, 0, c);
    let half = w.window / stride;
    if w.pool {
        q = max_pool_2x2(q);
    }
    let q = q.reshape([n, half * half, c]);
    let k = windows.clone().narrow(3, c, c).reshape([n, tokens, c]);
    let v = windows.narrow(3, 2 * c, c).reshape([n, tokens, c]);
    attention(q, k, v, w.heads)
        .reshape([b, rows, cols, half, half, c])
        .permute([0, 1, 3, 2, 4, 5])
        .reshape([b, rows * half, cols * half, c])
        .narrow(1, 0, out_h)
        .narrow(2, 0, out_w)
}

/// Max over 2 x 2 blocks of `[B, H, W, C]`, `H` and `W` even (the official `do_pool`).
pub fn max_pool_2x2(x: Tensor<4>) -> Tensor<4> {
    let [b, h, w, c] = x.dims();
    if let Some(cpu) = cpu_data(&x) {
        return cpu::into_tensor(
            window_kernel::max_pool_2x2(&cpu.data(), [b, h, w, c]),
            [b, h / 2, w / 2, c],
        );
    }
    x.reshape([b, h / 2, 2, w / 2, 2, c])
        .max_dim(4)
        .max_dim(2)
        .reshape([b, h / 2, w / 2, c])
}
