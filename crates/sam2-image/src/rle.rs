//! COCO run-length masks, as pycocotools reads and writes them.
//!
//! Runs go down the columns (Fortran order), starting with a run of 0 that may be empty. The
//! compressed string is `rleToString` of `maskApi.c`: from the fourth run on the difference to the
//! run before the last, in groups of five bits, least first, as characters from `0` on.

use crate::rgb::check_buffer;
use crate::{ImageError, Mask};

/// A mask as run lengths: what a video keeps, and what JSON carries.
///
/// The runs always add up to `height * width`, so turning it into a [`Mask`] cannot fail.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rle {
    height: usize,
    width: usize,
    counts: Vec<u32>,
}

impl Rle {
    /// Takes uncompressed run lengths, as `"counts": [...]` in COCO files holds them.
    ///
    /// # Errors
    /// [`ImageError::Rle`] unless they add up to `height * width`; [`ImageError::Empty`];
    /// [`ImageError::OutOfMemory`] beyond 2^32 pixels, which the format cannot count.
    pub fn from_counts(height: usize, width: usize, counts: Vec<u32>) -> Result<Self, ImageError> {
        let pixels = pixels(height, width)?;
        let sum: u64 = counts.iter().map(|count| u64::from(*count)).sum();
        if sum != pixels {
            let reason = format!("its runs add up to {sum}, {height} x {width} is {pixels}");
            return Err(ImageError::Rle { reason });
        }
        Ok(Self {
            height,
            width,
            counts,
        })
    }

    /// Reads the compressed string of `"size": [height, width], "counts": "..."`.
    ///
    /// # Errors
    /// [`ImageError::Rle`] for a character outside `0` to `o`, a number cut short or out of range,
    /// or runs that do not add up; otherwise as [`Rle::from_counts`].
    pub fn from_string(height: usize, width: usize, text: &str) -> Result<Self, ImageError> {
        let pixels = pixels(height, width)?;
        let broken = |reason: String| ImageError::Rle { reason };
        let mut counts: Vec<u32> = Vec::new();
        let (mut value, mut shift) = (0_i64, 0_u32);
        for (at, byte) in text.bytes().enumerate() {
            let group = byte.wrapping_sub(48);
            if group > 63 {
                return Err(broken(format!(
                    "byte {byte} at {at} is none of its characters"
                )));
            }
            // Seven groups hold 35 bits: more than any run or difference of runs needs.
            if shift >= 35 {
                return Err(broken(format!("the number that ends at {at} is too long")));
            }
            value |= i64::from(group & 0x1f) << shift;
            shift += 5;
            if group & 0x20 != 0 {
                continue;
            }
            if group & 0x10 != 0 {
                value |= -1 << shift;
            }
            if counts.len() > 2 {
                value += i64::from(counts[counts.len() - 2]);
            }
            let count = u32::try_from(value)
                .ok()
                .filter(|count| u64::from(*count) <= pixels);
            let number = counts.len();
            counts.push(
                count.ok_or_else(|| {
                    broken(format!("run {number} has {value} of {pixels} pixels"))
                })?,
            );
            (value, shift) = (0, 0);
        }
        if shift != 0 {
            return Err(broken("it ends inside a number".to_owned()));
        }
        Self::from_counts(height, width, counts)
    }

    /// The compressed string, byte for byte what pycocotools writes.
    pub fn counts_string(&self) -> String {
        let mut text = String::new();
        for (index, count) in self.counts.iter().enumerate() {
            let mut value = i64::from(*count);
            if index > 2 {
                value -= i64::from(self.counts[index - 2]);
            }
            loop {
                let group = (value & 0x1f) as u8;
                value >>= 5;
                // The top bit of the last group is the sign.
                let more = if group & 0x10 != 0 {
                    value != -1
                } else {
                    value != 0
                };
                text.push(char::from(48 + group + if more { 0x20 } else { 0 }));
                if !more {
                    break;
                }
            }
        }
        text
    }

