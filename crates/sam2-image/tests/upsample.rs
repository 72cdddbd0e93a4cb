//! Stretched and cut logits against `F.interpolate`.

mod common;

use common::{field, fixture};
use sam2_image::upsample_threshold;

#[test]
fn equals_interpolate_and_threshold() {
    for (h, w, out_h, out_w) in [
        (16, 16, 50, 37),
        (24, 24, 9, 301),
        (12, 12, 12, 12),
        (64, 64, 427, 640),
    ] {
        let mask = upsample_threshold(&field(h, w), (h, w), (out_h, out_w), 0.0).unwrap();
        assert_eq!((mask.height(), mask.width()), (out_h, out_w));
        let packed = fixture(&format!("upsample_{h}x{w}_{out_h}x{out_w}.bits"));
        let bit = |i: usize| packed[i / 8] >> (7 - i % 8) & 1;
        let wrong = mask
            .bits()
            .iter()
            .enumerate()
            .filter(|(i, b)| **b != bit(*i))
            .count();
        // A value within a rounding of 0 may fall either way; none of these does.
        assert_eq!(wrong, 0, "{h}x{w} -> {out_h}x{out_w}");
        assert!(mask.area() > 0 && mask.area() < out_h * out_w);
    }
}
