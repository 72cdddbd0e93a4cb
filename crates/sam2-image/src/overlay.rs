//! Masks made visible: painted over the picture, as a layer of their own, and cut out.

use image::ExtendedColorType;

use crate::{ImageError, Mask, RgbImage, png};

/// How a mask is painted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OverlayStyle {
    /// Red, green, blue of the inside.
    pub color: [u8; 3],
    /// 0 shows only the picture, 1 only the colour.
    pub opacity: f32,
    /// Red, green, blue of the outline.
    pub outline: [u8; 3],
    /// Width of the outline in pixels, drawn inside the mask; 0 for none.
    pub outline_width: usize,
}

impl OverlayStyle {
    /// A colour at 45 % with a white outline whose width suits the picture's size.
    pub fn new(color: [u8; 3], width: usize, height: usize) -> Self {
        let outline_width = (width.max(height) / 500).clamp(1, 8);
        Self {
            color,
            opacity: 0.45,
            outline: [255; 3],
            outline_width,
        }
    }
}

/// Paints a mask over its picture.
///
/// # Errors
/// [`ImageError::SizeMismatch`].
pub fn draw_overlay(
    picture: &mut RgbImage,
    mask: &Mask,
    style: &OverlayStyle,
) -> Result<(), ImageError> {
    same_size("a mask painted over a picture", picture, mask)?;
    let opacity = (style.opacity.clamp(0.0, 1.0) * 256.0) as u16;
    let mut core = Core::new(mask, style.outline_width);
    let stride = 3 * mask.width();
    for (y, row) in picture.data_mut().chunks_exact_mut(stride).enumerate() {
        let (bits, core) = core.row(y);
        for ((pixel, bit), core) in row.as_chunks_mut::<3>().0.iter_mut().zip(bits).zip(core) {
            match (bit, core) {
                (0, _) => {}
                (_, 0) => *pixel = style.outline,
                _ => {
                    for (value, color) in pixel.iter_mut().zip(style.color) {
                        let mixed =
                            u16::from(*value) * (256 - opacity) + u16::from(color) * opacity;
                        *value = (mixed >> 8) as u8;
                    }
                }
            }
        }
    }
    Ok(())
}

/// A mask as a transparent layer, [H, W, 4] bytes of RGBA (not premultiplied), for a canvas that
/// lies over the picture.
pub fn overlay_layer(mask: &Mask, style: &OverlayStyle) -> Vec<u8> {
    let [red, green, blue] = style.color;
    let inside = [
        red,
        green,
        blue,
        (style.opacity.clamp(0.0, 1.0) * 255.0).round() as u8,
    ];
    let [red, green, blue] = style.outline;
    let outline = [red, green, blue, 255];
    let mut layer = vec![0; 4 * mask.width() * mask.height()];
    let mut core = Core::new(mask, style.outline_width);
    for (y, row) in layer
        .chunks_exact_mut((4 * mask.width()).max(1))
        .enumerate()
    {
        let (bits, core) = core.row(y);
        for ((pixel, bit), core) in row.as_chunks_mut::<4>().0.iter_mut().zip(bits).zip(core) {
            match (bit, core) {
                (0, _) => {}
                (_, 0) => *pixel = outline,
                _ => *pixel = inside,
            }
        }
    }
    layer
}

/// The picture's pixels inside the mask, as the bytes of an RGBA PNG file: alpha 255 inside, and
/// transparent black outside, so that nothing of the rest is given away. With `crop`, only the
/// mask's box; an empty mask then gives one transparent pixel.
///
/// # Errors
/// [`ImageError::SizeMismatch`], [`ImageError::Encode`].
pub fn cut_out_png(picture: &RgbImage, mask: &Mask, crop: bool) -> Result<Vec<u8>, ImageError> {
    same_size("a mask cut out of a picture", picture, mask)?;
    let [x, y, width, height] = match crop {
        true => mask.bbox_xywh(),
        false => [0, 0, mask.width(), mask.height()],
    };
    if width == 0 {
        return png::encode(&[0; 4], 1, 1, ExtendedColorType::Rgba8);
    }
    let mut rgba = Vec::with_capacity(4 * width * height);
    for row in y..y + height {
        let bits = &mask.bits()[row * mask.width()..][x..x + width];
        let pixels = &picture.row(row).as_chunks::<3>().0[x..x + width];
        rgba.extend(
            pixels
                .iter()
                .zip(bits)
                .flat_map(|([red, green, blue], bit)| {
                    [red * bit, green * bit, blue * bit, 255 * bit]
                }),
        );
    }
    png::encode(&rgba, width, height, ExtendedColorType::Rgba8)
}

fn same_size(what: &'static str, picture: &RgbImage, mask: &Mask) -> Result<(), ImageError> {
    if (picture.width(), picture.height()) == (mask.width(), mask.height()) {
        return Ok(());
    }
    Err(ImageError::SizeMismatch {
        what,
        left_width: picture.width(),
        left_height: picture.height(),
        right_width: mask.width(),
        right_height: mask.height(),
    })
}

