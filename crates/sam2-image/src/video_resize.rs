//! The resize of video frames: Pillow's, byte for byte.
//!
//! The official code reads frames with `Image.resize((S, S))` (`sam2/utils/misc.py`,
//! `_load_img_as_tensor`), which is bicubic on bytes and clips between its two passes: not what
//! still pictures get. A grey level of difference is enough to leave parity, so the fixed-point
//! arithmetic of Pillow's `Resample.c` is followed to the bit.

use crate::orient::transpose;
use crate::parallel;
use crate::{MEAN, RgbImage, STD};

/// Bits after the point of Pillow's weights (`PRECISION_BITS`).
const PRECISION: u32 = 32 - 8 - 2;

/// Red, green, blue and an unused lane: one register.
type Pixel = [i32; 4];

/// Resizes to `size` x `size`, byte-identical with Pillow 13's `Image.resize((size, size))` on
/// RGB. Pillow 12 and before answer the same for every picture that is not tall: they always take
/// x first, see [`y_first`].
///
/// A `size` of 0 counts as 1. Memory beside the result is a few rows (a second picture where y
/// comes first).
pub fn video_resize(image: &RgbImage, size: usize) -> RgbImage {
    let size = size.max(1);
    if y_first(image, size) {
        return transpose(&resize_x_first(&transpose(image), size));
    }
    resize_x_first(image, size)
}

/// Whether Pillow 13 takes y before x: where the height shrinks by more than twice what the width
/// does. Pillow clips and rounds between the passes, so the order shows. The rule was found by
/// comparing sizes around the boundary with Pillow 13.0.0 (`tests/fixtures/make.py` keeps some).
fn y_first(image: &RgbImage, size: usize) -> bool {
    let shrinks = |side: usize| side.saturating_sub(size);
    shrinks(image.height()) > 2 * shrinks(image.width())
}

fn resize_x_first(image: &RgbImage, size: usize) -> RgbImage {
    let horizontal = BicubicTaps::new(image.width(), size);
    let vertical = BicubicTaps::new(image.height(), size);
    let mut data = vec![0; 3 * size * size];
    let rows = parallel::band_rows(size, 32);
    let bands = data.chunks_mut(3 * rows * size).enumerate().collect();
    parallel::for_each(bands, |(index, out)| {
        band(image, &horizontal, &vertical, index * rows, size, out);
    });
    RgbImage::from_parts(size, size, data)
}

/// A frame to the network's input, [3, size, size]: [`video_resize`], divided by 255, normalised
/// as `load_video_frames` does.
pub fn video_preprocess(image: &RgbImage, size: usize) -> Vec<f32> {
    let frame = video_resize(image, size);
    let plane = frame.width() * frame.height();
    let mut out = vec![0.0; 3 * plane];
    for (channel, target) in out.chunks_exact_mut(plane).enumerate() {
        let (mean, std) = (MEAN[channel], STD[channel]);
        // Numbers of 8 bits: 256 answers, computed once.
        let table: [f32; 256] = std::array::from_fn(|byte| (byte as f32 / 255.0 - mean) / std);
        for (value, pixel) in target.iter_mut().zip(frame.data().chunks_exact(3)) {
            *value = table[usize::from(pixel[channel])];
        }
    }
    out
}

/// Writes the output rows from `first_row` on, as many as `out` holds.
fn band(
    image: &RgbImage,
    horizontal: &BicubicTaps,
    vertical: &BicubicTaps,
    first_row: usize,
    size: usize,
    out: &mut [u8],
) {
    // The rows that one output row reads, already resized along x: a ring by row number.
    let keep = vertical.stride;
    let mut ring = vec![Pixel::default(); keep * size];
    let mut source = vec![Pixel::default(); image.width()];
    let mut sum = vec![Pixel::default(); size];
    let mut next = vertical.of(first_row).0;
    for (offset, target) in out.chunks_exact_mut(3 * size).enumerate() {
        let (first, weights) = vertical.of(first_row + offset);
        for y in next..first + weights.len() {
            for (pixel, rgb) in source.iter_mut().zip(image.row(y).chunks_exact(3)) {
                *pixel = [rgb[0], rgb[1], rgb[2], 0].map(i32::from);
            }
            let slot = y % keep * size;
            resize_row(&source, horizontal, &mut ring[slot..slot + size]);
        }
        next = next.max(first + weights.len());

        sum.as_flattened_mut().fill(1 << (PRECISION - 1));
        for (index, weight) in weights.iter().enumerate() {
            let slot = (first + index) % keep * size;
            let row = ring[slot..slot + size].as_flattened();
            for (sum, value) in sum.as_flattened_mut().iter_mut().zip(row) {
                *sum += value * weight;
            }
        }
        for (rgb, sum) in target.chunks_exact_mut(3).zip(&sum) {
            let clipped = sum.map(clip);
            rgb.copy_from_slice(&clipped.map(|value| value as u8)[..3]);
        }
    }
}

