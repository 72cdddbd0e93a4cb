//! A frame's masks as JavaScript reads them.

use sam2::image::svg_path;
use sam2::video::{FrameMasks, ObjectMask};
use serde_json::{Value, json};
use web_time::Instant;

/// JSON: frame, objects.
pub(super) fn frame_json(masks: &FrameMasks) -> Value {
    let objects: Vec<Value> = masks.objects.iter().map(object_json).collect();
    json!({ "frame": masks.frame, "objects": objects })
}

fn object_json(object: &ObjectMask) -> Value {
    json!({
        "id": object.id,
        "score": object.score,
        "iou": object.iou,
        "visible": object.visible(),
        "prompted": object.prompted,
        "area": object.mask.area(),
        "bbox": object.mask.bbox_xywh(),
        "rle": object.mask.to_rle().counts_string(),
        "svg": svg_path(&object.mask.to_polygons()),
    })
}

/// [`frame_json`] with the milliseconds since `start`.
pub(super) fn timed(start: Instant, masks: &FrameMasks) -> String {
    let mut json = frame_json(masks);
    json["ms"] = (start.elapsed().as_secs_f64() * 1e3).into();
    json.to_string()
}
