//! A decoded picture.

use crate::ImageError;

/// A picture of 8-bit RGB, [H, W, 3] row by row, in the oriented picture's pixels.
///
/// Always at least 1 x 1, and the buffer always holds exactly `3 * width * height` bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct RgbImage {
    width: usize,
    height: usize,
    data: Vec<u8>,
}

impl std::fmt::Debug for RgbImage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RgbImage({} x {})", self.width, self.height)
    }
}

impl RgbImage {
    /// Takes [H, W, 3] bytes.
    ///
    /// # Errors
    /// [`ImageError::Empty`] for a side of zero, [`ImageError::WrongLength`] when the buffer does
    /// not hold `3 * width * height` bytes.
    pub fn from_rgb(width: usize, height: usize, data: Vec<u8>) -> Result<Self, ImageError> {
        check_buffer("a picture", width, height, 3, data.len())?;
        Ok(Self {
            width,
            height,
            data,
        })
    }

    /// Takes [H, W, 4] bytes and drops the fourth, as the official code's `convert("RGB")` does:
    /// a transparent pixel keeps the colour that is stored under it.
    ///
    /// # Errors
    /// As [`RgbImage::from_rgb`], for `4 * width * height` bytes.
    pub fn from_rgba(width: usize, height: usize, data: &[u8]) -> Result<Self, ImageError> {
        check_buffer("a picture with alpha", width, height, 4, data.len())?;
        let rgb = data
            .chunks_exact(4)
            .flat_map(|p| [p[0], p[1], p[2]])
            .collect();
        Ok(Self {
            width,
            height,
            data: rgb,
        })
    }

    /// Width in pixels, at least 1.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels, at least 1.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The bytes, [H, W, 3].
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The bytes, [H, W, 3], without a copy.
    pub fn into_data(self) -> Vec<u8> {
        self.data
    }

    /// Row `y` as [W, 3]; empty below the picture.
    pub fn row(&self, y: usize) -> &[u8] {
        let stride = 3 * self.width;
        self.data
            .get(y * stride..(y + 1) * stride)
            .unwrap_or_default()
    }

    /// Mutable access for the drawing functions of this crate.
    pub(crate) fn data_mut(&mut self) -> &mut [u8] {
        &mut self.data
    }

    /// For callers inside the crate that made the buffer to measure.
    pub(crate) fn from_parts(width: usize, height: usize, data: Vec<u8>) -> Self {
        debug_assert_eq!(data.len(), 3 * width * height);
        Self {
            width,
            height,
            data,
        }
    }
}

/// Holds a buffer of `channels` values a pixel against the size that came with it.
pub(crate) fn check_buffer(
    what: &'static str,
    width: usize,
    height: usize,
    channels: usize,
    actual: usize,
) -> Result<(), ImageError> {
    if width == 0 || height == 0 {
        return Err(ImageError::Empty {
            what,
            width,
            height,
        });
    }
    let expected = width
        .checked_mul(height)
        .and_then(|n| n.checked_mul(channels));
    if expected != Some(actual) {
        let expected = expected.unwrap_or(usize::MAX);
        return Err(ImageError::WrongLength {
            what,
            width,
            height,
            expected,
            actual,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_must_fit_its_size() {
        assert!(RgbImage::from_rgb(2, 1, vec![0; 6]).is_ok());
        let error = RgbImage::from_rgb(2, 3, vec![0; 6]).unwrap_err();
        assert_eq!(error.code(), "bad_image");
        assert!(
            error.to_string().contains("needs 18 values, 6 were given"),
            "{error}"
        );
        assert!(RgbImage::from_rgb(0, 3, vec![]).is_err());
        assert!(
            RgbImage::from_rgb(usize::MAX, 2, vec![0; 6]).is_err(),
            "the product overflows"
        );
    }

    #[test]
    fn alpha_is_dropped_and_not_composited() {
        let image = RgbImage::from_rgba(2, 1, &[10, 20, 30, 0, 40, 50, 60, 255]).unwrap();
        assert_eq!(image.data(), [10, 20, 30, 40, 50, 60]);
    }

    #[test]
    fn rows_are_rows() {
        let image = RgbImage::from_rgb(1, 2, vec![1, 2, 3, 4, 5, 6]).unwrap();
        assert_eq!(image.row(1), [4, 5, 6]);
        assert_eq!(image.row(2), [0_u8; 0]);
    }
}
