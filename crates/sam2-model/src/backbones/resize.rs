//! `torch.nn.functional.interpolate(mode="bicubic", align_corners=False)`, for positional embeddings:
//! a = -0.75, no antialiasing, border clamped.

/// Resizes a planar map `[C, h, w]` to channels-last `[H, W, C]`.
pub fn bicubic(x: &[f32], [c, h, w]: [usize; 3], [out_h, out_w]: [usize; 2]) -> Vec<f32> {
    let (rows, cols) = (taps(h, out_h), taps(w, out_w));
    let mut out = vec![0.0; out_h * out_w * c];
    for (i, (ys, wy)) in rows.iter().enumerate() {
        for (j, (xs, wx)) in cols.iter().enumerate() {
            for k in 0..c {
                let plane = &x[k * h * w..(k + 1) * h * w];
                let row = |y: usize| -> f32 { (0..4).map(|t| plane[y * w + xs[t]] * wx[t]).sum() };
                out[(i * out_w + j) * c + k] = (0..4).map(|t| row(ys[t]) * wy[t]).sum();
            }
        }
    }
    out
}

/// Four source places and their weights for each output place along one side.
fn taps(n: usize, out: usize) -> Vec<([usize; 4], [f32; 4])> {
    let scale = n as f32 / out as f32;
    let near = |t: f32| ((1.25 * t) - 2.25) * t * t + 1.0;
    let far = |t: f32| ((-0.75 * t + 3.75) * t - 6.0) * t + 3.0;
    (0..out)
        .map(|i| {
            let real = (i as f32 + 0.5) * scale - 0.5;
            let base = real.floor();
            let t = real - base;
            let at = |d: isize| (base as isize + d).clamp(0, n as isize - 1) as usize;
            let weights = [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)];
            ([at(-1), at(0), at(1), at(2)], weights)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_torch() {
        // torch.nn.functional.interpolate(torch.arange(6.).reshape(1, 1, 2, 3) ** 2, (3, 5),
        // mode="bicubic"), torch 2.x
        let x: Vec<f32> = (0..6).map(|i| (i * i) as f32).collect();
        let out = bicubic(&x, [1, 2, 3], [3, 5]);
        let torch: [f32; 15] = include!("bicubic_fixture.in");
        for (a, b) in out.iter().zip(torch) {
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
    }
}