/// Resizes one row along x and clips it to bytes, as Pillow stores it between the passes.
fn resize_row(source: &[Pixel], taps: &BicubicTaps, target: &mut [Pixel]) {
    for (x, out) in target.iter_mut().enumerate() {
        let (first, weights) = taps.of(x);
        let mut sum = [1 << (PRECISION - 1); 4];
        for (pixel, weight) in source[first..].iter().zip(weights) {
            for lane in 0..4 {
                sum[lane] += pixel[lane] * weight;
            }
        }
        *out = sum.map(clip);
    }
}

/// `clip8`.
fn clip(sum: i32) -> i32 {
    (sum >> PRECISION).clamp(0, 255)
}

/// The samples that one axis reads, with weights of 22 bits after the point
/// (`precompute_coeffs` and `normalize_coeffs_8bpc`).
struct BicubicTaps {
    first: Vec<usize>,
    count: Vec<usize>,
    weights: Vec<i32>,
    /// Weights kept for each output sample, the most that any of them reads.
    stride: usize,
}

impl BicubicTaps {
    fn new(input: usize, output: usize) -> Self {
        let scale = input as f64 / output as f64;
        let shrink = scale.max(1.0);
        let support = 2.0 * shrink;
        let stride = support.ceil() as usize * 2 + 1;
        let mut taps = Self {
            first: Vec::with_capacity(output),
            count: Vec::with_capacity(output),
            weights: vec![0; stride * output],
            stride,
        };
        let mut exact = vec![0.0; stride];
        for (index, weights) in taps.weights.chunks_exact_mut(stride).enumerate() {
            let center = (index as f64 + 0.5) * scale;
            // `as` cuts towards zero and negative to 0, as the cast and the test there do.
            let first = (center - support + 0.5) as usize;
            let end = ((center + support + 0.5) as usize).min(input);
            let count = end.saturating_sub(first).min(stride);
            for (offset, weight) in exact[..count].iter_mut().enumerate() {
                *weight = bicubic(((offset + first) as f64 - center + 0.5) * (1.0 / shrink));
            }
            let total: f64 = exact[..count].iter().sum();
            for (weight, exact) in weights.iter_mut().zip(&exact[..count]) {
                let exact = if total == 0.0 { *exact } else { exact / total };
                let scaled = exact * f64::from(1 << PRECISION);
                *weight = (scaled + if exact < 0.0 { -0.5 } else { 0.5 }) as i32;
            }
            taps.first.push(first);
            taps.count.push(count);
        }
        taps
    }

    /// The first sample that output `index` reads, and the weights of it and its followers.
    fn of(&self, index: usize) -> (usize, &[i32]) {
        let start = index * self.stride;
        (
            self.first[index],
            &self.weights[start..start + self.count[index]],
        )
    }
}

/// Keys' cubic with a = -0.5 (`bicubic_filter`).
fn bicubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_sizes_copy() {
        let data: Vec<u8> = (0..75).map(|i| (i * 89 % 256) as u8).collect();
        let image = RgbImage::from_rgb(5, 5, data).unwrap();
        assert_eq!(video_resize(&image, 5), image);
    }

    #[test]
    fn overshoot_is_clipped() {
        // A step from 0 to 255 made larger: the cubic swings below 0 and above 255.
        let row = [0, 0, 0, 255, 255, 255].map(|v: u8| [v; 3]).concat();
        let image = RgbImage::from_rgb(6, 1, row).unwrap();
        let wide = video_resize(&image, 24);
        assert_eq!((wide.row(3)[0], wide.row(3)[71]), (0, 255));
        assert!(
            wide.row(0).is_sorted_by_key(|v| *v),
            "clipped, so it never turns back"
        );
    }

    #[test]
    fn the_input_is_normalised_by_channel() {
        let image = RgbImage::from_rgb(3, 2, [0, 51, 255].repeat(6)).unwrap();
        let out = video_preprocess(&image, 4);
        assert_eq!(out[0], (0.0 - 0.485) / 0.229);
        assert_eq!(out[16], (0.2 - 0.456) / 0.224);
        assert_eq!(out[47], (1.0 - 0.406) / 0.225);
    }
}
