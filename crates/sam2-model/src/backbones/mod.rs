//! The image backbone (sam2/modeling/backbones/).

pub mod hieradet;
pub mod image_encoder;
mod resize;
