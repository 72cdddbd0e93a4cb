//! Masks that are snapped to edges: what changes, and what must not.

mod session;

use anyhow::{Context, Result, ensure};
use sam2::image::{DecodeLimits, Mask, RgbImage, SnapPicture, SnapPrompt, decode, preprocess};
use sam2::image::{upsample_threshold, video_preprocess};
use sam2::video::{FolderFrames, PassOptions, VideoOptions, VideoPredictor, VideoPrompt};
use sam2::{CleanUp, ImagePredictor, Prediction, Prompt, SharedModel, block_on};
use session::{FRAMES, HEIGHT, WIDTH, frames, model_with};
use std::ops::ControlFlow;

const SNAP: CleanUp = CleanUp {
    snap: true,
    fill_holes: 0,
    remove_islands: 0,
};

fn picture() -> Result<RgbImage> {
    let bytes = std::fs::read(frames().join("00003.png"))?;
    Ok(decode(&bytes, &DecodeLimits::default())?)
}

fn model() -> Result<SharedModel> {
    model_with("seed4", |_| ())
}

/// The mask that snapping by hand gives.
fn by_hand(input: &[f32], side: usize, logits: &[f32], prompt: &SnapPrompt) -> Result<Mask> {
    let picture = SnapPicture::of_input(input, side)?;
    let low = side / 4;
    let snapped = picture.snap(logits, (low, low), prompt)?;
    let mask = upsample_threshold(&snapped, (side, side), (HEIGHT, WIDTH), 0.0)?;
    match mask.area() {
        0 => Ok(upsample_threshold(
            logits,
            (low, low),
            (HEIGHT, WIDTH),
            0.0,
        )?),
        _ => Ok(mask),
    }
}

#[test]
fn a_pictures_masks_change_and_its_logits_do_not() -> Result<()> {
    let model = model()?;
    let side = model.config().image_size;
    let predictor = ImagePredictor::new(model);
    let picture = picture()?;
    let embedding = block_on(predictor.set_image(&picture))?;
    let mut prompt = Prompt::click(52.8, 54.56);
    prompt.points.push([180.0, 120.0]);
    prompt.labels.push(0);
    let ask = |clean_up| -> Result<Prediction> {
        Ok(block_on(predictor.predict(&embedding, &prompt, clean_up))?)
    };
    let (raw, snapped) = (ask(CleanUp::default())?, ask(SNAP)?);
    let scale = [side as f32 / WIDTH as f32, side as f32 / HEIGHT as f32];
    let at = |x: f32, y: f32| [x * scale[0], y * scale[1]];
    let held = SnapPrompt {
        clicks: vec![(at(52.8, 54.56), true), (at(180.0, 120.0), false)],
        bounding_box: None,
    };
    let input = preprocess(&picture, side);
    let mut changed = 0;
    for (raw, snapped) in raw.masks.iter().zip(&snapped.masks) {
        ensure!(raw.iou == snapped.iou && raw.low_res == snapped.low_res);
        ensure!(snapped.mask == by_hand(&input, side, &raw.low_res.logits, &held)?);
        ensure!(snapped.mask.get(52, 54) && !snapped.mask.get(180, 120));
        changed += usize::from(raw.mask != snapped.mask);
    }
    ensure!(
        raw.masks.len() == 3 && changed > 0,
        "{changed} masks changed"
    );
    Ok(())
}

fn open(model: &SharedModel, snap: bool) -> Result<VideoPredictor> {
    let frames = FolderFrames::open(&frames(), 0, 0)?;
    let options = VideoOptions {
        snap,
        ..VideoOptions::default()
    };
    let mut video = VideoPredictor::new(SharedModel::clone(model), Box::new(frames), options)?;
    block_on(video.add_new_points_or_box(0, 1, &VideoPrompt::click(52.8, 54.56)))?;
    block_on(video.add_new_points_or_box(0, 2, &VideoPrompt::boxed(120.0, 60.0, 220.0, 160.0)))?;
    Ok(video)
}

fn track(video: &mut VideoPredictor) -> Result<()> {
    let pass = PassOptions::default();
    block_on(video.propagate_in_video(pass, &mut |_| ControlFlow::Continue(())))?;
    Ok(())
}

/// The masks of an object on all frames.
fn masks(video: &VideoPredictor, object: u32) -> Result<Vec<Mask>> {
    let mask = |frame| video.mask(frame, object).map(|rle| rle.to_mask());
    (0..FRAMES)
        .map(|frame| mask(frame).context("a frame without mask"))
        .collect()
}

#[test]
fn a_clips_masks_change_and_what_is_tracked_does_not() -> Result<()> {
    let model = model()?;
    let side = model.config().image_size;
    let (mut raw, mut snapped) = (open(&model, false)?, open(&model, true)?);
    track(&mut raw)?;
    track(&mut snapped)?;
    let mut changed = 0;
    for object in [1, 2] {
        let (before, after) = (masks(&raw, object)?, masks(&snapped, object)?);
        for frame in 0..FRAMES {
            ensure!(raw.low_res_logits(frame, object) == snapped.low_res_logits(frame, object));
            changed += usize::from(before[frame] != after[frame]);
        }
        // A frame without prompt is snapped by its picture alone.
        let picture = block_on(snapped.picture(7))?;
        let logits = snapped.low_res_logits(7, object).context("frame 7")?;
        let input = video_preprocess(&picture, side);
        ensure!(after[7] == by_hand(&input, side, &logits.values, &SnapPrompt::default())?);
    }
    ensure!(changed > FRAMES / 2, "{changed} masks changed");

    // With features from the cache the frames' pictures are read again.
    let first = masks(&snapped, 1)?;
    let encodes = snapped.stats().encodes;
    track(&mut snapped)?;
    ensure!(masks(&snapped, 1)? == first && snapped.stats().encodes == encodes);

    // Frame 0 is no longer at hand: the other object's mask stays as it was shown.
    let shown = snapped.remove_object(2)?;
    ensure!(shown.len() == 1 && shown[0].object(1).context("object 1")?.mask == first[0]);

    // From here on as the network answers.
    snapped.set_snap(false);
    track(&mut snapped)?;
    ensure!(masks(&snapped, 1)? == masks(&raw, 1)?);
    Ok(())
}

#[test]
fn objects_that_may_not_overlap_do_not_when_snapped() -> Result<()> {
    let model = model_with("seed4", |config| config.non_overlap_masks = true)?;
    let mut video = open(&model, true)?;
    track(&mut video)?;
    for (one, two) in masks(&video, 1)?.iter().zip(&masks(&video, 2)?) {
        let both = one
            .bits()
            .iter()
            .zip(two.bits())
            .filter(|(a, b)| **a & **b == 1);
        ensure!(both.count() == 0);
    }
    Ok(())
}
