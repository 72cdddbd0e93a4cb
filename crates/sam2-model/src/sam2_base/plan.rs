//! Which earlier frames a frame looks at (the selecting half of the official
//! `_prepare_memory_conditioned_features`). Numbers only, no tensors.

use sam2_checkpoint::config::ModelConfig;

/// Where an output of one object lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    pub frame: usize,
    /// Among the conditioning outputs (prompted frames), or among the others.
    pub cond: bool,
}

/// The memories of one object for one frame.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MemoryPlan {
    /// Spatial memories with their `t_pos`: 0 for conditioning frames, `num_maskmem - 1` for the frame
    /// right before.
    pub frames: Vec<(usize, Slot)>,
    /// Object pointers with their distance in frames, divided by the largest one.
    pub pointers: Vec<(f32, Slot)>,
}

/// What the outputs of one object hold.
pub struct Outputs<'a> {
    /// Conditioning frames, in the order in which they were added (ties are broken by it).
    pub cond: &'a [usize],
    /// Is there an output on this frame that is not a conditioning one?
    pub non_cond: &'a dyn Fn(usize) -> bool,
}

/// Plans the memory of frame `frame`.
///
/// `num_frames` is the clip's length: below `max_obj_ptrs_in_encoder` it changes the encoding of the
/// pointers, as in the official code. `None` (a live stream) counts as long.
pub fn plan_memory(
    config: &ModelConfig,
    frame: usize,
    num_frames: Option<usize>,
    reverse: bool,
    outputs: &Outputs,
) -> MemoryPlan {
    let (selected, unselected) =
        select_closest_cond_frames(frame, outputs.cond, config.max_cond_frames_in_attn);
    // A conditioning frame that was not selected still serves as an ordinary one.
    let other = |t: i64| -> Option<Slot> {
        let t = usize::try_from(t).ok()?;
        match (outputs.non_cond)(t) {
            true => Some(Slot {
                frame: t,
                cond: false,
            }),
            false => unselected.contains(&t).then_some(Slot {
                frame: t,
                cond: true,
            }),
        }
    };
    let cond = |&frame: &usize| Slot { frame, cond: true };
    let mut plan = MemoryPlan::default();
    plan.frames.extend(selected.iter().map(|t| (0, cond(t))));
    for t_pos in 1..config.num_maskmem {
        let t = previous_frame(config, frame, t_pos, reverse);
        plan.frames.extend(other(t).map(|slot| (t_pos, slot)));
    }
    if config.use_obj_ptrs_in_encoder {
        let most = config.max_obj_ptrs_in_encoder;
        let most = num_frames.map_or(most, |n| n.min(most));
        // The official code divides by zero for a clip of one frame, where the distance is 0 too.
        let scale = most.saturating_sub(1).max(1) as f32;
        let sign = if reverse { -1 } else { 1 };
        for slot in selected.iter().map(cond) {
            let distance = frame as i64 - slot.frame as i64;
            if config.only_obj_ptrs_in_the_past_for_eval && distance * sign < 0 {
                continue;
            }
            let distance = match config.use_signed_tpos_enc_to_obj_ptrs {
                true => distance * sign,
                false => distance.abs(),
            };
            plan.pointers.push((distance as f32 / scale, slot));
        }
        for distance in 1..most as i64 {
            let t = frame as i64 - sign * distance;
            if t < 0 || num_frames.is_some_and(|n| t >= n as i64) {
                break;
            }
            plan.pointers
                .extend(other(t).map(|slot| (distance as f32 / scale, slot)));
        }
    }
    plan
}

/// The frame that takes place `t_pos` of the memory: the neighbour for the last place, then every
/// `stride`-th frame (the official `r`).
fn previous_frame(config: &ModelConfig, frame: usize, t_pos: usize, reverse: bool) -> i64 {
    let stride = config.memory_temporal_stride_for_eval.max(1) as i64;
    let (frame, t_rel) = (frame as i64, (config.num_maskmem - t_pos) as i64);
    match (t_rel, reverse) {
        (1, false) => frame - 1,
        (1, true) => frame + 1,
        (_, false) => (frame - 2).div_euclid(stride) * stride - (t_rel - 2) * stride,
        (_, true) => -(-(frame + 2)).div_euclid(stride) * stride + (t_rel - 2) * stride,
    }
}

