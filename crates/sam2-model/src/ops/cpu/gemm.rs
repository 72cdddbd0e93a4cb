//! Matrix products on one thread (matrixmultiply has kernels for AVX2, NEON and wasm's simd128), and
//! the linear layers built from them, split by rows over threads.

use super::parallel::{for_each_chunk, row_block};
use super::{norm, simd};
use crate::ops::Activation;

/// A matrix read with strides: element `(i, j)` is `data[i * row + j * col]`.
#[derive(Clone, Copy)]
pub struct Mat<'a> {
    pub data: &'a [f32],
    pub row: usize,
    pub col: usize,
}

impl<'a> Mat<'a> {
    /// Rows of `row` elements each, one after the other.
    pub fn rows(data: &'a [f32], row: usize) -> Self {
        Self { data, row, col: 1 }
    }

    pub fn transposed(self) -> Self {
        Self {
            data: self.data,
            row: self.col,
            col: self.row,
        }
    }

    fn reach(&self, rows: usize, cols: usize) -> usize {
        (rows - 1) * self.row + (cols - 1) * self.col + 1
    }
}

/// `c = alpha * a b + beta * c` for `a [m, k]`, `b [k, n]`, `c [m, n]` with rows `c_row` apart.
#[allow(clippy::too_many_arguments)]
pub fn sgemm(
    (m, k, n): (usize, usize, usize),
    alpha: f32,
    a: Mat,
    b: Mat,
    beta: f32,
    c: &mut [f32],
    c_row: usize,
) {
    if m == 0 || n == 0 || k == 0 {
        return;
    }
    assert!(a.data.len() >= a.reach(m, k), "sgemm: a is too short");
    assert!(b.data.len() >= b.reach(k, n), "sgemm: b is too short");
    assert!(c.len() >= (m - 1) * c_row + n, "sgemm: c is too short");
    // SAFETY: the three reaches were checked above, and `c` is borrowed mutably.
    unsafe {
        matrixmultiply::sgemm(
            m,
            k,
            n,
            alpha,
            a.data.as_ptr(),
            a.row as isize,
            a.col as isize,
            b.data.as_ptr(),
            b.row as isize,
            b.col as isize,
            beta,
            c.as_mut_ptr(),
            c_row as isize,
            1,
        );
    }
}

/// A linear layer's parameters: `weight [in, out]`, `bias [out]`.
#[derive(Clone, Copy)]
pub struct Layer<'a> {
    pub weight: &'a [f32],
    pub bias: Option<&'a [f32]>,
    pub outputs: usize,
}

impl Layer<'_> {
    /// `out = act(x w + b [+ residual])` for rows of `x [m, in]` on this thread.
    fn run(
        &self,
        x: &[f32],
        inputs: usize,
        residual: Option<&[f32]>,
        act: Activation,
        out: &mut [f32],
    ) {
        let n = self.outputs;
        let m = out.len() / n;
        let (a, b) = (Mat::rows(x, inputs), Mat::rows(self.weight, n));
        // The product alone first: started from the residual, every block of the sum would be
        // rounded at the residual's magnitude.
        sgemm((m, inputs, n), 1.0, a, b, 0.0, out, n);
        if let Some(bias) = self.bias {
            for row in out.chunks_exact_mut(n) {
                for (o, b) in row.iter_mut().zip(bias) {
                    *o += b;
                }
            }
        }
        if let Some(residual) = residual {
            for (o, r) in out.iter_mut().zip(residual) {
                *o += r;
            }
        }
        match act {
            Activation::None => {}
            Activation::Relu => simd::relu(out),
            Activation::Gelu => simd::gelu(out),
        }
    }
}

/// `out [m, out] = act(x [m, in] w + b)`.
pub fn linear(x: &[f32], inputs: usize, layer: Layer, act: Activation) -> Vec<f32> {
    linear_residual(x, inputs, layer, None, act)
}

/// `out = act(x w + b + residual)`; the residual has the output's shape.
pub fn linear_residual(
    x: &[f32],
    inputs: usize,
    layer: Layer,
    residual: Option<&[f32]>,
    act: Activation,
) -> Vec<f32> {
    let (m, n) = (x.len() / inputs, layer.outputs);
    let mut out = vec![0.0; m * n];
    let block = row_block(m, 512);
    for_each_chunk(&mut out, block * n, |i, chunk| {
        let start = i * block;
        let rows = chunk.len() / n;
        let residual = residual.map(|r| &r[start * n..(start + rows) * n]);
        layer.run(
            &x[start * inputs..(start + rows) * inputs],
            inputs,
            residual,
            act,
            chunk,
        );
    });
    out
}

/// `x + w2 act(w1 norm(x) + b1) + b2`, block of rows by block of rows, so that the hidden layer
/// (4 x the width, 150 MB for large at 1024²) never exists whole and stays in the cache.
pub fn mlp_residual(
    x: &[f32],
    width: usize,
    norm: (&[f32], &[f32], f32),
    first: Layer,
    act: Activation,
    second: Layer,
) -> Vec<f32> {
    let mut out = vec![0.0; x.len()];
    let rows = x.len() / width;
    let block = row_block(rows, 256);
    for_each_chunk(&mut out, block * width, |i, chunk| {
        let x = &x[i * block * width..][..chunk.len()];
        let rows = chunk.len() / width;
        let mut normed = vec![0.0; chunk.len()];
        norm::layer_norm_rows(x, norm.0, norm.1, norm.2, &mut normed);
        let mut hidden = vec![0.0; rows * first.outputs];
        first.run(&normed, width, None, act, &mut hidden);
        second.run(&hidden, first.outputs, Some(x), Activation::None, chunk);
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(n: usize, scale: f32) -> Vec<f32> {
        (0..n)
            .map(|i| ((i * 37 % 101) as f32 - 50.0) * scale)
            .collect()
    }

    #[test]
    fn linear_agrees_with_the_definition_over_blocks() {
        // More rows than one block, and no dimension a multiple of a kernel's tile.
        let (m, k, n) = (531, 19, 23);
        let (x, w, b) = (ramp(m * k, 0.01), ramp(k * n, 0.02), ramp(n, 0.1));
        let layer = Layer {
            weight: &w,
            bias: Some(&b),
            outputs: n,
        };
        let out = linear(&x, k, layer, Activation::Relu);
        for (i, j) in [(0, 0), (17, 5), (300, 22), (530, 22), (512, 1)] {
            let exact: f64 = (0..k)
                .map(|p| x[i * k + p] as f64 * w[p * n + j] as f64)
                .sum::<f64>()
                + b[j] as f64;
            let exact = exact.max(0.0);
            // f32 products summed over 19 terms.
            assert!((out[i * n + j] as f64 - exact).abs() < 1e-5, "({i}, {j})");
        }
    }

    #[test]
    fn strided_products_read_what_they_say() {
        // b is the transpose of a row-major [n, k].
        let (m, k, n) = (3, 5, 4);
        let (a, bt) = (ramp(m * k, 0.1), ramp(n * k, 0.1));
        let mut c = vec![1.0; m * n];
        sgemm(
            (m, k, n),
            2.0,
            Mat::rows(&a, k),
            Mat::rows(&bt, k).transposed(),
            0.5,
            &mut c,
            n,
        );
        for i in 0..m {
            for j in 0..n {
                let dot: f32 = (0..k).map(|p| a[i * k + p] * bt[j * k + p]).sum();
                assert!((c[i * n + j] - (2.0 * dot + 0.5)).abs() < 1e-3);
            }
        }
    }
}
