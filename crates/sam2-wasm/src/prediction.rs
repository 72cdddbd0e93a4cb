//! The answer to a prompt, as JavaScript reads it.

use sam2::image::{Polygon, svg_path};
use sam2::{PredictedMask, Prediction as Answer};
use wasm_bindgen::prelude::*;

/// Masks in pixels of the oriented picture, with their predicted IoU.
#[wasm_bindgen]
pub struct Prediction {
    masks: Vec<PredictedMask>,
    ids: Vec<u32>,
    decode_ms: f64,
}

impl Prediction {
    pub(crate) fn new(answer: Answer, ids: Vec<u32>, decode_ms: f64) -> Self {
        Self {
            masks: answer.masks,
            ids,
            decode_ms,
        }
    }

    fn mask(&self, i: usize) -> Result<&PredictedMask, JsValue> {
        let count = self.masks.len();
        let text = || format!("there is no mask {i}: the answer has {count}");
        self.masks
            .get(i)
            .ok_or_else(|| crate::error::coded("bad_prompt", &text()))
    }
}

#[wasm_bindgen]
impl Prediction {
    /// Number of masks: 3 or 1.
    pub fn count(&self) -> usize {
        self.masks.len()
    }

    /// Predicted IoU of mask `i`.
    pub fn iou(&self, i: usize) -> Result<f32, JsValue> {
        Ok(self.mask(i)?.iou)
    }

    /// Pixels of mask `i`.
    pub fn area(&self, i: usize) -> Result<f64, JsValue> {
        Ok(self.mask(i)?.mask.area() as f64)
    }

    /// x, y, width, height of mask `i`.
    pub fn bbox(&self, i: usize) -> Result<Vec<u32>, JsValue> {
        Ok(self.mask(i)?.mask.bbox_xywh().map(|v| v as u32).to_vec())
    }

    /// 0 or 1 per pixel, row-major.
    #[wasm_bindgen(js_name = mask)]
    pub fn bits(&self, i: usize) -> Result<Vec<u8>, JsValue> {
        Ok(self.mask(i)?.mask.bits().to_vec())
    }

    /// COCO run lengths as JSON: size, counts.
    pub fn rle(&self, i: usize) -> Result<String, JsValue> {
        let mask = &self.mask(i)?.mask;
        let (height, width) = (mask.height(), mask.width());
        let counts = mask.to_rle().counts_string();
        Ok(serde_json::json!({ "size": [height, width], "counts": counts }).to_string())
    }

    /// Logits, row-major, clamped to ±32.
    pub fn low_res(&self, i: usize) -> Result<Vec<f32>, JsValue> {
        Ok(self.mask(i)?.low_res.logits.to_vec())
    }

    /// Names mask `i` in a later prompt's `mask_id`.
    pub fn mask_id(&self, i: usize) -> Result<u32, JsValue> {
        self.mask(i)?;
        Ok(self.ids[i])
    }

    /// Outlines as JSON: `[{outer: [[x, y]..], holes: [..]}]`.
    pub fn polygons(&self, i: usize) -> Result<String, JsValue> {
        Ok(polygons_json(&self.mask(i)?.mask.to_polygons()).to_string())
    }

    /// The outline as the `d` of an SVG path (fill-rule evenodd).
    pub fn svg(&self, i: usize) -> Result<String, JsValue> {
        Ok(svg_path(&self.mask(i)?.mask.to_polygons()))
    }

    /// 8-bit grey PNG, 0 and 255.
    pub fn png(&self, i: usize) -> Result<Vec<u8>, JsValue> {
        self.mask(i)?
            .mask
            .to_png()
            .map_err(|e| crate::error::to_js(&e.into()))
    }

    /// From the call to the finished masks, in milliseconds.
    pub fn decode_ms(&self) -> f64 {
        self.decode_ms
    }
}

/// Outlines as JSON: `[{outer: [[x, y]..], holes: [..]}]`.
pub(crate) fn polygons_json(polygons: &[Polygon]) -> serde_json::Value {
    let json = |p: &Polygon| serde_json::json!({ "outer": p.outer, "holes": p.holes });
    polygons.iter().map(json).collect()
}
