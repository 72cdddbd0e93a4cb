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

/// What decoding may take of the engine's memory: 8 bytes a pixel, those of the widest format that is
/// read. Asked before anything is allocated.
fn limits(available: Option<u64>) -> DecodeLimits {
    const BYTES_A_PIXEL: u64 = 8;
    let usual = DecodeLimits::default();
    let max_pixels = match available {
        Some(bytes) => usual.max_pixels.min(bytes / BYTES_A_PIXEL),
        None => usual.max_pixels,
    };
    DecodeLimits {
        max_pixels,
        ..usual
    }
}

/// Decodes a picture with the same code as the command line.
///
/// # Errors
/// `bad_image`, `image_too_large` (with the picture's pixels and those that fit), `out_of_memory`.
#[wasm_bindgen]
pub fn decode_image(bytes: &[u8]) -> Result<DecodedImage, JsValue> {
    let image = decode(bytes, &limits(sam2::memory::available()));
    image.map(DecodedImage::new).map_err(|e| to_js(&e.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_memory_makes_the_limit_smaller() {
        assert_eq!(limits(None).max_pixels, 1 << 28);
        assert_eq!(limits(Some(4 << 30)).max_pixels, 1 << 28);
        assert_eq!(limits(Some(8_000)).max_pixels, 1000);
    }
}
