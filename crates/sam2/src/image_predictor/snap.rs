//! Logits to masks of the picture's size: as they are, or snapped to the picture's edges.

use super::{ImageEmbedding, MASK_THRESHOLD};
use crate::Error;
use crate::snap::{Answered, snapped_mask};
use sam2_image::{Mask, SnapPicture, upsample_threshold};
use sam2_model::ops::cpu::CpuTensor;
use sam2_model::sam::prompt_encoder::PromptPoint;

impl ImageEmbedding {
    /// Logits `[side, side]` stretched to the picture and cut (`postprocess_masks`).
    pub(super) fn stretched(&self, logits: &[f32], side: usize) -> Result<Mask, Error> {
        let target = (self.image.height, self.image.width);
        let mask = upsample_threshold(logits, (side, side), target, MASK_THRESHOLD)?;
        Ok(mask)
    }

    /// As [`ImageEmbedding::stretched`], snapped; `points` in the model's pixels.
    pub(super) fn snapped(
        &self,
        logits: &[f32],
        side: usize,
        points: &[PromptPoint],
    ) -> Result<Mask, Error> {
        let answered = Answered {
            logits,
            side,
            points,
            model_size: self.input.dims()[3],
        };
        snapped_mask(self.snap_picture()?, &answered, self.image)
    }

    /// Made at the first mask that is snapped, from the input that is kept anyway.
    fn snap_picture(&self) -> Result<&SnapPicture, Error> {
        if let Some(picture) = self.snap.get() {
            return Ok(picture);
        }
        let size = self.input.dims()[3];
        let missing = || Error::Setting("the picture's pixels are not in this memory".to_owned());
        let input = CpuTensor::new(self.input.clone()).ok_or_else(missing)?;
        let picture = SnapPicture::of_input(&input.data(), size)?;
        Ok(self.snap.get_or_init(|| picture))
    }
}
