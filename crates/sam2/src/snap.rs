//! Logits to masks that are snapped to a picture's edges ([`SnapPicture`]), for pictures and videos alike.

use crate::Error;
use crate::image_predictor::MASK_THRESHOLD;
use sam2_image::{ImageSize, Mask, SnapPicture, SnapPrompt, upsample_threshold};
use sam2_model::sam::prompt_encoder::{PointLabel, PromptPoint};

/// A square of logits that covers the whole picture, and what it was asked with.
pub(crate) struct Answered<'a> {
    /// `[side, side]` row-major.
    pub logits: &'a [f32],
    pub side: usize,
    /// In pixels of the model's input, which is `model_size` pixels wide.
    pub points: &'a [PromptPoint],
    pub model_size: usize,
}

/// The mask in pixels of `target`, its border moved to the edges of `picture`.
pub(crate) fn snapped_mask(
    picture: &SnapPicture,
    answered: &Answered,
    target: ImageSize,
) -> Result<Mask, Error> {
    let target = (target.height, target.width);
    let (logits, size) = (answered.logits, (answered.side, answered.side));
    let scale = picture.side() as f32 / answered.model_size as f32;
    let snapped = picture.snap(logits, size, &prompt_of(answered.points, scale))?;
    let side = picture.side();
    let mask = upsample_threshold(&snapped, (side, side), target, 0.0)?;
    match mask.area() {
        // What vanishes between the clicks and the colours was not meant to.
        0 => Ok(upsample_threshold(logits, size, target, MASK_THRESHOLD)?),
        _ => Ok(mask),
    }
}

/// Points and box corners as snapping takes them, at another scale.
fn prompt_of(points: &[PromptPoint], scale: f32) -> SnapPrompt {
    let mut out = SnapPrompt::default();
    let (mut low, mut high) = (None, None);
    for point in points {
        let at = [point.x * scale, point.y * scale];
        match point.label {
            PointLabel::Foreground => out.clicks.push((at, true)),
            PointLabel::Background => out.clicks.push((at, false)),
            PointLabel::BoxTopLeft => low = Some(at),
            PointLabel::BoxBottomRight => high = Some(at),
            PointLabel::NotAPoint => {}
        }
    }
    let corners = low.zip(high);
    out.bounding_box = corners.map(|([x0, y0], [x1, y1])| [x0, y0, x1, y1]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_is_told_at_the_pictures_scale() {
        let point = |x, y, label| PromptPoint { x, y, label };
        let points = [
            point(10.0, 20.0, PointLabel::BoxTopLeft),
            point(30.0, 44.0, PointLabel::BoxBottomRight),
            point(12.0, 22.0, PointLabel::Foreground),
            point(14.0, 24.0, PointLabel::Background),
            PromptPoint::PADDING,
        ];
        let want = SnapPrompt {
            clicks: vec![([6.0, 11.0], true), ([7.0, 12.0], false)],
            bounding_box: Some([5.0, 10.0, 15.0, 22.0]),
        };
        assert_eq!(prompt_of(&points, 0.5), want);
        assert_eq!(prompt_of(&points[..1], 1.0), SnapPrompt::default());
    }

    #[test]
    fn a_mask_that_vanishes_stays_as_the_network_answered() {
        let picture = SnapPicture::new(&[90; 32 * 32 * 3], 32).unwrap();
        let mut logits = [-9.0; 64];
        logits[9] = 9.0;
        let (side, model_size) = (8, 32);
        let answered = |points| Answered {
            logits: &logits,
            side,
            points,
            model_size,
        };
        let target = ImageSize {
            width: 32,
            height: 32,
        };
        // A box that the network finds nothing in.
        let corner = |at, label| PromptPoint {
            x: at,
            y: at,
            label,
        };
        let elsewhere = [
            corner(20.0, PointLabel::BoxTopLeft),
            corner(30.0, PointLabel::BoxBottomRight),
        ];
        let kept = snapped_mask(&picture, &answered(&elsewhere), target).unwrap();
        let raw = upsample_threshold(&logits, (8, 8), (32, 32), 0.0).unwrap();
        assert!(raw.area() > 0 && kept == raw);
    }
}
