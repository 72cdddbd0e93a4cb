//! What the encoder made of a picture, for comparisons with the official code.

use super::embedding::Encoded;
use super::{ImageEmbedding, ImagePredictor};
use crate::Error;
use crate::checked::read;
use burn::tensor::Tensor;
use sam2_model::sam::mask_decoder::HighResFeatures;

/// The features as the official code lays them out, for comparisons.
#[derive(Debug, Clone)]
pub struct Features {
    /// Values and shape `[1, C, H, W]` of `image_embed`.
    pub embed: (Vec<f32>, [usize; 4]),
    /// The high-resolution features, stride 4 and 8.
    pub high_res: Vec<(Vec<f32>, [usize; 4])>,
}

impl ImagePredictor {
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
