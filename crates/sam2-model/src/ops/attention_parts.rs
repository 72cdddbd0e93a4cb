//! Attention over more keys than one tensor on a GPU may hold: they come in parts.

use super::GPU_ELEMENTS;
use burn::tensor::Tensor;

/// What [`super::attention`] gives for `q [B, N, heads * d]` over the keys and values of all `parts`,
/// `[B, M, heads * d]` and `[B, M, heads * e]` with `M` of at most `most_keys`: `[B, N, heads * e]`.
/// There is one part at least.
///
/// Plain Burn operators, for a GPU: a running softmax as in the CPU's kernel, over whole parts, so that
/// one part's keys are there at a time. The queries are taken in blocks, as in [`super::attention`].
pub fn attention_in_parts(
    q: Tensor<3>,
    parts: impl Iterator<Item = (Tensor<3>, Tensor<3>)>,
    most_keys: usize,
    heads: usize,
) -> Tensor<3> {
    let [b, n, _] = q.dims();
    let block = (GPU_ELEMENTS / (b * heads * most_keys)).clamp(1, n);
    in_blocks(q, parts, block, heads)
}

/// As [`attention_in_parts`], with so many queries in a block.
fn in_blocks(
    q: Tensor<3>,
    parts: impl Iterator<Item = (Tensor<3>, Tensor<3>)>,
    block: usize,
    heads: usize,
) -> Tensor<3> {
    let [b, n, c] = q.dims();
    let split = |t: Tensor<3>| {
        let [_, len, c] = t.dims();
        t.reshape([b, len, heads, c / heads]).swap_dims(1, 2)
    };
    let q = split(q).mul_scalar(1.0 / ((c / heads) as f32).sqrt());
    let starts = (0..n).step_by(block);
    let mut blocks: Vec<(Tensor<4>, Option<Seen>)> = starts
        .map(|start| (q.clone().narrow(2, start, block.min(n - start)), None))
        .collect();
    for (k, v) in parts {
        let (k, v) = (split(k).swap_dims(2, 3), split(v));
        for (q, seen) in &mut blocks {
            let part = Seen::of(q.clone().matmul(k.clone()), v.clone());
            *seen = Some(match seen.take() {
                None => part,
                Some(before) => before.join(part),
            });
        }
    }
    let answers = blocks
        .into_iter()
        .filter_map(|(_, seen)| seen.map(Seen::mean));
    let out = Tensor::cat(answers.collect(), 2).swap_dims(1, 2);
    let [_, _, _, e] = out.dims();
    out.reshape([b, n, heads * e])
}

/// What a block of queries has seen of the keys.
struct Seen {
    /// The largest score of each query, `[B, heads, n, 1]`.
    max: Tensor<4>,
    /// The sum of the weights `exp(score - max)`, `[B, heads, n, 1]`.
    sum: Tensor<4>,
    /// The values' sum by these weights, `[B, heads, n, e]`.
    weighted: Tensor<4>,
}

impl Seen {
    /// A NaN among the scores stays in the weights, so that the answer is NaN and the mask check sees it.
    fn of(scores: Tensor<4>, v: Tensor<4>) -> Self {
        let max = scores.clone().max_dim(3);
        let weights = (scores - max.clone()).exp();
        Self {
            max,
            sum: weights.clone().sum_dim(3),
            weighted: weights.matmul(v),
        }
    }

    fn join(self, other: Self) -> Self {
        let max = self.max.clone().max_pair(other.max.clone());
        let keep = |seen: Self| {
            let keep = (seen.max - max.clone()).exp();
            (seen.sum * keep.clone(), seen.weighted * keep)
        };
        let ((sum, weighted), (more, more_weighted)) = (keep(self), keep(other));
        Self {
            max,
            sum: sum + more,
            weighted: weighted + more_weighted,
        }
    }

    fn mean(self) -> Tensor<4> {
        self.weighted / self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::super::{attention, from_vec};
    use super::*;
    use burn::tensor::Device;

    #[allow(deprecated)]
    fn device() -> Device {
        Device::ndarray()
    }

    fn wave<const D: usize>(shape: [usize; D], f: f32) -> Tensor<D> {
        let n: usize = shape.iter().product();
        let values = (0..n).map(|i| (i as f32 * f).sin() * 3.0).collect();
        from_vec(values, shape, &device())
    }

    fn values(x: Tensor<3>) -> Vec<f32> {
        x.into_data().try_into_vec().unwrap()
    }

    /// `[start, end)` of the keys and values.
    fn part(k: &Tensor<3>, v: &Tensor<3>, start: usize, end: usize) -> (Tensor<3>, Tensor<3>) {
        let part = |x: &Tensor<3>| x.clone().narrow(1, start, end - start);
        (part(k), part(v))
    }

    #[test]
    fn parts_give_what_all_keys_at_once_give() {
        let (b, n, m, heads, d, e) = (2, 37, 90, 2, 8, 4);
        let q = wave([b, n, heads * d], 0.7);
        // Scores that grow from part to part, so that what was seen is scaled down again and again.
        let grows = wave([b, m, 1], 0.0)
            + Tensor::arange(0..m as i64, &device())
                .float()
                .reshape([1, m, 1])
                * 0.05;
        let k = wave([b, m, heads * d], 0.31) * (grows + 0.1);
        let v = wave([b, m, heads * e], 0.13);
        let whole = values(attention(q.clone(), k.clone(), v.clone(), heads));
        // One part, equal parts, a short last one, one key alone; blocks of queries that do not divide them.
        for (ends, block) in [
            (&[90][..], 37),
            (&[30, 60, 90], 37),
            (&[40, 80, 90], 16),
            (&[1, 90], 1),
        ] {
            let starts = [0].iter().chain(ends);
            let parts = starts.zip(ends).map(|(a, z)| part(&k, &v, *a, *z));
            let ours = values(in_blocks(q.clone(), parts, block, heads));
            assert_eq!(ours.len(), whole.len());
            for (ours, whole) in ours.iter().zip(&whole) {
                assert!((ours - whole).abs() < 2e-5, "{ends:?}: {ours} {whole}");
            }
        }
    }

    #[test]
    fn nan_in_one_part_reaches_the_answer() {
        let (q, k, v) = (
            wave([1, 3, 4], 0.7),
            wave([1, 20, 4], 0.3),
            wave([1, 20, 4], 0.1),
        );
        let mut keys = values(k);
        keys[4 * 12] = f32::NAN;
        let k = from_vec(keys, [1, 20, 4], &device());
        let parts = [(0, 10), (10, 20)].map(|(a, z)| part(&k, &v, a, z));
        let ours = values(in_blocks(q, parts.into_iter(), 2, 1));
        assert!(ours.iter().all(|v| v.is_nan()), "{ours:?}");
    }
}
