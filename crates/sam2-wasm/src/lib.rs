//! The wasm-bindgen surface of `sam2`: what `web/sam2/worker.js` calls. Nothing is decided here.

mod engine;
mod error;
mod frames;
mod log;
mod oom;
mod picture;
mod prediction;
mod rle;
mod video;

pub use engine::Engine;
pub use oom::{memory_bytes, take_refused_bytes};
pub use picture::{DecodedImage, decode_image};
pub use prediction::Prediction;
pub use rle::trace_rle;
