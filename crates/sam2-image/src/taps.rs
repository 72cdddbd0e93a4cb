//! Where each output sample of a bilinear resize reads, in PyTorch's arithmetic.

/// The samples that one axis of an antialiased resize reads, with their weights.
///
/// Follows `_compute_indices_min_size_weights_aa` of ATen's `UpSampleKernel.cpp`: f32 where it
/// has its scalar type, f64 where it adds a literal 0.5.
pub(crate) struct AntialiasTaps {
    first: Vec<usize>,
    count: Vec<usize>,
    weights: Vec<f32>,
    /// Weights kept for each output sample, the most that any of them reads.
    pub(crate) stride: usize,
}

impl AntialiasTaps {
    /// For `input` samples to become `output`; both at least 1.
    pub(crate) fn new(input: usize, output: usize) -> Self {
        let scale = input as f32 / output as f32;
        let shrink = scale.max(1.0);
        let (support, inverse) = (shrink, f64::from(1.0 / shrink));
        let stride = support.ceil() as usize * 2 + 1;
        let mut taps = Self {
            first: Vec::with_capacity(output),
            count: Vec::with_capacity(output),
            weights: vec![0.0; stride * output],
            stride,
        };
        for (index, weights) in taps.weights.chunks_exact_mut(stride).enumerate() {
            let center = (f64::from(scale) * (index as f64 + 0.5)) as f32;
            // `as` cuts towards zero and negative to 0, as the cast and the max there do.
            let first = (f64::from(center - support) + 0.5) as usize;
            let end = ((f64::from(center + support) + 0.5) as usize).min(input);
            let count = end.saturating_sub(first).min(stride);
            let mut total = 0.0_f32;
            for (offset, weight) in weights[..count].iter_mut().enumerate() {
                let distance = f64::from((offset + first) as f32 - center) + 0.5;
                *weight = (1.0 - ((distance * inverse) as f32).abs()).max(0.0);
                total += *weight;
            }
            if total != 0.0 {
                weights[..count]
                    .iter_mut()
                    .for_each(|weight| *weight /= total);
            }
            taps.first.push(first);
            taps.count.push(count);
        }
        taps
    }

    /// The first sample that output `index` reads, and the weights of it and its followers.
    pub(crate) fn of(&self, index: usize) -> (usize, &[f32]) {
        let start = index * self.stride;
        (
            self.first[index],
            &self.weights[start..start + self.count[index]],
        )
    }
}

/// The two samples that one output sample of a plain bilinear resize mixes.
#[derive(Clone, Copy)]
pub(crate) struct LinearTap {
    pub(crate) low: usize,
    pub(crate) high: usize,
    pub(crate) low_weight: f32,
    pub(crate) high_weight: f32,
}

/// Taps of `F.interpolate(mode="bilinear", align_corners=False)` along one axis.
///
/// Follows `compute_source_index_and_lambda` of ATen's `UpSample.h`, in f32 throughout.
pub(crate) fn linear_taps(input: usize, output: usize) -> Vec<LinearTap> {
    let ratio = input as f32 / output as f32;
    let tap = |index: usize| {
        if input == output {
            return LinearTap {
                low: index,
                high: index,
                low_weight: 1.0,
                high_weight: 0.0,
            };
        }
        let source = (ratio * (index as f32 + 0.5) - 0.5).max(0.0);
        let low = (source as usize).min(input - 1);
        let high = (low + 1).min(input - 1);
        let high_weight = (source - low as f32).clamp(0.0, 1.0);
        LinearTap {
            low,
            high,
            low_weight: 1.0 - high_weight,
            high_weight,
        }
    };
    (0..output).map(tap).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_sum_to_one_and_stay_inside() {
        for (input, output) in [
            (1, 1024),
            (5, 64),
            (64, 64),
            (1000, 64),
            (12_000, 1024),
            (65, 64),
        ] {
            let taps = AntialiasTaps::new(input, output);
            let mut last = 0;
            for index in 0..output {
                let (first, weights) = taps.of(index);
                assert!(!weights.is_empty() && first + weights.len() <= input);
                assert!(first >= last, "rows are read in order");
                last = first;
                let sum: f32 = weights.iter().sum();
                // A few roundings of at most 24 weights.
                assert!((sum - 1.0).abs() < 1e-6, "{input} -> {output}: {sum}");
            }
        }
    }

    #[test]
    fn equal_sizes_copy() {
        let taps = AntialiasTaps::new(7, 7);
        for index in 0..7 {
            let (first, weights) = taps.of(index);
            assert_eq!((first, weights[0]), (index, 1.0));
            assert!(weights[1..].iter().all(|w| *w == 0.0));
        }
    }
}
