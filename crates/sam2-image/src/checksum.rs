//! Two index-weighted checksums: whether what arrived is what the device computed.
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
//! values to lay beside the logits once for each length.
//!
//! The device sums in f32 and in an order of its own, the host in f64. Random signs keep partial
//! sums near `sqrt(n)` values, so with u = 2^-24 a device that adds one value after the other is
//! off by `sqrt(n) u` times a partial sum, and the trees that devices use by far less. The
//! tolerance is `(4 + sqrt(n) / 16) u S`, with S = sum of |w v|. For 65 536 logits that is 70 times
//! what a sequential sum was seen to do in the tests, and a tenth or less of what one row in the
//! wrong place or a shift by one does (halves exchanged: a six-hundredth).

use crate::MaskFault;

/// Half a unit in the last place of 1 in f32.
const UNIT: f64 = 1.0 / (1 << 24) as f64;

/// The weights of checksum `which` (0 or 1; others count as 1) for `len` values, to be laid on the
/// device beside them.
pub fn checksum_weights(which: usize, len: usize) -> Vec<f32> {
    weights(which.min(1)).take(len).collect()
}

/// Both checksums of `values`, in f64.
pub fn checksums(values: &[f32]) -> [f64; 2] {
    [0, 1].map(|which| sum(which, values).0)
}

/// Holds the checksums that the device computed in f32 against the values that arrived.
///
/// # Errors
/// [`MaskFault::Checksum`], also when the device's sum is not finite.
pub fn verify_checksums(values: &[f32], device: [f32; 2]) -> Result<(), MaskFault> {
    for (which, device) in device.into_iter().enumerate() {
        let (host, magnitude) = sum(which, values);
        let device = f64::from(device);
        let tolerance = (4.0 + (values.len() as f64).sqrt() / 16.0) * UNIT * magnitude;
        let near = (device - host).abs() <= tolerance;
        // A NaN on either side is not near.
        if !near {
            return Err(MaskFault::Checksum {
                which,
                device,
                host,
                tolerance,
            });
        }
    }
    Ok(())
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

/// The weighted sum and the sum of magnitudes.
fn sum(which: usize, values: &[f32]) -> (f64, f64) {
    values
        .iter()
        .zip(weights(which))
        .fold((0.0, 0.0), |(sum, magnitude), (value, weight)| {
            let product = f64::from(*value) * f64::from(weight);
            (sum + product, magnitude + product.abs())
        })
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

    fn on_device(values: &[f32], reduce: fn(&[f32]) -> f32) -> [f32; 2] {
        [0, 1].map(|which| {
            let weights = checksum_weights(which, values.len());
            let terms: Vec<f32> = values.iter().zip(weights).map(|(v, w)| v * w).collect();
            reduce(&terms)
        })
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
                verify_checksums(&values, device).unwrap();
            }
        }
        assert!(verify_checksums(&[], [0.0; 2]).is_ok());
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
            assert!(verify_checksums(&received, device).is_err(), "{name}");
        }
        verify_checksums(&sent, device).unwrap();
    }

    #[test]
    fn a_sum_that_is_no_number_is_a_fault() {
        let fault = verify_checksums(&[1.0, 2.0], [f32::NAN, 0.0]).unwrap_err();
        assert!(
            matches!(fault, MaskFault::Checksum { which: 0, .. }),
            "{fault}"
        );
    }
}
