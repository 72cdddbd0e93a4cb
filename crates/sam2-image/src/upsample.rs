//! Low-resolution logits to a mask of the picture's size.

use crate::parallel;
use crate::rgb::check_buffer;
use crate::taps::{LinearTap, linear_taps};
use crate::{ImageError, Mask};

/// Stretches logits [h, w] to [out_h, out_w] and keeps what is above `threshold`.
///
/// The same as `F.interpolate(logits, (out_h, out_w), mode="bilinear", align_corners=False)`
/// followed by `> threshold` (`SAM2Transforms.postprocess_masks`), in PyTorch's order of
/// arithmetic: along x first, then along y. The stretched logits exist only two rows at a time for
/// each thread. A NaN is not above any threshold: check the logits first ([`crate::inspect`]).
///
/// # Errors
/// [`ImageError::WrongLength`], [`ImageError::Empty`]; [`ImageError::OutOfMemory`] for the mask.
pub fn upsample_threshold(
    low_res: &[f32],
    (h, w): (usize, usize),
    (out_h, out_w): (usize, usize),
    threshold: f32,
) -> Result<Mask, ImageError> {
    check_buffer("the logits", w, h, 1, low_res.len())?;
    let mut bits = mask_buffer(out_w, out_h)?;
    let columns = linear_taps(w, out_w);
    let rows = linear_taps(h, out_h);
    let band_rows = parallel::band_rows(out_h, 16);
    let bands = bits
        .chunks_mut(band_rows * out_w)
        .zip(rows.chunks(band_rows))
        .collect();
    parallel::for_each(bands, |(bits, rows)| {
        band(low_res, w, &columns, rows, threshold, bits)
    });
    Ok(Mask::from_parts(out_w, out_h, bits))
}

/// Stretches logits [h, w] to [out_h, out_w] floats, for callers that need the values (a video's
/// logits at the network's size). Same arithmetic as [`upsample_threshold`].
///
/// # Errors
/// As [`upsample_threshold`].
pub fn upsample_logits(
    low_res: &[f32],
    (h, w): (usize, usize),
    (out_h, out_w): (usize, usize),
) -> Result<Vec<f32>, ImageError> {
    check_buffer("the logits", w, h, 1, low_res.len())?;
    check_buffer(
        "the stretched logits",
        out_w,
        out_h,
        1,
        out_w.saturating_mul(out_h),
    )?;
    let columns = linear_taps(w, out_w);
    let rows = linear_taps(h, out_h);
    let mut out = vec![0.0; out_w * out_h];
    let mut pair = RowPair::new(out_w);
    for (target, tap) in out.chunks_exact_mut(out_w).zip(&rows) {
        let (low, high) = pair.rows(low_res, w, &columns, tap);
        for ((out, low), high) in target.iter_mut().zip(low).zip(high) {
            *out = tap.low_weight * low + tap.high_weight * high;
        }
    }
    Ok(out)
}

/// A zeroed buffer of one byte a pixel, or an error where `vec!` would end the process.
fn mask_buffer(width: usize, height: usize) -> Result<Vec<u8>, ImageError> {
    let length = width.saturating_mul(height);
    check_buffer("the mask", width, height, 1, length)?;
    let mut bits = Vec::new();
    bits.try_reserve_exact(length)
        .map_err(|_| ImageError::OutOfMemory {
            what: "the mask",
            bytes: length as u64,
        })?;
    bits.resize(length, 0);
    Ok(bits)
}

/// Writes consecutive rows of the mask.
fn band(
    low_res: &[f32],
    w: usize,
    columns: &[LinearTap],
    rows: &[LinearTap],
    threshold: f32,
    bits: &mut [u8],
) {
    let mut pair = RowPair::new(columns.len());
    for (target, tap) in bits.chunks_exact_mut(columns.len()).zip(rows) {
        let (low, high) = pair.rows(low_res, w, columns, tap);
        for ((bit, low), high) in target.iter_mut().zip(low).zip(high) {
            *bit = u8::from(tap.low_weight * low + tap.high_weight * high > threshold);
        }
    }
}