/// The official function of this name (sam2_utils.py): the closest before, the closest from `frame`
/// on, then whichever are closest, up to `most` (-1: all). Selected and unselected frames.
fn select_closest_cond_frames(frame: usize, cond: &[usize], most: i64) -> (Vec<usize>, Vec<usize>) {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    if cond.len() <= most {
        return (cond.to_vec(), Vec::new());
    }
    let before = cond.iter().copied().filter(|t| *t < frame).max();
    let after = cond.iter().copied().filter(|t| *t >= frame).min();
    let mut selected: Vec<usize> = before.into_iter().chain(after).collect();
    let mut rest: Vec<usize> = cond
        .iter()
        .copied()
        .filter(|t| !selected.contains(t))
        .collect();
    rest.sort_by_key(|t| t.abs_diff(frame));
    selected.extend(rest.into_iter().take(most.saturating_sub(selected.len())));
    let unselected = cond
        .iter()
        .copied()
        .filter(|t| !selected.contains(t))
        .collect();
    (selected, unselected)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sam2_checkpoint::config::{Size, Version};

    fn config() -> ModelConfig {
        ModelConfig::official(Size::Tiny, Version::V2_1)
    }

    fn frames(plan: &MemoryPlan) -> Vec<(usize, usize)> {
        plan.frames
            .iter()
            .map(|(t_pos, slot)| (*t_pos, slot.frame))
            .collect()
    }

    #[test]
    fn six_frames_before_and_every_prompted_one() {
        let outputs = Outputs {
            cond: &[0, 40],
            non_cond: &|t| t != 0 && t != 40,
        };
        let plan = plan_memory(&config(), 20, Some(300), false, &outputs);
        let expected = [
            (0, 0),
            (0, 40),
            (1, 14),
            (2, 15),
            (3, 16),
            (4, 17),
            (5, 18),
            (6, 19),
        ];
        assert_eq!(frames(&plan), expected);
        // Pointers: frame 0 is past, 40 is not (2.1 looks at past prompts only); then 19 down to 5.
        let pointers: Vec<_> = plan.pointers.iter().map(|(d, s)| (*d, s.frame)).collect();
        assert_eq!(pointers[0], (20.0 / 15.0, 0));
        assert_eq!(pointers[1], (1.0 / 15.0, 19));
        assert_eq!(pointers.len(), 16);
        // Backward, the next six, and only the prompt ahead of the direction.
        let plan = plan_memory(&config(), 20, Some(300), true, &outputs);
        assert_eq!(
            frames(&plan)[2..],
            [(1, 26), (2, 25), (3, 24), (4, 23), (5, 22), (6, 21)]
        );
        assert_eq!(plan.pointers[0].1.frame, 40);
        assert_eq!(plan.pointers[0].0, 20.0 / 15.0);
    }

    #[test]
    fn a_short_clip_changes_the_pointers_scale_and_count() {
        let outputs = Outputs {
            cond: &[0],
            non_cond: &|t| t > 0,
        };
        let plan = plan_memory(&config(), 5, Some(6), false, &outputs);
        let distances: Vec<f32> = plan.pointers.iter().map(|p| p.0 * 5.0).collect();
        assert_eq!(distances, [5.0, 1.0, 2.0, 3.0, 4.0]);
        let live = plan_memory(&config(), 5, None, false, &outputs);
        assert_eq!(live.pointers[0].0, 5.0 / 15.0);
        // One frame: no division by zero.
        let one = plan_memory(&config(), 0, Some(1), false, &outputs);
        assert_eq!(
            one.pointers,
            [(
                0.0,
                Slot {
                    frame: 0,
                    cond: true
                }
            )]
        );
    }

    #[test]
    fn stride_keeps_the_neighbour_and_multiples() {
        let config = ModelConfig {
            memory_temporal_stride_for_eval: 4,
            ..config()
        };
        let outputs = Outputs {
            cond: &[0],
            non_cond: &|t| t > 0,
        };
        let plan = plan_memory(&config, 23, Some(300), false, &outputs);
        let expected = [(0, 0), (1, 4), (2, 8), (3, 12), (4, 16), (5, 20), (6, 22)];
        assert_eq!(frames(&plan), expected);
        let plan = plan_memory(&config, 23, Some(300), true, &outputs);
        assert_eq!(
            frames(&plan)[1..],
            [(1, 44), (2, 40), (3, 36), (4, 32), (5, 28), (6, 24)]
        );
    }

    #[test]
    fn closest_prompted_frames_and_the_others_as_ordinary_ones() {
        let config = ModelConfig {
            max_cond_frames_in_attn: 3,
            ..config()
        };
        let outputs = Outputs {
            cond: &[30, 2, 12, 18, 19],
            non_cond: &|_| false,
        };
        let plan = plan_memory(&config, 20, Some(300), false, &outputs);
        // 19 before, 30 after, then the closest of the rest; 12 and 2 are unselected, none of them
        // among the last six frames, but 12 is among the pointers.
        assert_eq!(frames(&plan), [(0, 19), (0, 30), (0, 18)]);
        let pointers: Vec<usize> = plan.pointers.iter().map(|p| p.1.frame).collect();
        assert_eq!(pointers, [19, 18, 12]);
        // A tie at distance 4 goes to the one that was added first.
        let (selected, _) = select_closest_cond_frames(10, &[9, 10, 14, 6, 3], 3);
        assert_eq!(selected, [9, 10, 14]);
    }
}
