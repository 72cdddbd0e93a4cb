//! The published answers of facebook/sam2.1-hiera-tiny.
//!
//! From the tests of Hugging Face transformers (Apache-2.0), tests/models/sam2/test_modeling_sam2.py
//! at 01841b3: predicted IoU, and the upper left corner of the low-resolution logits. Their tolerance
//! is 1e-4 on their own machine; across implementations and JPEG decoders the values move more, so the
//! bounds here are wider, and far below what any mistake in the network makes.

use crate::{CliError, files, output};
use sam2::{CleanUp, ImagePredictor, LowResMask, Model, PredictedMask, Prompt, block_on};
use std::path::Path;
use std::sync::Arc;

/// Largest difference of a predicted IoU.
const IOU_BOUND: f32 = 5e-3;
/// Largest difference of a logit; the logits are some tens.
const LOGIT_BOUND: f32 = 0.25;

/// One prompt and what it must answer.
struct Case {
    picture: &'static str,
    points: &'static [[f32; 2]],
    labels: &'static [i32],
    bounding_box: Option<[f32; 4]>,
    multimask: bool,
    /// Goes on from the best mask of the first case.
    from_first: bool,
    /// Predicted IoU, highest first.
    iou: &'static [f32],
    /// Upper left corner of the best mask's logits.
    corner: &'static [&'static [f32]],
}

const NOTHING: Case = Case {
    picture: "truck.jpg",
    points: &[],
    labels: &[],
    bounding_box: None,
    multimask: false,
    from_first: false,
    iou: &[],
    corner: &[],
};

/// One object by points, one mask, the 2 x 2 corner.
const fn points(
    picture: &'static str,
    points: &'static [[f32; 2]],
    labels: &'static [i32],
    iou: &'static [f32],
    corner: &'static [&'static [f32]],
) -> Case {
    Case {
        picture,
        points,
        labels,
        iou,
        corner,
        ..NOTHING
    }
}

/// One object by its box, one mask, the 2 x 2 corner.
const fn boxed(
    picture: &'static str,
    corners: [f32; 4],
    iou: &'static [f32],
    corner: &'static [&'static [f32]],
) -> Case {
    Case {
        picture,
        bounding_box: Some(corners),
        iou,
        corner,
        ..NOTHING
    }
}

/// The tests that give each prompt alone. Batches of unequal length are left out: transformers pads
/// them with points of label -10, which the official code does not have.
const CASES: &[Case] = &[
    Case {
        points: &[[500.0, 375.0]],
        labels: &[1],
        multimask: true,
        iou: &[0.9547, 0.4932, 0.0427],
        corner: &[
            &[-24.9288, -41.7466, -31.0128],
            &[-34.5113, -31.1054, -36.5913],
            &[-25.2597, -37.5912, -33.4030],
        ],
        ..NOTHING
    },
    points(
        "truck.jpg",
        &[[500.0, 375.0]],
        &[1],
        &[0.9364],
        &[
            &[-7.0462, -13.3857, -9.6419],
            &[-10.4565, -9.7174, -12.3528],
            &[-7.3704, -12.4391, -10.5539],
        ],
    ),
    boxed(
        "truck.jpg",
        [75.0, 275.0, 1725.0, 850.0],
        &[0.9904],
        &[&[-11.1540, -18.3994], &[-12.4230, -17.4403]],
    ),
    boxed(
        "truck.jpg",
        [425.0, 600.0, 700.0, 875.0],
        &[0.9689],
        &[&[-19.3144, -29.3947], &[-24.6341, -24.1144]],
    ),
    boxed(
        "truck.jpg",
        [1375.0, 550.0, 1650.0, 800.0],
        &[0.9770],
        &[&[-24.2983, -37.6470], &[-31.6659, -31.0893]],
    ),
    boxed(
        "truck.jpg",
        [1240.0, 675.0, 1400.0, 750.0],
        &[0.9079],
        &[&[-25.4313, -44.0231], &[-34.0903, -34.7447]],
    ),
    boxed(
        "groceries.jpg",
        [450.0, 170.0, 520.0, 350.0],
        &[0.9739],
        &[&[-22.5539, -30.4633], &[-32.8940, -21.6813]],
    ),
    boxed(
        "groceries.jpg",
        [350.0, 190.0, 450.0, 350.0],
        &[0.9816],
        &[&[-23.6637, -31.3489], &[-32.5095, -22.4442]],
    ),
    boxed(
        "groceries.jpg",
        [500.0, 170.0, 580.0, 350.0],
        &[0.9838],
        &[&[-25.2987, -30.9999], &[-34.6243, -24.1717]],
    ),
    boxed(
        "groceries.jpg",
        [580.0, 170.0, 640.0, 350.0],
        &[0.9781],
        &[&[-26.3150, -30.5313], &[-35.0152, -24.0271]],
    ),
    Case {
        points: &[[500.0, 375.0], [1125.0, 625.0]],
        labels: &[1, 1],
        from_first: true,
        iou: &[0.9738],
        corner: &[
            &[-5.3899, -9.7908, -8.4931],
            &[-5.5144, -8.8731, -8.3000],
            &[-5.5976, -9.9249, -9.0761],
        ],
        ..NOTHING
    },
    Case {
        points: &[[500.0, 375.0], [1125.0, 625.0]],
        labels: &[1, 0],
        from_first: true,
        iou: &[0.9719],
        corner: &[
            &[-15.5081, -21.8641, -18.0479],
            &[-17.4401, -17.4754, -23.6469],
            &[-14.3975, -19.4346, -18.5884],
        ],
        ..NOTHING
    },
];

