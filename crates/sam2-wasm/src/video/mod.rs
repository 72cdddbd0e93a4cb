//! Videos of the engine: the calls of `sam2::video::VideoPredictor`, and nothing besides. Opening, looking and
//! closing are here.

mod answers;
mod passes;
mod prompts;

use crate::engine::{Engine, bad_call};
use crate::error::{coded, to_js};
use crate::frames::JsFrames;
use js_sys::Function;
use sam2::image::ImageSize;
use sam2::video::{AnimationFrames, Pass, VideoOptions, VideoPredictor};
use serde::Deserialize;
use serde_json::{Value, json};
use wasm_bindgen::prelude::*;

/// Image features and memories that one video keeps: a third of native, for 4 GiB are all there is.
///
/// `corrections_stand`: left out it is true, for a page's next pass begins on the corrected frame; the official
/// predictor's way, which such a pass undoes, is there for those who hold one against the other.
fn video_options(corrections_stand: Option<bool>) -> VideoOptions {
    VideoOptions {
        feature_bytes: 160 << 20,
        memory_bytes: 192 << 20,
        objects_per_pass: None,
        add_all_frames_to_correct_as_cond: corrections_stand.unwrap_or(true),
    }
}

/// An open video and the pass under way in it.
pub struct Video {
    predictor: VideoPredictor,
    pass: Option<Pass>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClipJson {
    frames: usize,
    width: usize,
    height: usize,
    #[serde(default)]
    max_dimension: usize,
    corrections_stand: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitsJson {
    max_dimension: usize,
    max_frames: usize,
    corrections_stand: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LiveJson {
    width: usize,
    height: usize,
    corrections_stand: Option<bool>,
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, JsValue> {
    serde_json::from_str(text).map_err(|e| bad_call(&e))
}

impl Engine {
    fn keep(&mut self, predictor: VideoPredictor, more: Value) -> Result<String, JsValue> {
        let size = predictor.size();
        let config = predictor.model().config();
        let cost = sam2::flops::memory_attention(config) / sam2::flops::encode(config).max(1.0);
        let mut json = json!({
            "frames": predictor.num_frames(),
            "width": size.width,
            "height": size.height,
            "object_cost": cost,
        });
        if let (Value::Object(json), Value::Object(more)) = (&mut json, more) {
            json.extend(more);
        }
        let id = self.take_id();
        json["id"] = id.into();
        let pass = None;
        self.videos.insert(id, Video { predictor, pass });
        Ok(json.to_string())
    }

    fn video(&mut self, id: u32) -> Result<&mut Video, JsValue> {
        let unknown = || {
            let text = format!("video {id} is not open: open it again");
            coded("unsupported_video", &text)
        };
        self.videos.get_mut(&id).ok_or_else(unknown)
    }
}

#[wasm_bindgen]
impl Engine {
    /// Opens a clip whose frames `read(index)` gives. JSON in: frames, width, height, max_dimension; out:
    /// id, frames, width, height, object_cost (memory attention of one object in encodes).
    ///
    /// # Errors
    /// `unsupported_video` without frames, `bad_setting` for a model that cannot track.
    pub fn open_video(&mut self, options: String, read: Function) -> Result<String, JsValue> {
        let clip: ClipJson = parse(&options)?;
        let (width, height) = (clip.width, clip.height);
        let size = ImageSize { width, height };
        let frames = JsFrames::new(clip.frames, size, clip.max_dimension, read);
        let model = self.shared_model()?;
        let video = VideoPredictor::new(
            model,
            Box::new(frames),
            video_options(clip.corrections_stand),
        );
        self.keep(video.map_err(|e| to_js(&e))?, json!({}))
    }

    /// Opens an animated GIF, WebP or PNG. JSON in: max_dimension, max_frames, corrections_stand; out as `open_video`, and
    /// fps, times (seconds at which each frame comes on and the last one goes, or null), more (whether frames were cut off).
    ///
    /// # Errors
    /// `unsupported_video`.
    pub fn open_animation(&mut self, bytes: Vec<u8>, options: String) -> Result<String, JsValue> {
        let limits: LimitsJson = parse(&options)?;
        let frames = AnimationFrames::open(bytes.into(), limits.max_dimension, limits.max_frames);
        let frames = frames.map_err(|e| to_js(&e))?;
        let more =
            json!({ "fps": frames.fps(), "times": frames.times(), "more": frames.has_more() });
        let model = self.shared_model()?;
        let video = VideoPredictor::new(
            model,
            Box::new(frames),
            video_options(limits.corrections_stand),
        );
        self.keep(video.map_err(|e| to_js(&e))?, more)
    }

    /// Opens a live video. JSON in: width, height, corrections_stand; out as `open_video`.
    ///
    /// # Errors
    /// `bad_setting` for a model that cannot track.
    pub fn open_live(&mut self, options: String) -> Result<String, JsValue> {
        let LiveJson {
            width,
            height,
            corrections_stand,
        } = parse(&options)?;
        let size = ImageSize { width, height };
        let options = video_options(corrections_stand);
        let video = VideoPredictor::live(self.shared_model()?, size, options);
        self.keep(video.map_err(|e| to_js(&e))?, json!({}))
    }

    /// The picture of a frame, as the network sees it.
    ///
    /// # Errors
    /// `unsupported_video`.
    pub async fn video_picture(
        &mut self,
        id: u32,
        frame: usize,
    ) -> Result<crate::DecodedImage, JsValue> {
        let image = self.video(id)?.predictor.picture(frame).await;
        Ok(crate::DecodedImage::new(image.map_err(|e| to_js(&e))?))
    }

    /// Low-resolution logits as the last pass left them, row-major; `None` where there are none.
    ///
    /// # Errors
    /// `unsupported_video` for an unknown id.
    pub fn video_low_res(
        &mut self,
        id: u32,
        frame: usize,
        object: u32,
    ) -> Result<Option<Vec<f32>>, JsValue> {
        let logits = self.video(id)?.predictor.low_res_logits(frame, object);
        Ok(logits.map(|logits| logits.values))
    }

    /// JSON: encodes, tracked, memories, memory (one line for people).
    ///
    /// # Errors
    /// `unsupported_video` for an unknown id.
    pub fn video_stats(&mut self, id: u32) -> Result<String, JsValue> {
        let video = &self.video(id)?.predictor;
        let stats = video.stats();
        Ok(json!({
            "encodes": stats.encodes,
            "tracked": stats.tracked,
            "memories": stats.memories,
            "memory": video.memory_line(),
        })
        .to_string())
    }

    /// Forgets a video.
    pub fn close_video(&mut self, id: u32) {
        self.videos.remove(&id);
        self.cleanup();
    }
}
