//! What a person points at, checked against the picture.

use crate::Error;
use sam2_image::{ImageSize, ModelPx, ModelSpace};
use sam2_model::sam::prompt_encoder::{PointLabel, PromptPoint};
use std::sync::Arc;

/// Low-resolution logits that go in as a mask prompt: those of an earlier answer.
#[derive(Debug, Clone, PartialEq)]
pub struct LowResMask {
    /// `[h, w]` row-major, clamped to ±32 as the official predictor returns them.
    pub logits: Arc<[f32]>,
    /// Side; low-resolution masks are square.
    pub side: usize,
}

/// A prompt in pixels of the oriented picture, as `SAM2ImagePredictor.predict` takes it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Prompt {
    /// (x, y).
    pub points: Vec<[f32; 2]>,
    /// 1 foreground, 0 background; one per point.
    pub labels: Vec<i32>,
    /// (x0, y0, x1, y1).
    pub bounding_box: Option<[f32; 4]>,
    pub mask_input: Option<LowResMask>,
    /// Three masks for an ambiguous prompt, or one.
    pub multimask: bool,
}

impl Prompt {
    /// One positive click, three masks.
    pub fn click(x: f32, y: f32) -> Self {
        Self {
            points: vec![[x, y]],
            labels: vec![1],
            multimask: true,
            ..Self::default()
        }
    }

    /// The prompt's points in the model's pixels, the box's corners first
    /// (sam2_image_predictor.py, `_predict`).
    ///
    /// # Errors
    /// A point or box outside the picture or not finite, an unknown label, a mask input of another
    /// size, and nothing asked for at all.
    pub(crate) fn to_model(
        &self,
        image: ImageSize,
        model_size: usize,
    ) -> Result<Vec<PromptPoint>, Error> {
        let space = ModelSpace { image, model_size };
        if self.points.len() != self.labels.len() {
            let (points, labels) = (self.points.len(), self.labels.len());
            let text = format!("{points} points have {labels} labels: give one label per point");
            return Err(Error::Prompt(text));
        }
        if self.points.is_empty() && self.bounding_box.is_none() && self.mask_input.is_none() {
            let text = "the prompt is empty: give a point, a box or a mask";
            return Err(Error::Prompt(text.to_owned()));
        }
        let low_res = model_size / 4;
        if let Some(mask) = &self.mask_input {
            if mask.side != low_res || mask.logits.len() != low_res * low_res {
                let side = mask.side;
                let text = format!(
                    "the mask input is {side} x {side}, this model takes {low_res} x {low_res}: \
                     use the low-resolution logits of an earlier answer of the same model"
                );
                return Err(Error::Prompt(text));
            }
            if mask.logits.iter().any(|v| !v.is_finite()) {
                return Err(Error::Prompt(
                    "the mask input holds values that are not finite".into(),
                ));
            }
        }
        let mut out = Vec::with_capacity(self.points.len() + 2);
        if let Some([x0, y0, x1, y1]) = self.bounding_box {
            let ModelPx(rect) = space.model_from_image_rect(image.rect(x0, y0, x1, y1)?);
            let [low, high] = rect.corners();
            out.push(PromptPoint {
                x: low.x,
                y: low.y,
                label: PointLabel::BoxTopLeft,
            });
            out.push(PromptPoint {
                x: high.x,
                y: high.y,
                label: PointLabel::BoxBottomRight,
            });
        }
        for (&[x, y], &label) in self.points.iter().zip(&self.labels) {
            let ModelPx(point) = space.model_from_image(image.point(x, y)?);
            let label = label_from(label)?;
            out.push(PromptPoint {
                x: point.x,
                y: point.y,
                label,
            });
        }
        Ok(out)
    }
}

/// A click's label.
pub(crate) fn label_from(label: i32) -> Result<PointLabel, Error> {
    Ok(match label {
        -1 => PointLabel::NotAPoint,
        0 => PointLabel::Background,
        1 => PointLabel::Foreground,
        2 => PointLabel::BoxTopLeft,
        3 => PointLabel::BoxBottomRight,
        other => {
            let text = format!(
                "label {other} is unknown: 1 is foreground, 0 background (2 and 3 the corners of a \
                 box, -1 padding)"
            );
            return Err(Error::Prompt(text));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: ImageSize = ImageSize {
        width: 200,
        height: 50,
    };

    #[test]
    fn box_corners_come_before_clicks_and_axes_scale_apart() {
        let prompt = Prompt {
            points: vec![[100.0, 25.0]],
            labels: vec![0],
            bounding_box: Some([20.0, 10.0, 60.0, 50.0]),
            ..Prompt::default()
        };
        let points = prompt.to_model(SIZE, 128).unwrap();
        let expected = [
            (12.8, 25.6, PointLabel::BoxTopLeft),
            (38.4, 128.0, PointLabel::BoxBottomRight),
            (64.0, 64.0, PointLabel::Background),
        ];
        for (p, (x, y, label)) in points.iter().zip(expected) {
            assert!(
                (p.x - x).abs() < 1e-4 && (p.y - y).abs() < 1e-4 && p.label == label,
                "{p:?}"
            );
        }
    }

    #[test]
    fn bad_prompts_are_refused_by_name() {
        let code = |p: Prompt| p.to_model(SIZE, 128).unwrap_err().code();
        assert_eq!(code(Prompt::default()), "bad_prompt");
        assert_eq!(
            code(Prompt {
                labels: vec![],
                ..Prompt::click(1.0, 1.0)
            }),
            "bad_prompt"
        );
        assert_eq!(
            code(Prompt {
                labels: vec![7],
                ..Prompt::click(1.0, 1.0)
            }),
            "bad_prompt"
        );
        for (x, y) in [
            (200.0, 1.0),
            (f32::NAN, 1.0),
            (1.0, -0.1),
            (1.0, f32::INFINITY),
        ] {
            assert_eq!(code(Prompt::click(x, y)), "bad_prompt", "{x} {y}");
        }
        for b in [
            [5.0, 5.0, 5.0, 9.0],
            [9.0, 5.0, 5.0, 9.0],
            [f32::NAN, 0.0, 1.0, 1.0],
        ] {
            let prompt = Prompt {
                bounding_box: Some(b),
                ..Prompt::default()
            };
            assert_eq!(code(prompt), "bad_prompt", "{b:?}");
        }
        let mask = LowResMask {
            logits: vec![0.0; 16].into(),
            side: 4,
        };
        let prompt = Prompt {
            mask_input: Some(mask),
            ..Prompt::click(1.0, 1.0)
        };
        assert_eq!(code(prompt), "bad_prompt");
    }
}
