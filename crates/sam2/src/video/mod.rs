//! `SAM2VideoPredictor` (sam2/sam2_video_predictor.py): objects prompted on some frames are tracked
//! through all of them.
//!
//! ```no_run
//! # #[cfg(not(target_family = "wasm"))]
//! # fn track(model: sam2::SharedModel) -> Result<(), sam2::Error> {
//! use sam2::video::{FolderFrames, PassOptions, VideoPredictor, VideoPrompt};
//! use std::ops::ControlFlow;
//!
//! let frames = FolderFrames::open("clip".as_ref(), 1920, 300)?;
//! let mut video = VideoPredictor::new(model, Box::new(frames), Default::default())?;
//! let click = VideoPrompt::click(120.0, 80.0);
//! sam2::block_on(video.add_new_points_or_box(0, 1, &click))?;
//! sam2::block_on(video.propagate_in_video(PassOptions::default(), &mut |frame| {
//!     println!("frame {}: {} pixels", frame.frame, frame.objects[0].mask.area());
//!     ControlFlow::Continue(())
//! }))?;
//! # Ok(())
//! # }
//! ```
//!
//! What follows the official code and what differs:
//! - Every object has its own memory, and results are those of one object after the other. Objects
//!   whose memories are equally long go through the network as one batch, a frame is encoded once
//!   for all of them.
//! - A memory is a cache: it is made from a frame's features and its logits, and made again where it
//!   was dropped (byte budget, a lost device). Nothing tracked is lost with it.
//! - A frame's masks come out at the size of the source's pictures, as RLE they are kept
//!   ([`VideoPredictor::mask`]).
//! - The answer to a prompt shows every object's latest answer on the frame; the official code leaves
//!   out those that are kept in the other of its two places (conditioning or not).
//! - `clear_non_cond_mem_around_input` crashes in the official code (sam2#571); here it does what its
//!   comment says, for the prompted object.
//! - Where an object has no prompted frame left (all cleared), the official code stops with an
//!   assertion at the next prompt on a tracked frame; here that prompt starts the object anew.

mod bank;
mod cache;
pub mod frames;
mod held;
mod live;
mod mask_prompt;
mod network;
mod output;
mod prompts;
mod propagate;
mod remember;
mod saved;
mod sealed;
mod snap;
mod state;

pub use frames::{AnimationFrames, FrameSource};
#[cfg(not(target_family = "wasm"))]
pub use frames::{FolderFrames, OpenedVideo, VideoLimits, open_video};
pub use held::HeldBytes;
pub use live::LivePictures;
pub use output::{FrameMasks, LowResLogits, ObjectMask};
pub use prompts::VideoPrompt;
pub use propagate::{Pass, PassEnd, PassOptions};
pub use saved::{SavedObject, SavedOutput, SavedPoint, SavedRole, SavedSession};
pub use state::ObjectId;

use crate::device::DeviceKind;
use crate::{Error, Model, SharedModel};
use cache::FeatureCache;
use frames::Frames;
use sam2_image::{ImageSize, RgbImage, Rle};
use snap::SnapPictures;
use state::Object;
use std::collections::BTreeMap;
use std::time::Duration;

/// Budgets of a [`VideoPredictor`], and how it takes corrections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VideoOptions {
    /// Bytes of image features that are kept, least recently used first out; at least one frame's.
    pub feature_bytes: usize,
    /// Bytes of memories and logits. Beyond it the frames farthest from the current one lose their
    /// memory (made again when it is needed), their logits become half floats, and at last those go
    /// too. Prompted frames and those that the next frames look at keep everything, so with many
    /// objects it may take more.
    pub memory_bytes: usize,
    /// Objects in one pass through the network at most; by the model's size and the length of their
    /// memories where `None`.
    pub objects_per_pass: Option<usize>,
    /// The official flag of this name, besides that of the model's configuration: a prompt on a frame
    /// that a pass went over makes it a conditioning frame, whose answer stands and which all frames look
    /// at. Off, as in the official predictor, the answer is an ordinary frame's: the next pass over the
    /// frame tracks it anew and forgets the prompt.
    pub add_all_frames_to_correct_as_cond: bool,
    /// Borders of the masks that come out go to the frame's edges where the network is unsure of them, as in
    /// [`crate::CleanUp`]. What is remembered, and so what is tracked, stays the network's.
    pub snap: bool,
}

impl VideoOptions {
    /// Caches of `bytes` together, shared out as the usual ones are.
    pub fn within(bytes: usize) -> Self {
        let feature_bytes = bytes / 5 * 2;
        Self {
            feature_bytes,
            memory_bytes: bytes - feature_bytes,
            ..Self::default()
        }
    }
}

