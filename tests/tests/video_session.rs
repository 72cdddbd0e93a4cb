//! Random sessions of prompts, refinements, removals and passes both ways. Objects do not know of each
//! other, so what a session says of one must be what a plain run from scratch with nothing but that
//! object's steps says, without batches and with caches of next to nothing.

use anyhow::{Context, Result, ensure};
use sam2::video::{FolderFrames, ObjectId, PassOptions, VideoOptions, VideoPredictor, VideoPrompt};
use sam2::{Checkpoint, FileSource, Model, ModelOptions, Runtime, SharedModel, block_on};
use sam2_checkpoint::ModelConfig;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

const FRAMES: usize = 12;
const WIDTH: f32 = 240.0;
const HEIGHT: f32 = 176.0;

#[derive(Debug, Clone)]
enum Step {
    Prompt {
        frame: usize,
        object: ObjectId,
        prompt: VideoPrompt,
    },
    Remove(ObjectId),
    Pass(PassOptions),
}

/// Numbers from a seed (a linear congruential generator: the steps shall be the same everywhere).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }

    fn unit(&mut self) -> f32 {
        self.below(1000) as f32 / 1000.0
    }
}

fn steps(seed: u64) -> Vec<Step> {
    let mut dice = Dice(seed);
    let mut steps = Vec::new();
    let mut objects: Vec<ObjectId> = Vec::new();
    for i in 0..14 {
        let choice = if objects.is_empty() { 0 } else { dice.below(6) };
        if choice <= 2 {
            let object = dice.below(3) as ObjectId * 5 + 1;
            if !objects.contains(&object) {
                objects.push(object);
            }
            let (x, y) = (dice.unit() * WIDTH, dice.unit() * HEIGHT);
            let prompt = match dice.below(3) {
                0 => VideoPrompt::boxed(x * 0.8, y * 0.8, x * 0.8 + 40.0, y * 0.8 + 30.0),
                1 => VideoPrompt::click(x, y),
                _ => VideoPrompt {
                    keep_old_points: true,
                    ..VideoPrompt::click(x, y)
                },
            };
            steps.push(Step::Prompt {
                frame: dice.below(FRAMES),
                object,
                prompt,
            });
        } else if choice == 3 && objects.len() > 1 && i > 4 {
            steps.push(Step::Remove(objects.swap_remove(dice.below(objects.len()))));
        } else {
            steps.push(Step::Pass(PassOptions {
                start_frame_idx: Some(dice.below(FRAMES)),
                max_frame_num_to_track: Some(dice.below(FRAMES)),
                reverse: dice.below(2) == 1,
            }));
        }
    }
    steps
}

fn model() -> Result<SharedModel> {
    let micro = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/micro");
    let config = ModelConfig::from_yaml(&std::fs::read_to_string(micro.join("micro.yaml"))?)?;
    let file = FileSource::open(micro.join("weights/seed41.safetensors"))?;
    let options = ModelOptions {
        config: Some(config),
        ..ModelOptions::default()
    };
    let checkpoint = Checkpoint::open(Arc::new(file))?;
    Ok(Arc::new(block_on(Model::load(
        checkpoint,
        options,
        Runtime::cpu("a test"),
        &|_, _, _| {},
    ))?))
}

/// Logits by object and frame.
type Logits = BTreeMap<(ObjectId, usize), Vec<f32>>;

/// Takes the steps; with `only`, those of one object, and passes once it is there.
fn run(
    model: &SharedModel,
    steps: &[Step],
    only: Option<ObjectId>,
    options: VideoOptions,
) -> Result<Logits> {
    let frames = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/micro/frames");
    let frames = FolderFrames::open(&frames, 0, 0)?;
    let mut video = VideoPredictor::new(SharedModel::clone(model), Box::new(frames), options)?;
    for step in steps {
        match step {
            Step::Prompt {
                frame,
                object,
                prompt,
            } if only.is_none_or(|id| id == *object) => {
                block_on(video.add_new_points_or_box(*frame, *object, prompt))?;
            }
            Step::Remove(object) if only.is_none_or(|id| id == *object) => {
                video.remove_object(*object)?;
            }
            Step::Pass(options) if !video.object_ids().is_empty() => {
                block_on(video.propagate_in_video(*options, &mut |_| ControlFlow::Continue(())))?;
            }
            _ => {}
        }
    }
    let mut logits = Logits::new();
    for object in video.object_ids() {
        for frame in video.tracked_frames(object) {
            let values = video
                .low_res_logits(frame, object)
                .context("logits are kept")?;
            logits.insert((object, frame), values.values);
        }
    }
    Ok(logits)
}

