//! What looks strange and is right: objects that are not there, full and empty masks.

use super::{ALONE, model};
use anyhow::{Result, ensure};
use sam2::image::{Mask, RgbImage};
use sam2::video::frames::MemoryFrames;
use sam2::video::{PassOptions, VideoOptions, VideoPredictor, VideoPrompt};
use sam2::{Runtime, SharedModel, block_on, fault_counts, inject};
use std::ops::ControlFlow;

const WIDTH: usize = 96;
const HEIGHT: usize = 64;

/// A bright square on a dark ground, or the ground alone.
fn picture(square: Option<usize>) -> Result<RgbImage> {
    let mut data = Vec::with_capacity(WIDTH * HEIGHT * 3);
    for y in 0..HEIGHT {
        for x in 0..WIDTH {
            let inside =
                square.is_some_and(|at| (at..at + 24).contains(&x) && (20..44).contains(&y));
            data.extend(if inside { [240, 220, 60] } else { [30, 60, 40] });
        }
    }
    Ok(RgbImage::from_rgb(WIDTH, HEIGHT, data)?)
}

/// Frames of a clip: the square is there for five frames, gone for twenty, and comes back.
fn clip() -> Result<MemoryFrames> {
    let frame = |i: usize| picture((!(5..25).contains(&i)).then_some(10 + i));
    let frames = (0..30).map(frame).collect::<Result<Vec<_>>>()?;
    Ok(MemoryFrames::new(frames)?)
}

#[test]
fn an_object_that_leaves_for_twenty_frames_is_no_fault() -> Result<()> {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    inject::set(None);
    let before = fault_counts();
    let mut absent = 0;
    // Seed 41 is the one whose objects vanish and return.
    for weights in [
        "seed4.safetensors",
        "seed41.safetensors",
        "seed2.safetensors",
    ] {
        let model = model(weights, Runtime::cpu("a test"))?;
        let options = VideoOptions::default();
        let mut video =
            VideoPredictor::new(SharedModel::clone(&model), Box::new(clip()?), options)?;
        block_on(video.add_new_points_or_box(0, 1, &VideoPrompt::click(22.0, 32.0)))?;
        // Not there at all, there everywhere: both are what a person may say of a frame.
        let nothing = Mask::empty(WIDTH, HEIGHT);
        let everything = Mask::from_bytes(WIDTH, HEIGHT, vec![1; WIDTH * HEIGHT])?;
        block_on(video.add_new_mask(0, 2, &nothing))?;
        block_on(video.add_new_mask(0, 3, &everything))?;
        let mut frames = 0;
        block_on(
            video.propagate_in_video(PassOptions::default(), &mut |masks| {
                frames += 1;
                absent += masks
                    .objects
                    .iter()
                    .filter(|object| !object.visible())
                    .count();
                ControlFlow::Continue(())
            }),
        )?;
        ensure!(frames == 30, "{frames} frames");
    }
    ensure!(
        absent >= 20,
        "the objects were absent on {absent} frames only: nothing was tested"
    );
    ensure!(
        fault_counts() == before,
        "{:?} after {before:?}",
        fault_counts()
    );
    Ok(())
}