impl Default for VideoOptions {
    /// 256 MiB of features (16 frames of a model at 1024²) and 384 MiB of memories.
    fn default() -> Self {
        Self {
            feature_bytes: 256 << 20,
            memory_bytes: 384 << 20,
            objects_per_pass: None,
            add_all_frames_to_correct_as_cond: false,
            snap: false,
        }
    }
}

/// What was done so far, and where the time went (wall clock; on a GPU the work of one step may be
/// counted in the next).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VideoStats {
    /// Frames that went through the image encoder: once each while their features are cached,
    /// whatever the number of objects.
    pub encodes: u64,
    /// Objects tracked on frames.
    pub tracked: u64,
    /// Memories encoded.
    pub memories: u64,
    pub reading: Duration,
    pub encoding: Duration,
    pub memory_attention: Duration,
    pub decoding: Duration,
    pub memory_encoding: Duration,
}

/// Tracks objects through one video.
pub struct VideoPredictor {
    model: SharedModel,
    frames: Frames,
    size: ImageSize,
    options: VideoOptions,
    objects: Vec<Object>,
    features: FeatureCache,
    snap_pictures: SnapPictures,
    /// Masks of passes and prompts, by frame and object.
    results: BTreeMap<(usize, ObjectId), Rle>,
    /// Where cached tensors lie.
    device: DeviceKind,
    stats: VideoStats,
}

impl std::fmt::Debug for VideoPredictor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VideoPredictor")
            .field("frames", &self.num_frames())
            .field("size", &self.size)
            .field("objects", &self.object_ids())
            .finish_non_exhaustive()
    }
}

impl VideoPredictor {
    /// A clip whose length is known. No frame is read yet.
    ///
    /// # Errors
    /// A clip without frames, and a model that cannot track.
    pub fn new(
        model: SharedModel,
        source: Box<dyn FrameSource>,
        options: VideoOptions,
    ) -> Result<Self, Error> {
        if source.is_empty() {
            return Err(Error::Video("the video has no frames".to_owned()));
        }
        let size = source.size();
        Self::with_frames(model, Frames::Clip(source), size, options)
    }

    fn with_frames(
        model: SharedModel,
        frames: Frames,
        size: ImageSize,
        options: VideoOptions,
    ) -> Result<Self, Error> {
        if !model.base().supports_video() {
            let text = "this model cannot track: it has directly_add_no_mem_embed: false, which the \
                        official code cannot run on a video either; use a published SAM 2 model";
            return Err(Error::Setting(text.to_owned()));
        }
        Ok(Self {
            device: model.runtime().kind,
            features: FeatureCache::new(options.feature_bytes),
            snap_pictures: SnapPictures::default(),
            model,
            frames,
            size,
            options,
            objects: Vec::new(),
            results: BTreeMap::new(),
            stats: VideoStats::default(),
        })
    }

    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Size of the video's pictures: prompts are given and masks come out in its pixels.
    pub fn size(&self) -> ImageSize {
        self.size
    }

    /// Frames of the clip; of a live video, those seen so far.
    pub fn num_frames(&self) -> usize {
        self.frames.seen()
    }

    /// The objects, in the order in which they were added.
    pub fn object_ids(&self) -> Vec<ObjectId> {
        self.objects.iter().map(|object| object.id).collect()
    }

    /// Frames on which `object` was prompted.
    pub fn prompted_frames(&self, object: ObjectId) -> Vec<usize> {
        let frames = |o: &Object| {
            let mut frames: Vec<usize> = o.points.keys().chain(&o.masks).copied().collect();
            frames.sort_unstable();
            frames
        };
        self.object(object).map(frames).unwrap_or_default()
    }

    /// The mask that a pass or a prompt last gave for `object` on `frame`, in pixels of the video.
    pub fn mask(&self, frame: usize, object: ObjectId) -> Option<&Rle> {
        self.results.get(&(frame, object))
    }

    /// The picture of a frame, as the network sees it: of a clip any, of a live video one of the latest.
    ///
    /// # Errors
    /// A frame that the video does not have, or that cannot be read.
    pub async fn picture(&mut self, frame: usize) -> Result<RgbImage, Error> {
        self.frames.read(frame).await
    }

    /// Counters and times.
    pub fn stats(&self) -> VideoStats {
        self.stats
    }

    fn object(&self, id: ObjectId) -> Option<&Object> {
        self.objects.iter().find(|object| object.id == id)
    }

    fn index_of(&self, id: ObjectId) -> Result<usize, Error> {
        self.objects
            .iter()
            .position(|object| object.id == id)
            .ok_or_else(|| {
                let known = self.object_ids();
                Error::Prompt(format!(
                    "there is no object {id}; the objects are {known:?}"
                ))
            })
    }
}
