//! Masks that come back as run lengths.

use crate::error::coded;
use crate::prediction::polygons_json;
use sam2::image::{Rle, svg_path};
use serde_json::json;
use wasm_bindgen::prelude::*;

/// What a run-length mask is, as JSON: area, bbox (x, y, width, height), svg (path data), polygons
/// (`[{outer: [[x, y]..], holes: [..]}]`).
///
/// # Errors
/// `bad_prompt` for run lengths that do not fit the size.
#[wasm_bindgen]
pub fn trace_rle(height: usize, width: usize, counts: &str) -> Result<String, JsValue> {
    let rle = Rle::from_string(height, width, counts);
    let rle = rle.map_err(|e| coded("bad_prompt", &e.to_string()))?;
    let polygons = rle.to_mask().to_polygons();
    Ok(json!({
        "area": rle.area(),
        "bbox": rle.bbox_xywh(),
        "svg": svg_path(&polygons),
        "polygons": polygons_json(&polygons),
    })
    .to_string())
}
