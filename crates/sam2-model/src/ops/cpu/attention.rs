//! Scaled dot-product attention without the score matrix: blocks of queries against blocks of keys,
//! with a running softmax, so that memory stays at a few hundred kB per thread whatever the length.

use super::gemm::{Mat, sgemm};
use super::parallel::{SharedOut, for_each, threads};
use super::simd::{self, multiversion};

/// Keys per block: scores of one block of queries then stay in the second-level cache.
const KEYS: usize = 512;
/// Queries per task at most: every task packs all keys once more, from memory where there are many.
const QUERIES: usize = 256;

/// Tokens of several heads, interleaved: token `n` of head `h` in batch `b` starts at
/// `offset + b * batch + n * token + h * width` and has `width` elements.
#[derive(Clone, Copy)]
pub struct Tokens<'a> {
    pub data: &'a [f32],
    pub batch: usize,
    pub token: usize,
    pub offset: usize,
}

impl<'a> Tokens<'a> {
    /// `[B, N, heads * width]`, one after the other.
    pub fn packed(data: &'a [f32], tokens: usize, channels: usize) -> Self {
        Self {
            data,
            batch: tokens * channels,
            token: channels,
            offset: 0,
        }
    }

    fn at(&self, b: usize, n: usize, column: usize) -> Mat<'a> {
        let start = self.offset + b * self.batch + n * self.token + column;
        Mat::rows(&self.data[start..], self.token)
    }
}

/// The sizes of one attention call.
#[derive(Clone, Copy)]
pub struct Sizes {
    pub batch: usize,
    pub heads: usize,
    pub queries: usize,
    pub keys: usize,
    /// Elements per head of q and k.
    pub width: usize,
    /// Elements per head of v and the output.
    pub value_width: usize,
}

/// `softmax(q k^T / sqrt(width)) v` per head: `[B, queries, heads * value_width]`.
pub fn attention(q: Tokens, k: Tokens, v: Tokens, sizes: Sizes) -> Vec<f32> {
    let Sizes {
        batch,
        heads,
        queries,
        keys,
        width,
        value_width,
    } = sizes;
    let channels = heads * value_width;
    let mut out = vec![0.0; batch * queries * channels];
    if out.is_empty() || keys == 0 {
        return out;
    }
    let wanted = (queries * heads * batch).div_ceil(threads() * 4);
    let block = wanted.clamp(16, QUERIES).min(queries.max(1));
    let blocks = queries.div_ceil(block);
    let shared = SharedOut::new(&mut out);
    for_each(batch * heads * blocks, |task| {
        let (bh, start) = (task / blocks, task % blocks * block);
        let (b, h) = (bh / heads, bh % heads);
        let rows = block.min(queries - start);
        let base = (b * queries + start) * channels + h * value_width;
        // SAFETY: a task writes only columns `h * value_width ..` of its own rows; `one_head`
        // touches nothing else of the slice it is given.
        let out = unsafe { shared.slice(base, (rows - 1) * channels + value_width) };
        one_head(
            (rows, keys, width, value_width),
            q.at(b, start, h * width),
            k.at(b, 0, h * width),
            v.at(b, 0, h * value_width),
            out,
            channels,
        );
    });
    out
}

/// One head: `rows` queries against `keys` keys; `out` has its rows `out_row` apart.
pub fn one_head(
    (rows, keys, width, value_width): (usize, usize, usize, usize),
    q: Mat,
    k: Mat,
    v: Mat,
    out: &mut [f32],
    out_row: usize,
) {
    let scale = 1.0 / (width as f32).sqrt();
    let block = keys.min(KEYS);
    let mut scores = vec![0.0; rows * block];
    let mut running = vec![
        Running {
            max: f32::NEG_INFINITY,
            sum: 0.0
        };
        rows
    ];
    let mut start = 0;
    while start < keys {
        let n = block.min(keys - start);
        let scores = &mut scores[..rows * n];
        let k_block = Mat {
            data: &k.data[start * k.row..],
            ..k
        };
        let v_block = Mat {
            data: &v.data[start * v.row..],
            ..v
        };
        sgemm(
            (rows, width, n),
            scale,
            q,
            k_block.transposed(),
            0.0,
            scores,
            n,
        );
        softmax_step(
            scores,
            n,
            &mut running,
            out,
            out_row,
            value_width,
            start == 0,
        );
        let beta = if start == 0 { 0.0 } else { 1.0 };
        sgemm(
            (rows, n, value_width),
            1.0,
            Mat::rows(scores, n),
            v_block,
            beta,
            out,
            out_row,
        );
        start += n;
    }
    for (row, running) in out.chunks_mut(out_row).zip(&running) {
        let inverse = 1.0 / running.sum;
        for o in &mut row[..value_width] {
            *o *= inverse;
        }
    }
}

/// What the softmax of one query has seen so far.
#[derive(Clone, Copy)]
struct Running {
    max: f32,
    sum: f32,
}

