//! The wasm-bindgen surface of `sam2`: what `web/sam2/worker.js` calls. Nothing is decided here.

mod engine;
mod error;
mod frames;
mod log;
mod prediction;
mod video;

pub use engine::Engine;
pub use prediction::Prediction;
pub use video::trace_rle;

use error::to_js;
use sam2::image::{DecodeLimits, RgbImage, decode};
use wasm_bindgen::prelude::*;

/// A decoded picture, oriented as a person sees it.
#[wasm_bindgen]
pub struct RgbaImage {
    width: u32,
    height: u32,
    rgba: Vec<u8>,
}

#[wasm_bindgen]
impl RgbaImage {
    #[wasm_bindgen(getter)]
    pub fn width(&self) -> u32 {
        self.width
    }

    #[wasm_bindgen(getter)]
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Row-major, 4 bytes a pixel, opaque.
    #[wasm_bindgen(getter)]
    pub fn rgba(&self) -> Vec<u8> {
        self.rgba.clone()
    }
}

impl RgbaImage {
    pub(crate) fn of(image: &RgbImage) -> Self {
        let mut rgba = Vec::with_capacity(image.width() * image.height() * 4);
        for pixel in image.data().chunks_exact(3) {
            rgba.extend_from_slice(&[pixel[0], pixel[1], pixel[2], 255]);
        }
        Self {
            width: image.width() as u32,
            height: image.height() as u32,
            rgba,
        }
    }
}

/// Decodes a picture with the same code as the command line.
///
/// # Errors
/// `bad_image`, `image_too_large`, `out_of_memory`.
#[wasm_bindgen]
pub fn decode_image(bytes: &[u8]) -> Result<RgbaImage, JsValue> {
    let image = decode(bytes, &DecodeLimits::default()).map_err(|e| to_js(&e.into()))?;
    Ok(RgbaImage::of(&image))
}
