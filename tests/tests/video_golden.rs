//! The video half of the network and the session's behaviour, held against the official code on the
//! CPU: micro.yaml with three seeds (one whose objects vanish and return), forward, both ways, and
//! sessions with corrections, mask prompts, objects added late and removed, prompts cleared.

use anyhow::{Context, Result, ensure};
use sam2::image::{DecodeLimits, Mask};
use sam2::video::{
    FolderFrames, FrameMasks, PassOptions, VideoOptions, VideoPredictor, VideoPrompt,
};
use sam2::{Checkpoint, FileSource, Model, ModelOptions, Runtime, SharedModel, block_on};
use sam2_checkpoint::ModelConfig;
use sam2_tests::npz;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Beyond the largest absolute logit: the project's bound for video, where an error feeds the frames
/// after it. Measured on the CPU: about 1e-5.
const LOGITS: f64 = 2e-3;
const MASK_IOU: f64 = 0.999;

fn micro() -> PathBuf {
    Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default()).join("fixtures/micro")
}

#[derive(Deserialize)]
struct Cases {
    videos: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    weights: String,
    frames: String,
    prompts: String,
    both_ways: bool,
    reference: String,
}

/// One line of a track or session file (tests/parity/reference.py).
#[derive(Deserialize, Default)]
#[serde(default)]
struct Step {
    frame: usize,
    object: u32,
    points: Vec<[f32; 2]>,
    labels: Vec<i32>,
    #[serde(rename = "box")]
    bounding_box: Option<[f32; 4]>,
    mask: Option<String>,
    propagate: Option<String>,
    start: Option<usize>,
    max_frames: Option<usize>,
    remove: Option<u32>,
    clear: Option<u32>,
}

fn cases() -> Result<Vec<Case>> {
    let text = std::fs::read_to_string(micro().join("cases.json"))?;
    Ok(serde_json::from_str::<Cases>(&text)?.videos)
}

fn model(weights: &str) -> Result<SharedModel> {
    let config = ModelConfig::from_yaml(&std::fs::read_to_string(micro().join("micro.yaml"))?)?;
    let file = FileSource::open(micro().join(weights))?;
    let options = ModelOptions {
        config: Some(config),
        ..ModelOptions::default()
    };
    let checkpoint = Checkpoint::open(Arc::new(file))?;
    let model = Model::load(checkpoint, options, Runtime::cpu("a test"), &|_, _, _| {});
    Ok(Arc::new(block_on(model)?))
}

/// What reference.py collects: the last mask of each frame and object.
type Masks = BTreeMap<(usize, u32), Mask>;

fn propagate(video: &mut VideoPredictor, options: PassOptions, masks: &mut Masks) -> Result<()> {
    block_on(
        video.propagate_in_video(options, &mut |frame: &FrameMasks| {
            for object in &frame.objects {
                masks.insert((frame.frame, object.id), object.mask.clone());
            }
            ControlFlow::Continue(())
        }),
    )?;
    Ok(())
}

/// Takes the steps of a file as reference.py does.
fn run(case: &Case, model: SharedModel, options: VideoOptions) -> Result<(VideoPredictor, Masks)> {
    let frames = FolderFrames::open(&micro().join(&case.frames), 0, 0)?;
    let mut video = VideoPredictor::new(model, Box::new(frames), options)?;
    let prompts = micro().join(&case.prompts);
    let steps: Vec<Step> = serde_json::from_str(&std::fs::read_to_string(&prompts)?)?;
    let mut masks = Masks::new();
    for step in &steps {
        if let Some(way) = &step.propagate {
            let options = PassOptions {
                start_frame_idx: step.start,
                max_frame_num_to_track: step.max_frames,
                reverse: way == "backward",
            };
            propagate(&mut video, options, &mut masks)?;
        } else if let Some(object) = step.remove {
            video.remove_object(object)?;
            masks.retain(|(_, id), _| *id != object);
        } else if let Some(object) = step.clear {
            video.clear_all_prompts_in_frame(step.frame, object)?;
        } else {
            let shown = match &step.mask {
                Some(mask) => {
                    let path = prompts.parent().context("a folder")?.join(mask);
                    let mask = Mask::from_png(&std::fs::read(path)?, &DecodeLimits::default())?;
                    block_on(video.add_new_mask(step.frame, step.object, &mask))?
                }
                None => {
                    let prompt = VideoPrompt {
                        points: step.points.clone(),
                        labels: step.labels.clone(),
                        bounding_box: step.bounding_box,
                        keep_old_points: false,
                    };
                    block_on(video.add_new_points_or_box(step.frame, step.object, &prompt))?
                }
            };
            let mask = shown
                .object(step.object)
                .context("the prompted object is shown")?;
            masks.insert((step.frame, step.object), mask.mask.clone());
        }
    }
    if steps.last().is_none_or(|step| step.propagate.is_none()) {
        propagate(&mut video, PassOptions::default(), &mut masks)?;
        if case.both_ways {
            let options = PassOptions {
                reverse: true,
                ..PassOptions::default()
            };
            propagate(&mut video, options, &mut masks)?;
        }
    }
    Ok((video, masks))
}

