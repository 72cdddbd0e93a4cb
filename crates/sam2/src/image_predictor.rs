//! `SAM2ImagePredictor` (sam2/sam2_image_predictor.py): a picture is encoded once, then each prompt
//! costs the prompt encoder, the mask decoder and one read.

mod embedding;
mod features;
mod snap;

pub use embedding::ImageEmbedding;
pub use features::Features;

use crate::checked::{Answer, Ladder, guarded, read_answer_of};
#[cfg(feature = "fault-injection")]
use crate::inject::{self, Site};
use crate::model::SharedModel;
use crate::prompt::{LowResMask, Prompt};
use crate::{Error, Model};
use sam2_image::{ImageSize, Mask, RgbImage, preprocess};
use sam2_model::ops::from_vec;
use sam2_model::sam::prompt_encoder::PromptPoint;
use sam2_model::select::select;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Masks are where the logits are above this (`mask_threshold`).
pub const MASK_THRESHOLD: f32 = 0.0;

/// One mask of an answer.
#[derive(Debug, Clone)]
pub struct PredictedMask {
    /// In pixels of the oriented picture.
    pub mask: Mask,
    /// Predicted IoU.
    pub iou: f32,
    /// Low-resolution logits, clamped to ±32: a later prompt's mask input.
    pub low_res: LowResMask,
}

/// The answer to a prompt: three masks, or one.
#[derive(Debug, Clone)]
pub struct Prediction {
    pub masks: Vec<PredictedMask>,
}

impl Prediction {
    /// Index of the mask with the highest predicted IoU.
    pub fn best(&self) -> usize {
        let iou: Vec<f32> = self.masks.iter().map(|m| m.iou).collect();
        sam2_model::select::argmax(&iou)
    }
}

/// What is done to the masks that are returned, in this order; nothing by default. The logits stay as they are, so
/// that refining goes on from what the network answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CleanUp {
    /// The border goes to the picture's edges where the network is unsure of it ([`sam2_image::SnapPicture`]): for small
    /// models, whose masks are rough.
    pub snap: bool,
    /// Holes up to this many pixels of the picture are filled.
    pub fill_holes: usize,
    /// Islands up to this many pixels of the picture are removed.
    pub remove_islands: usize,
}

/// Segments pictures with one model.
#[derive(Debug, Clone)]
pub struct ImagePredictor {
    model: SharedModel,
    encodes: Arc<AtomicU64>,
}

impl ImagePredictor {
    pub fn new(model: SharedModel) -> Self {
        Self {
            model,
            encodes: Arc::default(),
        }
    }

    pub fn model(&self) -> &Model {
        &self.model
    }

    /// How many times the image encoder has run: a prompt must not raise it.
    pub fn encodes(&self) -> u64 {
        self.encodes.load(Ordering::Relaxed)
    }

    /// Resizes, normalises and encodes a picture (`set_image`).
    ///
    /// # Errors
    /// [`Error::DeviceLost`] where the device does not answer and the CPU cannot take over either.
    pub async fn set_image(&self, image: &RgbImage) -> Result<ImageEmbedding, Error> {
        self.set_image_telling(image, &|_, _| {}).await
    }

    /// As [`ImagePredictor::set_image`]; `on_block(done, of)` is told how far the encoder is (on a GPU,
    /// how much of it was handed over).
    ///
    /// # Errors
    /// As [`ImagePredictor::set_image`].
    pub async fn set_image_telling(
        &self,
        image: &RgbImage,
        on_block: &dyn Fn(usize, usize),
    ) -> Result<ImageEmbedding, Error> {
        let input = preprocess(image, self.model.config().image_size);
        let (width, height) = (image.width(), image.height());
        self.embed(input, ImageSize { width, height }, on_block)
            .await
    }

    /// Encodes a picture that was preprocessed elsewhere (`sam2_image::preprocess`), so that the next
    /// picture can be prepared while this one is encoded. The embedding has passed the mask check.
    ///
    /// # Errors
    /// As [`ImagePredictor::set_image`]; [`Error::Fault`] where no device gave a sound embedding.
    pub async fn set_input(
        &self,
        input: Vec<f32>,
        image: ImageSize,
    ) -> Result<ImageEmbedding, Error> {
        self.set_input_telling(input, image, &|_, _| {}).await
    }