#[test]
fn objects_of_a_session_are_what_each_is_alone() -> Result<()> {
    let model = model()?;
    let plain = VideoOptions {
        feature_bytes: 1,
        objects_per_pass: Some(1),
        ..Default::default()
    };
    let (mut compared, mut several) = (0, 0);
    for seed in 1..9 {
        let steps = steps(seed);
        let session = run(&model, &steps, None, VideoOptions::default())
            .with_context(|| format!("seed {seed}: {steps:?}"))?;
        let mut objects: Vec<ObjectId> = session.keys().map(|(object, _)| *object).collect();
        objects.dedup();
        several += usize::from(objects.len() > 1);
        for object in objects {
            let alone = run(&model, &steps, Some(object), plain)?;
            let of_session = session.iter().filter(|((id, _), _)| *id == object);
            let frames = of_session.clone().count();
            ensure!(
                frames == alone.len(),
                "seed {seed}, object {object}: {frames} frames"
            );
            for (key, logits) in of_session {
                let other = alone
                    .get(key)
                    .with_context(|| format!("seed {seed}: {key:?}"))?;
                let largest = logits.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
                let off = logits
                    .iter()
                    .zip(other)
                    .fold(0.0_f32, |m, (a, b)| m.max((a - b).abs()));
                // Products over other block sizes round differently, and a frame feeds the next.
                ensure!(
                    off <= 2e-3 * largest,
                    "seed {seed}, {key:?}: {off} of {largest}"
                );
                compared += 1;
            }
        }
    }
    ensure!(
        several >= 4 && compared > 100,
        "{several} sessions, {compared} frames: too few to tell"
    );
    Ok(())
}

#[test]
fn stopping_keeps_what_was_done_and_a_new_pass_goes_on() -> Result<()> {
    let model = model()?;
    let frames = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/micro/frames");
    let open = || -> Result<VideoPredictor> {
        let frames = FolderFrames::open(&frames, 0, 0)?;
        let model = SharedModel::clone(&model);
        let mut video = VideoPredictor::new(model, Box::new(frames), VideoOptions::default())?;
        block_on(video.add_new_points_or_box(0, 1, &VideoPrompt::click(52.8, 54.56)))?;
        Ok(video)
    };
    let mut whole = open()?;
    block_on(whole.propagate_in_video(PassOptions::default(), &mut |_| ControlFlow::Continue(())))?;
    let mut video = open()?;
    let end = block_on(
        video.propagate_in_video(PassOptions::default(), &mut |frame| {
            if frame.frame == 4 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        }),
    )?;
    ensure!(end == sam2::video::PassEnd::Stopped && video.tracked_frames(1) == [0, 1, 2, 3, 4]);
    let rest = PassOptions {
        start_frame_idx: Some(5),
        ..PassOptions::default()
    };
    block_on(video.propagate_in_video(rest, &mut |_| ControlFlow::Continue(())))?;
    for frame in 0..FRAMES {
        ensure!(
            video.low_res_logits(frame, 1) == whole.low_res_logits(frame, 1),
            "frame {frame}"
        );
    }
    Ok(())
}

