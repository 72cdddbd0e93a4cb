//! Shrinking masks as the video code does.

use crate::ImageError;
use crate::rgb::check_buffer;
use crate::taps::AntialiasTaps;

/// Resizes a plane [h, w] to [out_h, out_w] as
/// `F.interpolate(mode="bilinear", align_corners=False, antialias=True)` does: what the official
/// code uses wherever it makes **masks** smaller (`sam2_base.py`, `add_new_mask`). Along x first,
/// then along y, within a few roundings of PyTorch.
///
/// # Errors
/// [`ImageError::WrongLength`], [`ImageError::Empty`].
pub fn resize_antialias(
    plane: &[f32],
    (h, w): (usize, usize),
    (out_h, out_w): (usize, usize),
) -> Result<Vec<f32>, ImageError> {
    check_buffer("the plane", w, h, 1, plane.len())?;
    check_buffer(
        "the resized plane",
        out_w,
        out_h,
        1,
        out_w.saturating_mul(out_h),
    )?;
    let columns = AntialiasTaps::new(w, out_w);
    let rows = AntialiasTaps::new(h, out_h);
    let mut narrow = vec![0.0; h * out_w];
    for (target, source) in narrow.chunks_exact_mut(out_w).zip(plane.chunks_exact(w)) {
        for (x, out) in target.iter_mut().enumerate() {
            let (first, weights) = columns.of(x);
            *out = source[first..]
                .iter()
                .zip(weights)
                .map(|(v, w)| v * w)
                .sum();
        }
    }
    let mut out = vec![0.0; out_h * out_w];
    for (y, target) in out.chunks_exact_mut(out_w).enumerate() {
        let (first, weights) = rows.of(y);
        for (source, weight) in narrow.chunks_exact(out_w).skip(first).zip(weights) {
            for (out, value) in target.iter_mut().zip(source) {
                *out += value * weight;
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halving_averages_with_slopes() {
        // Scale 2: support 2, weights 1/8, 3/8, 3/8, 1/8 of four samples, cut at the edges.
        let out = resize_antialias(&[0.0, 0.0, 8.0, 8.0], (1, 4), (1, 2)).unwrap();
        assert_eq!(out, [8.0 / 7.0, 48.0 / 7.0]);
        assert!(resize_antialias(&[0.0; 4], (1, 4), (0, 2)).is_err());
        assert!(resize_antialias(&[0.0; 3], (1, 4), (1, 2)).is_err());
    }
}
