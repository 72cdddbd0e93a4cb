//! The latest frames of a live video.

use super::fit;
use crate::video::LivePictures;
use sam2_image::RgbImage;
use std::collections::VecDeque;

/// The last few pictures, so that one of them can be prompted.
#[derive(Debug)]
pub(in crate::video) struct LiveFrames {
    /// The newest last.
    latest: VecDeque<RgbImage>,
    seen: usize,
    keep: LivePictures,
}

impl LiveFrames {
    /// Pictures that are kept: half a second of a person's hesitation before the click.
    pub const KEPT: usize = 16;

    pub fn within(keep: LivePictures) -> Self {
        Self {
            latest: VecDeque::new(),
            seen: 0,
            keep,
        }
    }

    /// Takes a picture; its number. None goes before [`LiveFrames::trim`]: of a frame that was just
    /// prompted the memory is made while the next one is tracked.
    pub fn push(&mut self, picture: RgbImage) -> usize {
        self.latest.push_back(fit(picture, self.keep.max_dimension));
        self.seen += 1;
        self.seen - 1
    }

    /// Gives the newest back: it was not taken.
    pub fn take_back(&mut self) {
        if self.latest.pop_back().is_some() {
            self.seen -= 1;
        }
    }

    /// Drops the pictures beyond those that are kept.
    pub fn trim(&mut self) {
        let one = self.latest.back().map_or(0, |newest| newest.data().len());
        let most = (self.keep.bytes / one.max(1)).clamp(1, Self::KEPT);
        let beyond = self.latest.len().saturating_sub(most);
        self.latest.drain(..beyond);
    }

    pub fn seen(&self) -> usize {
        self.seen
    }

    /// The oldest one that is there.
    pub fn oldest(&self) -> usize {
        self.seen - self.latest.len()
    }

    pub fn bytes(&self) -> usize {
        self.latest.iter().map(|picture| picture.data().len()).sum()
    }

    pub fn get(&self, frame: usize) -> Option<&RgbImage> {
        self.latest.get(frame.checked_sub(self.oldest())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After 40 frames of 2 x 1 pixels.
    fn after_40(keep: LivePictures) -> LiveFrames {
        let mut live = LiveFrames::within(keep);
        for i in 0..40_u8 {
            let picture = RgbImage::from_rgb(2, 1, vec![i; 6]).unwrap();
            assert_eq!(live.push(picture), usize::from(i));
            live.trim();
        }
        live
    }

    #[test]
    fn only_the_latest_stay_and_keep_their_numbers() {
        let mut live = after_40(LivePictures::default());
        assert_eq!((live.seen(), live.latest.len()), (40, LiveFrames::KEPT));
        assert_eq!(live.get(39).unwrap().data()[0], 39);
        assert_eq!(live.get(24).unwrap().data()[0], 24);
        assert!(live.get(23).is_none() && live.get(40).is_none());
        live.take_back();
        assert!(live.get(39).is_none());
        assert_eq!((live.seen(), live.oldest(), live.bytes()), (39, 24, 90));
    }

    #[test]
    fn a_budget_keeps_fewer_but_always_the_newest() {
        let keep = |max_dimension, bytes| LivePictures {
            max_dimension,
            bytes,
        };
        assert_eq!(after_40(keep(0, 20)).oldest(), 37);
        assert_eq!(after_40(keep(0, 0)).oldest(), 39);
        let small = after_40(keep(1, 20));
        assert_eq!((small.get(39).unwrap().width(), small.oldest()), (1, 34));
    }
}