    /// As [`ImagePredictor::set_input`]; `on_block` as in [`ImagePredictor::set_image_telling`].
    ///
    /// # Errors
    /// As [`ImagePredictor::set_input`].
    pub async fn set_input_telling(
        &self,
        input: Vec<f32>,
        image: ImageSize,
        on_block: &dyn Fn(usize, usize),
    ) -> Result<ImageEmbedding, Error> {
        self.embed(input, image, on_block).await
    }

    /// Masks for a prompt (`predict`), changed as `clean_up` says.
    ///
    /// # Errors
    /// A prompt outside the picture; [`Error::Fault`] where no device gave an answer that passes the
    /// mask check (read again, computed again, computed on the CPU).
    pub async fn predict(
        &self,
        embedding: &ImageEmbedding,
        prompt: &Prompt,
        clean_up: CleanUp,
    ) -> Result<Prediction, Error> {
        let config = self.model.config();
        let points = prompt.to_model(embedding.image, config.image_size)?;
        let answer = self
            .answer(embedding, &points, prompt.mask_input.as_ref())
            .await?;
        let args = &config.sam_mask_decoder_extra_args;
        let selection = select(&answer.masks, &answer.iou, prompt.multimask, args);
        let (h, w) = answer.size;
        let masks = selection.tokens().map(|token| {
            let logits = &answer.masks[token * h * w..(token + 1) * h * w];
            let mask = match clean_up.snap {
                true => embedding.snapped(logits, h, &points)?,
                false => embedding.stretched(logits, h)?,
            };
            Ok(finish(mask, logits, h, answer.iou[token], clean_up))
        });
        Ok(Prediction {
            masks: masks.collect::<Result<_, Error>>()?,
        })
    }

    /// Decodes until an answer passes the mask check: once more on the same device, then on the CPU.
    async fn answer(
        &self,
        embedding: &ImageEmbedding,
        points: &[PromptPoint],
        mask: Option<&LowResMask>,
    ) -> Result<Answer, Error> {
        let (mut ladder, mut damaged) = (Ladder::new(&self.model), false);
        loop {
            let work = async {
                // Another picture's work may have moved the model, too.
                if damaged || self.lock(embedding).device != self.model.runtime().kind {
                    self.encode_again(embedding).await?;
                }
                self.decode(embedding, points, mask).await
            };
            let error = match guarded(self.model.runtime(), work).await {
                Ok(answer) => {
                    ladder.passed();
                    return Ok(answer);
                }
                Err(error) => at(error, embedding.image),
            };
            damaged = matches!(&error, Error::Fault(fault) if fault.input);
            ladder.refuse(&self.model, error)?;
        }
    }

    /// One decode and its read.
    async fn decode(
        &self,
        embedding: &ImageEmbedding,
        points: &[PromptPoint],
        mask: Option<&LowResMask>,
    ) -> Result<Answer, Error> {
        let (base, runtime) = (self.model.base(), self.model.runtime());
        #[allow(unused_mut)] // for the faults of tests
        let mut encoded = self.lock(embedding).clone();
        #[cfg(feature = "fault-injection")]
        {
            let site = Site::CachedEmbedding;
            encoded.embed = inject::tensor(runtime.kind, site, encoded.embed).await?;
        }
        let inputs = [encoded.input()];
        let mask = mask.map(|m| from_vec(m.logits.to_vec(), [1, m.side, m.side, 1], base.device()));
        let output = base.decode(
            encoded.embed,
            encoded.high_res.as_ref(),
            &[points.to_vec()],
            mask,
        );
        let sigmoid = base.config.iou_prediction_use_sigmoid;
        read_answer_of(runtime, &output, sigmoid, None, &inputs).await
    }
}

/// A mask and the checked logits it came from, with small holes and islands removed.
fn finish(
    mut mask: Mask,
    logits: &[f32],
    side: usize,
    iou: f32,
    clean_up: CleanUp,
) -> PredictedMask {
    if clean_up.fill_holes > 0 {
        mask.fill_holes(clean_up.fill_holes);
    }
    if clean_up.remove_islands > 0 {
        mask.remove_islands(clean_up.remove_islands);
    }
    let logits = logits.iter().map(|v| v.clamp(-32.0, 32.0)).collect();
    PredictedMask {
        mask,
        iou,
        low_res: LowResMask { logits, side },
    }
}

/// A fault, with the size of the picture it belongs to.
fn at(error: Error, image: ImageSize) -> Error {
    match error {
        Error::Fault(mut fault) => {
            fault.size = Some(image);
            Error::Fault(fault)
        }
        other => other,
    }
}
