//! Live video: frames that arrive one by one, without a known length.

use super::frames::{Frames, LiveFrames};
use super::output::FrameMasks;
use super::{VideoOptions, VideoPredictor};
use crate::{Error, SharedModel};
use sam2_image::{ImageSize, RgbImage};

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
        Self::with_frames(model, Frames::Live(LiveFrames::default()), size, options)
    }

    /// Takes the next frame and tracks the objects on it. Answers with the frame's number and its
    /// masks; without objects there are none. The latest frames can be prompted.
    ///
    /// # Errors
    /// A picture of another size, a clip instead of a live video, and as
    /// [`VideoPredictor::next_frame`].
    pub async fn push_frame(&mut self, picture: RgbImage) -> Result<FrameMasks, Error> {
        if (picture.width(), picture.height()) != (self.size.width, self.size.height) {
            let text = format!(
                "the frame is {} x {}, the live video {} x {}: frames must be of one size",
                picture.width(),
                picture.height(),
                self.size.width,
                self.size.height
            );
            return Err(Error::Video(text));
        }
        let Frames::Live(live) = &mut self.frames else {
            return Err(Error::Video(
                "a clip takes no frames: open a live video for that".to_owned(),
            ));
        };
        let frame = live.push(picture);
        if self.objects.is_empty() {
            return Ok(FrameMasks {
                frame,
                objects: Vec::new(),
            });
        }
        self.preflight()?;
        let masks = self.track_frame(frame, false).await?;
        self.forget_before(frame);
        Ok(masks)
    }

    /// Drops what no later frame can look at.
    fn forget_before(&mut self, frame: usize) {
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
