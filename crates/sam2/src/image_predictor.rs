//! `SAM2ImagePredictor` (sam2/sam2_image_predictor.py): a picture is encoded once, then each prompt
//! costs the prompt encoder, the mask decoder and one read.

use crate::checked::{Answer, Held, Input, Ladder, Seal, guarded, read, read_answer_of, verify};
use crate::device::{DeviceKind, Runtime};
#[cfg(feature = "fault-injection")]
use crate::inject::{self, Site};
use crate::model::SharedModel;
use crate::prompt::{LowResMask, Prompt};
use crate::{Error, Model};
use burn::tensor::Tensor;
use sam2_image::{ImageSize, Mask, RgbImage, preprocess, upsample_threshold};
use sam2_model::ops::cpu::CpuTensor;
use sam2_model::ops::from_vec;
use sam2_model::sam::mask_decoder::HighResFeatures;
use sam2_model::sam::prompt_encoder::PromptPoint;
use sam2_model::select::select;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Masks are where the logits are above this (`mask_threshold`).
pub const MASK_THRESHOLD: f32 = 0.0;

/// A picture that was encoded. Decoding takes it, so that an answer can never belong to another
/// picture.
#[derive(Debug)]
pub struct ImageEmbedding {
    image: ImageSize,
    /// `[1, 3, S, S]` in this computer's memory, kept so that the picture can be encoded again: where
    /// the embedding was found damaged, or the CPU has to take over.
    input: Tensor<4>,
    encoded: Mutex<Encoded>,
}

/// The network's view of a picture.
#[derive(Debug, Clone)]
struct Encoded {
    /// `[1, HW, C]`, with `no_mem_embed` where the model adds it.
    embed: Tensor<3>,
    high_res: Option<HighResFeatures>,
    device: DeviceKind,
    /// Of both, taken when they were made.
    seal: Seal,
}

/// What an embedding's seal is taken of.
fn held(embed: &Tensor<3>, high_res: Option<&HighResFeatures>) -> Held {
    let held = Held::new("the picture's embedding").with(embed);
    match high_res {
        Some(HighResFeatures { s0, s1 }) => held.with(s0).with(s1),
        None => held,
    }
}

impl Encoded {
    fn input(&self) -> Input {
        Input {
            held: held(&self.embed, self.high_res.as_ref()),
            seal: self.seal.clone(),
        }
    }
}

impl ImageEmbedding {
    /// Size of the oriented picture.
    pub fn image_size(&self) -> ImageSize {
        self.image
    }
}

/// The features as the official code lays them out, for comparisons.
#[derive(Debug, Clone)]
pub struct Features {
    /// Values and shape `[1, C, H, W]` of `image_embed`.
    pub embed: (Vec<f32>, [usize; 4]),
    /// The high-resolution features, stride 4 and 8.
    pub high_res: Vec<(Vec<f32>, [usize; 4])>,
}

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

