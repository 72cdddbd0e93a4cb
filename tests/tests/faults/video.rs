//! Two objects through a clip under a plan: tracked frame by frame, a typed fault tried once more
//! without the plan, as a person would.

use super::image::{differ, off};
use super::table::Cell;
use super::{micro, model};
use anyhow::{Context, Result, ensure};
use sam2::image::Mask;
use sam2::inject::{self, Plan};
use sam2::video::{FolderFrames, PassOptions, VideoOptions, VideoPredictor, VideoPrompt};
use sam2::{Error, Runtime, SharedModel, block_on, fault_counts};
use std::collections::BTreeMap;

const WEIGHTS: &str = "seed41.safetensors";
const FRAMES: usize = 5;
const OBJECTS: [(u32, f32, f32); 2] = [(3, 52.8, 54.56), (8, 150.0, 90.0)];

/// Masks and low-resolution logits by frame and object.
type Tracks = BTreeMap<(usize, u32), (Vec<f32>, Mask)>;

pub struct Bench {
    runtime: Runtime,
    cpu: Option<SharedModel>,
    right: Tracks,
}

impl Bench {
    pub fn new(runtime: &Runtime) -> Result<Self> {
        inject::set(None);
        let model = model(WEIGHTS, runtime.clone())?;
        let (right, faults) = track(&model)?;
        ensure!(faults == 0 && right.len() == FRAMES * OBJECTS.len());
        let on_cpu = runtime.kind == sam2::DeviceKind::Cpu;
        Ok(Self {
            runtime: runtime.clone(),
            cpu: on_cpu.then_some(model),
            right,
        })
    }

    pub fn run(&self, plan: Plan, cell: &mut Cell) -> Result<()> {
        let model = match &self.cpu {
            Some(model) => SharedModel::clone(model),
            None => model(WEIGHTS, self.runtime.clone())?,
        };
        let before = fault_counts();
        inject::set(Some(plan));
        let tracked = track(&model);
        cell.count(before, fault_counts());
        inject::set(None);
        let (tracks, faults) = tracked?;
        cell.asked += (OBJECTS.len() * FRAMES) as u64;
        cell.faults += faults;
        cell.shown += tracks.len() as u64;
        for (key, (logits, mask)) in &tracks {
            let (right, right_mask) = &self.right[key];
            cell.wrong += u64::from(differ((logits, mask), (right, right_mask)));
            cell.moved_logits += u64::from(off(logits, right) > 1e-3);
        }
        Ok(())
    }
}

/// What a session shows, and how many masks were typed faults instead. It ends at the first fault: a
/// pass stands still there until it is tried again.
fn track(model: &SharedModel) -> Result<(Tracks, u64)> {
    let frames = FolderFrames::open(&micro().join("frames"), 0, FRAMES)?;
    let model = SharedModel::clone(model);
    let mut video = VideoPredictor::new(model, Box::new(frames), VideoOptions::default())?;
    let mut prompted = 0;
    for (object, x, y) in OBJECTS {
        match block_on(video.add_new_points_or_box(0, object, &VideoPrompt::click(x, y))) {
            Ok(_) => prompted += 1,
            Err(error) => typed(&error, 0, Some(object), &video)?,
        }
    }
    let mut tracks = Tracks::new();
    if prompted == OBJECTS.len() {
        let mut pass = video.start_pass(PassOptions::default())?;
        loop {
            let frame = pass.upcoming();
            match block_on(video.next_frame(&mut pass)) {
                Ok(None) => break,
                Ok(Some(masks)) => {
                    for object in masks.objects {
                        let logits = video.low_res_logits(masks.frame, object.id);
                        let logits = logits.context("a frame that was shown has logits")?;
                        tracks.insert((masks.frame, object.id), (logits.values, object.mask));
                    }
                }
                Err(error) => {
                    let frame = frame.context("there was a frame to fail on")?;
                    typed(&error, frame, None, &video)?;
                    // Object and frame are kept: nothing of the frame, all of the objects.
                    for (object, _, _) in OBJECTS {
                        ensure!(
                            video.mask(frame, object).is_none(),
                            "a refused mask was stored"
                        );
                        ensure!(!video.tracked_frames(object).contains(&frame));
                    }
                    ensure!(video.object_ids().len() == OBJECTS.len());
                    ensure!(
                        pass.upcoming() == Some(frame),
                        "the pass went on without it"
                    );
                    break;
                }
            }
        }
    }
    let faults = OBJECTS.len() * FRAMES - tracks.len();
    Ok((tracks, faults as u64))
}

fn typed(error: &Error, frame: usize, object: Option<u32>, video: &VideoPredictor) -> Result<()> {
    match error {
        Error::Fault(fault) => {
            ensure!(fault.frame == Some(frame), "frame {frame}: {fault:?}");
            ensure!(object.is_none() || fault.object == object, "{fault:?}");
            let (mask, size) = (fault.empty_mask(), video.size());
            ensure!((mask.width(), mask.height(), mask.area()) == (size.width, size.height, 0));
            Ok(())
        }
        Error::DeviceLost(_) => Ok(()),
        other => Err(anyhow::anyhow!("not a fault: {other}")),
    }
}
