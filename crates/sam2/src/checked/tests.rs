//! A network that computes nonsense: nothing changed on its way, and yet it is no answer.

use super::*;
use sam2_model::ops::from_vec;

const SIDE: usize = 4;

/// A decode of one object: four sound masks, `logit` in the third, with this IoU and object score.
fn read_with(logit: f32, iou: f32, score: f32) -> Result<Answer, Error> {
    let runtime = Runtime::cpu("a test");
    let device = runtime.device();
    let mut masks: Vec<f32> = (0..4 * SIDE * SIDE).map(|i| (i as f32).sin()).collect();
    masks[2 * SIDE * SIDE + 5] = logit;
    let output = DecoderOutput {
        masks: from_vec(masks, [1, 4, SIDE, SIDE], device),
        iou: from_vec(vec![0.5, 0.6, iou, 0.1], [1, 4], device),
        mask_tokens: from_vec(vec![0.0; 4], [1, 4, 1], device),
        object_score: from_vec(vec![score], [1, 1], device),
    };
    crate::block_on(read_answer(&runtime, &output, true, None))
}

fn fault(answer: Result<Answer, Error>) -> Fault {
    match answer {
        Err(Error::Fault(fault)) => *fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_answer_that_is_none_is_refused_before_anybody_sees_it() {
    let answer = read_with(1.5, 0.9, 3.0).unwrap();
    assert_eq!((answer.size, answer.masks[37]), ((SIDE, SIDE), 1.5));
    assert_eq!(answer.iou, [0.5, 0.6, 0.9, 0.1]);
    for logit in [f32::NAN, f32::INFINITY, 2e4] {
        let fault = fault(read_with(logit, 0.9, 3.0));
        assert_eq!((fault.what, fault.item), (LOGITS, Some(0)), "{logit}");
    }
    for iou in [f32::NAN, 1.5, -0.2] {
        assert_eq!(fault(read_with(1.5, iou, 3.0)).what, "the predicted IoU");
    }
    for score in [f32::NAN, -1e6] {
        assert_eq!(fault(read_with(1.5, 0.9, score)).what, "the object score");
    }
}
