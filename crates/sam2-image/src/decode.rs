//! Bytes of a picture file to [`RgbImage`].

use std::io::Cursor;

use image::{ColorType, ImageDecoder, ImageFormat, ImageReader, Limits};

use crate::orient::orient;
use crate::{ImageError, RgbImage, jpeg};

/// What a picture may cost at most. Both are checked before anything is allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Bytes of the encoded file.
    pub max_bytes: u64,
    /// Width times height, as the header gives them.
    pub max_pixels: u64,
}

impl Default for DecodeLimits {
    /// 1 GiB of file, 268 million pixels (16 384 x 16 384).
    fn default() -> Self {
        Self {
            max_bytes: 1 << 30,
            max_pixels: 1 << 28,
        }
    }
}

/// RGBA of 16 bits, the widest format that is read.
const MOST_BYTES_A_PIXEL: u64 = 8;

impl DecodeLimits {
    /// The usual limits, and no picture that `available` bytes of memory would not hold while it is
    /// decoded.
    pub fn within(available: u64) -> Self {
        let usual = Self::default();
        Self {
            max_pixels: usual.max_pixels.min(available / MOST_BYTES_A_PIXEL),
            ..usual
        }
    }
}

/// Decodes PNG, JPEG (CMYK and YCCK too), WebP, GIF (first frame) and BMP, and turns the picture
/// the way its EXIF orientation says: the result is what a person sees.
///
/// Colours follow the official code's `Image.open(f).convert("RGB")`: alpha is dropped, not
/// composited; grey is repeated; palettes are resolved; of 16 bits the upper 8 are kept; four
/// colours are taken as Adobe stores them (inverted). Colour profiles are not applied.
///
/// # Errors
/// - [`ImageError::FileTooLarge`], [`ImageError::TooManyPixels`]: beyond `limits`.
/// - [`ImageError::UnknownFormat`], [`ImageError::UnsupportedFormat`]: not a picture for us.
/// - [`ImageError::Decode`]: damaged or cut short.
/// - [`ImageError::OutOfMemory`]: the pixels do not fit.
pub fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<RgbImage, ImageError> {
    let length = bytes.len() as u64;
    if length > limits.max_bytes {
        return Err(ImageError::FileTooLarge {
            bytes: length,
            max_bytes: limits.max_bytes,
        });
    }
    let (format, name) = known_format(bytes)?;
    let damaged = |error: image::ImageError| ImageError::Decode {
        format: name,
        reason: reason(&error),
    };

    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    // Our own limit below is the one that counts; this one stops what a decoder would allocate
    // beside the pixels.
    let mut inner = Limits::no_limits();
    let pixels = limits.max_pixels.saturating_mul(MOST_BYTES_A_PIXEL);
    inner.max_alloc = Some(pixels.saturating_add(1 << 26));
    reader.limits(inner);
    let mut decoder = reader.into_decoder().map_err(damaged)?;

    let (width, height) = decoder.dimensions();
    let (width, height) = (u64::from(width), u64::from(height));
    if width * height > limits.max_pixels {
        return Err(ImageError::TooManyPixels {
            width,
            height,
            max_pixels: limits.max_pixels,
        });
    }
    let (width, height) = (width as usize, height as usize);
    if width == 0 || height == 0 {
        return Err(ImageError::Empty {
            what: "the picture",
            width,
            height,
        });
    }
    if format == ImageFormat::Jpeg && !jpeg::has_end(bytes) {
        // The decoder would fill the rest with grey and say nothing.
        let reason = "it has no end marker".to_owned();
        return Err(ImageError::Decode {
            format: name,
            reason,
        });
    }

    let orientation = decoder.orientation().map_err(damaged)?;
    let color = decoder.color_type();
    let mut data = zeroed(decoder.total_bytes(), "the picture")?;
    decoder.read_image(&mut data).map_err(damaged)?;
    let data = match to_rgb8(data, color)? {
        Some(data) => data,
        None => {
            let format = format!("{name} ({color:?})");
            return Err(ImageError::UnsupportedFormat { format });
        }
    };
    Ok(orient(
        RgbImage::from_rgb(width, height, data)?,
        orientation,
    ))
}

