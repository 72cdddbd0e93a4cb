//! The latest frames of a live video.

use sam2_image::RgbImage;
use std::collections::VecDeque;

/// The last few pictures, so that one of them can be prompted.
#[derive(Debug, Default)]
pub(in crate::video) struct LiveFrames {
    /// The newest last.
    latest: VecDeque<RgbImage>,
    seen: usize,
}

impl LiveFrames {
    /// Pictures that are kept: half a second of a person's hesitation before the click.
    pub const KEPT: usize = 16;

    /// Takes a picture; its number.
    pub fn push(&mut self, picture: RgbImage) -> usize {
        if self.latest.len() == Self::KEPT {
            self.latest.pop_front();
        }
        self.latest.push_back(picture);
        self.seen += 1;
        self.seen - 1
    }

    pub fn seen(&self) -> usize {
        self.seen
    }

    pub fn get(&self, frame: usize) -> Option<&RgbImage> {
        let oldest = self.seen - self.latest.len();
        self.latest.get(frame.checked_sub(oldest)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_latest_stay_and_keep_their_numbers() {
        let mut live = LiveFrames::default();
        for i in 0..40_u8 {
            let picture = RgbImage::from_rgb(2, 1, vec![i; 6]).unwrap();
            assert_eq!(live.push(picture), usize::from(i));
        }
        assert_eq!((live.seen(), live.latest.len()), (40, LiveFrames::KEPT));
        assert_eq!(live.get(39).unwrap().data()[0], 39);
        assert_eq!(live.get(24).unwrap().data()[0], 24);
        assert!(live.get(23).is_none() && live.get(40).is_none());
    }
}
