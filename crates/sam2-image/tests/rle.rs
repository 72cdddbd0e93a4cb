//! Run-length masks against pycocotools.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking"
)]

mod common;

use common::fixture;
use sam2_image::Rle;
use serde_json::Value;

fn size(case: &Value) -> (usize, usize) {
    (
        case["size"][0].as_u64().unwrap() as usize,
        case["size"][1].as_u64().unwrap() as usize,
    )
}

fn numbers(value: &Value) -> Vec<usize> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n.as_u64().unwrap() as usize)
        .collect()
}

#[test]
fn equals_pycocotools() {
    let cases: Vec<Value> = serde_json::from_slice(&fixture("rle.json")).unwrap();
    assert!(cases.len() > 6);
    for case in cases {
        let (height, width) = size(&case);
        let read =
            |key: &str| Rle::from_string(height, width, case[key].as_str().unwrap()).unwrap();
        if let Some(iou) = case["iou"].as_f64() {
            assert_eq!(read("a").iou(&read("b")).unwrap(), iou);
            continue;
        }
        let rle = read("counts");
        assert_eq!(rle.counts_string(), case["counts"].as_str().unwrap());
        let runs: Vec<usize> = rle.counts().iter().map(|count| *count as usize).collect();
        assert_eq!(runs, numbers(&case["runs"]));
        assert_eq!(rle.area() as u64, case["area"].as_u64().unwrap());
        assert_eq!(rle.bbox_xywh().to_vec(), numbers(&case["bbox"]));
        let mask = rle.to_mask();
        assert_eq!((mask.height(), mask.width()), (height, width));
        assert_eq!(mask.to_rle(), rle);
        assert_eq!(
            (mask.area(), mask.bbox_xywh()),
            (rle.area(), rle.bbox_xywh())
        );
    }
}
