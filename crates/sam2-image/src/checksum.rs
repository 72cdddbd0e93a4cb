//! Two index-weighted checksums of every block: whether what arrived is what the device computed.
//!
//! Checksum `k` of values v is the sum over i of `w_k(i) * v(i)`, with the weights
//!
//! ```text
//! w_k(i) = (2 * (hash(i, k) >> 20) + 1 - 4096) / 4096        (in u32, then exact in f32)
//! ```
//!
//! between -1 and 1, never 0, and as good as random: a sum without weights cannot see swapped
//! halves or rows, and regular weights average out over smooth logits. The hash is `lowbias32` of
//! an index times an odd constant; a device need not compute it, [`checksum_weights`] gives the
//! values to lay beside the logits once for each length. The index runs on over the blocks of
//! [`CHECKSUM_BLOCK`] values, so that blocks cannot change places either.
//!
//! # Tolerance
//!
//! The device sums in f32 and in an order of its own, the host in f64. Random signs keep partial
//! sums near `sqrt(n)` values, so with u = 2^-24 a device that adds one value after the other is
//! off by `sqrt(n) u` times a partial sum, and the trees that devices use by far less. The
//! tolerance is `(4 + sqrt(n) / 16) u S`, with S = sum of |w v| over the block: `8 u S` for a full
//! one, tens of times what a sequential sum was seen to do in the tests.
//!
//! What goes unseen: a change d of one value with `|w d| <= 8 u S` in both checksums. With S at half of
//! 4096 magnitudes m that is `|w d| <= 1e-3 m`: a flipped bit that moves a logit by less than about a
//! thousandth of the block's mean magnitude, as the lower bits of a mantissa do. Over all the logits in
//! one sum it would be a quarter of the mean magnitude, which is why there are blocks.

use crate::MaskFault;

/// Half a unit in the last place of 1 in f32.
const UNIT: f64 = 1.0 / (1 << 24) as f64;

/// Values that one pair of checksums covers; the last block of a vector may be shorter.
pub const CHECKSUM_BLOCK: usize = 4096;

/// The weights of checksum `which` (0 or 1; others count as 1) for `len` values, to be laid on the
/// device beside them.
pub fn checksum_weights(which: usize, len: usize) -> Vec<f32> {
    weights(which.min(1)).take(len).collect()
}

/// Holds the checksums that the device computed in f32 against the values that arrived: `device` has
/// checksum 0 of every block, then checksum 1 of every block; `weights` are those of
/// [`checksum_weights`], at least as long as the values.
///
/// # Errors
/// [`MaskFault::Checksum`], also when the device's sum is not finite; [`MaskFault::WrongLength`] where
/// checksums or weights are missing.
pub fn verify_checksums(
    values: &[f32],
    weights: [&[f32]; 2],
    device: &[f32],
) -> Result<(), MaskFault> {
    let blocks = values.len().div_ceil(CHECKSUM_BLOCK);
    if device.len() != 2 * blocks {
        return Err(MaskFault::WrongLength {
            expected: 2 * blocks,
            actual: device.len(),
        });
    }
    for (which, weights) in weights.into_iter().enumerate() {
        if weights.len() < values.len() {
            return Err(MaskFault::WrongLength {
                expected: values.len(),
                actual: weights.len(),
            });
        }
        let own = &device[which * blocks..];
        let parts = values.chunks(CHECKSUM_BLOCK);
        let parts = parts.zip(weights.chunks(CHECKSUM_BLOCK)).zip(own);
        for ((values, weights), device) in parts {
            verify_block(which, values, weights, f64::from(*device))?;
        }
    }
    Ok(())
}

