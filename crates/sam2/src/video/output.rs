//! What people get to see of a frame: masks of the video's size.

use super::VideoPredictor;
use super::state::{Object, ObjectId, Output};
use crate::Error;
use crate::image_predictor::MASK_THRESHOLD;
use sam2_image::{Mask, Rle, upsample_logits, upsample_threshold};

/// All objects on one frame.
#[derive(Debug, Clone)]
pub struct FrameMasks {
    pub frame: usize,
    /// In the order of [`VideoPredictor::object_ids`].
    pub objects: Vec<ObjectMask>,
}

impl FrameMasks {
    /// The object `id`.
    pub fn object(&self, id: ObjectId) -> Option<&ObjectMask> {
        self.objects.iter().find(|object| object.id == id)
    }
}

/// One object on one frame.
#[derive(Debug, Clone)]
pub struct ObjectMask {
    pub id: ObjectId,
    /// In pixels of the video; empty where the object is absent, and where there is no score.
    pub mask: Mask,
    /// Above 0 the object is there. `None` where it was never looked for on this frame, or nothing is
    /// left of what was found (a live video under memory pressure).
    pub score: Option<f32>,
    /// Predicted IoU of the mask; 1 for a mask prompt. `None` as the score.
    pub iou: Option<f32>,
    /// Was it prompted on this frame?
    pub prompted: bool,
}

impl ObjectMask {
    /// Is the object there?
    pub fn visible(&self) -> bool {
        self.score.is_some_and(|score| score > 0.0)
    }
}

/// Low-resolution logits, `[side, side]` row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct LowResLogits {
    pub side: usize,
    pub values: Vec<f32>,
}

impl VideoPredictor {
    /// The low-resolution logits of a frame's mask, small holes filled (the official `pred_masks`), as
    /// the last pass left them. `None` where the object was not tracked there, or the logits were
    /// dropped under memory pressure.
    pub fn low_res_logits(&self, frame: usize, object: ObjectId) -> Option<LowResLogits> {
        let outputs = &self.object(object)?.outputs;
        let output = outputs
            .non_cond
            .get(&frame)
            .or_else(|| outputs.cond.get(&frame))?;
        let side = self.model().config().low_res_size();
        Some(LowResLogits {
            side,
            values: self.pred_masks(output)?,
        })
    }

    /// The frames on which `object` has an output of a pass, in order.
    pub fn tracked_frames(&self, object: ObjectId) -> Vec<usize> {
        let Some(object) = self.object(object) else {
            return Vec::new();
        };
        let outputs = &object.outputs;
        let mut frames: Vec<usize> = outputs
            .cond
            .keys()
            .chain(outputs.non_cond.keys())
            .copied()
            .collect();
        frames.sort_unstable();
        frames.dedup();
        frames
    }

    /// The answers to prompts on a frame, those of other objects from earlier passes
    /// (`_consolidate_temp_output_across_obj`). The official code looks among answers of the prompted
    /// object's kind only, and so shows what a correction of another object replaced.
    pub(super) fn consolidated(&mut self, frame: usize) -> Result<FrameMasks, Error> {
        let outputs = self.objects.iter().map(|object| {
            // Where both are there the frame was tracked in between: the correction is the later one.
            let latest = [&object.temp.non_cond, &object.temp.cond];
            latest
                .iter()
                .find_map(|answers| answers.get(&frame))
                .or_else(|| object.outputs.get(frame))
        });
        let masks = self.frame_masks(frame, &outputs.collect::<Vec<_>>())?;
        self.keep(&masks);
        Ok(masks)
    }

    /// The masks after a pass went over a frame.
    pub(super) fn tracked_masks(&mut self, frame: usize) -> Result<FrameMasks, Error> {
        let outputs = self.objects.iter().map(|object| object.outputs.get(frame));
        let masks = self.frame_masks(frame, &outputs.collect::<Vec<_>>())?;
        self.keep(&masks);
        Ok(masks)
    }

    /// Keeps masks as RLE. A live video keeps none: it would grow for ever.
    fn keep(&mut self, masks: &FrameMasks) {
        if self.frames.clip_len().is_none() {
            return;
        }
        for object in masks.objects.iter().filter(|object| object.score.is_some()) {
            self.results
                .insert((masks.frame, object.id), object.mask.to_rle());
        }
    }

