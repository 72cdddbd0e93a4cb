//! Clicks and boxes as the model card describes them.

use super::distance::centre;
use crate::CliError;
use sam2::image::Mask;
use sam2::{CleanUp, ImageEmbedding, ImagePredictor, PredictedMask, Prompt, block_on};
use serde::Serialize;

/// Clicks of the longest round.
const CLICKS: usize = 5;

/// Intersection over union with the truth, and what the model predicted it to be.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Score {
    pub iou: f64,
    pub predicted: f32,
}

/// What one mask scores.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Scores {
    /// After 1 to 5 clicks.
    pub clicks: [Score; CLICKS],
    pub bounding_box: Score,
}

/// Measures one mask that is not empty.
///
/// # Errors
/// What predicting reports.
pub fn measure(
    predictor: &ImagePredictor,
    embedding: &ImageEmbedding,
    truth: &Mask,
    clean_up: CleanUp,
) -> Result<Scores, CliError> {
    let ask = |prompt: &Prompt| -> Result<PredictedMask, CliError> {
        let mut answer = block_on(predictor.predict(embedding, prompt, clean_up))?;
        Ok(answer.masks.swap_remove(answer.best()))
    };
    let score = |answer: &PredictedMask| -> Result<Score, CliError> {
        let iou = answer.mask.iou(truth).map_err(sam2::Error::from)?;
        Ok(Score {
            iou,
            predicted: answer.iou,
        })
    };

    let mut prompt = Prompt {
        multimask: true,
        ..Prompt::default()
    };
    add_click(&mut prompt, next_click(None, truth));
    let mut answer = ask(&prompt)?;
    let mut clicks = [score(&answer)?; CLICKS];
    prompt.multimask = false;
    for slot in &mut clicks[1..] {
        add_click(&mut prompt, next_click(Some(&answer.mask), truth));
        prompt.mask_input = Some(answer.low_res.clone());
        answer = ask(&prompt)?;
        *slot = score(&answer)?;
    }
    let answer = ask(&Prompt {
        bounding_box: Some(tight_box(truth)),
        ..Prompt::default()
    })?;
    Ok(Scores {
        clicks,
        bounding_box: score(&answer)?,
    })
}

/// The tight box with its last column and row included, as `mask_to_box` gives it.
pub fn tight_box(truth: &Mask) -> [f32; 4] {
    let [x0, y0, x1, y1] = truth.mask_to_box();
    // An object one pixel wide gets the pixel's own width.
    [x0, y0, x1.max(x0 + 1), y1.max(y0 + 1)].map(|v| v as f32)
}

fn add_click(prompt: &mut Prompt, click: Option<([f32; 2], i32)>) {
    if let Some((point, label)) = click {
        prompt.points.push(point);
        prompt.labels.push(label);
    }
}

/// The centre of the truth where nothing was answered yet; else that of the error, which is the deeper
/// of what was missed (a positive click) and what is too much (a negative one).
fn next_click(answer: Option<&Mask>, truth: &Mask) -> Option<([f32; 2], i32)> {
    let region = |wrong: &dyn Fn(u8, u8) -> bool| {
        let bits = truth.bits().iter();
        let inside: Vec<bool> = match answer {
            Some(answer) => bits
                .zip(answer.bits())
                .map(|(t, a)| wrong(*t, *a))
                .collect(),
            None => bits.map(|t| wrong(*t, 0)).collect(),
        };
        centre(&inside, truth.width())
    };
    let missed = region(&|truth, answer| truth == 1 && answer == 0);
    let extra = region(&|truth, answer| truth == 0 && answer == 1);
    let at = |(x, y, _): (usize, usize, u64)| [x as f32, y as f32];
    match (missed, extra) {
        (Some(missed), Some(extra)) if extra.2 > missed.2 => Some((at(extra), 0)),
        (Some(missed), _) => Some((at(missed), 1)),
        (None, Some(extra)) => Some((at(extra), 0)),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(rows: &[&str]) -> Mask {
        let bytes = rows
            .iter()
            .flat_map(|r| r.bytes().map(|b| u8::from(b == b'#')))
            .collect();
        Mask::from_bytes(rows[0].len(), rows.len(), bytes).unwrap()
    }

    #[test]
    fn the_next_click_goes_where_the_error_is_deepest() {
        let truth = mask(&["###....", "###....", "###...."]);
        assert_eq!(next_click(None, &truth), Some(([1.0, 1.0], 1)));
        let extra = mask(&["####...", "###.###", "###.###"]);
        assert_eq!(next_click(Some(&extra), &truth), Some(([3.0, 0.0], 0)));
        let missed = mask(&["......#", ".......", "......."]);
        assert_eq!(next_click(Some(&missed), &truth), Some(([1.0, 1.0], 1)));
        assert_eq!(next_click(Some(&truth), &truth), None);
    }

    #[test]
    fn the_box_includes_its_last_pixels_and_is_never_empty() {
        assert_eq!(
            tight_box(&mask(&[".....", ".##..", ".###."])),
            [1.0, 1.0, 3.0, 2.0]
        );
        assert_eq!(tight_box(&mask(&["..", ".#"])), [1.0, 1.0, 2.0, 2.0]);
    }
}