fn verify_block(
    which: usize,
    values: &[f32],
    weights: &[f32],
    device: f64,
) -> Result<(), MaskFault> {
    let (host, magnitude) = sum(values, weights);
    let tolerance = (4.0 + (values.len() as f64).sqrt() / 16.0) * UNIT * magnitude;
    let near = (device - host).abs() <= tolerance;
    // A NaN on either side is not near.
    match near {
        true => Ok(()),
        false => Err(MaskFault::Checksum {
            which,
            device,
            host,
            tolerance,
        }),
    }
}

/// The weights without end.
fn weights(which: usize) -> impl Iterator<Item = f32> {
    let start = if which == 0 { 0x85eb_ca77 } else { 0xc2b2_ae3d };
    (0_u32..=u32::MAX).map(move |index| {
        let top = hash(index.wrapping_mul(0x9e37_79b1).wrapping_add(start)) >> 20;
        (2 * top as i32 - 4095) as f32 / 4096.0
    })
}

/// `lowbias32`: every bit of the input changes about half the bits of the output.
fn hash(mut x: u32) -> u32 {
    x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
    x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

/// The weighted sum and the sum of magnitudes. Eight chains side by side: one alone would wait four
/// cycles for every addition.
fn sum(values: &[f32], weights: &[f32]) -> (f64, f64) {
    const LANES: usize = 8;
    let (mut sums, mut magnitudes) = ([0.0_f64; LANES], [0.0_f64; LANES]);
    for (values, weights) in values.chunks(LANES).zip(weights.chunks(LANES)) {
        for (lane, (value, weight)) in values.iter().zip(weights).enumerate() {
            let product = f64::from(*value) * f64::from(*weight);
            sums[lane] += product;
            magnitudes[lane] += product.abs();
        }
    }
    (sums.iter().sum(), magnitudes.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: usize = 256;

    /// Logits as a network gives them: smooth, one object, mostly background.
    fn disc(center: f32) -> Vec<f32> {
        let value = |x: usize, y: usize| {
            let (dx, dy) = (x as f32 - center, y as f32 - 90.0);
            (20.0 - (dx * dx + 2.0 * dy * dy).sqrt() * 0.4).max(-25.0) + (x as f32 * 0.3).sin()
        };
        (0..SIDE * SIDE)
            .map(|i| value(i % SIDE, i / SIDE))
            .collect()
    }

    /// One value after the other.
    fn sequential(terms: &[f32]) -> f32 {
        terms.iter().fold(0.0, |sum, term| sum + term)
    }

    /// 256 chains side by side, then a tree: what a work group does.
    fn work_group(terms: &[f32]) -> f32 {
        let mut lanes = vec![0.0_f32; 256];
        terms
            .iter()
            .enumerate()
            .for_each(|(i, term)| lanes[i % 256] += term);
        while lanes.len() > 1 {
            lanes = lanes.chunks(2).map(|pair| pair.iter().sum()).collect();
        }
        lanes[0]
    }

    fn on_device(values: &[f32], reduce: fn(&[f32]) -> f32) -> Vec<f32> {
        let of = |which| -> Vec<f32> {
            let weights = checksum_weights(which, values.len());
            let terms: Vec<f32> = values.iter().zip(weights).map(|(v, w)| v * w).collect();
            terms.chunks(CHECKSUM_BLOCK).map(reduce).collect()
        };
        [of(0), of(1)].concat()
    }

    fn verify(values: &[f32], device: &[f32]) -> Result<(), MaskFault> {
        let [first, second] = [0, 1].map(|which| checksum_weights(which, values.len()));
        verify_checksums(values, [&first, &second], device)
    }

    #[test]
    fn weights_are_exact_and_without_pattern() {
        let [first, second] = [0, 1].map(|which| checksum_weights(which, 65_536));
        // Pinned: a device may hold weights made by another build.
        assert_eq!(first[..3], [2197.0, -4021.0, -2081.0].map(|n| n / 4096.0));
        assert_eq!(second[..3], [1357.0, -2589.0, -3837.0].map(|n| n / 4096.0));
        let mean_product = |a: &[f32], b: &[f32]| {
            let sum: f64 = a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum();
            sum / a.len().min(b.len()) as f64
        };
        assert!(
            first
                .iter()
                .all(|w| w.abs() <= 1.0 && *w != 0.0 && (w * 4096.0).fract() == 0.0)
        );
        assert!((mean_product(&first, &first) - 1.0 / 3.0).abs() < 0.01);
        // Uncorrelated with the other checksum, with neighbours, with the row below, with the
        // other half: 0 within four standard deviations of (1/3) / sqrt(32 768).
        for shift in [1, 64, 256, 32_768] {
            assert!(
                mean_product(&first, &first[shift..]).abs() < 0.0075,
                "{shift}"
            );
        }
        assert!(mean_product(&first, &second).abs() < 0.0075);
    }

    #[test]
    fn rounding_on_the_device_is_within_tolerance() {
        let noise: Vec<f32> = (0..3 * (SIDE * SIDE) as u32)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 16) as f32 / 3000.0 - 9.0)
            .collect();
        let cases = [
            disc(128.0),
            disc(3.0),
            noise,
            vec![-20.0; SIDE * SIDE],
            vec![1e-3; 77],
        ];
        for values in cases {
            for reduce in [sequential, work_group] {
                let device = on_device(&values, reduce);
                verify(&values, &device).unwrap();
            }
        }
        assert!(verify(&[], &[]).is_ok());
        assert!(verify(&[1.0], &[]).is_err(), "no checksums, no trust");
    }

    #[test]
    fn moved_missing_and_stale_data_are_seen() {
        let sent = disc(128.0);
        let device = on_device(&sent, sequential);
        let half = sent.len() / 2;
        let mut swapped = sent.clone();
        swapped.rotate_left(half);
        let mut shifted = sent.clone();
        shifted.rotate_right(1);
        let mut row = sent.clone();
        row.rotate_right(SIDE);
        let mut truncated = sent.clone();
        truncated[half..].fill(0.0);
        let mut tail = sent.clone();
        tail[half + half / 2..].fill(0.0);
        let mut two_rows = sent.clone();
        let (a, b) = two_rows.split_at_mut(100 * SIDE);
        a[90 * SIDE..91 * SIDE].swap_with_slice(&mut b[..SIDE]);
        let mut reversed = sent.clone();
        reversed.reverse();
        let stale = disc(131.0);
        for (name, received) in [
            ("swapped halves", swapped),
            ("shifted by one", shifted),
            ("shifted by a row", row),
            ("second half missing", truncated),
            ("last quarter missing", tail),
            ("two rows exchanged", two_rows),
            ("reversed", reversed),
            ("the object elsewhere", stale),
        ] {
            assert!(verify(&received, &device).is_err(), "{name}");
        }
        verify(&sent, &device).unwrap();
    }

    #[test]
    fn a_sum_that_is_no_number_is_a_fault() {
        let fault = verify(&[1.0, 2.0], &[f32::NAN, 0.0]).unwrap_err();
        assert!(
            matches!(fault, MaskFault::Checksum { which: 0, .. }),
            "{fault}"
        );
    }

    #[test]
    fn one_logit_moved_by_a_hundredth_of_the_mean_magnitude_is_seen() {
        let sent = disc(128.0);
        let device = on_device(&sent, sequential);
        for at in (0..sent.len()).step_by(997) {
            let block = &sent[at / CHECKSUM_BLOCK * CHECKSUM_BLOCK..][..CHECKSUM_BLOCK];
            let mean = block.iter().map(|v| v.abs()).sum::<f32>() / block.len() as f32;
            let weight = |which| checksum_weights(which, at + 1)[at].abs();
            // The two weights of one place are seldom both small.
            if weight(0).max(weight(1)) < 0.2 {
                continue;
            }
            let mut got = sent.clone();
            got[at] += 0.01 * mean;
            assert!(verify(&got, &device).is_err(), "{at}");
        }
    }
}
