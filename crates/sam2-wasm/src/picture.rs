//! Decoded pictures, kept in the engine's memory until somebody asks for their pixels.

use crate::error::to_js;
use sam2::image::{DecodeLimits, RgbImage, decode};
use wasm_bindgen::prelude::*;

/// A decoded picture, oriented as a person sees it. `Engine::set_decoded` takes it as it is: a large one
/// would not fit beside two copies of itself.
#[wasm_bindgen]
pub struct DecodedImage {
    image: RgbImage,
}

#[wasm_bindgen]
impl DecodedImage {
    #[wasm_bindgen(getter)]
    pub fn width(&self) -> u32 {
        self.image.width() as u32
    }

    #[wasm_bindgen(getter)]
    pub fn height(&self) -> u32 {
        self.image.height() as u32
    }

    /// Row-major, 4 bytes a pixel, opaque; a copy of its own.
    #[wasm_bindgen(getter)]
    pub fn rgba(&self) -> Vec<u8> {
        let mut rgba = Vec::with_capacity(self.image.width() * self.image.height() * 4);
        for pixel in self.image.data().chunks_exact(3) {
            rgba.extend_from_slice(&[pixel[0], pixel[1], pixel[2], 255]);
        }
        rgba
    }
}

impl DecodedImage {
    pub(crate) fn new(image: RgbImage) -> Self {
        Self { image }
    }

    pub(crate) fn into_rgb(self) -> RgbImage {
        self.image
    }
}

/// Decodes a picture with the same code as the command line.
///
/// # Errors
/// `bad_image`, `image_too_large` (with the picture's pixels and those that fit), `out_of_memory`.
#[wasm_bindgen]
pub fn decode_image(bytes: &[u8]) -> Result<DecodedImage, JsValue> {
    let limits = sam2::memory::available().map_or_else(DecodeLimits::default, DecodeLimits::within);
    let image = decode(bytes, &limits);
    image.map(DecodedImage::new).map_err(|e| to_js(&e.into()))
}
