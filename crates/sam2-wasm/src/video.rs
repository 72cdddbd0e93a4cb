//! Videos of the engine: the calls of `sam2::video::VideoPredictor`, and nothing besides.

use crate::engine::{Engine, bad_call};
use crate::error::{coded, to_js};
use crate::frames::JsFrames;
use crate::prediction::polygons_json;
use js_sys::Function;
use sam2::image::{ImageSize, RgbImage, Rle, svg_path};
use sam2::video::{
    AnimationFrames, FrameMasks, ObjectMask, Pass, PassOptions, VideoOptions, VideoPredictor,
    VideoPrompt,
};
use serde::Deserialize;
use serde_json::{Value, json};
use wasm_bindgen::prelude::*;
use web_time::Instant;

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

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct PassJson {
    start: Option<usize>,
    max_frames: Option<usize>,
    reverse: bool,
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, JsValue> {
    serde_json::from_str(text).map_err(|e| bad_call(&e))
}

/// A frame's masks as JavaScript reads them.
fn frame_json(masks: &FrameMasks) -> Value {
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
    /// fps, more (whether frames were cut off).
    ///
    /// # Errors
    /// `unsupported_video`.
    pub fn open_animation(&mut self, bytes: Vec<u8>, options: String) -> Result<String, JsValue> {
        let limits: LimitsJson = parse(&options)?;
        let frames = AnimationFrames::open(bytes.into(), limits.max_dimension, limits.max_frames);
        let frames = frames.map_err(|e| to_js(&e))?;
        let more = json!({ "fps": frames.fps(), "more": frames.has_more() });
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
        timed(start, &masks.map_err(|e| to_js(&e))?)
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
        timed(start, &masks.map_err(|e| to_js(&e))?)
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
            Ok(Some(masks)) => timed(start, &masks).map(Some),
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
        timed(start, &masks.map_err(|e| to_js(&e))?)
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

fn timed(start: Instant, masks: &FrameMasks) -> Result<String, JsValue> {
    let mut json = frame_json(masks);
    json["ms"] = (start.elapsed().as_secs_f64() * 1e3).into();
    Ok(json.to_string())
}

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
