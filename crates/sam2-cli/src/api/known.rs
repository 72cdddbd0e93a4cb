//! What is known of a session's video without asking the network.

use super::propagation::Propagation;
use sam2::image::{ImageSize, Rle};
use sam2::video::{ObjectId, ObjectMask, VideoPredictor};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What HTTP threads read; the inference thread writes it after each step.
#[derive(Default)]
pub struct Known {
    pub size: Option<ImageSize>,
    pub frames: usize,
    pub oldest_frame: usize,
    pub held_bytes: usize,
    pub objects: Vec<KnownObject>,
    pub masks: BTreeMap<(usize, ObjectId), KnownMask>,
    pub propagation: Option<Arc<Propagation>>,
}

/// An object and where it was prompted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KnownObject {
    pub object: ObjectId,
    pub prompted_frames: Vec<usize>,
}

/// An object on a frame.
#[derive(Debug, Clone)]
pub struct KnownMask {
    pub rle: Arc<Rle>,
    pub score: Option<f32>,
    pub iou: Option<f32>,
    pub prompted: bool,
}

impl From<&ObjectMask> for KnownMask {
    fn from(object: &ObjectMask) -> Self {
        Self {
            rle: Arc::new(object.mask.to_rle()),
            score: object.score,
            iou: object.iou,
            prompted: object.prompted,
        }
    }
}

/// A mask with its place.
pub type PlacedMask = ((usize, ObjectId), KnownMask);

impl Known {
    /// Takes over what the predictor knows, and forgets what it forgot.
    pub fn look_at(&mut self, video: &VideoPredictor) {
        let objects = video.object_ids().into_iter().map(|object| KnownObject {
            object,
            prompted_frames: video.prompted_frames(object),
        });
        self.objects = objects.collect();
        self.frames = video.num_frames();
        self.oldest_frame = video.oldest_frame();
        self.held_bytes = video.held().total();
        self.size = (!video.is_live() || self.frames > 0).then(|| video.size());
        if video.is_live() {
            self.forget_live(video);
        } else {
            self.masks
                .retain(|(frame, object), _| video.mask(*frame, *object).is_some());
        }
    }

    /// The predictor of a live video keeps no masks: here are those of the frames that can be prompted.
    fn forget_live(&mut self, video: &VideoPredictor) {
        let of = |known: &KnownObject| {
            let mut frames = video.tracked_frames(known.object);
            frames.extend(&known.prompted_frames);
            (known.object, frames)
        };
        let found: BTreeMap<ObjectId, Vec<usize>> = self.objects.iter().map(of).collect();
        let oldest = self.oldest_frame;
        self.masks.retain(|(frame, object), _| {
            *frame >= oldest
                && found
                    .get(object)
                    .is_some_and(|frames| frames.contains(frame))
        });
    }
}
