//! A mask: which pixels of a picture belong to an object.

use image::ExtendedColorType;

use crate::rgb::check_buffer;
use crate::{DecodeLimits, ImageError, decode, png};

/// A binary mask, [H, W] row by row, one byte a pixel: 0 outside, 1 inside.
///
/// One byte a pixel keeps every loop simple and fast; what is kept for long (a video's masks) is
/// kept as [`crate::Rle`].
#[derive(Clone, PartialEq, Eq)]
pub struct Mask {
    width: usize,
    height: usize,
    bits: Vec<u8>,
}

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Mask({} x {}, area {})",
            self.width,
            self.height,
            self.area()
        )
    }
}

impl Mask {
    /// A mask without any pixel inside; sides of 0 are allowed and stay empty.
    pub fn empty(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            bits: vec![0; width * height],
        }
    }

    /// Takes [H, W] bytes; everything but 0 is inside.
    ///
    /// # Errors
    /// [`ImageError::Empty`], [`ImageError::WrongLength`].
    pub fn from_bytes(width: usize, height: usize, mut bytes: Vec<u8>) -> Result<Self, ImageError> {
        check_buffer("a mask", width, height, 1, bytes.len())?;
        bytes.iter_mut().for_each(|b| *b = u8::from(*b != 0));
        Ok(Self {
            width,
            height,
            bits: bytes,
        })
    }

    /// Reads a mask from a picture file: grey or palette of 1, 8 or 16 bits, or colours; a pixel
    /// is inside where its first channel is at least 128. The EXIF orientation is applied.
    ///
    /// # Errors
    /// As [`crate::decode`].
    pub fn from_png(bytes: &[u8], limits: &DecodeLimits) -> Result<Self, ImageError> {
        let image = decode(bytes, limits)?;
        let bits = image
            .data()
            .chunks_exact(3)
            .map(|p| u8::from(p[0] >= 128))
            .collect();
        Ok(Self {
            width: image.width(),
            height: image.height(),
            bits,
        })
    }

    /// The bytes of an 8-bit grey PNG file: 255 inside, 0 outside.
    ///
    /// # Errors
    /// [`ImageError::Encode`].
    pub fn to_png(&self) -> Result<Vec<u8>, ImageError> {
        let grey: Vec<u8> = self.bits.iter().map(|bit| bit * 255).collect();
        png::encode(&grey, self.width, self.height, ExtendedColorType::L8)
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The pixels, [H, W], each 0 or 1.
    pub fn bits(&self) -> &[u8] {
        &self.bits
    }

    /// Whether pixel (x, y) is inside; false beyond the edges.
    pub fn get(&self, x: usize, y: usize) -> bool {
        x < self.width && y < self.height && self.bits[y * self.width + x] != 0
    }

    /// Number of pixels inside.
    pub fn area(&self) -> usize {
        // Sums of a byte's worth at a time are what the compiler turns into SIMD.
        let short = |chunk: &[u8]| usize::from(chunk.iter().sum::<u8>());
        self.bits.chunks(255).map(short).sum()
    }

    /// The pixels' extent as [x, y, width, height] in pixels, as COCO and the official automatic
    /// mask generator write it; [0, 0, 0, 0] for an empty mask.
    pub fn bbox_xywh(&self) -> [usize; 4] {
        match self.extent() {
            Some([x0, y0, x1, y1]) => [x0, y0, x1 - x0 + 1, y1 - y0 + 1],
            None => [0; 4],
        }
    }

    /// The official `mask_to_box` (`sam2/utils/misc.py`): [x0, y0, x1, y1] with the last column
    /// and row **included**, and [width, height, -1, -1] for an empty mask.
    pub fn mask_to_box(&self) -> [i64; 4] {
        match self.extent() {
            Some(extent) => extent.map(|n| n as i64),
            None => [self.width as i64, self.height as i64, -1, -1],
        }
    }

    /// First and last column and row inside, [x0, y0, x1, y1], all included.
    fn extent(&self) -> Option<[usize; 4]> {
        let mut extent: Option<[usize; 4]> = None;
        let rows = self.bits.chunks_exact(self.width.max(1)).enumerate();
        for (y, row) in rows {
            let Some(x0) = row.iter().position(|b| *b != 0) else {
                continue;
            };
            let x1 = row.iter().rposition(|b| *b != 0).unwrap_or(x0);
            let e = extent.get_or_insert([x0, y, x1, y]);
            *e = [e[0].min(x0), e[1], e[2].max(x1), y];
        }
        extent
    }

    /// Intersection over union; 1 for two empty masks, which are equal.
    ///
    /// # Errors
    /// [`ImageError::SizeMismatch`].
    pub fn iou(&self, other: &Self) -> Result<f64, ImageError> {
        if (self.width, self.height) != (other.width, other.height) {
            return Err(ImageError::SizeMismatch {
                what: "intersection over union of two masks",
                left_width: self.width,
                left_height: self.height,
                right_width: other.width,
                right_height: other.height,
            });
        }
        let short =
            |(a, b): (&[u8], &[u8])| usize::from(a.iter().zip(b).map(|(a, b)| a & b).sum::<u8>());
        let both: usize = self
            .bits
            .chunks(255)
            .zip(other.bits.chunks(255))
            .map(short)
            .sum();
        let either = self.area() + other.area() - both;
        Ok(if either == 0 {
            1.0
        } else {
            both as f64 / either as f64
        })
    }

    /// The pixels to change; each must stay 0 or 1.
    pub(crate) fn bits_mut(&mut self) -> &mut [u8] {
        &mut self.bits
    }

    /// For callers inside the crate that made the bits to measure, each 0 or 1.
    pub(crate) fn from_parts(width: usize, height: usize, bits: Vec<u8>) -> Self {
        debug_assert_eq!(bits.len(), width * height);
        Self {
            width,
            height,
            bits,
        }
    }
}

