//! Prompts, then passes, frame by frame.

use super::interrupt::Interrupt;
use super::job::TrackJob;
use super::prompts::What;
use super::resume::{self, Point};
use super::sink::Sink;
use crate::CliError;
use crate::bench::peak_rss_mb;
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
    let state = resume::path(job);
    let resumed = match &state {
        Some(path) if job.resume => resume::load(path, job, &mut video)?,
        _ => None,
    };
    if resumed.is_none() {
        prompt(&mut video, job)?;
    }
    let mut point = resumed.unwrap_or_default();
    if job.resume {
        match (resumed, point.next) {
            (Some(_), Some(frame)) => tracing::info!("going on with frame {frame}"),
            (Some(_), None) => tracing::info!("going on with the next pass"),
            (None, _) => tracing::info!("no run was stopped here: from the beginning"),
        }
    }
    let mut sink = Sink::new(job, opened.fps);
    let mut end = Ok(true);
    while let Some(reverse) = job.passes.get(point.pass) {
        end = pass(&mut video, *reverse, &mut point, &interrupt, &mut sink);
        if !matches!(end, Ok(true)) {
            break;
        }
    }
    let peak = peak_rss_mb().map_or_else(String::new, |mb| format!(", at most {mb} MB in use"));
    tracing::info!("{}{peak}", video.memory_line());
    // What was tracked is kept, however the passes ended; first of all what is needed to go on.
    let stopped = point.pass < job.passes.len();
    if let Some(path) = &state {
        match stopped {
            true => resume::save(path, job, &video, point)?,
            false => resume::remove(path)?,
        }
    }
    sink.finish(&video)?;
    let go_on = match (stopped, &state) {
        (true, Some(_)) => "; the same command with --resume goes on from there",
        _ => "",
    };
    match end {
        Ok(true) => Ok(()),
        Ok(false) => {
            tracing::warn!("stopped by a signal; what was tracked so far is written{go_on}");
            Err(sam2::Error::Cancelled.into())
        }
        Err(error) => {
            tracing::warn!("what was tracked before the error is written{go_on}");
            Err(error)
        }
    }
}

fn prompt(video: &mut VideoPredictor, job: &TrackJob) -> Result<(), CliError> {
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
    Ok(())
}

/// With `--npz` nothing is dropped under memory pressure, and no logits are rounded to half floats.
fn options(job: &TrackJob) -> VideoOptions {
    match (&job.npz, job.cache) {
        // All logits are written at the end.
        (Some(_), _) => VideoOptions {
            memory_bytes: usize::MAX,
            ..VideoOptions::default()
        },
        (None, Some(bytes)) => VideoOptions::within(bytes),
        (None, None) => VideoOptions::default(),
    }
}

/// One pass from `point` on, which moves with it; `false` where it was stopped.
fn pass(
    video: &mut VideoPredictor,
    reverse: bool,
    point: &mut Point,
    interrupt: &Interrupt,
    sink: &mut Sink<'_>,
) -> Result<bool, CliError> {
    let mut pass = video.start_pass(PassOptions {
        start_frame_idx: point.next,
        reverse,
        ..PassOptions::default()
    })?;
    let start = Instant::now();
    let bar = Progress::count(pass.total() as u64, "frames");
    while let Some(masks) = block_on(video.next_frame(&mut pass))? {
        sink.frame(reverse, &masks)?;
        point.next = pass.upcoming();
        bar.set(pass.done() as u64);
        if interrupt.asked() && point.next.is_some() {
            return Ok(false);
        }
    }
    drop(bar);
    *point = Point {
        pass: point.pass + 1,
        next: None,
    };
    let seconds = start.elapsed().as_secs_f64();
    let rate = pass.done() as f64 / seconds.max(1e-9);
    let way = if reverse { "backward" } else { "forward" };
    tracing::info!(
        "{} frames {way} in {seconds:.1} s ({rate:.2} frames/s)",
        pass.done()
    );
    Ok(true)
}
