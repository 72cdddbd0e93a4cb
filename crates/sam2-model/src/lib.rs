//! The SAM 2 network in Burn, one file per file of the official `sam2/modeling/`.
//!
//! A reader who has the official file open finds the same name here. What differs: maps are
//! channels-last (`[B, H, W, C]`), prompts are embedded on the host, and the choice among the decoder's
//! four masks is made on the host ([`select`]), after the mask check has seen the raw logits.

pub mod backbones;
pub mod memory_attention;
pub mod memory_encoder;
pub mod ops;
pub mod position_encoding;
pub mod sam;
pub mod sam2_base;
pub mod select;
pub mod weights;

pub use sam2_base::{ImageFeatures, Sam2Base};
pub use weights::{LoadError, TensorSource, Weights};