/// Names the format from the first bytes, as errors show it.
fn known_format(bytes: &[u8]) -> Result<(ImageFormat, &'static str), ImageError> {
    let unsupported = |format: &str| ImageError::UnsupportedFormat {
        format: format.to_owned(),
    };
    match image::guess_format(bytes) {
        Ok(ImageFormat::Png) => Ok((ImageFormat::Png, "PNG")),
        Ok(ImageFormat::Jpeg) => Ok((ImageFormat::Jpeg, "JPEG")),
        Ok(ImageFormat::WebP) => Ok((ImageFormat::WebP, "WebP")),
        Ok(ImageFormat::Gif) => Ok((ImageFormat::Gif, "GIF")),
        Ok(ImageFormat::Bmp) => Ok((ImageFormat::Bmp, "BMP")),
        Ok(other) => Err(unsupported(&format!("{other:?}").to_uppercase())),
        // What telephones store, and `image` does not know by name.
        Err(_)
            if matches!(
                bytes.get(4..12),
                Some(b"ftypheic" | b"ftypheix" | b"ftypmif1")
            ) =>
        {
            Err(unsupported("HEIC"))
        }
        Err(_) => Err(ImageError::UnknownFormat),
    }
}

/// The message without the decoder's own "Format error decoding Png:" in front, on one line: some
/// decoders end theirs with a line break, and quote what the file says.
pub(crate) fn reason(error: &image::ImageError) -> String {
    const MOST: usize = 300;
    let text = match std::error::Error::source(error) {
        Some(source) => source.to_string(),
        None => error.to_string(),
    };
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(MOST).collect()
}

/// A zeroed buffer, or an error where `vec!` would end the process.
fn zeroed(bytes: u64, what: &'static str) -> Result<Vec<u8>, ImageError> {
    let failed = || ImageError::OutOfMemory { what, bytes };
    let length = usize::try_from(bytes).map_err(|_| failed())?;
    let mut data = Vec::new();
    data.try_reserve_exact(length).map_err(|_| failed())?;
    data.resize(length, 0);
    Ok(data)
}

/// Turns decoded samples into [H, W, 3] bytes, in place where the result is not larger.
/// `None` for samples that none of our formats has.
fn to_rgb8(mut data: Vec<u8>, color: ColorType) -> Result<Option<Vec<u8>>, ImageError> {
    // Bytes a pixel, and where in them the byte of red, green and blue lies. Samples of 16 bits
    // are in the machine's byte order; their upper byte is what Pillow keeps.
    let upper = if cfg!(target_endian = "big") { 0 } else { 1 };
    let (step, at) = match color {
        ColorType::Rgb8 => return Ok(Some(data)),
        ColorType::Rgba8 => (4, [0, 1, 2]),
        ColorType::L8 => (1, [0, 0, 0]),
        ColorType::La8 => (2, [0, 0, 0]),
        ColorType::L16 => (2, [upper; 3]),
        ColorType::La16 => (4, [upper; 3]),
        ColorType::Rgb16 => (6, [upper, 2 + upper, 4 + upper]),
        ColorType::Rgba16 => (8, [upper, 2 + upper, 4 + upper]),
        _ => return Ok(None),
    };
    let pixels = data.len() / step;
    if step >= 3 {
        for pixel in 0..pixels {
            for (channel, offset) in at.iter().enumerate() {
                data[3 * pixel + channel] = data[step * pixel + offset];
            }
        }
        data.truncate(3 * pixels);
        data.shrink_to_fit();
        return Ok(Some(data));
    }
    let mut rgb = zeroed(3 * pixels as u64, "the picture")?;
    for (to, from) in rgb.chunks_exact_mut(3).zip(data.chunks_exact(step)) {
        to.copy_from_slice(&at.map(|offset| from[offset]));
    }
    Ok(Some(rgb))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_memory_makes_the_limit_smaller() {
        assert_eq!(DecodeLimits::within(4 << 30), DecodeLimits::default());
        let little = DecodeLimits::within(8_000);
        assert_eq!(little.max_pixels, 1000);
        assert_eq!(little.max_bytes, DecodeLimits::default().max_bytes);
    }
}
