//! A picture to the network's input, as `SAM2Transforms.__call__` does it.

use crate::RgbImage;
use crate::parallel;
use crate::taps::AntialiasTaps;

/// ImageNet mean of red, green, blue (`SAM2Transforms.mean`).
pub const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// ImageNet standard deviation of red, green, blue (`SAM2Transforms.std`).
pub const STD: [f32; 3] = [0.229, 0.224, 0.225];

/// Red, green, blue and a lane that is always 0: one register, so that a pixel's three channels
/// are weighed at once without reordering any sum.
type Pixel = [f32; 4];

/// Resizes to `size` x `size` (no letterbox: x and y scale separately) and normalises.
///
/// [H, W, 3] bytes to [3, size, size] floats, the same as torchvision's `ToTensor`,
/// `Resize((size, size))` (bilinear, antialias) and `Normalize(MEAN, STD)`, within a few roundings
/// (`tests/preprocess.rs` holds it to 2e-6). Rows are read in order and once for each band, so the
/// memory beside the result is a few rows, whatever the picture's size.
///
/// An empty vector for a `size` of 0.
pub fn preprocess(image: &RgbImage, size: usize) -> Vec<f32> {
    if size == 0 {
        return Vec::new();
    }
    let horizontal = AntialiasTaps::new(image.width(), size);
    let vertical = AntialiasTaps::new(image.height(), size);
    let mut out = vec![0.0; 3 * size * size];
    let (red, rest) = out.split_at_mut(size * size);
    let (green, blue) = rest.split_at_mut(size * size);
    let rows = parallel::band_rows(size, 32);
    let bands = red
        .chunks_mut(rows * size)
        .zip(green.chunks_mut(rows * size))
        .zip(blue.chunks_mut(rows * size))
        .enumerate()
        .map(|(band, ((red, green), blue))| (band * rows, [red, green, blue]))
        .collect();
    parallel::for_each(bands, |(first_row, planes)| {
        band(image, &horizontal, &vertical, first_row, size, planes);
    });
    out
}

/// Writes the output rows from `first_row` on, as many as the planes hold.
fn band(
    image: &RgbImage,
    horizontal: &AntialiasTaps,
    vertical: &AntialiasTaps,
    first_row: usize,
    size: usize,
    planes: [&mut [f32]; 3],
) {
    // The rows that one output row reads, already resized along x: a ring by row number.
    let keep = vertical.stride;
    let mut ring = vec![Pixel::default(); keep * size];
    let mut source = vec![Pixel::default(); image.width()];
    let mut sum = vec![Pixel::default(); size];
    let [red, green, blue] = planes;
    let mut next = vertical.of(first_row).0;
    let targets = red
        .chunks_exact_mut(size)
        .zip(green.chunks_exact_mut(size))
        .zip(blue.chunks_exact_mut(size));
    for (offset, ((red, green), blue)) in targets.enumerate() {
        let (first, weights) = vertical.of(first_row + offset);
        for y in next..first + weights.len() {
            unpack(image.row(y), &mut source);
            let slot = y % keep * size;
            resize_row(&source, horizontal, &mut ring[slot..slot + size]);
        }
        next = next.max(first + weights.len());

        for (index, weight) in weights.iter().enumerate() {
            let slot = (first + index) % keep * size;
            let row = &ring[slot..slot + size];
            let pairs = sum.as_flattened_mut().iter_mut().zip(row.as_flattened());
            if index == 0 {
                pairs.for_each(|(sum, value)| *sum = value * weight);
            } else {
                pairs.for_each(|(sum, value)| *sum += value * weight);
            }
        }
        for (channel, plane) in [red, green, blue].into_iter().enumerate() {
            let (mean, std) = (MEAN[channel], STD[channel]);
            for (out, pixel) in plane.iter_mut().zip(&sum) {
                *out = (pixel[channel] - mean) / std;
            }
        }
    }
}

/// Bytes to floats in [0, 1], as `ToTensor` divides them.
fn unpack(row: &[u8], pixels: &mut [Pixel]) {
    for (pixel, rgb) in pixels.iter_mut().zip(row.chunks_exact(3)) {
        *pixel = [rgb[0], rgb[1], rgb[2], 0].map(|byte| f32::from(byte) / 255.0);
    }
}

/// Resizes one row along x.
fn resize_row(source: &[Pixel], taps: &AntialiasTaps, target: &mut [Pixel]) {
    for (x, out) in target.iter_mut().enumerate() {
        let (first, weights) = taps.of(x);
        let mut sum = Pixel::default();
        for (pixel, weight) in source[first..].iter().zip(weights) {
            for lane in 0..4 {
                sum[lane] += pixel[lane] * weight;
            }
        }
        *out = sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_colour_stays_one_colour() {
        let image = RgbImage::from_rgb(7, 3, [255, 0, 51].repeat(21)).unwrap();
        let out = preprocess(&image, 5);
        let expected = [(1.0 - 0.485) / 0.229, -0.456 / 0.224, (0.2 - 0.406) / 0.225];
        for (channel, expected) in expected.into_iter().enumerate() {
            for value in &out[channel * 25..(channel + 1) * 25] {
                // Two roundings of values up to 1, divided by 0.224.
                assert!((value - expected).abs() < 2e-6, "{value} {expected}");
            }
        }
    }

    #[test]
    fn x_and_y_are_not_swapped() {
        // Left half black, right half white: rows must be alike, columns not.
        let row: Vec<u8> = (0..12)
            .flat_map(|x| [if x < 6 { 0 } else { 255 }; 3])
            .collect();
        let image = RgbImage::from_rgb(12, 4, row.repeat(4)).unwrap();
        let out = preprocess(&image, 6);
        assert_eq!(out[..6], out[6..12]);
        assert!(out[0] < -2.0 && out[5] > 2.0);
    }

    #[test]
    fn no_size_is_no_output() {
        let image = RgbImage::from_rgb(1, 1, vec![0; 3]).unwrap();
        assert!(preprocess(&image, 0).is_empty());
    }
}