    /// Run lengths: outside, inside, outside, ... down the columns.
    pub fn counts(&self) -> &[u32] {
        &self.counts
    }

    /// [height, width], the order of COCO's `size`.
    pub fn size(&self) -> [usize; 2] {
        [self.height, self.width]
    }

    /// Pixels inside.
    pub fn area(&self) -> usize {
        self.inside().map(|(start, end)| end - start).sum()
    }

    /// [x, y, width, height] in pixels, equal to [`Mask::bbox_xywh`] and to `toBbox`.
    pub fn bbox_xywh(&self) -> [usize; 4] {
        let mut extent: Option<[usize; 4]> = None;
        for (start, end) in self.inside() {
            let (x0, x1) = (start / self.height, (end - 1) / self.height);
            // A run that goes over the end of a column touches first and last row.
            let (y0, y1) = if x0 == x1 {
                (start % self.height, (end - 1) % self.height)
            } else {
                (0, self.height - 1)
            };
            let e = extent.get_or_insert([x0, y0, x1, y1]);
            *e = [e[0].min(x0), e[1].min(y0), e[2].max(x1), e[3].max(y1)];
        }
        extent.map_or([0; 4], |[x0, y0, x1, y1]| {
            [x0, y0, x1 - x0 + 1, y1 - y0 + 1]
        })
    }

    /// Intersection over union without unpacking; 1 for two empty masks (pycocotools says 0).
    ///
    /// # Errors
    /// [`ImageError::SizeMismatch`].
    pub fn iou(&self, other: &Self) -> Result<f64, ImageError> {
        if self.size() != other.size() {
            return Err(ImageError::SizeMismatch {
                what: "intersection over union of two run-length masks",
                left_width: self.width,
                left_height: self.height,
                right_width: other.width,
                right_height: other.height,
            });
        }
        let (mut left, mut right) = (self.inside().peekable(), other.inside().peekable());
        let mut both = 0;
        while let (Some((a0, a1)), Some((b0, b1))) = (left.peek(), right.peek()) {
            both += a1.min(b1).saturating_sub(*a0.max(b0));
            if a1 < b1 {
                left.next();
            } else {
                right.next();
            }
        }
        let either = self.area() + other.area() - both;
        Ok(if either == 0 {
            1.0
        } else {
            both as f64 / either as f64
        })
    }

    /// The pixels.
    pub fn to_mask(&self) -> Mask {
        let mut mask = Mask::empty(self.width, self.height);
        let width = self.width;
        let bits = mask.bits_mut();
        for (start, end) in self.inside() {
            let (mut x, mut y) = (start / self.height, start % self.height);
            for _ in start..end {
                bits[y * width + x] = 1;
                y += 1;
                if y == self.height {
                    (x, y) = (x + 1, 0);
                }
            }
        }
        mask
    }

    /// Runs inside as ranges of column-major pixel indices, without empty ones.
    fn inside(&self) -> impl Iterator<Item = (usize, usize)> {
        let mut at = 0;
        let ranges = self.counts.iter().enumerate().map(move |(index, count)| {
            let start = at;
            at += *count as usize;
            (index % 2 == 1, start, at)
        });
        ranges
            .filter(|(inside, start, end)| *inside && end > start)
            .map(|(_, start, end)| (start, end))
    }
}

impl From<&Mask> for Rle {
    fn from(mask: &Mask) -> Self {
        let (width, height) = (mask.width(), mask.height());
        let bits = mask.bits();
        let mut counts = Vec::new();
        let (mut value, mut run) = (0, 0);
        for x in 0..width {
            let column = bits[x..].iter().step_by(width);
            for bit in column {
                if *bit != value {
                    counts.push(run);
                    (value, run) = (*bit, 0);
                }
                run += 1;
            }
        }
        counts.push(run);
        Self {
            height,
            width,
            counts,
        }
    }
}

impl Mask {
    /// The mask as COCO run lengths.
    pub fn to_rle(&self) -> Rle {
        Rle::from(self)
    }
}

