//! Convolutions over channels-last maps `[B, H, W, C]`, as products of patches.

use super::gemm::{Layer, Mat, sgemm};
use super::parallel::for_each_chunk;
use super::simd::multiversion;

/// Kernel, stride and zero padding, the same in both directions.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub kernel: usize,
    pub stride: usize,
    pub padding: usize,
}

impl Window {
    /// Output length along a side of `n`.
    pub fn output(&self, n: usize) -> usize {
        (n + 2 * self.padding - self.kernel) / self.stride + 1
    }
}

/// A map's size: `[B, H, W, C]`.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub batch: usize,
    pub height: usize,
    pub width: usize,
    pub channels: usize,
}

/// Calls `visit(tap, place)` for the kernel's taps that lie on the map, for the output at (oy, ox): the
/// tap counted row by row in the kernel, the place row by row in the map.
#[inline(always)]
fn for_each_tap(
    oy: usize,
    ox: usize,
    size: Size,
    window: Window,
    mut visit: impl FnMut(usize, usize),
) {
    for ky in 0..window.kernel {
        // Before the first row or column this wraps, and is as far outside as beyond the last.
        let y = (oy * window.stride + ky).wrapping_sub(window.padding);
        if y >= size.height {
            continue;
        }
        for kx in 0..window.kernel {
            let x = (ox * window.stride + kx).wrapping_sub(window.padding);
            if x < size.width {
                visit(ky * window.kernel + kx, y * size.width + x);
            }
        }
    }
}

/// Dense convolution; `layer.weight` is `[kernel * kernel * C, out]`, rows in (ky, kx, c) order.
pub fn conv2d(x: &[f32], size: Size, window: Window, layer: Layer) -> Vec<f32> {
    let c = size.channels;
    let row = window.kernel * c;
    gather(size, window, layer, |b, oy, ox, patch| {
        // Away from the borders the taps of a kernel's row lie side by side: one copy instead of many
        // of a few values each.
        let left = (ox * window.stride).wrapping_sub(window.padding);
        if left < size.width && left + window.kernel <= size.width {
            for (ky, patch) in patch.chunks_exact_mut(row).enumerate() {
                let y = (oy * window.stride + ky).wrapping_sub(window.padding);
                if y < size.height {
                    let at = ((b * size.height + y) * size.width + left) * c;
                    patch.copy_from_slice(&x[at..at + row]);
                }
            }
            return;
        }
        for_each_tap(oy, ox, size, window, |tap, place| {
            let source = &x[(b * size.height * size.width + place) * c..][..c];
            patch[tap * c..][..c].copy_from_slice(source);
        });
    })
}

/// Dense convolution of a planar picture `[B, C, H, W]` (as preprocessing writes it);
/// `layer.weight` is `[C * kernel * kernel, out]`, rows in (c, ky, kx) order.
pub fn conv2d_planar(x: &[f32], size: Size, window: Window, layer: Layer) -> Vec<f32> {
    let (plane, k2) = (size.height * size.width, window.kernel * window.kernel);
    gather(size, window, layer, |b, oy, ox, patch| {
        for c in 0..size.channels {
            let source = &x[(b * size.channels + c) * plane..][..plane];
            for_each_tap(oy, ox, size, window, |tap, place| {
                patch[c * k2 + tap] = source[place];
            });
        }
    })
}

/// Output rows in blocks: `fill` writes one patch (already zero), then one product per block.
fn gather(
    size: Size,
    window: Window,
    layer: Layer,
    fill: impl Fn(usize, usize, usize, &mut [f32]) + Sync + Send,
) -> Vec<f32> {
    let (oh, ow) = (window.output(size.height), window.output(size.width));
    let (n, k) = (layer.outputs, window.kernel * window.kernel * size.channels);
    let mut out = vec![0.0; size.batch * oh * ow * n];
    // Some 256 patches at a time, whole rows of the output.
    let rows = (256 / ow).max(1);
    for_each_chunk(&mut out, rows * ow * n, |i, chunk| {
        let m = chunk.len() / n;
        let mut patches = vec![0.0; m * k];
        for (j, patch) in patches.chunks_exact_mut(k).enumerate() {
            let at = i * rows * ow + j;
            fill(at / (oh * ow), at / ow % oh, at % ow, patch);
        }
        sgemm(
            (m, k, n),
            1.0,
            Mat::rows(&patches, k),
            Mat::rows(layer.weight, n),
            0.0,
            chunk,
            n,
        );
        if let Some(bias) = layer.bias {
            for row in chunk.chunks_exact_mut(n) {
                for (o, b) in row.iter_mut().zip(bias) {
                    *o += b;
                }
            }
        }
    });
    out
}

/// Doubles a map's sides: output place (2 y + dy, 2 x + dx) gets the `c` values that start at
/// `tap(dy, dx)` of place (y, x), whose values are `stride` apart. `[b, h, w, c]` is the map's size with
/// the output's channels.
pub fn spread_2x(
    x: &[f32],
    [b, h, w, c]: [usize; 4],
    tap: impl Fn(usize, usize) -> usize + Sync + Send,
    stride: usize,
) -> Vec<f32> {
    let mut out = vec![0.0; b * 4 * h * w * c];
    for_each_chunk(&mut out, 2 * w * c, |row, out| {
        let source = &x[row / 2 * w * stride..][..w * stride];
        for (ox, out) in out.chunks_exact_mut(c).enumerate() {
            let at = ox / 2 * stride + tap(row % 2, ox % 2);
            out.copy_from_slice(&source[at..at + c]);
        }
    });
    out
}

