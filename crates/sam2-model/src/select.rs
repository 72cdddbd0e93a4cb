//! Which of the decoder's four masks are the answer (the second half of the official
//! `MaskDecoder.forward`), on the host.

use sam2_checkpoint::config::MaskDecoderExtraArgs;

/// The answer among the tokens 0..4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// Tokens 1, 2 and 3: three masks.
    Multi,
    /// One token: 0, or the best of the three where the single mask is unstable.
    Single(usize),
}

impl Selection {
    /// The tokens whose masks are the answer.
    pub fn tokens(self) -> std::ops::Range<usize> {
        match self {
            Self::Multi => 1..4,
            Self::Single(token) => token..token + 1,
        }
    }
}

/// Chooses for one object: `masks` is `[4, h * w]`, `iou` `[4]`.
///
/// With `multimask` the three multimask tokens; otherwise token 0, unless its stability falls below the
/// threshold and dynamic multimask is on (`_dynamic_multimask_via_stability`).
pub fn select(
    masks: &[f32],
    iou: &[f32],
    multimask: bool,
    args: &MaskDecoderExtraArgs,
) -> Selection {
    if multimask {
        return Selection::Multi;
    }
    if !args.dynamic_multimask_via_stability {
        return Selection::Single(0);
    }
    let single = &masks[..masks.len() / iou.len().max(1)];
    let delta = args.dynamic_multimask_stability_delta as f32;
    if stability_score(single, delta) >= args.dynamic_multimask_stability_thresh as f32 {
        return Selection::Single(0);
    }
    Selection::Single(1 + argmax(&iou[1..]))
}

/// Areas above `delta` and above `-delta`, as a ratio; 1 where the larger is empty
/// (`_get_stability_scores`).
fn stability_score(logits: &[f32], delta: f32) -> f32 {
    let intersection = logits.iter().filter(|&&v| v > delta).count();
    let union = logits.iter().filter(|&&v| v > -delta).count();
    if union > 0 {
        intersection as f32 / union as f32
    } else {
        1.0
    }
}

/// Index of the first maximum, as `torch.argmax`.
pub fn argmax(values: &[f32]) -> usize {
    let mut best = 0;
    for (i, v) in values.iter().enumerate() {
        if *v > values[best] {
            best = i;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    const ON: MaskDecoderExtraArgs = MaskDecoderExtraArgs {
        dynamic_multimask_via_stability: true,
        dynamic_multimask_stability_delta: 0.05,
        dynamic_multimask_stability_thresh: 0.98,
    };

    #[test]
    fn an_unstable_single_mask_gives_way_to_the_best_of_three() {
        let mut masks = vec![3.0; 4 * 100];
        let iou = [0.9, 0.3, 0.8, 0.8];
        assert_eq!(select(&masks, &iou, false, &ON), Selection::Single(0));
        // Three of a hundred pixels between the two thresholds: 97 / 100.
        masks[..3].fill(0.0);
        assert_eq!(select(&masks, &iou, false, &ON), Selection::Single(2));
        assert_eq!(select(&masks, &iou, true, &ON).tokens(), 1..4);
        let off = MaskDecoderExtraArgs {
            dynamic_multimask_via_stability: false,
            ..ON
        };
        assert_eq!(select(&masks, &iou, false, &off), Selection::Single(0));
    }

    #[test]
    fn an_empty_single_mask_is_stable() {
        let masks = vec![-3.0; 4 * 50];
        assert_eq!(
            select(&masks, &[0.1, 0.2, 0.3, 0.9], false, &ON),
            Selection::Single(0)
        );
    }
}
