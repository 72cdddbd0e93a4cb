//! The fixtures of `tests/fixtures`, and the two formulas that `make.py` shares with the tests.

#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking"
)]

use std::path::PathBuf;

use sam2_image::RgbImage;

/// A file of the fixture folder.
///
/// Its place is asked for when the test runs: two checkouts may share a target folder, and Cargo takes the tests of the one for the other's.
pub fn fixture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default())
        .join("tests/fixtures")
        .join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A fixture of little-endian floats.
pub fn floats(name: &str) -> Vec<f32> {
    fixture(name)
        .as_chunks::<4>()
        .0
        .iter()
        .map(|b| f32::from_le_bytes(*b))
        .collect()
}

/// `pattern` of `make.py`: slopes, edges and noise, [H, W, 3].
pub fn pattern(width: usize, height: usize) -> RgbImage {
    let mut data = Vec::with_capacity(3 * width * height);
    for y in 0..height {
        for x in 0..width {
            for c in 0..3 {
                let slope = x * 5 + y * 3 + c * 40;
                let edge = if (x / 7 + y / 5) % 2 == 1 { 90 } else { 0 };
                let noise = ((x * 31 + y * 17 + c * 101) * 40503 % 65536) >> 11;
                data.push(((slope + edge + noise) % 256) as u8);
            }
        }
    }
    RgbImage::from_rgb(width, height, data).unwrap()
}

/// `field` of `make.py`: logits from -8 to 8 that change sign often, [H, W].
pub fn field(height: usize, width: usize) -> Vec<f32> {
    let value = |x: usize, y: usize| (x * 7919 + y * 104_729 + x * y * 31) % 4001;
    let logit = move |x, y| (value(x, y) as f32 - 2000.0) / 250.0;
    (0..height)
        .flat_map(|y| (0..width).map(move |x| logit(x, y)))
        .collect()
}

/// The largest absolute difference, for slices of equal length.
pub fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}
