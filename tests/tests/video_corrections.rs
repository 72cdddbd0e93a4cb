//! Corrections: what becomes of a prompt on a frame that a pass went over, and of the other objects on it.

mod session;

use anyhow::{Context, Result, ensure};
use sam2::image::Rle;
use sam2::video::{
    FolderFrames, LowResLogits, ObjectId, PassOptions, VideoOptions, VideoPredictor, VideoPrompt,
};
use sam2::{ModelConfig, SharedModel, block_on};
use session::{FRAMES, frames, model_with};
use std::ops::ControlFlow;

const FIRST: ObjectId = 1;
const SECOND: ObjectId = 7;
const SEED: &str = "seed4";
/// The frame that is corrected.
const AT: usize = 5;

fn open(model: &SharedModel, options: VideoOptions) -> Result<VideoPredictor> {
    let frames = FolderFrames::open(&frames(), 0, 0)?;
    let model = SharedModel::clone(model);
    Ok(VideoPredictor::new(model, Box::new(frames), options)?)
}

fn prompt(
    video: &mut VideoPredictor,
    frame: usize,
    object: ObjectId,
    prompt: &VideoPrompt,
) -> Result<Vec<(ObjectId, Rle)>> {
    let shown = block_on(video.add_new_points_or_box(frame, object, prompt))?;
    let objects = shown.objects.iter();
    Ok(objects.map(|o| (o.id, o.mask.to_rle())).collect())
}

/// The mask of an object among those shown.
fn shown(masks: &[(ObjectId, Rle)], object: ObjectId) -> Result<Rle> {
    let found = masks.iter().find(|(id, _)| *id == object);
    Ok(found.context("the object is shown")?.1.clone())
}

fn pass(video: &mut VideoPredictor, start: Option<usize>, reverse: bool) -> Result<()> {
    let options = PassOptions {
        start_frame_idx: start,
        reverse,
        ..PassOptions::default()
    };
    block_on(video.propagate_in_video(options, &mut |_| ControlFlow::Continue(())))?;
    Ok(())
}

/// What is known of an object on every frame.
fn known(video: &VideoPredictor, object: ObjectId) -> Vec<(Option<Rle>, Option<LowResLogits>)> {
    let on = |frame| {
        (
            video.mask(frame, object).cloned(),
            video.low_res_logits(frame, object),
        )
    };
    (0..FRAMES).map(on).collect()
}

/// A click on the object, and after a pass a box elsewhere as a correction; what was known before it, the
/// answer to it, and what is known after passes from the corrected frame.
type Corrected = (
    Vec<(Option<Rle>, Option<LowResLogits>)>,
    Rle,
    Vec<(Option<Rle>, Option<LowResLogits>)>,
);

fn corrected(model: &SharedModel, options: VideoOptions, both_ways: bool) -> Result<Corrected> {
    let mut video = open(model, options)?;
    prompt(&mut video, 0, FIRST, &VideoPrompt::click(52.8, 54.56))?;
    pass(&mut video, None, false)?;
    let before = known(&video, FIRST);
    let correction = VideoPrompt::boxed(110.0, 60.0, 190.0, 130.0);
    let answer = shown(&prompt(&mut video, AT, FIRST, &correction)?, FIRST)?;
    ensure!(
        before[AT].0.as_ref() != Some(&answer),
        "the correction changed nothing: this tests nothing"
    );
    pass(&mut video, Some(AT), false)?;
    if both_ways {
        pass(&mut video, Some(AT), true)?;
    }
    ensure!(video.prompted_frames(FIRST) == [0, AT]);
    Ok((before, answer, known(&video, FIRST)))
}

#[test]
fn a_corrected_frame_stands_and_the_frames_after_it_follow() -> Result<()> {
    let options = VideoOptions {
        add_all_frames_to_correct_as_cond: true,
        ..VideoOptions::default()
    };
    let model = model_with(SEED, |_| ())?;
    let (before, answer, after) = corrected(&model, options, false)?;
    ensure!(
        after[AT].0.as_ref() == Some(&answer),
        "the corrected frame lost its correction"
    );
    for frame in 0..FRAMES {
        let changed = after[frame].1 != before[frame].1;
        ensure!(changed == (frame >= AT), "frame {frame}: {changed}");
    }
    // Backward from it the frames before follow too, but for the first, which a person prompted.
    let (before, answer, after) = corrected(&model, options, true)?;
    ensure!(after[AT].0.as_ref() == Some(&answer));
    for frame in 0..FRAMES {
        let changed = after[frame].1 != before[frame].1;
        ensure!(changed == (frame > 0), "frame {frame}: {changed}");
    }
    // The flag of the model's configuration is the same one.
    let flag = |config: &mut ModelConfig| config.add_all_frames_to_correct_as_cond = true;
    let model = model_with(SEED, flag)?;
    let by_config = corrected(&model, VideoOptions::default(), true)?;
    ensure!(by_config.2 == after, "the configuration's flag differs");
    Ok(())
}