/// Runs every case and prints a line for each.
///
/// # Errors
/// [`CliError::Verify`] where figures are beyond their bounds; as [`files::picture`].
pub fn hold(model: Arc<Model>, folder: &Path) -> Result<(), CliError> {
    let predictor = ImagePredictor::new(model);
    let (mut first, mut beyond) = (None::<LowResMask>, 0);
    for picture in ["truck.jpg", "groceries.jpg"] {
        let decoded = files::picture(&folder.join(picture))?;
        let embedding = block_on(predictor.set_image(&decoded))?;
        for (number, case) in CASES
            .iter()
            .enumerate()
            .filter(|(_, c)| c.picture == picture)
        {
            let prompt = Prompt {
                points: case.points.to_vec(),
                labels: case.labels.to_vec(),
                bounding_box: case.bounding_box,
                mask_input: first.clone().filter(|_| case.from_first),
                multimask: case.multimask,
            };
            let mut answer = block_on(predictor.predict(&embedding, &prompt, CleanUp::default()))?;
            answer.masks.sort_by(|a, b| b.iou.total_cmp(&a.iou));
            let [iou, logit] = differences(case, &answer.masks);
            if number == 0 {
                first = answer.masks.first().map(|m| m.low_res.clone());
            }
            let fine = iou <= IOU_BOUND && logit <= LOGIT_BOUND;
            beyond += usize::from(!fine);
            let word = if fine {
                "as published"
            } else {
                "NOT as published"
            };
            output::line(&format!(
                "official {number:<7}{picture}: IoU off by {iou:.1e}, logits by {logit:.1e}: {word}"
            ))?;
        }
    }
    match beyond {
        0 => Ok(()),
        n => Err(CliError::Verify(format!(
            "{n} of {} published answers differ: this is not the published sam2.1-hiera-tiny, or it is \
             damaged",
            CASES.len()
        ))),
    }
}

/// Largest differences of IoU and of the corner's logits; infinite where something is missing or NaN.
fn differences(case: &Case, masks: &[PredictedMask]) -> [f32; 2] {
    let worst = |worst: f32, off: f32| {
        if off > worst || off.is_nan() {
            off
        } else {
            worst
        }
    };
    let Some(best) = masks.first().filter(|_| masks.len() == case.iou.len()) else {
        return [f32::INFINITY; 2];
    };
    let iou = masks
        .iter()
        .zip(case.iou)
        .map(|(m, want)| (m.iou - want).abs());
    let logits = case.corner.iter().enumerate().flat_map(|(y, row)| {
        let side = best.low_res.side;
        row.iter()
            .enumerate()
            .map(move |(x, want)| (y * side + x, want))
    });
    let at = |i: usize| best.low_res.logits.get(i).copied().unwrap_or(f32::NAN);
    // The predictor clamps what it hands out to ±32.
    let logits = logits.map(|(i, want)| (at(i) - want.clamp(-32.0, 32.0)).abs());
    [iou.fold(0.0, worst), logits.fold(0.0, worst)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use sam2::image::Mask;

    fn answer(case: &Case, add: f32) -> Vec<PredictedMask> {
        let side = 256;
        let mut logits = vec![0.0; side * side];
        for (y, row) in case.corner.iter().enumerate() {
            for (x, v) in row.iter().enumerate() {
                logits[y * side + x] = v.clamp(-32.0, 32.0) + add;
            }
        }
        let low_res = LowResMask {
            logits: logits.into(),
            side,
        };
        let mask = Mask::empty(2, 2);
        case.iou
            .iter()
            .map(|iou| PredictedMask {
                mask: mask.clone(),
                iou: *iou,
                low_res: low_res.clone(),
            })
            .collect()
    }

    #[test]
    fn every_case_is_whole_and_holds_only_its_own_answer() {
        for case in CASES {
            assert_eq!(case.points.len(), case.labels.len());
            assert_eq!(case.iou.len(), if case.multimask { 3 } else { 1 });
            assert!(!case.points.is_empty() || case.bounding_box.is_some());
            assert_eq!(differences(case, &answer(case, 0.0)), [0.0, 0.0]);
            let [_, off] = differences(case, &answer(case, 0.5));
            assert!(off > LOGIT_BOUND);
            let [nan, _] = differences(case, &[]);
            assert!(nan > IOU_BOUND);
        }
    }
}
