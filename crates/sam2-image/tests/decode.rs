//! Picture files of every kind against Pillow, and files that are no pictures.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking"
)]

mod common;

use common::{fixture, pattern};
use proptest::prelude::*;
use sam2_image::{DecodeLimits, ImageError, RgbImage, decode};

fn read(name: &str) -> RgbImage {
    decode(&fixture(name), &DecodeLimits::default()).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Mean and largest difference from what Pillow read, which is stored under the picture's size:
/// a picture turned wrongly has no such file.
fn difference(name: &str) -> (f64, u8) {
    let image = read(name);
    let expected = fixture(&format!("{name}.{}x{}.rgb", image.width(), image.height()));
    assert_eq!(expected.len(), image.data().len());
    let differences = image
        .data()
        .iter()
        .zip(&expected)
        .map(|(a, b)| a.abs_diff(*b));
    let sum: u64 = differences.clone().map(u64::from).sum();
    (
        sum as f64 / expected.len() as f64,
        differences.max().unwrap_or(0),
    )
}

#[test]
fn lossless_pictures_equal_pillow() {
    for name in [
        "rgb.png",
        "rgba.png",
        "grey.png",
        "grey_alpha.png",
        "bits1.png",
        "palette.png",
        "palette_alpha.png",
        "rgb16.png",
        "grey16.png",
        "rgb.bmp",
        "palette.gif",
        "rgb.webp",
        "rgba.webp",
        "turned2.png",
        "turned5.png",
        "turned6.png",
        "turned8.png",
        "turned3.webp",
    ] {
        assert_eq!(difference(name), (0.0, 0), "{name}");
    }
    assert_eq!(
        read("rgb.png"),
        pattern(13, 9),
        "Pillow's file holds our pattern"
    );
}

#[test]
fn jpeg_is_close_to_pillow() {
    for name in [
        "rgb.jpg",
        "progressive.jpg",
        "grey.jpg",
        "cmyk.jpg",
        "ycck.jpg",
        "turned4.jpg",
        "turned7.jpg",
    ] {
        let (mean, largest) = difference(name);
        // Two inverse transforms and two colour conversions round differently.
        assert!(
            mean < 0.6 && largest <= 4,
            "{name}: mean {mean}, largest {largest}"
        );
    }
}

#[test]
fn limits_are_held_before_the_pixels() {
    let file = fixture("rgb.png");
    let limits = DecodeLimits {
        max_pixels: 13 * 9 - 1,
        ..DecodeLimits::default()
    };
    let error = decode(&file, &limits).unwrap_err();
    assert_eq!(
        error,
        ImageError::TooManyPixels {
            width: 13,
            height: 9,
            max_pixels: 116
        }
    );
    assert_eq!(error.code(), "image_too_large");
    let limits = DecodeLimits {
        max_bytes: file.len() as u64 - 1,
        ..DecodeLimits::default()
    };
    assert!(matches!(
        decode(&file, &limits),
        Err(ImageError::FileTooLarge { .. })
    ));

    // A header that promises 65 535 x 65 535, without the pixels.
    let mut bomb = fixture("rgb.bmp");
    bomb[18..26].copy_from_slice(&[255, 255, 0, 0, 255, 255, 0, 0]);
    let error = decode(&bomb, &DecodeLimits::default()).unwrap_err();
    assert!(
        matches!(error, ImageError::TooManyPixels { width: 65535, .. }),
        "{error}"
    );
}

#[test]
fn what_is_no_picture_says_so() {
    let limits = DecodeLimits::default();
    for bytes in [&b""[..], b"<!DOCTYPE html>", b"\x89PN"] {
        assert_eq!(
            decode(bytes, &limits).unwrap_err(),
            ImageError::UnknownFormat
        );
    }
    let heic = decode(b"\0\0\0\x18ftypheic\0\0\0\0", &limits).unwrap_err();
    assert!(
        heic.to_string().starts_with("HEIC pictures cannot be read"),
        "{heic}"
    );
    let tiff = decode(b"II*\0\x08\0\0\0\0\0", &limits).unwrap_err();
    assert!(tiff.to_string().starts_with("TIFF pictures"), "{tiff}");
    assert_eq!(tiff.code(), "bad_image");
}

#[test]
fn a_file_cut_short_is_an_error() {
    for name in [
        "rgb.png",
        "rgb.jpg",
        "progressive.jpg",
        "rgb.bmp",
        "rgb.webp",
        "cmyk.jpg",
    ] {
        let file = fixture(name);
        for keep in [
            file.len() / 4,
            file.len() / 2,
            file.len() * 3 / 4,
            file.len() - 30,
        ] {
            let error = decode(&file[..keep], &DecodeLimits::default()).unwrap_err();
            assert_eq!(error.code(), "bad_image", "{name} cut to {keep}: {error}");
        }
    }
    // JPEG decoders fill what is missing with grey: the end marker alone tells.
    let file = fixture("rgb.jpg");
    assert!(decode(&file[..file.len() - 1], &DecodeLimits::default()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Damaged files end in a picture of the promised size or in an error, never in a panic.
    #[test]
    fn damage_is_never_a_panic(
        file in prop::sample::select(vec![
            "rgb.png", "palette_alpha.png", "rgb16.png", "rgb.jpg", "progressive.jpg", "ycck.jpg",
            "rgb.webp", "rgba.webp", "palette.gif", "rgb.bmp", "turned7.jpg", "turned6.png",
        ]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = fixture(file);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let limits = DecodeLimits { max_pixels: 1 << 20, ..DecodeLimits::default() };
        if let Ok(image) = decode(&bytes, &limits) {
            prop_assert!(image.width() * image.height() <= 1 << 20);
            prop_assert_eq!(image.data().len(), 3 * image.width() * image.height());
        }
    }
}
