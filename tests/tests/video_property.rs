//! Random sessions of prompts, corrections, masks, cleared prompts, removals and passes both ways, as a
//! state machine. Objects do not know of each other, so what a session says of one must be what a run
//! from scratch with nothing but that object's steps says, without batches and with caches of next to
//! nothing.

mod session;

use anyhow::{Context, Result, bail, ensure};
use sam2::image::Mask;
use sam2::video::{
    FolderFrames, FrameMasks, ObjectId, PassOptions, VideoOptions, VideoPredictor, VideoPrompt,
};
use sam2::{SharedModel, block_on};
use session::{FRAMES, HEIGHT, WIDTH, frames, model};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

#[derive(Debug, Clone)]
enum Step {
    Prompt {
        frame: usize,
        object: ObjectId,
        prompt: VideoPrompt,
    },
    /// A rectangle (x, y, width, height); an empty one says that the object is not there.
    Mask {
        frame: usize,
        object: ObjectId,
        rectangle: [usize; 4],
    },
    Clear {
        frame: usize,
        object: ObjectId,
    },
    Remove(ObjectId),
    Pass(PassOptions),
    Reset,
}

impl Step {
    /// The object it is about; passes are about all.
    fn object(&self) -> Option<ObjectId> {
        match self {
            Self::Prompt { object, .. }
            | Self::Mask { object, .. }
            | Self::Clear { object, .. } => Some(*object),
            Self::Remove(object) => Some(*object),
            Self::Pass(_) | Self::Reset => None,
        }
    }
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
}

/// Two steps of three are prompts and passes; the objects are 1, 6 and 11.
fn steps(seed: u64) -> Vec<Step> {
    let mut dice = Dice(seed);
    let mut steps = Vec::new();
    for i in 0..20 {
        let (frame, object) = (dice.below(FRAMES), dice.below(3) as ObjectId * 5 + 1);
        let (x, y) = (dice.below(WIDTH - 60), dice.below(HEIGHT - 50));
        let step = match (i, dice.below(12)) {
            (0, _) | (_, 0..=3) => {
                let (x, y) = (x as f32, y as f32);
                let prompt = match dice.below(3) {
                    0 => VideoPrompt::boxed(x, y, x + 55.0, y + 45.0),
                    1 => VideoPrompt::click(x, y),
                    _ => VideoPrompt {
                        keep_old_points: true,
                        ..VideoPrompt::click(x, y)
                    },
                };
                Step::Prompt {
                    frame,
                    object,
                    prompt,
                }
            }
            (_, 4) => Step::Mask {
                frame,
                object,
                rectangle: [x, y, dice.below(4) * 18, 40],
            },
            (_, 5) => Step::Clear { frame, object },
            (_, 6) => Step::Remove(object),
            (_, 7) if dice.below(4) == 0 => Step::Reset,
            _ => Step::Pass(PassOptions {
                start_frame_idx: Some(frame),
                max_frame_num_to_track: Some(dice.below(FRAMES)),
                reverse: dice.below(2) == 1,
            }),
        };
        steps.push(step);
    }
    steps
}

/// The end of a run.
#[derive(Debug, Default)]
struct End {
    /// Logits by object and frame.
    said: BTreeMap<(ObjectId, usize), Vec<f32>>,
    prompted: BTreeMap<ObjectId, Vec<usize>>,
    /// Numbers of the steps that were refused.
    refused: Vec<usize>,
    passes: usize,
}

/// Takes the steps but those in `skip`; with `only`, those of one object, and passes once it is there.
fn run(
    model: &SharedModel,
    steps: &[Step],
    only: Option<(ObjectId, &[usize])>,
    options: VideoOptions,
) -> Result<End> {
    let source = FolderFrames::open(&frames(), 0, 0)?;
    let mut video = VideoPredictor::new(SharedModel::clone(model), Box::new(source), options)?;
    let mut end = End::default();
    for (number, step) in steps.iter().enumerate() {
        if let Some((id, refused)) = only {
            let other = step.object().is_some_and(|object| object != id);
            let early = matches!(step, Step::Pass(_)) && video.object_ids().is_empty();
            if other || early || refused.contains(&number) {
                continue;
            }
        }
        let before = state(&video);
        let result = take(&mut video, step);
        match (result, only) {
            (Ok(()), _) => end.passes += usize::from(matches!(step, Step::Pass(_))),
            // What cannot be meant in a session: an unknown object, nothing to track.
            (Err(error), None) if error.code() == "bad_prompt" => {
                ensure!(
                    before == state(&video),
                    "step {number} was refused and changed something"
                );
                end.refused.push(number);
            }
            (Err(error), _) => bail!("step {number}, {step:?}: {error}"),
        }
    }
    for object in video.object_ids() {
        end.prompted.insert(object, video.prompted_frames(object));
        for frame in video.tracked_frames(object) {
            let logits = video.low_res_logits(frame, object);
            let logits = logits.context("logits are kept")?.values;
            end.said.insert((object, frame), logits);
        }
    }
    Ok(end)
}

