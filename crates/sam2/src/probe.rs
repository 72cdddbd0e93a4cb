//! Known answers: a model's output on a built-in picture, as the CPU computes it.
//!
//! They travel in the project's own model files. A GPU is trusted with a model only after reproducing
//! them.

use crate::checked::{read, read_answer};
use crate::device::Runtime;
use sam2_image::{RgbImage, preprocess};
use sam2_model::Sam2Base;
use sam2_model::ops::from_vec;
use sam2_model::sam::prompt_encoder::{PointLabel, PromptPoint};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The answers.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
pub struct Probe {
    /// Input size they were computed at.
    pub image_size: usize,
    /// Values of the image embedding, evenly spread.
    pub embedding: Vec<f32>,
    /// Values of the four masks' logits, evenly spread.
    pub logits: Vec<f32>,
    /// Predicted IoU of the four masks.
    pub iou: Vec<f32>,
}

/// Values of each kind that are kept.
const KEPT: usize = 30;

/// The built-in picture: smooth colours, a bright disc and a dark bar, 96 x 64.
fn picture() -> Option<RgbImage> {
    let (width, height) = (96_usize, 64_usize);
    let mut data = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        for x in 0..width {
            let disc = (x as i32 - 60).pow(2) + (y as i32 - 30).pow(2) < 15 * 15;
            let bar = (10..20).contains(&x) && (8..56).contains(&y);
            data.extend(match (disc, bar) {
                (true, _) => [230, 200, 40],
                (_, true) => [20, 30, 60],
                _ => [(x * 2) as u8, (y * 3) as u8, 128],
            });
        }
    }
    RgbImage::from_rgb(width, height, data).ok()
}

/// Computes the answers on the model's device.
///
/// # Errors
/// What failed, in words.
pub async fn compute(base: &Sam2Base, runtime: &Runtime) -> Result<Probe, String> {
    let size = base.config.image_size;
    let picture = picture().ok_or("the built-in picture is broken")?;
    let input = from_vec(
        preprocess(&picture, size),
        [1, 3, size, size],
        runtime.device(),
    );
    let features = base.forward_image(input);
    let embedding = base.image_embedding(&features);
    let n: usize = embedding.dims().iter().product();
    let values = read(runtime, "the embedding", embedding.clone().reshape([n]));
    let values = values.await.map_err(|e| e.to_string())?;
    let s = size as f32;
    let click = PromptPoint {
        x: s * 0.63,
        y: s * 0.47,
        label: PointLabel::Foreground,
    };
    let output = base.decode(embedding, features.high_res.as_ref(), &[vec![click]], None);
    let answer = read_answer(
        runtime,
        &output,
        base.config.iou_prediction_use_sigmoid,
        None,
    )
    .await
    .map_err(|e| e.to_string())?;
    Ok(Probe {
        image_size: size,
        embedding: spread(&values),
        logits: spread(&answer.masks),
        iou: answer.iou,
    })
}

fn spread(values: &[f32]) -> Vec<f32> {
    // A step that shares no factor with the usual powers of two visits all channels.
    let step = (values.len() / KEPT).max(1) | 1;
    (0..KEPT).map(|i| values[i * step % values.len()]).collect()
}

/// Runs the model once (which also compiles every shader) and holds it against `stored` answers.
///
/// # Errors
/// Why the device is not to be trusted with this model.
pub async fn hold(
    base: &Sam2Base,
    runtime: &Runtime,
    stored: Option<&Value>,
) -> Result<String, String> {
    let got = compute(base, runtime).await?;
    let stored = stored.and_then(|v| Probe::deserialize(v).ok());
    let Some(stored) = stored.filter(|s| s.image_size == got.image_size) else {
        return Ok(
            "the file brings no probe answers for this input size: only the device's \
                   self-test was passed"
                .to_owned(),
        );
    };
    agree(&got, &stored)?;
    Ok("it reproduced the model's probe answers".to_owned())
}

/// Values within 1 % of the largest: a GPU's arithmetic stays within 0.1 %, a skipped shader does not.
fn agree(got: &Probe, stored: &Probe) -> Result<(), String> {
    let pairs = [
        ("embedding", &got.embedding, &stored.embedding),
        ("logits", &got.logits, &stored.logits),
        ("IoU", &got.iou, &stored.iou),
    ];
    for (what, got, stored) in pairs {
        let scale = stored.iter().fold(1e-3_f32, |m, v| m.max(v.abs()));
        let wrong = got.len() != stored.len()
            || got.iter().zip(stored).any(|(a, b)| {
                let off = (a - b).abs();
                off.is_nan() || off > 0.01 * scale
            });
        if wrong {
            return Err(format!(
                "its {what} on the built-in picture differs from the known answer"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_off_nan_or_short_is_refused() {
        let probe = Probe {
            image_size: 128,
            embedding: vec![1.0, -2.0],
            logits: vec![10.0, 0.1],
            iou: vec![0.5; 4],
        };
        assert!(agree(&probe, &probe).is_ok());
        for broken in [
            Probe {
                logits: vec![10.0, 0.3],
                ..probe.clone()
            },
            Probe {
                embedding: vec![f32::NAN, -2.0],
                ..probe.clone()
            },
            Probe {
                iou: vec![0.5; 3],
                ..probe.clone()
            },
        ] {
            assert!(agree(&broken, &probe).is_err(), "{broken:?}");
        }
        let rounded = Probe {
            logits: vec![10.005, 0.1],
            ..probe.clone()
        };
        assert!(agree(&rounded, &probe).is_ok());
    }
}