/// Small holes and islands removed from what is returned; 0 leaves them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CleanUp {
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

    async fn embed(
        &self,
        input: Vec<f32>,
        image: ImageSize,
        on_block: &dyn Fn(usize, usize),
    ) -> Result<ImageEmbedding, Error> {
        let size = self.model.config().image_size;
        if input.len() != 3 * size * size {
            let text = format!("the preprocessed picture is not 3 x {size} x {size}");
            return Err(Error::Setting(text));
        }
        let cpu = Runtime::cpu("the picture is kept here");
        let input = from_vec(input, [1, 3, size, size], cpu.device());
        let mut ladder = Ladder::new(&self.model);
        loop {
            let made = async {
                let encoded = self.encode(&input, on_block).await?;
                verify(self.model.runtime(), &encoded.input()).await?;
                Ok(encoded)
            };
            let error = match guarded(self.model.runtime(), made).await {
                Ok(encoded) => {
                    ladder.passed();
                    let encoded = Mutex::new(encoded);
                    return Ok(ImageEmbedding {
                        image,
                        input,
                        encoded,
                    });
                }
                Err(error) => at(error, image),
            };
            ladder.refuse(&self.model, error)?;
        }
    }

    /// The image encoder, and the seal of what it made.
    async fn encode(
        &self,
        input: &Tensor<4>,
        on_block: &dyn Fn(usize, usize),
    ) -> Result<Encoded, Error> {
        self.encodes.fetch_add(1, Ordering::Relaxed);
        let (base, runtime) = (self.model.base(), self.model.runtime());
        let input = match (runtime.kind, CpuTensor::new(input.clone())) {
            (DeviceKind::Gpu, Some(values)) => {
                from_vec(values.data().into_owned(), input.dims(), base.device())
            }
            // The same memory: nothing is copied.
            _ => input.clone(),
        };
        let features = base.forward_image_telling(input, on_block);
        let (embed, high_res) = (base.image_embedding(&features), features.high_res);
        let seal = Seal::take(runtime, &held(&embed, high_res.as_ref()));
        #[cfg(feature = "fault-injection")]
        let embed = inject::tensor(runtime.kind, Site::Embedding, embed).await?;
        Ok(Encoded {
            embed,
            high_res,
            device: runtime.kind,
            seal,
        })
    }

    fn lock<'a>(&self, embedding: &'a ImageEmbedding) -> std::sync::MutexGuard<'a, Encoded> {
        // A panic while it was held cannot have left it half-written: it is replaced whole.
        embedding
            .encoded
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Encodes the picture again, where the model works now.
    async fn encode_again(&self, embedding: &ImageEmbedding) -> Result<(), Error> {
        let encoded = self.encode(&embedding.input, &|_, _| {}).await?;
        *self.lock(embedding) = encoded;
        Ok(())
    }

    /// Masks for a prompt (`predict`), with small holes and islands removed as `clean_up` says.
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
            self.finish(embedding.image, logits, (h, w), answer.iou[token], clean_up)
        });
        Ok(Prediction {
            masks: masks.collect::<Result<_, _>>()?,
        })
    }

    /// Checked logits to a mask of the picture's size.
    fn finish(
        &self,
        image: ImageSize,
        logits: &[f32],
        size: (usize, usize),
        iou: f32,
        clean_up: CleanUp,
    ) -> Result<PredictedMask, Error> {
        let target = (image.height, image.width);
        let mut mask = upsample_threshold(logits, size, target, MASK_THRESHOLD)?;
        if clean_up.fill_holes > 0 {
            mask.fill_holes(clean_up.fill_holes);
        }
        if clean_up.remove_islands > 0 {
            mask.remove_islands(clean_up.remove_islands);
        }
        let logits = logits.iter().map(|v| v.clamp(-32.0, 32.0)).collect();
        Ok(PredictedMask {
            mask,
            iou,
            low_res: LowResMask {
                logits,
                side: size.0,
            },
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

    /// The features of an encoded picture, planes first, as the official predictor keeps them.
    ///
    /// # Errors
    /// As [`ImagePredictor::predict`].
    pub async fn features(&self, embedding: &ImageEmbedding) -> Result<Features, Error> {
        let Encoded {
            embed, high_res, ..
        } = self.lock(embedding).clone();
        let [_, hw, c] = embed.dims();
        let side = hw.isqrt();
        let embed = self.planes(embed.reshape([1, side, side, c])).await?;
        let mut levels = Vec::new();
        if let Some(HighResFeatures { s0, s1 }) = high_res {
            levels = vec![self.planes(s0).await?, self.planes(s1).await?];
        }
        Ok(Features {
            embed,
            high_res: levels,
        })
    }

    async fn planes(&self, x: Tensor<4>) -> Result<(Vec<f32>, [usize; 4]), Error> {
        let [b, h, w, c] = x.dims();
        let values = x.permute([0, 3, 1, 2]).reshape([b * c * h * w]);
        let values = read(self.model.runtime(), "the features", values).await?;
        Ok((values, [b, c, h, w]))
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
