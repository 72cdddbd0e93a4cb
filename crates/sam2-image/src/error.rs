//! The one error type of this crate.

use crate::MaskFault;

/// What went wrong with a picture, a prompt or a mask, and what to do about it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The first bytes belong to no known picture format.
    #[error("this is not a picture that can be read: use PNG, JPEG, WebP, GIF or BMP")]
    UnknownFormat,
    /// A picture format that is known but has no decoder here.
    #[error("{format} pictures cannot be read: save it as PNG or JPEG")]
    UnsupportedFormat {
        /// Name of the format, as in "TIFF".
        format: String,
    },
    /// The decoder refused the file: damaged, cut short, or never a picture.
    #[error("this {format} file is damaged or cut short ({reason}): open and save it again")]
    Decode {
        /// Name of the format, as in "JPEG".
        format: &'static str,
        /// What the decoder said.
        reason: String,
    },
    /// The encoded file is larger than [`crate::DecodeLimits::max_bytes`].
    #[error("the file has {bytes} bytes, more than the limit of {max_bytes}: use a smaller one")]
    FileTooLarge {
        /// Bytes given.
        bytes: u64,
        /// Bytes allowed.
        max_bytes: u64,
    },
    /// The header promises more pixels than [`crate::DecodeLimits::max_pixels`].
    #[error(
        "the picture is {width} x {height}, more than the limit of {max_pixels} pixels: make it \
         smaller first"
    )]
    TooManyPixels {
        /// Width in pixels, from the header.
        width: u64,
        /// Height in pixels, from the header.
        height: u64,
        /// Pixels allowed.
        max_pixels: u64,
    },
    /// An allocation failed.
    #[error("{bytes} bytes for {what} do not fit in memory: use a smaller picture")]
    OutOfMemory {
        /// What the bytes were for.
        what: &'static str,
        /// Bytes asked for.
        bytes: u64,
    },
    /// A width or height of zero.
    #[error("{what} is {width} x {height}: both sides must be at least 1")]
    Empty {
        /// What has no pixels.
        what: &'static str,
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
    },
    /// A buffer does not fit the size that came with it.
    #[error("{what} of {width} x {height} needs {expected} values, {actual} were given")]
    WrongLength {
        /// What the buffer holds.
        what: &'static str,
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
        /// Values needed.
        expected: usize,
        /// Values given.
        actual: usize,
    },
    /// Two things that belong together differ in size.
    #[error(
        "{what}: {left_width} x {left_height} and {right_width} x {right_height} differ, they must \
         be of one size"
    )]
    SizeMismatch {
        /// What was tried.
        what: &'static str,
        /// Width of the first.
        left_width: usize,
        /// Height of the first.
        left_height: usize,
        /// Width of the second.
        right_width: usize,
        /// Height of the second.
        right_height: usize,
    },
    /// A coordinate that is NaN or infinite.
    #[error("{what} ({x}, {y}) is not finite: give numbers in pixels of the picture")]
    NotFinite {
        /// "point" or "box corner".
        what: &'static str,
        /// x as given.
        x: f32,
        /// y as given.
        y: f32,
    },
    /// A point or box corner outside the picture.
    #[error("{what} ({x}, {y}) is outside the picture of {width} x {height} pixels")]
    Outside {
        /// "point" or "box corner".
        what: &'static str,
        /// x as given, in pixels.
        x: f32,
        /// y as given, in pixels.
        y: f32,
        /// Width of the picture.
        width: usize,
        /// Height of the picture.
        height: usize,
    },
    /// A box without area, or with its corners swapped.
    #[error("box {x0},{y0},{x1},{y1} is empty: x0 must be less than x1 and y0 less than y1")]
    EmptyBox {
        /// Left edge in pixels.
        x0: f32,
        /// Upper edge in pixels.
        y0: f32,
        /// Right edge in pixels.
        x1: f32,
        /// Lower edge in pixels.
        y1: f32,
    },
    /// Run lengths that are no mask.
    #[error("this is no COCO run-length mask: {reason}")]
    Rle {
        /// The first rule that was broken.
        reason: String,
    },
    /// A picture could not be written.
    #[error("the PNG could not be written: {reason}")]
    Encode {
        /// What the encoder said.
        reason: String,
    },
    /// The mask check refused what the device gave back.
    #[error(transparent)]
    Fault(#[from] MaskFault),
}

impl ImageError {
    /// The stable code of this error, one of the table in ARCHITECTURE.md.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownFormat
            | Self::UnsupportedFormat { .. }
            | Self::Decode { .. }
            | Self::Empty { .. }
            | Self::WrongLength { .. }
            | Self::Encode { .. } => "bad_image",
            Self::FileTooLarge { .. } | Self::TooManyPixels { .. } => "image_too_large",
            Self::OutOfMemory { .. } => "out_of_memory",
            Self::SizeMismatch { .. }
            | Self::NotFinite { .. }
            | Self::Outside { .. }
            | Self::EmptyBox { .. }
            | Self::Rle { .. } => "bad_prompt",
            Self::Fault(_) => "mask_fault",
        }
    }
}
