//! SAM 2 checkpoints and configurations: `.pt`, `.safetensors` and the project's own file, read
//! strictly.
//!
//! Nothing here knows the network or a device. A checkpoint is read through random access
//! ([`ReadAt`]: a file, bytes in memory, a Blob's slices), tensor by tensor, so that the peak is
//! one tensor; nothing in a file is ever executed, and a bad file costs bounded memory and gives
//! an error, never a panic.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use sam2_checkpoint::{Checkpoint, FileSource, expected_tensors};
//!
//! let checkpoint = Checkpoint::open(Arc::new(FileSource::open("sam2.1_hiera_tiny.pt")?))?;
//! let config = checkpoint.require_config()?;
//! checkpoint.check_against(&expected_tensors(config))?;
//! let weights = checkpoint.read_f32("image_encoder.trunk.patch_embed.proj.weight")?;
//! # Ok(())
//! # }
//! ```

mod checkpoint;
pub mod config;
mod data;
mod dtype;
mod error;
mod index;
pub mod manifest;
mod metadata;
mod pt;
mod safetensors;
mod sniff;
mod source;
mod tensors;
mod writer;

pub use checkpoint::{Checkpoint, Format};
pub use config::{ConfigError, ModelConfig, Size, Version, detect};
pub use dtype::DType;
pub use error::CheckpointError;
pub use index::{Mismatch, TensorIndex, TensorInfo, WrongShape};
pub use manifest::Manifest;
pub use metadata::{FORMAT, Metadata};
#[cfg(not(target_family = "wasm"))]
pub use source::FileSource;
pub use source::{MaybeSync, ReadAt};
pub use tensors::expected_tensors;
pub use writer::{Precision, write_safetensors, write_sam2};
