//! Turning a picture the way its EXIF orientation says.

use image::metadata::Orientation;

use crate::RgbImage;

/// Side of the square tiles in which a picture is transposed: one tile of source and one of
/// target stay in the first-level cache.
const TILE: usize = 32;

/// Applies one of the eight EXIF orientations; four of them swap width and height.
///
/// The in-place cases need no second buffer, which matters for a picture of 12 000 x 9 000.
pub(crate) fn orient(image: RgbImage, orientation: Orientation) -> RgbImage {
    match orientation {
        Orientation::NoTransforms => image,
        Orientation::FlipHorizontal => flip_rows(image),
        Orientation::FlipVertical => flip_columns(image),
        Orientation::Rotate180 => flip_rows(flip_columns(image)),
        Orientation::Rotate90FlipH => transpose(&image),
        Orientation::Rotate90 => flip_rows(transpose(&image)),
        Orientation::Rotate270 => flip_columns(transpose(&image)),
        Orientation::Rotate270FlipH => flip_rows(flip_columns(transpose(&image))),
    }
}

/// Mirrors left and right: every row is reversed.
fn flip_rows(mut image: RgbImage) -> RgbImage {
    let stride = 3 * image.width();
    for row in image.data_mut().chunks_exact_mut(stride) {
        row.as_chunks_mut::<3>().0.reverse();
    }
    image
}

/// Mirrors top and bottom: the order of the rows is reversed.
fn flip_columns(mut image: RgbImage) -> RgbImage {
    let (stride, height) = (3 * image.width(), image.height());
    let (top, bottom) = image.data_mut().split_at_mut(height / 2 * stride);
    let rows = top
        .chunks_exact_mut(stride)
        .zip(bottom.chunks_exact_mut(stride).rev());
    rows.for_each(|(a, b)| a.swap_with_slice(b));
    image
}

/// Swaps rows and columns, tile by tile.
pub(crate) fn transpose(image: &RgbImage) -> RgbImage {
    let (width, height) = (image.width(), image.height());
    let source = image.data().as_chunks::<3>().0;
    let mut data = vec![0; 3 * width * height];
    let target = data.as_chunks_mut::<3>().0;
    for y0 in (0..height).step_by(TILE) {
        for x0 in (0..width).step_by(TILE) {
            for x in x0..(x0 + TILE).min(width) {
                for y in y0..(y0 + TILE).min(height) {
                    target[x * height + y] = source[y * width + x];
                }
            }
        }
    }
    RgbImage::from_parts(height, width, data)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Draws a 3 x 2 picture whose pixels are numbered
    ///     1 2 3
    ///     4 5 6
    /// turns it, and reads the numbers back row by row.
    fn turned(exif: u8) -> (usize, usize, Vec<u8>) {
        let data = (1..=6).flat_map(|n| [n, 10 + n, 20 + n]).collect();
        let image = RgbImage::from_rgb(3, 2, data).unwrap();
        let image = orient(image, Orientation::from_exif(exif).unwrap());
        let numbers = image.data().chunks_exact(3).map(|p| {
            assert_eq!(
                [p[1], p[2]],
                [p[0] + 10, p[0] + 20],
                "channels stay together"
            );
            p[0]
        });
        (image.width(), image.height(), numbers.collect())
    }

    /// The table of the EXIF standard: where the stored first row and column belong.
    #[test]
    fn all_eight_orientations() {
        assert_eq!(turned(1), (3, 2, vec![1, 2, 3, 4, 5, 6]));
        assert_eq!(turned(2), (3, 2, vec![3, 2, 1, 6, 5, 4]));
        assert_eq!(turned(3), (3, 2, vec![6, 5, 4, 3, 2, 1]));
        assert_eq!(turned(4), (3, 2, vec![4, 5, 6, 1, 2, 3]));
        assert_eq!(turned(5), (2, 3, vec![1, 4, 2, 5, 3, 6]));
        assert_eq!(turned(6), (2, 3, vec![4, 1, 5, 2, 6, 3]));
        assert_eq!(turned(7), (2, 3, vec![6, 3, 5, 2, 4, 1]));
        assert_eq!(turned(8), (2, 3, vec![3, 6, 2, 5, 1, 4]));
    }

    #[test]
    fn tiles_cover_sides_that_are_no_multiple_of_the_tile() {
        let (width, height) = (TILE * 2 + 5, TILE + 3);
        let data: Vec<u8> = (0..3 * width * height).map(|i| (i % 251) as u8).collect();
        let image = RgbImage::from_rgb(width, height, data).unwrap();
        let turned = transpose(&image);
        assert_eq!((turned.width(), turned.height()), (height, width));
        for (x, y) in [
            (0, 0),
            (TILE, TILE),
            (width - 1, height - 1),
            (width - 1, 0),
        ] {
            let pixel = |i: &RgbImage, x: usize, y: usize| i.row(y)[3 * x..3 * x + 3].to_vec();
            assert_eq!(pixel(&turned, y, x), pixel(&image, x, y));
        }
        assert_eq!(transpose(&turned), image);
    }
}
