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
fn video_options(asked: Asked) -> VideoOptions {
    VideoOptions {
        feature_bytes: 160 << 20,
        memory_bytes: 192 << 20,
        objects_per_pass: None,
        add_all_frames_to_correct_as_cond: asked.corrections_stand.unwrap_or(true),
        snap: asked.snap,
    }
}

/// An open video and the pass under way in it.
pub struct Video {
    predictor: VideoPredictor,
    pass: Option<Pass>,
}

/// What a page may choose for every kind of video.
#[derive(Deserialize, Default, Clone, Copy)]
#[serde(default, deny_unknown_fields)]
struct Asked {
    corrections_stand: Option<bool>,
    snap: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClipJson {
    frames: usize,
    width: usize,
    height: usize,
    #[serde(default)]
    max_dimension: usize,
    #[serde(default)]
    options: Asked,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitsJson {
    max_dimension: usize,
    max_frames: usize,
    #[serde(default)]
    options: Asked,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LiveJson {
    width: usize,
    height: usize,
    #[serde(default)]
    options: Asked,
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
    /// Opens a clip whose frames `read(index)` gives. JSON in: frames, width, height, max_dimension, options (corrections_stand, snap); out:
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
        let video = VideoPredictor::new(model, Box::new(frames), video_options(clip.options));
        self.keep(video.map_err(|e| to_js(&e))?, json!({}))
    }

    /// Opens an animated GIF, WebP or PNG. JSON in: max_dimension, max_frames, options; out as `open_video`, and
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
        let video = VideoPredictor::new(model, Box::new(frames), video_options(limits.options));
        self.keep(video.map_err(|e| to_js(&e))?, more)
    }

    /// Opens a live video. JSON in: width, height, options; out as `open_video`.
    ///
    /// # Errors
    /// `bad_setting` for a model that cannot track.
    pub fn open_live(&mut self, options: String) -> Result<String, JsValue> {
        let LiveJson {
            width,
            height,
            options,
        } = parse(&options)?;
        let size = ImageSize { width, height };
        let options = video_options(options);
        let video = VideoPredictor::live(self.shared_model()?, size, options);
        self.keep(video.map_err(|e| to_js(&e))?, json!({}))
    }

    /// Whether masks from now on are snapped to edges.
    ///
    /// # Errors
    /// `unsupported_video` for an unknown id.
    pub fn video_set_snap(&mut self, id: u32, on: bool) -> Result<(), JsValue> {
        self.video(id)?.predictor.set_snap(on);
        Ok(())
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
