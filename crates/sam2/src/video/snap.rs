//! Masks of a frame, snapped to its edges where that is asked for. What is remembered stays the network's.

use super::VideoPredictor;
use super::state::Object;
use crate::Error;
use crate::snap::{Answered, snapped_mask};
use sam2_image::{Mask, SnapPicture, video_preprocess};
use std::collections::VecDeque;

/// Frames whose pictures are kept: those that a person goes to and fro between.
const KEPT: usize = 4;

/// Pictures of the latest frames that were looked at.
#[derive(Debug, Default)]
pub(super) struct SnapPictures(VecDeque<(usize, SnapPicture)>);

impl SnapPictures {
    pub fn get(&self, frame: usize) -> Option<&SnapPicture> {
        let found = self.0.iter().find(|(f, _)| *f == frame);
        found.map(|(_, picture)| picture)
    }

    fn insert(&mut self, frame: usize, picture: SnapPicture) {
        self.0.retain(|(f, _)| *f != frame);
        self.0.push_back((frame, picture));
        if self.0.len() > KEPT {
            self.0.pop_front();
        }
    }
}

impl VideoPredictor {
    /// Whether the masks of frames from now on are snapped to edges.
    pub fn set_snap(&mut self, on: bool) {
        self.options.snap = on;
    }

    /// Has the picture of a frame at hand, where masks are snapped; a live frame that is gone stays gone.
    pub(super) async fn look_at(&mut self, frame: usize) -> Result<(), Error> {
        let there = !self.options.snap || self.snap_pictures.get(frame).is_some();
        if there || !self.frames.can_read(frame) {
            return Ok(());
        }
        let picture = self.frames.read(frame).await?;
        let size = self.model.config().image_size;
        self.keep_picture(frame, &video_preprocess(&picture, size))
    }

    /// Keeps the network's input of a frame as snapping needs it.
    pub(super) fn keep_picture(&mut self, frame: usize, input: &[f32]) -> Result<(), Error> {
        if self.options.snap {
            let size = self.model.config().image_size;
            let picture = SnapPicture::of_input(input, size)?;
            self.snap_pictures.insert(frame, picture);
        }
        Ok(())
    }

    /// The snapped mask of an object's logits; `None` where masks are not snapped, or the frame's picture
    /// is not at hand.
    pub(super) fn snapped(
        &self,
        frame: usize,
        object: &Object,
        logits: &[f32],
    ) -> Result<Option<Mask>, Error> {
        let wanted = self.options.snap.then(|| self.snap_pictures.get(frame));
        let Some(picture) = wanted.flatten() else {
            return Ok(None);
        };
        let config = self.model.config();
        let answered = Answered {
            logits,
            side: config.low_res_size(),
            points: object.points.get(&frame).map_or(&[], Vec::as_slice),
            model_size: config.image_size,
        };
        snapped_mask(picture, &answered, self.size).map(Some)
    }
}
