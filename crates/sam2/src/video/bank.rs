//! The byte budget of memories and logits.

use super::state::{Logits, Object, Output};
use half::f16;

/// Bytes that the outputs of all objects hold.
pub(super) fn bytes(objects: &[Object]) -> usize {
    let outputs = objects.iter().flat_map(Object::all_outputs);
    outputs.map(Output::bytes).sum()
}

/// Steps by which an output gives up bytes, the cheapest to make good first.
const STEPS: [fn(&mut Output); 3] = [
    |output| output.memory = None,
    |output| {
        if let Logits::Full(values) = &output.logits {
            output.logits = Logits::Half(values.iter().map(|v| f16::from_f32(*v)).collect());
        }
    },
    |output| output.logits = Logits::Dropped,
];

/// Brings the outputs back under `budget`: tracked ones give way, those farthest from `frame` first.
/// Prompted frames keep everything, and so do those within `reach` of the frame, which the next frames
/// look at (making their memories again each time would cost more than the work itself).
pub(super) fn enforce(objects: &mut [Object], budget: usize, frame: usize, reach: usize) {
    let mut total = bytes(objects);
    if total <= budget {
        return;
    }
    // Down to nine tenths, so that the sort is not paid on every frame.
    let target = budget / 10 * 9;
    let mut outputs: Vec<(usize, &mut Output)> = objects
        .iter_mut()
        .flat_map(|object| object.outputs.non_cond.iter_mut())
        .map(|(at, output)| (at.abs_diff(frame), output))
        .filter(|(distance, output)| !output.is_mask_from_pts && *distance > reach)
        .collect();
    outputs.sort_by_key(|(distance, _)| std::cmp::Reverse(*distance));
    for step in STEPS {
        for (_, output) in &mut outputs {
            if total <= target {
                return;
            }
            let before = output.bytes();
            step(output);
            total -= before - output.bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::video::sealed::SealedMemory;
    use sam2_model::ops::from_vec;
    use sam2_model::sam2_base::heads::ObjectAnswer;

    /// 400 bytes of logits and 800 of memory.
    fn output(prompted: bool) -> Output {
        let answer = ObjectAnswer {
            logits: vec![0.1; 100],
            iou: 0.5,
            object_score: 1.0,
            obj_ptr: vec![0.0; 4],
        };
        let cpu = crate::Runtime::cpu("");
        let memory = from_vec(vec![0.0; 200], [1, 50, 4], cpu.device());
        let memory = SealedMemory::split(&cpu, &memory).pop();
        Output {
            memory,
            ..Output::new(answer, prompted)
        }
    }

    #[test]
    fn far_frames_give_way_first_and_prompted_ones_never() {
        let mut object = Object::new(1);
        object.outputs.cond.insert(0, output(true));
        for frame in 1..10 {
            object.outputs.non_cond.insert(frame, output(frame == 2));
        }
        let mut objects = [object];
        assert_eq!(bytes(&objects), 12_000);
        enforce(&mut objects, 12_000, 9, 0);
        assert_eq!(
            bytes(&objects),
            12_000,
            "within the budget nothing is dropped"
        );
        enforce(&mut objects, 9_000, 9, 0);
        assert!(bytes(&objects) <= 9_000);
        let outputs = &objects[0].outputs;
        assert!(outputs.cond[&0].memory.is_some() && outputs.non_cond[&2].memory.is_some());
        assert!(outputs.non_cond[&1].memory.is_none() && outputs.non_cond[&9].memory.is_some());
        assert!(matches!(outputs.non_cond[&1].logits, Logits::Full(_)));
        enforce(&mut objects, 7_900, 9, 2);
        let half = objects[0].outputs.non_cond[&1]
            .logits
            .values()
            .unwrap()
            .into_owned();
        assert!(
            (half[0] - 0.1).abs() < 1e-4 && half[0] != 0.1,
            "half floats"
        );
        enforce(&mut objects, 0, 9, 2);
        let outputs = &objects[0].outputs;
        assert!(outputs.non_cond[&1].logits.values().is_none());
        let kept = |output: &Output| output.bytes() == 1200;
        assert!(
            kept(&outputs.cond[&0]) && kept(&outputs.non_cond[&2]),
            "prompted"
        );
        let near = [7, 8, 9].map(|frame| outputs.non_cond[&frame].logits.values().is_some());
        assert_eq!(near, [true; 3], "within reach of frame 9");
    }
}