/// The mask without its outline, row by row: pixels with none outside in the square of
/// `2 * width + 1` around them. What lies beyond the picture counts as inside, so that an object
/// that goes on past the edge is not closed there.
struct Core<'a> {
    mask: &'a Mask,
    width: usize,
    row: Vec<u8>,
}

impl<'a> Core<'a> {
    fn new(mask: &'a Mask, width: usize) -> Self {
        Self {
            mask,
            width,
            row: vec![0; mask.width()],
        }
    }

    /// Row `y` of the mask and of its core.
    fn row(&mut self, y: usize) -> (&'a [u8], &[u8]) {
        let columns = self.mask.width();
        let row = |y: usize| &self.mask.bits()[y * columns..(y + 1) * columns];
        self.row.copy_from_slice(row(y));
        let rows = y.saturating_sub(self.width)..(y + self.width + 1).min(self.mask.height());
        for other in rows.filter(|other| *other != y) {
            self.row
                .iter_mut()
                .zip(row(other))
                .for_each(|(core, bit)| *core &= bit);
        }
        // Along x: a pixel outside takes its neighbours with it, `width` to either side.
        for _ in 0..self.width {
            let mut left = 1;
            for x in 0..columns {
                let right = self.row.get(x + 1).copied().unwrap_or(1);
                let here = self.row[x];
                self.row[x] = left & here & right;
                left = here;
            }
        }
        (row(y), &self.row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mask::drawn;
    use crate::{DecodeLimits, decode};

    const STYLE: OverlayStyle = OverlayStyle {
        color: [200, 0, 0],
        opacity: 0.5,
        outline: [1, 2, 3],
        outline_width: 1,
    };

    #[test]
    fn inside_outline_and_outside() {
        let mask = drawn(&["......", ".###..", ".###..", ".###.."]);
        let mut picture = RgbImage::from_rgb(6, 4, vec![100; 72]).unwrap();
        draw_overlay(&mut picture, &mask, &STYLE).unwrap();
        let pixel = |x: usize, y: usize| picture.row(y)[3 * x..3 * x + 3].to_vec();
        assert_eq!(pixel(0, 0), [100; 3]);
        assert_eq!(pixel(1, 1), [1, 2, 3]);
        assert_eq!(pixel(2, 2), [150, 50, 50]);
        assert_eq!(
            pixel(2, 3),
            [150, 50, 50],
            "no outline along the edge of the picture"
        );
        let layer = overlay_layer(&mask, &STYLE);
        assert_eq!(layer[..4], [0; 4]);
        assert_eq!(layer[4 * 14..4 * 15], [200, 0, 0, 128]);
        assert_eq!(layer[4 * 13..4 * 14], [1, 2, 3, 255]);
    }

    #[test]
    fn a_wider_outline_eats_more() {
        let mask = drawn(&[
            ".........",
            ".#######.",
            ".#######.",
            ".#######.",
            ".........",
        ]);
        let style = OverlayStyle {
            outline_width: 2,
            ..STYLE
        };
        let layer = overlay_layer(&mask, &style);
        let outlined = layer.chunks_exact(4).filter(|p| p[3] == 255).count();
        assert_eq!(outlined, 21, "no pixel is more than two from the edge");
        let without = OverlayStyle {
            outline_width: 0,
            ..STYLE
        };
        assert!(
            overlay_layer(&mask, &without)
                .chunks_exact(4)
                .all(|p| p[3] != 255)
        );
    }

    #[test]
    fn cut_out_is_transparent_outside() {
        let mask = drawn(&["...", ".##", "..."]);
        let picture = RgbImage::from_rgb(3, 3, (0..27).collect()).unwrap();
        let cut = cut_out_png(&picture, &mask, true).unwrap();
        let decoded = decode(&cut, &DecodeLimits::default()).unwrap();
        assert_eq!((decoded.width(), decoded.height()), (2, 1));
        assert_eq!(decoded.data(), [12, 13, 14, 15, 16, 17]);
        let whole = cut_out_png(&picture, &mask, false).unwrap();
        let decoded = decode(&whole, &DecodeLimits::default()).unwrap();
        assert_eq!(
            decoded.data()[..12],
            [0; 12],
            "the colours outside are gone, not hidden"
        );
        assert!(cut_out_png(&picture, &Mask::empty(3, 3), true).is_ok());
    }

    #[test]
    fn sizes_must_agree() {
        let mut picture = RgbImage::from_rgb(3, 2, vec![0; 18]).unwrap();
        let mask = Mask::empty(2, 3);
        assert!(draw_overlay(&mut picture, &mask, &STYLE).is_err());
        assert!(cut_out_png(&picture, &mask, false).is_err());
    }
}
