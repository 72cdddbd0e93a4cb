//! Pixels, coordinate spaces, masks and mask checks for SAM 2. No Burn, and no I/O beyond codecs.
//!
//! From bytes to the network and back:
//!
//! ```
//! use sam2_image::{DecodeLimits, RgbImage, decode, preprocess, upsample_threshold};
//!
//! # fn main() -> Result<(), sam2_image::ImageError> {
//! let png = RgbImage::from_rgb(3, 2, vec![128; 18])?.to_png()?;
//! let image = decode(&png, &DecodeLimits::default())?; // [H, W, 3] bytes, as a person sees it
//! let input = preprocess(&image, 64); // [3, 64, 64] floats for the image encoder
//! assert_eq!(input.len(), 3 * 64 * 64);
//!
//! let logits = vec![1.0; 16 * 16]; // what the mask decoder answers, [16, 16]
//! let mask = upsample_threshold(&logits, (16, 16), (image.height(), image.width()), 0.0)?;
//! assert_eq!(mask.area(), 6);
//! # Ok(())
//! # }
//! ```

mod antialias;
mod area;
mod check;
mod checksum;
mod components;
mod decode;
mod error;
mod fingerprint;
mod jpeg;
mod mask;
mod min_cut;
mod orient;
mod overlay;
mod parallel;
mod png;
mod polygons;
mod preprocess;
mod rgb;
mod rle;
mod snap;
mod space;
mod taps;
mod upsample;
mod video_resize;

pub use antialias::resize_antialias;
pub use area::{area_downsample, fitted};
pub use check::{
    ABSENT_LOGIT, IOU_RANGE, LOGIT_RANGE, LogitStats, MASK_PROMPT_LOGIT, MaskFault, SCORE_RANGE,
    inspect, inspect_scores,
};
pub use checksum::{CHECKSUM_BLOCK, checksum_weights, verify_checksums};
pub use components::{Components, fill_holes_in_mask_scores, postprocess_logits};
pub use decode::{DecodeLimits, decode};
pub use error::ImageError;
pub use fingerprint::Fingerprint;
pub use mask::Mask;
pub use overlay::{OverlayStyle, cut_out_png, draw_overlay, overlay_layer};
pub use polygons::{Corner, Polygon, svg_path};
pub use preprocess::{MEAN, STD, preprocess};
pub use rgb::RgbImage;
pub use rle::Rle;
pub use snap::{SnapPicture, SnapPrompt};
pub use space::{ImagePx, ImageSize, ModelPx, ModelSpace, Point, Rect};
pub use upsample::{upsample_logits, upsample_threshold};
pub use video_resize::{video_preprocess, video_resize};
