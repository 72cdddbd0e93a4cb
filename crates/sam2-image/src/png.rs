//! Writing PNG: fast rather than small, since a person waits for it.

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};

use crate::decode::reason;
use crate::{ImageError, RgbImage};

impl RgbImage {
    /// The picture as the bytes of an RGB PNG file.
    ///
    /// # Errors
    /// [`ImageError::Encode`] when a side does not fit the format (2^32 pixels).
    pub fn to_png(&self) -> Result<Vec<u8>, ImageError> {
        encode(
            self.data(),
            self.width(),
            self.height(),
            ExtendedColorType::Rgb8,
        )
    }
}

/// Encodes samples of 8 bits, row by row.
pub(crate) fn encode(
    data: &[u8],
    width: usize,
    height: usize,
    color: ExtendedColorType,
) -> Result<Vec<u8>, ImageError> {
    let side = |n: usize| {
        u32::try_from(n).map_err(|_| ImageError::Encode {
            reason: format!("{n} is too wide"),
        })
    };
    // Filters help photographs; runs of equal bytes compress better without them.
    let filter = match color {
        ExtendedColorType::L8 => FilterType::NoFilter,
        _ => FilterType::Adaptive,
    };
    let mut bytes = Vec::new();
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, filter)
        .write_image(data, side(width)?, side(height)?, color)
        .map_err(|error| ImageError::Encode {
            reason: reason(&error),
        })?;
    Ok(bytes)
}
