//! Hostile pictures and run lengths (tests/trust/FUZZ.md).

#![allow(clippy::unwrap_used)] // tests fail by panicking

#[path = "../../../tests/src/fuzz.rs"]
mod fuzz;

use fuzz::{Fuzz, ending};
use sam2_image::{DecodeLimits, ImageError, Mask, RgbImage, Rle, decode};
use std::path::Path;

fn shown(error: &ImageError) -> u64 {
    let text = error.to_string();
    assert!(text.lines().count() <= 1 && text.len() < 2000, "{text}");
    assert!(!error.code().is_empty());
    ending(&text)
}

/// The small encoded pictures among the fixtures: PNG, JPEG, GIF, BMP and WebP of all colour types.
fn pictures() -> Vec<Vec<u8>> {
    let folder =
        Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default()).join("tests/fixtures");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let wanted = ["png", "jpg", "gif", "bmp", "webp"];
    let named = |path: &&std::path::PathBuf| {
        path.extension()
            .is_some_and(|ending| wanted.iter().any(|wanted| ending == *wanted))
    };
    let seeds: Vec<_> = paths
        .iter()
        .filter(named)
        .map(|path| std::fs::read(path).unwrap())
        .filter(|bytes| bytes.len() < 8 << 10)
        .collect();
    assert!(seeds.len() > 5);
    seeds
}

#[test]
fn pictures_of_any_bytes() {
    // What a page may open has 268 million pixels; the test's memory is smaller.
    let limits = DecodeLimits {
        max_pixels: 1 << 22,
        ..DecodeLimits::default()
    };
    Fuzz {
        name: "pictures",
        seeds: pictures(),
        words: &[
            b"IHDR",
            b"IDAT",
            b"acTL",
            b"\xff\xda",
            b"\xff\xc2",
            b"\xff\xe1",
            b"Exif\0\0",
            b"RIFF",
            b"VP8L",
            b"VP8X",
            b"GIF89a",
        ],
        cases: 3_000,
        most_mb: 512,
        most_bytes: 32 << 10,
    }
    .run(|bytes| match decode(bytes, &limits) {
        Ok(image) => {
            assert_eq!(image.data().len(), 3 * image.width() * image.height());
            assert!(image.width() * image.height() <= 1 << 22);
            2
        }
        Err(error) => shown(&error),
    });
}

#[test]
fn masks_of_any_bytes() {
    let limits = DecodeLimits {
        max_pixels: 1 << 22,
        ..DecodeLimits::default()
    };
    let grey = RgbImage::from_rgb(9, 7, vec![255; 189])
        .unwrap()
        .to_png()
        .unwrap();
    Fuzz {
        name: "mask pictures",
        seeds: vec![Mask::empty(13, 5).to_png().unwrap(), grey],
        words: &[b"IHDR", b"IDAT", b"PLTE", b"tRNS", b"IEND"],
        cases: 2_000,
        most_mb: 256,
        most_bytes: 16 << 10,
    }
    .run(|bytes| match Mask::from_png(bytes, &limits) {
        Ok(mask) => {
            assert!(mask.bits().iter().all(|bit| *bit <= 1));
            2
        }
        Err(error) => shown(&error),
    });
}

/// `height width counts`, as COCO writes them.
#[test]
fn run_lengths() {
    let mut bits = vec![0; 40 * 30];
    bits[100..700].fill(1);
    let drawn = Mask::from_bytes(40, 30, bits).unwrap().to_rle();
    let written = |rle: &Rle| {
        let [height, width] = rle.size();
        format!("{height} {width} {}", rle.counts_string()).into_bytes()
    };
    Fuzz {
        name: "run lengths",
        seeds: vec![written(&drawn), written(&Mask::empty(3, 4).to_rle())],
        words: &[b"0", b"o", b"Ooooooo", b"PPPPPPPP", b" "],
        cases: 10_000,
        most_mb: 256,
        most_bytes: 4 << 10,
    }
    .run(|bytes| {
        let text = String::from_utf8_lossy(bytes);
        let mut parts = text.splitn(3, ' ');
        let mut number = || parts.next().and_then(|n| n.parse::<usize>().ok());
        let (Some(height), Some(width)) = (number(), number()) else {
            return 0;
        };
        match Rle::from_string(height, width, parts.next().unwrap_or("")) {
            Err(error) => shown(&error),
            Ok(rle) => {
                assert!(rle.area() <= height * width);
                let again = Rle::from_string(height, width, &rle.counts_string()).unwrap();
                assert_eq!(again.area(), rle.area());
                // A mask of the largest size that is accepted has gigabytes.
                if height.saturating_mul(width) <= 1 << 22 {
                    let mask = rle.to_mask();
                    assert_eq!(
                        (mask.area(), mask.to_rle().area()),
                        (rle.area(), rle.area())
                    );
                    mask.to_polygons().len() as u64 % 5
                } else {
                    1
                }
            }
        }
    });
}
