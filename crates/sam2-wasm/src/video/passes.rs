//! Going over the frames: passes of a clip, and what a live video gives next.

use super::answers::timed;
use super::{Video, parse};
use crate::engine::Engine;
use crate::error::to_js;
use sam2::image::RgbImage;
use sam2::video::PassOptions;
use serde::Deserialize;
use serde_json::json;
use wasm_bindgen::prelude::*;
use web_time::Instant;

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct PassJson {
    start: Option<usize>,
    max_frames: Option<usize>,
    reverse: bool,
}

#[wasm_bindgen]
impl Engine {
    /// Begins a pass (JSON: start, max_frames, reverse) in place of one under way. JSON out: total.
    ///
    /// # Errors
    /// `bad_prompt`: nothing to track, or a start that the video does not have.
    pub fn video_start_pass(&mut self, id: u32, options: String) -> Result<String, JsValue> {
        let json: PassJson = parse(&options)?;
        let video = self.video(id)?;
        let pass = video.predictor.start_pass(PassOptions {
            start_frame_idx: json.start,
            max_frame_num_to_track: json.max_frames,
            reverse: json.reverse,
        });
        let pass = pass.map_err(|e| to_js(&e))?;
        let total = pass.total();
        video.pass = Some(pass);
        Ok(json!({ "total": total }).to_string())
    }

    /// Tracks the next frame of the pass; out as `video_add`, or `None` at its end. After an error the
    /// same frame comes again.
    ///
    /// # Errors
    /// As `video_add`.
    pub async fn video_next(&mut self, id: u32) -> Result<Option<String>, JsValue> {
        let start = Instant::now();
        let Video { predictor, pass } = self.video(id)?;
        let Some(under_way) = pass else {
            return Ok(None);
        };
        match predictor.next_frame(under_way).await {
            Ok(Some(masks)) => Ok(Some(timed(start, &masks))),
            Ok(None) => {
                *pass = None;
                Ok(None)
            }
            Err(error) => Err(to_js(&error)),
        }
    }

    /// Takes the next frame of a live video and tracks the objects on it; out as `video_add`.
    ///
    /// # Errors
    /// `unsupported_video` for a picture of another size or a clip, and as `video_add`.
    pub async fn video_push(
        &mut self,
        id: u32,
        rgba: Vec<u8>,
        width: u32,
        height: u32,
    ) -> Result<String, JsValue> {
        let start = Instant::now();
        let image = RgbImage::from_rgba(width as usize, height as usize, &rgba);
        let image = image.map_err(|e| to_js(&e.into()))?;
        drop(rgba);
        let masks = self.video(id)?.predictor.push_frame(image).await;
        Ok(timed(start, &masks.map_err(|e| to_js(&e))?))
    }
}
