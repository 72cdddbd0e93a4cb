//! The encoded picture: made, checked, and made again where it was damaged or its device went away.

use super::{ImagePredictor, at};
use crate::Error;
use crate::checked::{Held, Input, Ladder, Seal, guarded, verify};
use crate::device::{DeviceKind, Runtime};
#[cfg(feature = "fault-injection")]
use crate::inject::{self, Site};
use burn::tensor::Tensor;
use sam2_image::{ImageSize, SnapPicture};
use sam2_model::ops::cpu::CpuTensor;
use sam2_model::ops::from_vec;
use sam2_model::sam::mask_decoder::HighResFeatures;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, OnceLock, PoisonError};

/// A picture that was encoded. Decoding takes it, so that an answer can never belong to another
/// picture.
#[derive(Debug)]
pub struct ImageEmbedding {
    pub(super) image: ImageSize,
    /// `[1, 3, S, S]` in this computer's memory, kept so that the picture can be encoded again: where
    /// the embedding was found damaged, or the CPU has to take over.
    pub(super) input: Tensor<4>,
    encoded: Mutex<Encoded>,
    /// The picture as snapping masks to edges needs it, where that was asked for.
    pub(super) snap: OnceLock<SnapPicture>,
}

/// The network's view of a picture.
#[derive(Debug, Clone)]
pub(super) struct Encoded {
    /// `[1, HW, C]`, with `no_mem_embed` where the model adds it.
    pub embed: Tensor<3>,
    pub high_res: Option<HighResFeatures>,
    pub device: DeviceKind,
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
    pub fn input(&self) -> Input {
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

impl ImagePredictor {
    /// The checked embedding of a preprocessed picture.
    pub(super) async fn embed(
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
                        snap: OnceLock::new(),
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

    pub(super) fn lock<'a>(
        &self,
        embedding: &'a ImageEmbedding,
    ) -> std::sync::MutexGuard<'a, Encoded> {
        // A panic while it was held cannot have left it half-written: it is replaced whole.
        embedding
            .encoded
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Encodes the picture again, where the model works now.
    pub(super) async fn encode_again(&self, embedding: &ImageEmbedding) -> Result<(), Error> {
        let encoded = self.encode(&embedding.input, &|_, _| {}).await?;
        *self.lock(embedding) = encoded;
        Ok(())
    }
}