/// A mask from rows of text, `#` inside.
#[cfg(test)]
pub(crate) fn drawn(rows: &[&str]) -> Mask {
    let bytes = rows
        .iter()
        .flat_map(|row| row.bytes().map(|b| u8::from(b == b'#')))
        .collect();
    Mask::from_parts(rows[0].len(), rows.len(), bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn area_and_boxes() {
        let mask = drawn(&[".....", ".##..", "...#."]);
        assert_eq!(mask.area(), 3);
        assert_eq!(mask.bbox_xywh(), [1, 1, 3, 2]);
        assert_eq!(mask.mask_to_box(), [1, 1, 3, 2]);
        assert!(mask.get(3, 2) && !mask.get(2, 3) && !mask.get(5, 0));
        let empty = Mask::empty(5, 3);
        assert_eq!(
            (empty.bbox_xywh(), empty.mask_to_box()),
            ([0; 4], [5, 3, -1, -1])
        );
        assert_eq!(Mask::empty(0, 3).area(), 0);
        let full = Mask::from_bytes(40, 30, vec![7; 1200]).unwrap();
        assert_eq!((full.area(), full.bbox_xywh()), (1200, [0, 0, 40, 30]));
    }

    #[test]
    fn intersection_over_union() {
        let (a, b) = (drawn(&["##.", "##."]), drawn(&[".##", ".##"]));
        assert_eq!(a.iou(&b).unwrap(), 2.0 / 6.0);
        assert_eq!(a.iou(&a).unwrap(), 1.0);
        assert_eq!(a.iou(&Mask::empty(3, 2)).unwrap(), 0.0);
        assert_eq!(Mask::empty(3, 2).iou(&Mask::empty(3, 2)).unwrap(), 1.0);
        assert_eq!(a.iou(&Mask::empty(2, 3)).unwrap_err().code(), "bad_prompt");
    }

    #[test]
    fn a_png_comes_back() {
        let mask = drawn(&["#..#.", ".##..", "...##"]);
        let png = mask.to_png().unwrap();
        assert_eq!(
            Mask::from_png(&png, &DecodeLimits::default()).unwrap(),
            mask
        );
    }
}
