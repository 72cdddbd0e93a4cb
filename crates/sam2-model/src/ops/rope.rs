//! Rotary position encoding over the two axes of a map (sam2/modeling/position_encoding.py,
//! `compute_axial_cis` and `apply_rotary_enc`).

use super::cpu::parallel::for_each_chunk;
use super::{cpu, cpu_data, from_vec};
use burn::tensor::{Device, Tensor};

/// Angles of an `end_x` x `end_y` map for heads of `width`: of a token's `width / 2` pairs, the first
/// half turns with x, the second with y. Pairs are neighbours (the official complex view).
#[derive(Debug, Clone)]
pub struct AxialRope {
    /// `[tokens, width / 2]`, row-major.
    cos: Tensor<2>,
    sin: Tensor<2>,
    tokens: usize,
}

impl AxialRope {
    pub fn new(width: usize, end_x: usize, end_y: usize, theta: f64, device: &Device) -> Self {
        let quarter = width / 4;
        let freqs: Vec<f32> = (0..quarter)
            // As torch: the exponent and the power in f32.
            .map(|i| 1.0 / (theta as f32).powf((4 * i) as f32 / width as f32))
            .collect();
        let tokens = end_x * end_y;
        let mut angles = Vec::with_capacity(tokens * 2 * quarter);
        for t in 0..tokens {
            let (x, y) = ((t % end_x) as f32, (t / end_x) as f32);
            angles.extend(freqs.iter().map(|f| x * f));
            angles.extend(freqs.iter().map(|f| y * f));
        }
        let shape = [tokens, 2 * quarter];
        let cos = angles.iter().map(|a| a.cos()).collect();
        let sin = angles.iter().map(|a| a.sin()).collect();
        Self {
            cos: from_vec(cos, shape, device),
            sin: from_vec(sin, shape, device),
            tokens,
        }
    }

    /// Tokens of the map the angles were made for.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Turns the first `rotated` tokens of `x [B, N, heads * width]`; `rotated` is a multiple of the
    /// map's tokens, whose angles repeat (the official `rope_k_repeat`). Later tokens (object
    /// pointers) stay.
    pub fn apply(&self, x: Tensor<3>, heads: usize, rotated: usize) -> Tensor<3> {
        let [b, n, c] = x.dims();
        if rotated == 0 {
            return x;
        }
        let half = c / heads / 2;
        if let (Some(data), Some(cos), Some(sin)) =
            (cpu_data(&x), cpu_data(&self.cos), cpu_data(&self.sin))
        {
            drop(x);
            let mut out = data.data().into_owned();
            let (cos, sin) = (cos.data(), sin.data());
            for_each_chunk(&mut out, c, |token, row| {
                let (n_, period) = (token % n, self.tokens);
                if n_ >= rotated {
                    return;
                }
                let at = n_ % period * half;
                let (cos, sin) = (&cos[at..at + half], &sin[at..at + half]);
                for head in row.chunks_exact_mut(2 * half) {
                    for ((pair, c), s) in head.chunks_exact_mut(2).zip(cos).zip(sin) {
                        let (re, im) = (pair[0], pair[1]);
                        pair[0] = re * c - im * s;
                        pair[1] = re * s + im * c;
                    }
                }
            });
            return cpu::into_tensor(out, [b, n, c]);
        }
        let repeats = rotated / self.tokens;
        let table = |t: &Tensor<2>| {
            t.clone()
                .repeat_dim(0, repeats)
                .reshape([1, rotated, 1, half, 1])
        };
        let (cos, sin) = (table(&self.cos), table(&self.sin));
        let pairs = x
            .clone()
            .narrow(1, 0, rotated)
            .reshape([b, rotated, heads, half, 2]);
        let (re, im) = (pairs.clone().narrow(4, 0, 1), pairs.narrow(4, 1, 1));
        let turned = Tensor::cat(
            vec![
                re.clone() * cos.clone() - im.clone() * sin.clone(),
                re * sin + im * cos,
            ],
            4,
        )
        .reshape([b, rotated, c]);
        match rotated == n {
            true => turned,
            false => Tensor::cat(vec![turned, x.narrow(1, rotated, n - rotated)], 1),
        }
    }
}
