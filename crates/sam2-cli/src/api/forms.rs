//! What the clean form (/api/v1) sends and takes, as JSON. `openapi.json` describes it.

use super::error::ApiError;
use super::known::{KnownMask, KnownObject, PlacedMask};
use super::prompt::{Prompt, Segmentation};
use super::propagation::Progress;
use super::session::VideoSession;
use crate::segment::line::Segmentation as Written;
use sam2::video::{ObjectId, PassOptions};
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenForm {
    #[serde(default)]
    video_path: Option<String>,
    #[serde(default)]
    live: bool,
}

/// What a session is opened on.
#[derive(Debug)]
pub enum Open {
    /// A video of the service's machine.
    Media(String),
    /// Frames that clients push.
    Live,
}

impl OpenForm {
    /// # Errors
    /// [`ApiError::BadRequest`] for neither and for both.
    pub fn what(self) -> Result<Open, ApiError> {
        match (self.video_path, self.live) {
            (Some(video_path), false) => Ok(Open::Media(video_path)),
            (None, true) => Ok(Open::Live),
            _ => Err(ApiError::BadRequest(
                "give either a video_path, or \"live\": true for frames that you push".to_owned(),
            )),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptForm {
    frame: usize,
    object: ObjectId,
    #[serde(default)]
    points: Vec<[f32; 2]>,
    #[serde(default)]
    labels: Vec<i32>,
    #[serde(default, rename = "box")]
    bounding_box: Option<[f32; 4]>,
    #[serde(default)]
    mask: Option<Segmentation>,
    #[serde(default)]
    keep_old_points: bool,
}

impl From<PromptForm> for Prompt {
    fn from(form: PromptForm) -> Self {
        Self {
            frame: form.frame,
            object: form.object,
            points: form.points,
            labels: form.labels,
            bounding_box: form.bounding_box,
            mask: form.mask,
            keep_old_points: form.keep_old_points,
        }
    }
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    #[default]
    Forward,
    Backward,
    /// Forward, then backward; the last pass over a frame stands.
    Both,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PropagateForm {
    #[serde(default)]
    pub start_frame: Option<usize>,
    /// Frames after the first.
    #[serde(default)]
    pub max_frames: Option<usize>,
    #[serde(default)]
    pub direction: Direction,
}

impl PropagateForm {
    pub fn passes(&self) -> Vec<PassOptions> {
        let pass = |reverse| PassOptions {
            start_frame_idx: self.start_frame,
            max_frame_num_to_track: self.max_frames,
            reverse,
        };
        match self.direction {
            Direction::Forward => vec![pass(false)],
            Direction::Backward => vec![pass(true)],
            Direction::Both => vec![pass(false), pass(true)],
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaskQuery {
    /// First frame.
    #[serde(default)]
    pub from: usize,
    #[serde(default)]
    pub object: Option<ObjectId>,
    /// Frames of one answer.
    #[serde(default)]
    pub frames: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventQuery {
    /// With every frame's masks.
    #[serde(default)]
    pub masks: bool,
}

/// A session.
#[derive(Debug, Serialize)]
pub struct SessionView {
    id: String,
    live: bool,
    frames: usize,
    /// The oldest that can be prompted.
    oldest_frame: usize,
    /// None before the first frame of a live video.
    width: Option<usize>,
    height: Option<usize>,
    /// Frames per second of the video, where its file says so.
    fps: Option<f64>,
    notes: Vec<String>,
    objects: Vec<KnownObject>,
    propagation: Option<Progress>,
    /// What its pictures, features and memories take.
    memory_bytes: usize,
}

impl From<&VideoSession> for SessionView {
    fn from(session: &VideoSession) -> Self {
        let size = session.size();
        Self {
            id: session.id.clone(),
            live: session.live,
            frames: session.frames(),
            oldest_frame: session.oldest_frame(),
            width: size.map(|size| size.width),
            height: size.map(|size| size.height),
            fps: session.fps,
            notes: session.notes.clone(),
            objects: session.objects(),
            propagation: session.propagation().map(|p| p.progress()),
            memory_bytes: session.held_bytes(),
        }
    }
}

/// An object on a frame.
#[derive(Debug, Serialize)]
pub struct MaskView {
    frame: usize,
    object: ObjectId,
    prompted: bool,
    visible: bool,
    /// Above 0 the object is there.
    score: Option<f32>,
    iou: Option<f32>,
    area: usize,
    /// x, y, width, height in pixels of the video.
    bbox: [usize; 4],
    segmentation: Written,
}

impl From<&PlacedMask> for MaskView {
    fn from(((frame, object), mask): &PlacedMask) -> Self {
        let KnownMask {
            rle,
            score,
            iou,
            prompted,
        } = mask;
        Self {
            frame: *frame,
            object: *object,
            prompted: *prompted,
            visible: score.is_some_and(|score| score > 0.0),
            score: *score,
            iou: *iou,
            area: rle.area(),
            bbox: rle.bbox_xywh(),
            segmentation: Written::new(rle),
        }
    }
}

#[derive(Debug, Serialize)]
pub struct FrameView {
    pub frame: usize,
    pub masks: Vec<MaskView>,
}

impl FrameView {
    pub fn new(frame: usize, masks: &[PlacedMask]) -> Self {
        Self {
            frame,
            masks: masks.iter().map(MaskView::from).collect(),
        }
    }
}

#[derive(Debug, Serialize)]
pub struct MaskPage {
    pub masks: Vec<MaskView>,
    /// Where the next page begins (`from`); null at the end.
    pub next: Option<usize>,
}