/// The two rows that an output row mixes, stretched along x, kept from one output row to the next.
struct RowPair {
    low: Vec<f32>,
    high: Vec<f32>,
    low_index: usize,
    high_index: usize,
}

impl RowPair {
    fn new(width: usize) -> Self {
        let row = vec![0.0; width];
        Self {
            low: row.clone(),
            high: row,
            low_index: usize::MAX,
            high_index: usize::MAX,
        }
    }

    /// The stretched rows `tap.low` and `tap.high`, computed only when they are new.
    fn rows(
        &mut self,
        low_res: &[f32],
        w: usize,
        columns: &[LinearTap],
        tap: &LinearTap,
    ) -> (&[f32], &[f32]) {
        if self.low_index != tap.low && self.high_index == tap.low {
            std::mem::swap(&mut self.low, &mut self.high);
            std::mem::swap(&mut self.low_index, &mut self.high_index);
        }
        if self.low_index != tap.low {
            stretch(
                &low_res[tap.low * w..(tap.low + 1) * w],
                columns,
                &mut self.low,
            );
            self.low_index = tap.low;
        }
        if self.high_index != tap.high {
            stretch(
                &low_res[tap.high * w..(tap.high + 1) * w],
                columns,
                &mut self.high,
            );
            self.high_index = tap.high;
        }
        (&self.low, &self.high)
    }
}

/// Stretches one row along x.
fn stretch(row: &[f32], columns: &[LinearTap], out: &mut [f32]) {
    for (out, tap) in out.iter_mut().zip(columns) {
        *out = tap.low_weight * row[tap.low] + tap.high_weight * row[tap.high];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_sizes_only_cut() {
        let logits = [-1.0, 0.0, 1.0, 2.0, -3.0, 0.5];
        let mask = upsample_threshold(&logits, (2, 3), (2, 3), 0.0).unwrap();
        assert_eq!(mask.bits(), [0, 0, 1, 1, 0, 1], "0 itself is not above 0");
        assert_eq!(upsample_logits(&logits, (2, 3), (2, 3)).unwrap(), logits);
    }

    #[test]
    fn the_threshold_comes_after_stretching() {
        // Between -1 and 3 the zero lies a quarter of the way: at 4 times the width, the outer
        // samples are repeated and the inner ones are -0.5, 0.5, 1.5, 2.5.
        let mask = upsample_threshold(&[-1.0, 3.0], (1, 2), (3, 8), 0.0).unwrap();
        assert_eq!(mask.bits(), [0, 0, 0, 1, 1, 1, 1, 1].repeat(3));
    }

    #[test]
    fn strips_agree_with_the_whole() {
        let (h, w) = (9, 13);
        let logits: Vec<f32> = (0..h * w)
            .map(|i| ((i * 37 % 101) as f32 - 50.0) / 7.0)
            .collect();
        for (out_h, out_w) in [(300, 41), (4, 300), (9, 20), (1, 1)] {
            let mask = upsample_threshold(&logits, (h, w), (out_h, out_w), 0.25).unwrap();
            let whole = upsample_logits(&logits, (h, w), (out_h, out_w)).unwrap();
            let cut: Vec<u8> = whole.iter().map(|v| u8::from(*v > 0.25)).collect();
            assert_eq!(mask.bits(), cut);
        }
    }

    #[test]
    fn sizes_are_checked() {
        assert!(upsample_threshold(&[0.0; 5], (2, 3), (4, 4), 0.0).is_err());
        assert!(upsample_threshold(&[0.0; 6], (2, 3), (0, 4), 0.0).is_err());
        assert!(upsample_threshold(&[0.0; 6], (2, 3), (usize::MAX, 4), 0.0).is_err());
    }
}