/// Worst figures: logits beyond the largest, mask IoU.
fn compare(case: &Case, video: &VideoPredictor, masks: &Masks) -> Result<(f64, f64)> {
    let (mut worst, mut least) = (0.0_f64, 1.0_f64);
    for (key, expected) in npz::read(&micro().join(&case.reference))? {
        let mut parts = key.split('_');
        let (kind, frame, object) = (parts.next(), parts.next(), parts.next());
        let frame: usize = frame.context("a frame")?.parse()?;
        let object: u32 = object.context("an object")?.parse()?;
        if kind == Some("logits") {
            let got = video
                .low_res_logits(frame, object)
                .with_context(|| key.clone())?;
            ensure!(
                expected.shape == [got.side, got.side],
                "{key}: {:?}",
                expected.shape
            );
            let expected = expected.f32()?;
            let largest = expected
                .iter()
                .fold(0.0_f64, |m, v| m.max(f64::from(v.abs())));
            let off = expected
                .iter()
                .zip(&got.values)
                .map(|(e, g)| f64::from((e - g).abs()));
            let off = off.fold(0.0_f64, |m, v| if v > m || v.is_nan() { v } else { m });
            let figure = off / largest.max(1e-6);
            ensure!(
                figure <= LOGITS,
                "{}: {key}: logits off by {figure:.2e}",
                case.name
            );
            worst = worst.max(figure);
        } else {
            let got = masks.get(&(frame, object)).with_context(|| key.clone())?;
            let [height, width] = expected.shape[..] else {
                anyhow::bail!("{key}: no mask")
            };
            let bits = expected.bool()?.iter().map(|b| u8::from(*b)).collect();
            let iou = Mask::from_bytes(width, height, bits)?.iou(got)?;
            ensure!(iou >= MASK_IOU, "{}: {key}: mask IoU {iou:.5}", case.name);
            least = least.min(iou);
        }
    }
    Ok((worst, least))
}

#[test]
fn every_case_agrees_with_the_official_code() -> Result<()> {
    let mut models: BTreeMap<String, SharedModel> = BTreeMap::new();
    let mut failed = Vec::new();
    let cases = cases()?;
    ensure!(cases.len() >= 15, "{} cases", cases.len());
    for case in &cases {
        let model = match models.get(&case.weights) {
            Some(model) => SharedModel::clone(model),
            None => {
                let model = model(&case.weights)?;
                models.insert(case.weights.clone(), SharedModel::clone(&model));
                model
            }
        };
        let result = run(case, model, VideoOptions::default())
            .and_then(|(video, masks)| compare(case, &video, &masks));
        match result {
            Ok((logits, iou)) => println!("{}: logits {logits:.1e}, mask IoU {iou:.5}", case.name),
            Err(error) => failed.push(format!("{}: {error:#}", case.name)),
        }
    }
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}

#[test]
fn one_object_at_a_time_gives_what_a_batch_gives() -> Result<()> {
    let cases = cases()?;
    let case = cases
        .iter()
        .find(|case| case.name == "seed4_tracks")
        .context("the case")?;
    let model = model(&case.weights)?;
    let single = VideoOptions {
        objects_per_pass: Some(1),
        ..VideoOptions::default()
    };
    let (one_by_one, alone) = run(case, SharedModel::clone(&model), single)?;
    let (video, masks) = run(case, model, VideoOptions::default())?;
    compare(case, &one_by_one, &alone)?;
    for (key, mask) in &masks {
        // Products over other block sizes round differently: a pixel at the threshold may flip.
        ensure!(alone[key].iou(mask)? > 0.999, "{key:?}");
    }
    // 12 frames, each encoded once whatever the objects and passes.
    ensure!(
        video.stats().encodes == 12,
        "{} encodes",
        video.stats().encodes
    );
    Ok(())
}

#[test]
fn dropped_features_and_memories_are_made_again() -> Result<()> {
    let cases = cases()?;
    let case = cases
        .iter()
        .find(|case| case.name == "seed4_session_correction");
    let case = case.context("the case")?;
    let model = model(&case.weights)?;
    let (video, _) = run(case, SharedModel::clone(&model), VideoOptions::default())?;
    // One frame's features; the memories and logits of two objects on 12 frames are 192 KiB, so those
    // out of reach lose their memory, and the last pass backward looks at one of them.
    let tight = VideoOptions {
        feature_bytes: 1,
        memory_bytes: 190 << 10,
        ..VideoOptions::default()
    };
    let (tight, masks) = run(case, model, tight)?;
    compare(case, &tight, &masks)?;
    let (stats, tight) = (video.stats(), tight.stats());
    ensure!(tight.encodes > stats.encodes, "no features were made again");
    ensure!(
        tight.memories > stats.memories,
        "no memory was made again: {tight:?} {stats:?}"
    );
    Ok(())
}

#[test]
fn a_second_pass_over_cached_frames_skips_the_encoder() -> Result<()> {
    let cases = cases()?;
    let case = cases
        .iter()
        .find(|case| case.name == "seed4_tracks")
        .context("the case")?;
    let (mut video, mut masks) = run(case, model(&case.weights)?, VideoOptions::default())?;
    let before = video.stats();
    propagate(&mut video, PassOptions::default(), &mut masks)?;
    let after = video.stats();
    ensure!(after.encodes == before.encodes && after.tracked > before.tracked);
    Ok(())
}

#[test]
fn fixtures_hold_objects_that_vanish() -> Result<()> {
    // Otherwise the tests above would not see an error in the absence of objects.
    let arrays = npz::read(&micro().join("video/seed41_tracks.npz"))?;
    let absent = arrays.iter().filter(|(key, array)| {
        key.starts_with("logits") && array.f32().is_ok_and(|v| v.iter().all(|v| *v == -1024.0))
    });
    let absent = absent.count();
    ensure!(
        absent > 3 && absent < arrays.len() / 2 - 3,
        "{absent} of {} absent",
        arrays.len() / 2
    );
    Ok(())
}