#[inline(always)]
fn softmax_step_body(
    scores: &mut [f32],
    n: usize,
    running: &mut [Running],
    out: &mut [f32],
    out_row: usize,
    value_width: usize,
    first: bool,
) {
    for ((row, run), out) in scores
        .chunks_exact_mut(n)
        .zip(running.iter_mut())
        .zip(out.chunks_mut(out_row))
    {
        let mut lanes = [f32::NEG_INFINITY; 16];
        let chunks = row.chunks_exact(16);
        for v in chunks.remainder() {
            lanes[0] = if *v > lanes[0] { *v } else { lanes[0] };
        }
        for chunk in chunks {
            for (lane, v) in lanes.iter_mut().zip(chunk) {
                *lane = if *v > *lane { *v } else { *lane };
            }
        }
        // A NaN score is not seen by `>`; it stays in the row, `exp` keeps it, and the sum and so
        // the output become NaN, which the mask check then sees.
        let max = lanes
            .iter()
            .fold(run.max, |a, &b| if b > a { b } else { a });
        let mut sums = [0.0_f32; 16];
        let mut chunks = row.chunks_exact_mut(16);
        for chunk in &mut chunks {
            for (sum, v) in sums.iter_mut().zip(chunk) {
                *v = simd::exp(*v - max);
                *sum += *v;
            }
        }
        for (sum, v) in sums.iter_mut().zip(chunks.into_remainder()) {
            *v = simd::exp(*v - max);
            *sum += *v;
        }
        let sum: f32 = sums.iter().sum();
        if first {
            run.sum = sum;
        } else {
            let keep = simd::exp(run.max - max);
            run.sum = run.sum * keep + sum;
            if keep != 1.0 {
                for o in &mut out[..value_width] {
                    *o *= keep;
                }
            }
        }
        run.max = max;
    }
}
multiversion! {
    /// Turns a block of scores into weights and rescales what `out` holds to the new maximum.
    fn softmax_step(
        scores: &mut [f32],
        n: usize,
        running: &mut [Running],
        out: &mut [f32],
        out_row: usize,
        value_width: usize,
        first: bool,
    ) = softmax_step_body
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(n: usize, f: f32) -> Vec<f32> {
        (0..n).map(|i| (i as f32 * f).sin()).collect()
    }

    /// The definition, in f64, of one query.
    fn reference(
        q: &[f32],
        k: &[f32],
        v: &[f32],
        keys: usize,
        c: usize,
        h: usize,
        width: usize,
    ) -> Vec<f64> {
        let dot = |n: usize| -> f64 {
            (0..width)
                .map(|d| q[h * width + d] as f64 * k[n * c + h * width + d] as f64)
                .sum::<f64>()
                / (width as f64).sqrt()
        };
        let scores: Vec<f64> = (0..keys).map(dot).collect();
        let max = scores.iter().copied().fold(f64::MIN, f64::max);
        let sum: f64 = scores.iter().map(|s| (s - max).exp()).sum();
        (0..width)
            .map(|d| {
                let weighted = |n: usize| (scores[n] - max).exp() * v[n * c + h * width + d] as f64;
                (0..keys).map(weighted).sum::<f64>() / sum
            })
            .collect()
    }

    #[test]
    fn blocks_of_keys_give_the_softmax_of_all() {
        // Several key blocks, the last one short, and scores far apart between blocks.
        let (batch, heads, queries, keys, width) = (2, 3, 150, 1300, 8);
        let c = heads * width;
        let q = wave(batch * queries * c, 0.7);
        let k: Vec<f32> = wave(batch * keys * c, 0.31)
            .iter()
            .enumerate()
            .map(|(i, v)| v * (1.0 + (i / c) as f32 * 0.01))
            .collect();
        let v = wave(batch * keys * c, 0.13);
        let sizes = Sizes {
            batch,
            heads,
            queries,
            keys,
            width,
            value_width: width,
        };
        let out = attention(
            Tokens::packed(&q, queries, c),
            Tokens::packed(&k, keys, c),
            Tokens::packed(&v, keys, c),
            sizes,
        );
        for (b, n, h) in [(0, 0, 0), (1, 149, 2), (1, 77, 1)] {
            let q = &q[(b * queries + n) * c..];
            let (k, v) = (&k[b * keys * c..], &v[b * keys * c..]);
            let exact = reference(q, k, v, keys, c, h, width);
            for (d, e) in exact.iter().enumerate() {
                let got = out[(b * queries + n) * c + h * width + d] as f64;
                assert!((got - e).abs() < 2e-6, "{b} {n} {h} {d}: {got} {e}");
            }
        }
    }

    #[test]
    fn nan_in_one_key_reaches_every_query_of_its_head() {
        let (queries, keys, width) = (5, 600, 4);
        let q = wave(queries * width, 0.3);
        let mut k = wave(keys * width, 0.2);
        k[width * 555] = f32::NAN;
        let v = wave(keys * width, 0.1);
        let sizes = Sizes {
            batch: 1,
            heads: 1,
            queries,
            keys,
            width,
            value_width: width,
        };
        let out = attention(
            Tokens::packed(&q, queries, width),
            Tokens::packed(&k, keys, width),
            Tokens::packed(&v, keys, width),
            sizes,
        );
        assert!(out.iter().all(|v| v.is_nan()));
    }
}
