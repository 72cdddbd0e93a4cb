//! Live video: frames that arrive one by one, without a known length.

use super::frames::{Frames, LiveFrames};
use super::output::FrameMasks;
use super::{VideoOptions, VideoPredictor};
use crate::{Error, SharedModel};
use sam2_image::{ImageSize, RgbImage};

/// What a live video keeps of its pictures, so that one of the latest can be prompted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LivePictures {
    /// A picture is made smaller until its longer side is at most so many pixels (0: never). Masks keep
    /// the original size, as those of a clip do.
    pub max_dimension: usize,
    /// As many are kept as fit, the newest always.
    pub bytes: usize,
}

impl Default for LivePictures {
    fn default() -> Self {
        Self {
            max_dimension: 0,
            bytes: usize::MAX,
        }
    }
}

impl VideoPredictor {
    /// A live video (a webcam, a stream) with pictures of `size`; [`VideoPredictor::push_frame`] feeds
    /// it.
    ///
    /// The length of a clip changes the encoding of object pointers below 16 frames; a live video is
    /// taken as a long one from its first frame on, so that the encoding never changes. Memory of
    /// frames that the network cannot look back at any more is dropped, so hours cost no more than
    /// minutes; prompted frames are kept.
    ///
    /// # Errors
    /// A model that cannot track.
    pub fn live(model: SharedModel, size: ImageSize, options: VideoOptions) -> Result<Self, Error> {
        Self::live_within(model, size, options, LivePictures::default())
    }

    /// As [`VideoPredictor::live`], with bounds on the pictures that are kept for prompts.
    ///
    /// # Errors
    /// As [`VideoPredictor::live`].
    pub fn live_within(
        model: SharedModel,
        size: ImageSize,
        options: VideoOptions,
        pictures: LivePictures,
    ) -> Result<Self, Error> {
        let frames = Frames::Live(LiveFrames::within(pictures));
        Self::with_frames(model, frames, size, options)
    }

    /// Is it a live video?
    pub fn is_live(&self) -> bool {
        self.frames.clip_len().is_none()
    }

    /// The oldest frame that can be prompted: of a clip the first, of a live video the oldest one whose
    /// picture is kept.
    pub fn oldest_frame(&self) -> usize {
        match &self.frames {
            Frames::Clip(_) => 0,
            Frames::Live(live) => live.oldest(),
        }
    }

    /// Takes the next frame and tracks the objects on it. Answers with the frame's number and its
    /// masks; without objects there are none. The latest frames can be prompted. On an error the frame
    /// was not taken: the next one that is has its number.
    ///
    /// # Errors
    /// A picture of another size, a clip instead of a live video, an object without a prompt, and as
    /// [`VideoPredictor::next_frame`].
    pub async fn push_frame(&mut self, picture: RgbImage) -> Result<FrameMasks, Error> {
        let frame = self.frames.push(picture, self.size)?;
        let masks = self.track_pushed(frame).await;
        match masks.is_ok() {
            true => self.forget_before(frame),
            false => self.take_back(frame),
        }
        masks
    }

    async fn track_pushed(&mut self, frame: usize) -> Result<FrameMasks, Error> {
        if self.objects.is_empty() {
            return Ok(FrameMasks {
                frame,
                objects: Vec::new(),
            });
        }
        self.preflight()?;
        self.track_frame(frame, false).await
    }

    /// The frame could not be tracked: nothing of it stays.
    fn take_back(&mut self, frame: usize) {
        if let Frames::Live(live) = &mut self.frames {
            live.take_back();
        }
        self.features.remove(frame);
    }

    /// Drops what no later frame can look at.
    fn forget_before(&mut self, frame: usize) {
        if let Frames::Live(live) = &mut self.frames {
            live.trim();
            // Without its picture a frame cannot be prompted, and the memories of its prompts are made.
            self.features.forget_before(live.oldest());
        }
        let config = self.model.config();
        let spatial = config.memory_temporal_stride_for_eval * config.num_maskmem;
        let oldest = frame.saturating_sub(
            spatial
                .max(config.max_obj_ptrs_in_encoder)
                .max(LiveFrames::KEPT)
                + 1,
        );
        for object in &mut self.objects {
            object.outputs.non_cond.retain(|at, _| *at >= oldest);
            // A prompt on a dropped frame is refused, so nobody asks whether it was tracked.
            object.tracked = object.tracked.split_off(&oldest);
        }
    }
}
