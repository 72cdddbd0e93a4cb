//! The whole model (sam2/modeling/sam2_base.py), split at its own methods.

pub mod heads;
pub mod memory;
pub mod plan;

use crate::backbones::image_encoder::ImageEncoder;
use crate::sam::mask_decoder::{DecoderOutput, HighResFeatures, MaskDecoder};
use crate::sam::prompt_encoder::{PromptEncoder, PromptPoint};
use crate::weights::{LoadError, Weights};
use burn::tensor::{Device, Tensor};
use memory::MemoryModules;
use sam2_checkpoint::config::ModelConfig;

/// What the image encoder knows of a picture, once per picture.
#[derive(Debug, Clone)]
pub struct ImageFeatures {
    /// Lowest-resolution level, `[1, HW, C]`, without `no_mem_embed`.
    pub embed: Tensor<3>,
    pub high_res: Option<HighResFeatures>,
}

/// `SAM2Base`.
#[derive(Debug)]
pub struct Sam2Base {
    pub config: ModelConfig,
    pub image_encoder: ImageEncoder,
    pub sam_prompt_encoder: PromptEncoder,
    pub sam_mask_decoder: MaskDecoder,
    /// `[C]`: added to the embedding where no memory conditions it.
    pub no_mem_embed: Tensor<1>,
    /// What only video needs.
    pub memory: MemoryModules,
    device: Device,
}

impl Sam2Base {
    /// Reads every tensor under its official key.
    pub fn load(w: &mut Weights, config: &ModelConfig) -> Result<Self, LoadError> {
        let (dim, size) = (config.hidden_dim(), config.image_size);
        let image = &config.image_encoder;
        Ok(Self {
            image_encoder: ImageEncoder::load(&mut w.at("image_encoder"), image, size)?,
            sam_prompt_encoder: PromptEncoder::load(&mut w.at("sam_prompt_encoder"), dim, size)?,
            sam_mask_decoder: MaskDecoder::load(&mut w.at("sam_mask_decoder"), config)?,
            no_mem_embed: w.tensor::<3>("no_mem_embed", [1, 1, dim])?.reshape([dim]),
            memory: MemoryModules::load(w, config)?,
            config: config.clone(),
            device: w.device().clone(),
        })
    }

    pub fn device(&self) -> &Device {
        &self.device
    }

    /// `forward_image`: a preprocessed picture `[1, 3, S, S]` to its features.
    pub fn forward_image(&self, x: Tensor<4>) -> ImageFeatures {
        self.forward_image_telling(x, &|_, _| {})
    }

    /// As [`Sam2Base::forward_image`]; `on_block(done, of)` is told of every block of the trunk, which is
    /// nearly all of the work.
    pub fn forward_image_telling(
        &self,
        x: Tensor<4>,
        on_block: &dyn Fn(usize, usize),
    ) -> ImageFeatures {
        let mut levels = self.image_encoder.forward(x, on_block);
        let embed = levels.pop().map(flatten);
        let (s1, s0) = (levels.pop(), levels.pop());
        let high_res = match (s0, s1) {
            (Some(s0), Some(s1)) => self.sam_mask_decoder.project_high_res(s0, s1),
            _ => None,
        };
        match embed {
            Some(embed) => ImageFeatures { embed, high_res },
            None => unreachable!("a configuration without levels is refused when it is read"),
        }
    }

    /// The embedding that `SAM2ImagePredictor.set_image` keeps: with `no_mem_embed` where the model
    /// adds it directly.
    pub fn image_embedding(&self, features: &ImageFeatures) -> Tensor<3> {
        let embed = features.embed.clone();
        match self.config.directly_add_no_mem_embed {
            true => embed + self.no_mem_embed.clone().unsqueeze(),
            false => embed,
        }
    }

    /// Prompt encoder and mask decoder: `image [B or 1, HW, C]`, one list of points per object
    /// (equally long, in pixels of the model's input), mask prompts `[B, S / 4, S / 4, 1]`.
    pub fn decode(
        &self,
        image: Tensor<3>,
        high_res: Option<&HighResFeatures>,
        points: &[Vec<PromptPoint>],
        masks: Option<Tensor<4>>,
    ) -> DecoderOutput {
        let sparse = self.sam_prompt_encoder.embed_points(points);
        let dense = self.sam_prompt_encoder.embed_masks(masks);
        let pe = self.sam_prompt_encoder.dense_pe();
        self.sam_mask_decoder
            .forward(image, pe, sparse, dense, high_res, points.len())
    }
}

/// `[B, H, W, C]` to `[B, HW, C]`.
pub fn flatten(x: Tensor<4>) -> Tensor<3> {
    let [b, h, w, c] = x.dims();
    x.reshape([b, h * w, c])
}