#[test]
fn live_frames_are_tracked_as_a_long_clip_and_memory_stays_bounded() -> Result<()> {
    let model = model()?;
    let frames = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/micro/frames");
    let pictures = (0..FRAMES)
        .map(|i| {
            let bytes = std::fs::read(frames.join(format!("{i:05}.png")))?;
            Ok(sam2::image::decode(&bytes, &Default::default())?)
        })
        .collect::<Result<Vec<_>>>()?;
    let click = VideoPrompt::click(52.8, 54.56);
    // A clip of the same frames several times over is long enough for 16 pointers.
    let long: Vec<_> = pictures.iter().cycle().take(30).cloned().collect();
    let source = sam2::video::frames::MemoryFrames::new(long.clone())?;
    let mut clip = VideoPredictor::new(
        SharedModel::clone(&model),
        Box::new(source),
        VideoOptions::default(),
    )?;
    block_on(clip.add_new_points_or_box(0, 1, &click))?;
    let mut areas = Vec::new();
    block_on(
        clip.propagate_in_video(PassOptions::default(), &mut |frame| {
            areas.push(frame.objects[0].mask.area());
            ControlFlow::Continue(())
        }),
    )?;

    let mut live = VideoPredictor::live(model, clip.size(), VideoOptions::default())?;
    // Features fill their own budget; memories and logits may not grow.
    let memories = |video: &VideoPredictor| {
        video
            .memory_line()
            .split_once("memories")
            .map(|(_, rest)| rest.to_owned())
    };
    let mut line = None;
    for (i, picture) in long.into_iter().enumerate() {
        let masks = block_on(live.push_frame(picture))?;
        ensure!(masks.frame == i);
        if i == 0 {
            ensure!(masks.objects.is_empty());
            block_on(live.add_new_points_or_box(0, 1, &click))?;
        } else {
            ensure!(masks.objects[0].mask.area() == areas[i], "frame {i}");
        }
        if i == 20 {
            line = memories(&live);
        }
    }
    ensure!(
        live.tracked_frames(1).len() <= 20,
        "{:?}",
        live.tracked_frames(1)
    );
    ensure!(
        memories(&live) == line,
        "it grew: {line:?} to {}",
        live.memory_line()
    );
    let gone = block_on(live.add_new_points_or_box(2, 1, &click));
    ensure!(
        gone.is_err_and(|e| e.code() == "bad_prompt"),
        "frame 2 is long gone"
    );
    Ok(())
}

#[test]
fn mistakes_are_refused_and_change_nothing() -> Result<()> {
    let model = model()?;
    let frames = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/micro/frames");
    let frames = FolderFrames::open(&frames, 0, 5)?;
    let mut video = VideoPredictor::new(model, Box::new(frames), VideoOptions::default())?;
    let none = video.start_pass(PassOptions::default());
    ensure!(none.is_err_and(|e| e.code() == "bad_prompt"));
    let code = |video: &mut VideoPredictor, frame, prompt: &VideoPrompt| {
        block_on(video.add_new_points_or_box(frame, 1, prompt))
            .map(|_| "")
            .unwrap_or_else(|e| e.code())
    };
    let click = VideoPrompt::click(10.0, 10.0);
    ensure!(
        code(&mut video, 5, &click) == "bad_prompt",
        "the sixth of five frames"
    );
    ensure!(code(&mut video, 0, &VideoPrompt::click(240.0, 1.0)) == "bad_prompt");
    ensure!(code(&mut video, 0, &VideoPrompt::default()) == "bad_prompt");
    let both = VideoPrompt {
        keep_old_points: true,
        ..VideoPrompt::boxed(1.0, 1.0, 9.0, 9.0)
    };
    ensure!(code(&mut video, 0, &both) == "bad_prompt");
    ensure!(video.object_ids().is_empty() && video.remove_object(1).is_err());
    ensure!(video.clear_all_prompts_in_frame(0, 1).is_err());
    ensure!(code(&mut video, 2, &click).is_empty());
    let late = PassOptions {
        start_frame_idx: Some(5),
        ..PassOptions::default()
    };
    ensure!(video.start_pass(late).is_err());
    ensure!(video.remove_object(1)?.is_empty() && video.object_ids().is_empty());
    Ok(())
}
