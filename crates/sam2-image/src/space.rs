//! Coordinate spaces: a number says nothing about where it is measured, a type does.
//!
//! Coordinates are continuous, x before y, with (0, 0) the outer corner of the upper left pixel
//! as SAM 2 counts them: pixel (3, 1) covers x from 3 to 4. The prompt encoder adds its half pixel
//! itself.

use crate::ImageError;

/// In pixels of the oriented picture, as a person sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ImagePx<T>(pub T);

/// In pixels of the network's square input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ModelPx<T>(pub T);

/// A position.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// From the left.
    pub x: f32,
    /// From the top.
    pub y: f32,
}

/// A box by its upper left and lower right corner.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rect {
    /// Left edge.
    pub x0: f32,
    /// Upper edge.
    pub y0: f32,
    /// Right edge.
    pub x1: f32,
    /// Lower edge.
    pub y1: f32,
}

impl Rect {
    /// Upper left and lower right corner, in the order in which a box becomes two points.
    pub fn corners(&self) -> [Point; 2] {
        [
            Point {
                x: self.x0,
                y: self.y0,
            },
            Point {
                x: self.x1,
                y: self.y1,
            },
        ]
    }
}

/// Width and height of the oriented picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageSize {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

impl ImageSize {
    /// A position in the picture: finite, 0 <= x < width, 0 <= y < height.
    ///
    /// # Errors
    /// [`ImageError::NotFinite`], [`ImageError::Outside`].
    pub fn point(&self, x: f32, y: f32) -> Result<ImagePx<Point>, ImageError> {
        let at_edge = x >= self.width as f32 || y >= self.height as f32;
        self.inside("the point", x, y, at_edge)?;
        Ok(ImagePx(Point { x, y }))
    }

    /// A box in the picture: finite, 0 <= x0 < x1 <= width, 0 <= y0 < y1 <= height.
    ///
    /// # Errors
    /// [`ImageError::NotFinite`], [`ImageError::Outside`], [`ImageError::EmptyBox`].
    pub fn rect(&self, x0: f32, y0: f32, x1: f32, y1: f32) -> Result<ImagePx<Rect>, ImageError> {
        self.inside("the box corner", x0, y0, false)?;
        self.inside("the box corner", x1, y1, false)?;
        if x1 <= x0 || y1 <= y0 {
            return Err(ImageError::EmptyBox { x0, y0, x1, y1 });
        }
        Ok(ImagePx(Rect { x0, y0, x1, y1 }))
    }

    fn inside(&self, what: &'static str, x: f32, y: f32, at_edge: bool) -> Result<(), ImageError> {
        if !x.is_finite() || !y.is_finite() {
            return Err(ImageError::NotFinite { what, x, y });
        }
        let (width, height) = (self.width, self.height);
        if at_edge || x < 0.0 || y < 0.0 || x > width as f32 || y > height as f32 {
            return Err(ImageError::Outside {
                what,
                x,
                y,
                width,
                height,
            });
        }
        Ok(())
    }
}

/// How the pixels of one picture lie in the network's square input of `model_size` pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelSpace {
    /// The picture.
    pub image: ImageSize,
    /// Side of the network's input (`image_size` of the configuration).
    pub model_size: usize,
}

impl ModelSpace {
    /// `SAM2Transforms.transform_coords(normalize=True)`: divided by the picture's side, then
    /// multiplied by the network's, in f32 and in this order.
    pub fn model_from_image(&self, ImagePx(point): ImagePx<Point>) -> ModelPx<Point> {
        let size = self.model_size as f32;
        ModelPx(Point {
            x: point.x / self.image.width as f32 * size,
            y: point.y / self.image.height as f32 * size,
        })
    }

    /// `SAM2Transforms.transform_boxes(normalize=True)`: both corners as points.
    pub fn model_from_image_rect(&self, ImagePx(rect): ImagePx<Rect>) -> ModelPx<Rect> {
        let [low, high] = rect.corners().map(|p| self.model_from_image(ImagePx(p)).0);
        ModelPx(Rect {
            x0: low.x,
            y0: low.y,
            x1: high.x,
            y1: high.y,
        })
    }

    /// The way back.
    pub fn image_from_model(&self, ModelPx(point): ModelPx<Point>) -> ImagePx<Point> {
        let size = self.model_size as f32;
        ImagePx(Point {
            x: point.x / size * self.image.width as f32,
            y: point.y / size * self.image.height as f32,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SIZE: ImageSize = ImageSize {
        width: 640,
        height: 480,
    };

    #[test]
    fn x_scales_by_width_and_y_by_height() {
        let space = ModelSpace {
            image: SIZE,
            model_size: 1024,
        };
        let point = SIZE.point(320.0, 120.0).unwrap();
        assert_eq!(
            space.model_from_image(point),
            ModelPx(Point { x: 512.0, y: 256.0 })
        );
        let rect = SIZE.rect(0.0, 0.0, 640.0, 240.0).unwrap();
        let expected = Rect {
            x0: 0.0,
            y0: 0.0,
            x1: 1024.0,
            y1: 512.0,
        };
        assert_eq!(space.model_from_image_rect(rect), ModelPx(expected));
    }

    #[test]
    fn prompts_are_checked_once() {
        assert!(SIZE.point(0.0, 0.0).is_ok() && SIZE.point(639.9, 479.9).is_ok());
        for (x, y) in [(-0.1, 5.0), (640.0, 5.0), (5.0, 480.0), (5.0, 1e9)] {
            let error = SIZE.point(x, y).unwrap_err();
            assert!(matches!(error, ImageError::Outside { .. }), "{error}");
            assert_eq!(error.code(), "bad_prompt");
        }
        for bad in [f32::NAN, f32::INFINITY] {
            assert!(matches!(
                SIZE.point(bad, 1.0),
                Err(ImageError::NotFinite { .. })
            ));
            assert!(matches!(
                SIZE.rect(0.0, 0.0, 1.0, bad),
                Err(ImageError::NotFinite { .. })
            ));
        }
        assert!(matches!(
            SIZE.rect(5.0, 5.0, 5.0, 9.0),
            Err(ImageError::EmptyBox { .. })
        ));
        assert!(matches!(
            SIZE.rect(5.0, 9.0, 6.0, 5.0),
            Err(ImageError::EmptyBox { .. })
        ));
        assert!(matches!(
            SIZE.rect(5.0, 9.0, 641.0, 10.0),
            Err(ImageError::Outside { .. })
        ));
    }

    proptest! {
        #[test]
        fn there_and_back(x in 0.0_f32..1.0, y in 0.0_f32..1.0, w in 1_usize..12_000, h in 1_usize..9_000) {
            let space = ModelSpace { image: ImageSize { width: w, height: h }, model_size: 1024 };
            let start = Point { x: x * w as f32, y: y * h as f32 };
            let ImagePx(end) = space.image_from_model(space.model_from_image(ImagePx(start)));
            // Four roundings of half a unit in the last place each.
            prop_assert!((end.x - start.x).abs() <= 4.0 * f32::EPSILON * start.x);
            prop_assert!((end.y - start.y).abs() <= 4.0 * f32::EPSILON * start.y);
        }
    }
}
