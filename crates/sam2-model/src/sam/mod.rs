//! The prompt encoder and mask decoder (sam2/modeling/sam/).

pub mod mask_decoder;
pub mod prompt_encoder;
pub mod transformer;
