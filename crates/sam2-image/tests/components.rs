//! Areas of 8-connected components against OpenCV.

mod common;

use common::{field, fixture, pattern};
use sam2_image::Components;

#[test]
fn areas_equal_opencv() {
    let (width, height) = (61, 40);
    let logits = field(height, width);
    let picture = pattern(width, height);
    let masks = [
        (
            "field",
            logits.iter().map(|v| *v > 1.5).collect::<Vec<bool>>(),
        ),
        (
            "pattern",
            picture.data().chunks_exact(3).map(|p| p[0] > 120).collect(),
        ),
    ];
    for (name, mask) in masks {
        let components = Components::find(width, height, |i| mask[i]);
        let mut areas = vec![0_u32; mask.len()];
        for (run, label) in components.runs() {
            areas[run].fill(components.areas()[label] as u32);
        }
        let expected = fixture(&format!("areas_{name}_{width}x{height}.u32"));
        let expected: Vec<u32> = expected
            .as_chunks::<4>()
            .0
            .iter()
            .map(|b| u32::from_le_bytes(*b))
            .collect();
        assert_eq!(areas, expected, "{name}");
        assert!(
            components.areas().len() > 10,
            "{name} has something to count"
        );
    }
}