    /// `_get_orig_video_res_output`: logits stretched to the video's size, then cut at 0; with
    /// `non_overlap_masks` a pixel belongs to the object with the highest logit. Logits that were dropped
    /// under memory pressure left their mask behind, as run lengths.
    fn frame_masks(&self, frame: usize, outputs: &[Option<&Output>]) -> Result<FrameMasks, Error> {
        let (width, height) = (self.size.width, self.size.height);
        let logits: Vec<Option<Vec<f32>>> = outputs
            .iter()
            .map(|output| output.and_then(|output| self.pred_masks(output)))
            .collect();
        let mut found = Vec::with_capacity(logits.len());
        let mut masks = Vec::with_capacity(logits.len());
        for ((object, output), logits) in self.objects.iter().zip(outputs).zip(&logits) {
            let mask = match (logits, output) {
                (Some(logits), _) => Some(self.shown(frame, object, logits)?),
                (None, Some(_)) => self.mask(frame, object.id).map(Rle::to_mask),
                (None, None) => None,
            };
            // A score without its mask would say that the object is not there.
            found.push(output.filter(|_| mask.is_some()));
            masks.push(mask.unwrap_or_else(|| Mask::empty(width, height)));
        }
        if self.model().config().non_overlap_masks && masks.len() > 1 {
            masks = self.without_overlap(masks, &logits)?;
        }
        let objects = self
            .objects
            .iter()
            .zip(found)
            .zip(masks)
            .map(|((object, found), mask)| ObjectMask {
                id: object.id,
                mask,
                score: found.map(|output| output.object_score),
                iou: found.map(|output| output.iou),
                prompted: object.points.contains_key(&frame) || object.masks.contains(&frame),
            });
        Ok(FrameMasks {
            frame,
            objects: objects.collect(),
        })
    }

    /// The mask that is shown of an object's logits.
    fn shown(&self, frame: usize, object: &Object, logits: &[f32]) -> Result<Mask, Error> {
        if let Some(mask) = self.snapped(frame, object, logits)? {
            return Ok(mask);
        }
        // Without the frame's picture what was snapped before is the best there is.
        let before = self.mask(frame, object.id).filter(|_| self.options.snap);
        if let Some(mask) = before {
            return Ok(mask.to_mask());
        }
        let side = self.model().config().low_res_size();
        let target = (self.size.height, self.size.width);
        Ok(upsample_threshold(
            logits,
            (side, side),
            target,
            MASK_THRESHOLD,
        )?)
    }

    /// `_apply_non_overlapping_constraints`: of the objects that claim a pixel the one with the highest
    /// logit keeps it, the first where they are equal. A mask whose logits are gone, or that reaches beyond
    /// them to an edge, keeps what nobody else claims. One object's stretched logits at a time.
    fn without_overlap(
        &self,
        masks: Vec<Mask>,
        logits: &[Option<Vec<f32>>],
    ) -> Result<Vec<Mask>, Error> {
        let (width, height) = (self.size.width, self.size.height);
        let side = self.model().config().low_res_size();
        // A pixel that nobody claims needs no owner: 0 is the threshold.
        let mut best = vec![0.0_f32; width * height];
        let mut owner = vec![usize::MAX; width * height];
        for (i, logits) in logits.iter().enumerate() {
            let Some(logits) = logits else { continue };
            let stretched = upsample_logits(logits, (side, side), (height, width))?;
            for ((value, best), owner) in stretched.iter().zip(&mut best).zip(&mut owner) {
                if *value > *best {
                    (*best, *owner) = (*value, i);
                }
            }
        }
        let mut owned = |(i, mask): (usize, Mask)| -> Result<Mask, Error> {
            let takes_free = logits[i].is_none() || self.options.snap;
            let keep = |(bit, owner): (&u8, &mut usize)| {
                if *owner == usize::MAX && takes_free && *bit == 1 {
                    *owner = i;
                }
                bit & u8::from(*owner == i)
            };
            let bits = mask.bits().iter().zip(&mut owner).map(keep).collect();
            Ok(Mask::from_bytes(width, height, bits)?)
        };
        masks.into_iter().enumerate().map(&mut owned).collect()
    }
}
