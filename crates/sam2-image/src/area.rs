//! Making frames smaller before they enter a video session.

use crate::{RgbImage, parallel};

/// Makes a picture smaller by exact averaging over areas, so that its longer side is at most
/// `max_side` (`MAX_FRAME_DIMENSION`); the aspect ratio stays within a pixel. A picture that fits,
/// and a `max_side` of 0 (no limit), come back as a copy.
///
/// Every output pixel is the mean of the rectangle it covers, parts of pixels counted as parts, in
/// whole numbers and rounded once.
pub fn area_downsample(image: &RgbImage, max_side: usize) -> RgbImage {
    let (width, height) = (image.width(), image.height());
    let (out_width, out_height) = fitted(width, height, max_side);
    if (out_width, out_height) == (width, height) {
        return image.clone();
    }
    let columns = overlaps(width, out_width);
    let rows = overlaps(height, out_height);
    let mut data = vec![0; 3 * out_width * out_height];
    let band_rows = parallel::band_rows(out_height, 16);
    let bands = data
        .chunks_mut(3 * out_width * band_rows)
        .zip(rows.chunks(band_rows))
        .collect();
    parallel::for_each(bands, |(out, rows)| band(image, &columns, rows, out));
    RgbImage::from_parts(out_width, out_height, data)
}

/// The size with the same shape whose longer side is at most `max_side`; never larger, never 0.
pub fn fitted(width: usize, height: usize, max_side: usize) -> (usize, usize) {
    let longer = width.max(height);
    if max_side == 0 || longer <= max_side {
        return (width, height);
    }
    let scaled = |side: usize| {
        let exact = (side as u64 * max_side as u64 + longer as u64 / 2) / longer as u64;
        (exact as usize).max(1)
    };
    (scaled(width), scaled(height))
}

/// The input samples under one output sample, and how much of each, in whole numbers that add up
/// to the number of inputs.
struct Overlap {
    first: usize,
    weights: Vec<u32>,
}

/// In units in which an input is `output` long and an output `input`, every edge is whole.
fn overlaps(input: usize, output: usize) -> Vec<Overlap> {
    let (i, o) = (input as u64, output as u64);
    let overlap = |index: u64| {
        let (start, end) = (index * i, (index + 1) * i);
        let (first, last) = (start / o, (end - 1) / o);
        let part = |sample: u64| (end.min((sample + 1) * o) - start.max(sample * o)) as u32;
        Overlap {
            first: first as usize,
            weights: (first..=last).map(part).collect(),
        }
    };
    (0..o).map(overlap).collect()
}

/// Writes consecutive output rows.
fn band(image: &RgbImage, columns: &[Overlap], rows: &[Overlap], out: &mut [u8]) {
    let total = image.width() as u64 * image.height() as u64;
    let mut sums = vec![[0_u64; 3]; columns.len()];
    for (row, target) in rows.iter().zip(out.chunks_exact_mut(3 * columns.len())) {
        sums.fill([0; 3]);
        for (index, row_weight) in row.weights.iter().enumerate() {
            let source = image.row(row.first + index).as_chunks::<3>().0;
            for (sum, column) in sums.iter_mut().zip(columns) {
                // At most 255 times the width: fits 32 bits.
                let mut across = [0_u32; 3];
                for (pixel, weight) in source[column.first..].iter().zip(&column.weights) {
                    for channel in 0..3 {
                        across[channel] += u32::from(pixel[channel]) * weight;
                    }
                }
                for channel in 0..3 {
                    sum[channel] += u64::from(across[channel]) * u64::from(*row_weight);
                }
            }
        }
        for (rgb, sum) in target.chunks_exact_mut(3).zip(&sums) {
            rgb.copy_from_slice(&sum.map(|sum| ((sum + total / 2) / total) as u8));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_keep_their_shape() {
        assert_eq!(fitted(3840, 2160, 1920), (1920, 1080));
        assert_eq!(fitted(1080, 1920, 1920), (1080, 1920));
        assert_eq!(fitted(5000, 2, 100), (100, 1));
        assert_eq!(fitted(5000, 3000, 0), (5000, 3000));
    }

    #[test]
    fn halves_and_thirds() {
        let image = RgbImage::from_rgb(4, 2, (0..24).map(|n| n * 10).collect()).unwrap();
        let half = area_downsample(&image, 2);
        assert_eq!((half.width(), half.height()), (2, 1));
        // Channel 0 of the left four: 0, 30, 120, 150.
        assert_eq!(half.data()[0], 75);
        // 3 -> 2: one and a half pixels each, (10 + 20 / 2) / 1.5 = 13.3 and (20 / 2 + 40) / 1.5.
        let row = [10, 20, 40].map(|v| [v; 3]).concat();
        let image = RgbImage::from_rgb(3, 1, row).unwrap();
        assert_eq!(area_downsample(&image, 2).data(), [13, 13, 13, 33, 33, 33]);
    }

    proptest! {
        #[test]
        fn the_mean_stays(w in 1_usize..40, h in 1_usize..40, side in 1_usize..40, seed in any::<u32>()) {
            let byte = |i: u32| (i.wrapping_mul(seed | 1) >> 13) as u8;
            let data: Vec<u8> = (0..3 * w as u32 * h as u32).map(byte).collect();
            let image = RgbImage::from_rgb(w, h, data).unwrap();
            let small = area_downsample(&image, side);
            prop_assert!(small.width() <= side.max(1).min(w).max(1));
            let mean = |i: &RgbImage| {
                let sum: u64 = i.data().iter().map(|b| u64::from(*b)).sum();
                sum as f64 / i.data().len() as f64
            };
            // Every pixel is rounded by at most a half.
            prop_assert!((mean(&small) - mean(&image)).abs() <= 0.5);
        }
    }
}