/// What can be seen of a session without the network.
fn state(video: &VideoPredictor) -> Vec<(ObjectId, Vec<usize>, Vec<usize>)> {
    let objects = video.object_ids().into_iter();
    objects
        .map(|id| (id, video.prompted_frames(id), video.tracked_frames(id)))
        .collect()
}

fn take(video: &mut VideoPredictor, step: &Step) -> Result<(), sam2::Error> {
    let answered = |masks: FrameMasks, object| {
        // The answer to a prompt is about the object that was prompted.
        assert!(
            masks
                .object(object)
                .is_some_and(|o| o.prompted && o.score.is_some())
        );
    };
    match step {
        Step::Prompt {
            frame,
            object,
            prompt,
        } => answered(
            block_on(video.add_new_points_or_box(*frame, *object, prompt))?,
            *object,
        ),
        Step::Mask {
            frame,
            object,
            rectangle: [x, y, width, height],
        } => {
            let inside = |i: usize| {
                (*x..x + width).contains(&(i % WIDTH)) && (*y..y + height).contains(&(i / WIDTH))
            };
            let bits = (0..WIDTH * HEIGHT).map(|i| u8::from(inside(i))).collect();
            let mask = Mask::from_bytes(WIDTH, HEIGHT, bits)?;
            answered(
                block_on(video.add_new_mask(*frame, *object, &mask))?,
                *object,
            );
        }
        Step::Clear { frame, object } => {
            video.clear_all_prompts_in_frame(*frame, *object)?;
        }
        Step::Remove(object) => {
            video.remove_object(*object)?;
        }
        Step::Pass(options) => {
            let mut on_frame = |_: &FrameMasks| ControlFlow::Continue(());
            block_on(video.propagate_in_video(*options, &mut on_frame))?;
        }
        Step::Reset => video.reset_state(),
    }
    Ok(())
}

#[test]
fn objects_of_a_session_are_what_each_is_alone() -> Result<()> {
    let model = model()?;
    let (mut compared, mut several, mut refused, mut passes) = (0, 0, 0, 0);
    for seed in 1..17 {
        let steps = steps(seed);
        let options = VideoOptions {
            add_all_frames_to_correct_as_cond: seed >= 13,
            ..Default::default()
        };
        let plain = VideoOptions {
            feature_bytes: 1,
            objects_per_pass: Some(1),
            ..options
        };
        let session = run(&model, &steps, None, options)
            .with_context(|| format!("seed {seed}: {steps:?}"))?;
        several += usize::from(session.prompted.len() > 1);
        refused += session.refused.len();
        passes += session.passes;
        for (object, prompted) in &session.prompted {
            let alone = run(&model, &steps, Some((*object, &session.refused)), plain)
                .with_context(|| format!("seed {seed}, object {object} alone: {steps:?}"))?;
            ensure!(
                alone.prompted.get(object) == Some(prompted),
                "seed {seed}, object {object}: prompted on {prompted:?}, alone {:?}",
                alone.prompted
            );
            let of_session = session.said.iter().filter(|((id, _), _)| id == object);
            ensure!(
                of_session.clone().map(|(key, _)| key).eq(alone.said.keys()),
                "seed {seed}, object {object}: other frames than alone"
            );
            for ((key, said), other) in of_session.zip(alone.said.values()) {
                let largest = said.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
                let pairs = said.iter().zip(other);
                let off = pairs.fold(0.0_f32, |m, (a, b)| m.max((a - b).abs()));
                // Products over other block sizes round differently, and a frame feeds the next.
                ensure!(
                    off <= 2e-3 * largest,
                    "seed {seed}, {key:?}: {off} of {largest}"
                );
                compared += 1;
            }
        }
    }
    println!(
        "{compared} frames in {passes} passes, {several} sessions of several objects, {refused} refusals"
    );
    ensure!(
        several >= 6 && compared > 150 && passes > 30 && refused > 5,
        "{several} sessions, {compared} frames, {passes} passes, {refused} refusals: too few to tell"
    );
    Ok(())
}
