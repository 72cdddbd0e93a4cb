//! What a video needs: Pillow's resize to the byte, PyTorch's shrinking of masks.

mod common;

use common::{field, fixture, floats, largest_difference, pattern};
use sam2_image::{resize_antialias, video_resize};

#[test]
fn bicubic_is_pillow_to_the_byte() {
    for (width, height, size) in [
        (1, 1, 8),
        (5, 3, 24),
        (97, 31, 24),
        (31, 97, 24),
        (24, 50, 24),
        (24, 24, 24),
        (640, 360, 40),
        (50, 76, 24),
        (50, 77, 24),
        (11, 25, 24),
    ] {
        let out = video_resize(&pattern(width, height), size);
        assert_eq!((out.width(), out.height()), (size, size));
        let expected = fixture(&format!("bicubic_{width}x{height}_{size}.u8"));
        assert!(out.data() == expected, "{width} x {height} -> {size}");
    }
}

#[test]
fn antialias_equals_interpolate() {
    for (h, w, out_h, out_w) in [(40, 60, 16, 16), (17, 9, 16, 16), (90, 33, 16, 24)] {
        let out = resize_antialias(&field(h, w), (h, w), (out_h, out_w)).unwrap();
        let name = format!("antialias_{h}x{w}_{out_h}x{out_w}.f32");
        // Some roundings of values up to 8, fused there and not here.
        assert!(largest_difference(&out, &floats(&name)) <= 4e-6, "{name}");
    }
}