/// The official predictor's default: `sam2 track` is held to it.
#[test]
fn by_default_a_pass_from_the_corrected_frame_tracks_it_anew() -> Result<()> {
    let model = model_with(SEED, |_| ())?;
    let (before, _, after) = corrected(&model, VideoOptions::default(), false)?;
    ensure!(after == before, "the official code forgets the correction");
    Ok(())
}

#[test]
fn other_objects_keep_the_masks_whose_logits_were_dropped() -> Result<()> {
    for non_overlap in [false, true] {
        let model = model_with(SEED, |config| config.non_overlap_masks = non_overlap)?;
        let tight = VideoOptions {
            memory_bytes: 1,
            ..VideoOptions::default()
        };
        let mut video = open(&model, tight)?;
        prompt(&mut video, 0, FIRST, &VideoPrompt::click(52.8, 54.56))?;
        let second = VideoPrompt::boxed(20.0, 20.0, 90.0, 80.0);
        prompt(&mut video, 0, SECOND, &second)?;
        pass(&mut video, None, false)?;
        let dropped: Vec<usize> = (1..FRAMES)
            .filter(|frame| video.low_res_logits(*frame, SECOND).is_none())
            .collect();
        let area = |frame: &usize| video.mask(*frame, SECOND).map_or(0, Rle::area);
        let frame = dropped.iter().copied().max_by_key(area);
        let frame = frame.context("nothing was dropped: this tests nothing")?;
        let before = video.mask(frame, SECOND).cloned().context("its mask")?;
        ensure!(before.area() > 0, "frame {frame}");

        let click = VideoPrompt::click(150.0, 90.0);
        let masks = block_on(video.add_new_points_or_box(frame, FIRST, &click))?;
        let other = masks.object(SECOND).context("it is shown")?;
        ensure!(other.score.is_some() && other.iou.is_some());
        let mut expected = before.to_mask().bits().to_vec();
        if non_overlap {
            let claimed = masks.object(FIRST).context("it is shown")?.mask.bits();
            let pixels = expected.iter_mut().zip(claimed);
            pixels.for_each(|(mine, claimed)| *mine &= 1 - claimed);
        }
        ensure!(
            other.mask.bits() == expected,
            "overlap {non_overlap}: {} pixels of {}",
            other.mask.area(),
            before.area()
        );
        ensure!(video.mask(frame, SECOND) == Some(&other.mask.to_rle()));
        // What was said of it stays when the other one's prompt goes again.
        let stays = video.mask(frame, SECOND).cloned();
        video.clear_all_prompts_in_frame(frame, FIRST)?;
        ensure!(video.mask(frame, SECOND) == stays.as_ref());
        // And clearing where nothing was prompted loses nothing.
        video.clear_all_prompts_in_frame(frame, SECOND)?;
        ensure!(video.mask(frame, SECOND) == stays.as_ref());
    }
    Ok(())
}

#[test]
fn a_new_objects_prompt_leaves_another_ones_correction_to_be_seen() -> Result<()> {
    let mut video = open(&model_with(SEED, |_| ())?, VideoOptions::default())?;
    prompt(&mut video, 0, FIRST, &VideoPrompt::click(52.8, 54.56))?;
    pass(&mut video, None, false)?;
    let tracked = video.mask(AT, FIRST).cloned();
    let correction = VideoPrompt::boxed(110.0, 60.0, 190.0, 130.0);
    let answer = shown(&prompt(&mut video, AT, FIRST, &correction)?, FIRST)?;
    ensure!(tracked.as_ref() != Some(&answer), "this tests nothing");
    // The correction is an ordinary frame's answer, the new object's a conditioning one.
    let second = VideoPrompt::boxed(20.0, 20.0, 90.0, 80.0);
    let masks = prompt(&mut video, AT, SECOND, &second)?;
    ensure!(
        shown(&masks, FIRST)? == answer,
        "the correction vanished from sight"
    );
    ensure!(video.mask(AT, FIRST) == Some(&answer));
    // And the other way round.
    let second = shown(&masks, SECOND)?;
    let masks = prompt(&mut video, AT, FIRST, &VideoPrompt::click(140.0, 90.0))?;
    ensure!(shown(&masks, SECOND)? == second);
    ensure!(second.area() > 0, "this tests nothing");
    Ok(())
}
