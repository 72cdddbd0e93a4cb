//! What `--json` prints, a line per picture.

use sam2::PredictedMask;
use sam2::image::Rle;
use serde::Serialize;

/// Milliseconds of a picture's stages.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Timings {
    /// File, decoding, resize and normalisation; runs beside the picture before it.
    pub read: f64,
    /// The image encoder.
    pub encode: f64,
    /// All prompts.
    pub decode: f64,
}

/// One line of `--json`.
#[derive(Debug, Serialize)]
pub struct Line<'a> {
    pub schema: u32,
    pub file: String,
    pub image: LineImage,
    pub device: &'a str,
    pub model: &'a str,
    pub timings_ms: Timings,
    pub masks: Vec<LineMask>,
}

#[derive(Debug, Serialize)]
pub struct LineImage {
    pub width: usize,
    pub height: usize,
    /// Sizes, boxes and masks are those of the picture with its EXIF orientation applied.
    pub oriented: bool,
}

#[derive(Debug, Serialize)]
pub struct LineMask {
    prompt: usize,
    iou: f32,
    area: usize,
    /// x, y, width, height in pixels.
    bbox: [usize; 4],
    segmentation: Segmentation,
}

impl LineMask {
    pub fn new(prompt: usize, mask: &PredictedMask) -> Self {
        let rle = mask.mask.to_rle();
        Self {
            prompt,
            iou: mask.iou,
            area: rle.area(),
            bbox: rle.bbox_xywh(),
            segmentation: Segmentation::new(&rle),
        }
    }
}

/// A mask as COCO's compressed run lengths.
#[derive(Debug, Serialize)]
pub struct Segmentation {
    /// Height, width.
    size: [usize; 2],
    counts: String,
}

impl Segmentation {
    pub fn new(rle: &Rle) -> Self {
        Self {
            size: rle.size(),
            counts: rle.counts_string(),
        }
    }
}

/// The line of a picture that failed.
#[derive(Debug, Serialize)]
pub struct FailedLine<'a> {
    pub file: String,
    pub error: FailedReason<'a>,
}

#[derive(Debug, Serialize)]
pub struct FailedReason<'a> {
    pub code: &'a str,
    pub message: String,
}