/// Pixels of a size, where the format can count them.
fn pixels(height: usize, width: usize) -> Result<u64, ImageError> {
    let what = "a run-length mask";
    let length = height.saturating_mul(width);
    check_buffer(what, width, height, 1, length)?;
    match u32::try_from(length) {
        Ok(length) => Ok(u64::from(length)),
        Err(_) => Err(ImageError::OutOfMemory {
            what,
            bytes: length as u64,
        }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mask::drawn;

    #[test]
    fn columns_before_rows() {
        let mask = drawn(&[".#.", ".##"]);
        let rle = mask.to_rle();
        assert_eq!(rle.counts(), [2, 2, 1, 1]);
        assert_eq!(rle.size(), [2, 3]);
        assert_eq!(rle.to_mask(), mask);
        let starts_inside = drawn(&["##", "#."]).to_rle();
        assert_eq!(starts_inside.counts(), [0, 3, 1]);
    }

    #[test]
    fn what_is_no_mask_is_refused() {
        let reason = |text: &str| Rle::from_string(2, 3, text).unwrap_err().to_string();
        assert!(reason("!").contains("byte 33 at 0"), "{}", reason("!"));
        assert!(reason("2\u{e9}").contains("byte 195 at 1"));
        assert!(reason("22R").contains("ends inside a number"));
        assert!(reason("PPPPPPPPPP1").contains("too long"));
        assert!(reason("22").contains("add up to 4, 2 x 3 is 6"));
        assert!(reason("O").contains("run 0 has -1 of 6"));
        assert!(reason("7").contains("run 0 has 7 of 6"));
        assert!(reason("").contains("add up to 0"));
        assert!(Rle::from_counts(2, 3, vec![5]).is_err());
        assert!(Rle::from_counts(0, 3, vec![]).is_err());
        let huge = Rle::from_counts(1 << 20, 1 << 20, vec![u32::MAX; 257]).unwrap_err();
        assert_eq!(huge.code(), "out_of_memory");
        assert_eq!(
            Rle::from_counts(2, 3, vec![5]).unwrap_err().code(),
            "bad_prompt"
        );
    }

    fn masks() -> impl Strategy<Value = Mask> {
        let side = 1_usize..24;
        // Long runs and short ones: a bit that repeats.
        let bits = |n: usize| prop::collection::vec((0_u8..2, 1_usize..40), n);
        (side.clone(), side).prop_flat_map(move |(w, h)| {
            bits(w * h).prop_map(move |runs| {
                let all = runs.into_iter().flat_map(|(bit, times)| vec![bit; times]);
                Mask::from_parts(w, h, all.take(w * h).collect())
            })
        })
    }

    proptest! {
        #[test]
        fn round_trip(mask in masks()) {
            let rle = mask.to_rle();
            prop_assert_eq!(rle.area(), mask.area());
            prop_assert_eq!(rle.bbox_xywh(), mask.bbox_xywh());
            let text = rle.counts_string();
            let back = Rle::from_string(mask.height(), mask.width(), &text).unwrap();
            prop_assert_eq!(&back, &rle);
            prop_assert_eq!(back.to_mask(), mask);
        }

        #[test]
        fn iou_is_that_of_the_masks(a in masks(), seed in any::<u64>()) {
            let bits = a.bits().iter().enumerate();
            let other = bits.map(|(i, b)| b ^ u8::from(seed.rotate_left(i as u32 * 7) % 5 == 0));
            let b = Mask::from_parts(a.width(), a.height(), other.collect());
            prop_assert_eq!(a.to_rle().iou(&b.to_rle()).unwrap(), a.iou(&b).unwrap());
        }

        #[test]
        fn any_text_is_a_mask_or_an_error(text in "[0-o]{0,12}") {
            if let Ok(rle) = Rle::from_string(7, 11, &text) {
                prop_assert_eq!(rle.to_mask().area(), rle.area());
            }
        }
    }
}
