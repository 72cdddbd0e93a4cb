//! The network's input against torchvision.

mod common;

use common::{fixture, floats, largest_difference, pattern};
use sam2_image::preprocess;

/// torchvision's sums may be fused (one rounding instead of two); values reach 2.7 after the
/// division by 0.225, so 2e-6 is some eight units in the last place.
const TOLERANCE: f32 = 2e-6;

#[test]
fn equals_torchvision() {
    for (width, height, size, stride) in [
        (1, 1, 16, 1),
        (5, 3, 32, 1),
        (97, 31, 32, 1),
        (31, 97, 32, 1),
        (32, 32, 32, 1),
        (640, 427, 48, 1),
        (1500, 1100, 32, 1),
        (640, 427, 1024, 499),
        (2000, 1333, 1024, 499),
    ] {
        let out = preprocess(&pattern(width, height), size);
        assert_eq!(out.len(), 3 * size * size);
        let sampled: Vec<f32> = out.into_iter().step_by(stride).collect();
        let name = format!("preprocess_{width}x{height}_{size}_{stride}.f32");
        let worst = largest_difference(&sampled, &floats(&name));
        println!("{name}: {worst:e}");
        assert!(worst <= TOLERANCE, "{name}: {worst:e}");
    }
}

#[test]
fn the_fixtures_can_tell() {
    // Another picture of the same size must not pass: guards against a comparison of nothing.
    let out = preprocess(&pattern(31, 97), 32);
    assert!(largest_difference(&out, &floats("preprocess_97x31_32_1.f32")) > 0.1);
    assert!(!fixture("make.py").is_empty());
}
