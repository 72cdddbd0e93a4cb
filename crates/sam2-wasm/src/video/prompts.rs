//! What is said about objects, and taken back.

use super::answers::{frame_json, timed};
use super::parse;
use crate::engine::Engine;
use crate::error::{coded, to_js};
use sam2::image::Rle;
use sam2::video::VideoPrompt;
use serde::Deserialize;
use serde_json::Value;
use wasm_bindgen::prelude::*;
use web_time::Instant;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PromptJson {
    frame: usize,
    object: u32,
    #[serde(default)]
    points: Vec<[f32; 2]>,
    #[serde(default)]
    labels: Vec<i32>,
    #[serde(default, rename = "box")]
    bounding_box: Option<[f32; 4]>,
    #[serde(default)]
    keep_old_points: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MaskJson {
    frame: usize,
    object: u32,
    /// COCO: height before width.
    size: [usize; 2],
    counts: String,
}

#[wasm_bindgen]
impl Engine {
    /// Points, a box, or both (JSON: frame, object, points, labels, box, keep_old_points); JSON out:
    /// frame, objects, each with id, score, iou, visible, prompted, area, bbox, rle, svg; ms.
    ///
    /// # Errors
    /// `bad_prompt`, `unsupported_video` for a frame that cannot be read, `mask_fault`, `device_lost`.
    pub async fn video_add(&mut self, id: u32, prompt: String) -> Result<String, JsValue> {
        let start = Instant::now();
        let json: PromptJson = parse(&prompt)?;
        let prompt = VideoPrompt {
            points: json.points,
            labels: json.labels,
            bounding_box: json.bounding_box,
            keep_old_points: json.keep_old_points,
        };
        let video = &mut self.video(id)?.predictor;
        let masks = video
            .add_new_points_or_box(json.frame, json.object, &prompt)
            .await;
        Ok(timed(start, &masks.map_err(|e| to_js(&e))?))
    }

    /// A mask as a prompt (JSON: frame, object, size, counts); out as `video_add`.
    ///
    /// # Errors
    /// As `video_add`; `bad_prompt` for run lengths that fit no picture.
    pub async fn video_add_mask(&mut self, id: u32, prompt: String) -> Result<String, JsValue> {
        let start = Instant::now();
        let json: MaskJson = parse(&prompt)?;
        let [height, width] = json.size;
        let rle = Rle::from_string(height, width, &json.counts);
        let rle = rle.map_err(|e| coded("bad_prompt", &e.to_string()))?;
        let video = &mut self.video(id)?.predictor;
        let masks = video
            .add_new_mask(json.frame, json.object, &rle.to_mask())
            .await;
        Ok(timed(start, &masks.map_err(|e| to_js(&e))?))
    }

    /// Removes an object; JSON out: the frames on which it was prompted, as they are without it.
    ///
    /// # Errors
    /// `bad_prompt` for an unknown object.
    pub fn video_remove_object(&mut self, id: u32, object: u32) -> Result<String, JsValue> {
        let frames = self.video(id)?.predictor.remove_object(object);
        let frames = frames.map_err(|e| to_js(&e))?;
        let frames: Vec<Value> = frames.iter().map(frame_json).collect();
        Ok(Value::from(frames).to_string())
    }

    /// Removes an object's prompts on a frame; JSON out: the frame.
    ///
    /// # Errors
    /// `bad_prompt` for an unknown object or frame.
    pub fn video_clear(&mut self, id: u32, frame: usize, object: u32) -> Result<String, JsValue> {
        let video = &mut self.video(id)?.predictor;
        let masks = video.clear_all_prompts_in_frame(frame, object);
        Ok(frame_json(&masks.map_err(|e| to_js(&e))?).to_string())
    }

    /// Removes all objects and what was tracked.
    ///
    /// # Errors
    /// `unsupported_video` for an unknown id.
    pub fn video_reset(&mut self, id: u32) -> Result<(), JsValue> {
        let video = self.video(id)?;
        video.pass = None;
        video.predictor.reset_state();
        Ok(())
    }
}