/// Depthwise convolution; `weight [kernel * kernel, C]` in (ky, kx) order, `bias [C]`.
pub fn depthwise(x: &[f32], size: Size, window: Window, weight: &[f32], bias: &[f32]) -> Vec<f32> {
    let (oh, ow, c) = (
        window.output(size.height),
        window.output(size.width),
        size.channels,
    );
    let mut out = vec![0.0; size.batch * oh * ow * c];
    for_each_chunk(&mut out, ow * c, |row, chunk| {
        depthwise_row(x, size, window, weight, bias, row, chunk);
    });
    out
}

#[inline(always)]
fn depthwise_row_body(
    x: &[f32],
    size: Size,
    window: Window,
    weight: &[f32],
    bias: &[f32],
    row: usize,
    out: &mut [f32],
) {
    let c = size.channels;
    let oh = window.output(size.height);
    let (b, oy) = (row / oh, row % oh);
    for (ox, out) in out.chunks_exact_mut(c).enumerate() {
        out.copy_from_slice(bias);
        for_each_tap(oy, ox, size, window, |tap, place| {
            let source = &x[(b * size.height * size.width + place) * c..][..c];
            let weight = &weight[tap * c..][..c];
            for ((o, s), w) in out.iter_mut().zip(source).zip(weight) {
                *o += s * w;
            }
        });
    }
}
multiversion! {
    /// One output row of [`depthwise`].
    fn depthwise_row(
        x: &[f32],
        size: Size,
        window: Window,
        weight: &[f32],
        bias: &[f32],
        row: usize,
        out: &mut [f32],
    ) = depthwise_row_body
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(n: usize, f: f32) -> Vec<f32> {
        (0..n).map(|i| (i as f32 * f).sin()).collect()
    }

    /// The definition: one output element of a dense convolution over channels-last input.
    fn exact(x: &[f32], s: Size, w: Window, weight: &[f32], n: usize, at: [usize; 3]) -> f64 {
        let [oy, ox, o] = at;
        let mut sum = 0.0;
        for ky in 0..w.kernel {
            for kx in 0..w.kernel {
                let y = (oy * w.stride + ky) as isize - w.padding as isize;
                let x_ = (ox * w.stride + kx) as isize - w.padding as isize;
                if y < 0 || x_ < 0 || y >= s.height as isize || x_ >= s.width as isize {
                    continue;
                }
                for c in 0..s.channels {
                    let value = x[(y as usize * s.width + x_ as usize) * s.channels + c];
                    sum += value as f64
                        * weight[((ky * w.kernel + kx) * s.channels + c) * n + o] as f64;
                }
            }
        }
        sum
    }

    #[test]
    fn dense_planar_and_depthwise_follow_the_definition() {
        let size = Size {
            batch: 1,
            height: 11,
            width: 17,
            channels: 3,
        };
        let window = Window {
            kernel: 7,
            stride: 4,
            padding: 3,
        };
        let n = 5;
        let x = wave(11 * 17 * 3, 0.37);
        let weight = wave(49 * 3 * n, 0.11);
        let out = conv2d(
            &x,
            size,
            window,
            Layer {
                weight: &weight,
                bias: None,
                outputs: n,
            },
        );
        let (oh, ow) = (window.output(11), window.output(17));
        assert_eq!((oh, ow), (3, 5));
        // The same picture and weights, planes first.
        let mut planar = vec![0.0; x.len()];
        let mut weight_planar = vec![0.0; weight.len()];
        for c in 0..3 {
            for i in 0..11 * 17 {
                planar[c * 11 * 17 + i] = x[i * 3 + c];
            }
            for k in 0..49 {
                for o in 0..n {
                    weight_planar[(c * 49 + k) * n + o] = weight[(k * 3 + c) * n + o];
                }
            }
        }
        let layer = Layer {
            weight: &weight_planar,
            bias: None,
            outputs: n,
        };
        let out_planar = conv2d_planar(&planar, size, window, layer);
        for at in [[0, 0, 0], [2, 4, 4], [1, 3, 2]] {
            let e = exact(&x, size, window, &weight, n, at);
            let i = (at[0] * ow + at[1]) * n + at[2];
            assert!((out[i] as f64 - e).abs() < 1e-4, "{at:?}");
            assert!((out_planar[i] as f64 - e).abs() < 1e-4, "{at:?}");
        }
        // Depthwise equals a dense kernel that is zero off its diagonal.
        let window = Window {
            kernel: 3,
            stride: 1,
            padding: 1,
        };
        let thin = wave(9 * 3, 0.7);
        let mut dense = vec![0.0; 9 * 3 * 3];
        for k in 0..9 {
            for c in 0..3 {
                dense[(k * 3 + c) * 3 + c] = thin[k * 3 + c];
            }
        }
        let bias = [0.5, -0.5, 0.25];
        let layer = Layer {
            weight: &dense,
            bias: Some(&bias),
            outputs: 3,
        };
        let (a, b) = (
            depthwise(&x, size, window, &thin, &bias),
            conv2d(&x, size, window, layer),
        );
        for (a, b) in a.iter().zip(&b) {
            assert!((a - b).abs() < 1e-5);
        }
    }
}
