//! Segment Anything 2 in Rust.
//!
//! ```no_run
//! # #[cfg(not(target_family = "wasm"))]
//! # fn main() -> Result<(), sam2::Error> {
//! use sam2::{block_on, Checkpoint, CleanUp, DeviceChoice, FileSource, ImagePredictor, Model, Prompt, Runtime};
//! use std::sync::Arc;
//!
//! let file = FileSource::open("sam2.1_hiera_tiny.pt").map_err(|e| sam2::Error::Setting(e.to_string()))?;
//! let runtime = block_on(Runtime::open(DeviceChoice::Auto))?;
//! let checkpoint = Checkpoint::open(Arc::new(file))?;
//! let model = block_on(Model::load(checkpoint, Default::default(), runtime, &|_, _, _| {}))?;
//! let predictor = ImagePredictor::new(Arc::new(model));
//! let picture = std::fs::read("photo.jpg").map_err(|e| sam2::Error::Setting(e.to_string()))?;
//! let picture = sam2_image::decode(&picture, &Default::default())?;
//! let embedding = block_on(predictor.set_image(&picture))?;
//! let answer = block_on(predictor.predict(&embedding, &Prompt::click(120.0, 80.0), CleanUp::default()))?;
//! println!("{} pixels", answer.masks[answer.best()].mask.area());
//! # Ok(())
//! # }
//! # #[cfg(target_family = "wasm")]
//! # fn main() {}
//! ```

pub mod checked;
pub mod device;
mod error;
pub mod flops;
pub mod image_predictor;
#[cfg(feature = "fault-injection")]
pub mod inject;
pub mod memory;
pub mod model;
pub mod probe;
pub mod prompt;
mod snap;
pub mod video;

pub use checked::{Fault, FaultCounts, check_time, fault_counts};
pub use device::{DeviceChoice, DeviceKind, Runtime};
pub use error::Error;
pub use image_predictor::{CleanUp, ImageEmbedding, ImagePredictor, PredictedMask, Prediction};
pub use model::{Model, ModelOptions, SharedModel};
pub use prompt::{LowResMask, Prompt};
#[cfg(not(target_family = "wasm"))]
pub use sam2_checkpoint::FileSource;
pub use sam2_checkpoint::{Checkpoint, ModelConfig, ReadAt};
pub use sam2_image as image;

/// Runs a future to its end on this thread.
#[cfg(not(target_family = "wasm"))]
pub use pollster::block_on;
