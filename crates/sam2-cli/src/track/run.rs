//! Prompts, then passes, frame by frame.

use super::interrupt::Interrupt;
use super::job::TrackJob;
use super::prompts::What;
use super::sink::Sink;
use crate::CliError;
use crate::progress::Progress;
use sam2::video::{PassOptions, VideoOptions, VideoPredictor, open_video};
use sam2::{SharedModel, block_on};
use std::time::Instant;

/// Runs the job.
///
/// # Errors
/// What opening, prompting and tracking report; masks of the frames before an error are written.
pub fn run(job: &TrackJob, model: SharedModel) -> Result<(), CliError> {
    let interrupt = Interrupt::listen()?;
    let opened = open_video(&job.input, job.limits)?;
    for note in &opened.notes {
        tracing::info!("{note}");
    }
    let mut video = VideoPredictor::new(model, opened.source, options(job))?;
    for step in &job.steps {
        match &step.prompt {
            What::Points(prompt) => {
                block_on(video.add_new_points_or_box(step.frame, step.object, prompt))?;
            }
            What::Mask(mask) => {
                block_on(video.add_new_mask(step.frame, step.object, mask))?;
            }
        }
    }
    let mut sink = Sink::new(job);
    let mut end = Ok(true);
    for reverse in &job.passes {
        end = pass(&mut video, *reverse, &interrupt, &mut sink);
        if !matches!(end, Ok(true)) {
            break;
        }
    }
    tracing::debug!("{}", video.memory_line());
    // What was tracked is kept, however the passes ended.
    sink.finish(&video)?;
    match end? {
        true => Ok(()),
        false => {
            tracing::warn!("stopped by a signal; what was tracked so far is written");
            Err(sam2::Error::Cancelled.into())
        }
    }
}

/// With `--npz` nothing is dropped under memory pressure, and no logits are rounded to half floats.
fn options(job: &TrackJob) -> VideoOptions {
    match job.npz {
        Some(_) => VideoOptions {
            memory_bytes: usize::MAX,
            ..VideoOptions::default()
        },
        None => VideoOptions::default(),
    }
}

/// One pass; `false` where it was stopped.
fn pass(
    video: &mut VideoPredictor,
    reverse: bool,
    interrupt: &Interrupt,
    sink: &mut Sink<'_>,
) -> Result<bool, CliError> {
    let mut pass = video.start_pass(PassOptions {
        reverse,
        ..PassOptions::default()
    })?;
    let start = Instant::now();
    let bar = Progress::count(pass.total() as u64, "frames");
    while let Some(masks) = block_on(video.next_frame(&mut pass))? {
        sink.frame(reverse, &masks)?;
        bar.set(pass.done() as u64);
        if interrupt.asked() {
            return Ok(false);
        }
    }
    drop(bar);
    let seconds = start.elapsed().as_secs_f64();
    let rate = pass.done() as f64 / seconds.max(1e-9);
    let way = if reverse { "backward" } else { "forward" };
    tracing::info!(
        "{} frames {way} in {seconds:.1} s ({rate:.2} frames/s)",
        pass.done()
    );
    Ok(true)
}
