//! Prompts, then passes, frame by frame.

use super::interrupt::Interrupt;
use super::job::TrackJob;
use super::prompts::What;
use super::resume::{Point, StateFile};
use super::sink::Sink;
use crate::CliError;
use crate::bench::peak_rss_mb;
use crate::error::one_line;
use crate::progress::Progress;
use sam2::video::{PassOptions, VideoOptions, VideoPredictor, open_video};
use sam2::{SharedModel, block_on};
use std::path::PathBuf;
use std::time::Instant;

/// Runs the job. `state`: where its state is kept, and the digest of its model.
///
/// # Errors
/// What opening, prompting and tracking report; masks of the frames before an error are written.
pub fn run(
    job: &TrackJob,
    model: SharedModel,
    state: Option<(PathBuf, String)>,
) -> Result<(), CliError> {
    let interrupt = Interrupt::listen()?;
    let opened = open_video(&job.input, job.limits)?;
    for note in &opened.notes {
        tracing::info!("{note}");
    }
    let mut video = VideoPredictor::new(model, opened.source, options(job))?;
    let mut state = state.map(|(path, digest)| StateFile::new(path, job, &digest, &video));
    let resumed = match &state {
        Some(state) if job.resume => state.load(&mut video)?,
        _ => None,
    };
    if resumed.is_none() {
        prompt(&mut video, job)?;
    }
    let mut point = resumed.unwrap_or_default();
    if job.resume {
        match (resumed, point.next) {
            (Some(_), Some(frame)) => tracing::info!("going on with frame {frame}"),
            (Some(_), None) if point.pass == job.passes.len() => {
                tracing::info!("all is tracked: going on with the overlays");
            }
            (Some(_), None) => tracing::info!("going on with the next pass"),
            (None, _) => tracing::info!("no run was stopped here: from the beginning"),
        }
    }
    let mut sink = Sink::new(job, opened.fps);
    let mut tracked = Ok(true);
    while let Some(reverse) = job.passes.get(point.pass) {
        let state = state.as_mut();
        tracked = pass(
            &mut video, *reverse, &mut point, &interrupt, &mut sink, state,
        );
        if !matches!(tracked, Ok(true)) {
            break;
        }
    }
    let peak = peak_rss_mb().map_or_else(String::new, |mb| format!(", at most {mb} MB in use"));
    tracing::info!("{}{peak}", video.memory_line());
    // What was tracked is kept, however the passes ended; first of all what is needed to go on. Drawing
    // overlays may take long and be stopped, too.
    let unfinished = point.pass < job.passes.len() || job.has_overlays();
    let kept = match &state {
        Some(state) if unfinished => state.save(&video, point).map(|()| true),
        _ => Ok(false),
    };
    let finished = sink.finish(&video, &interrupt);
    conclude(state.as_ref(), tracked, kept, finished)
}

/// What the run ends with: whether all was tracked, a state was kept and all was drawn. Of several errors
/// the first one is the run's; what went wrong after it is told, and does not take its place.
fn conclude(
    state: Option<&StateFile>,
    tracked: Result<bool, CliError>,
    kept: Result<bool, CliError>,
    finished: Result<bool, CliError>,
) -> Result<(), CliError> {
    let go_on = match kept {
        Ok(true) => "; the same command with --resume goes on from there",
        _ => "",
    };
    let done = matches!((&tracked, &finished), (Ok(true), Ok(true)));
    let removed = match state {
        Some(state) if done => state.remove(),
        _ => Ok(()),
    };
    // A run that is done needs no state, whether it could be written or not.
    let kept = kept.err().filter(|_| !done);
    let errors = [tracked.err(), kept, finished.err(), removed.err()];
    let mut errors = errors.into_iter().flatten();
    match errors.next() {
        Some(error) => {
            for other in errors {
                tracing::warn!("after the error: {}", one_line(&other.to_string()));
            }
            tracing::warn!("what was tracked before the error is written{go_on}");
            Err(error)
        }
        None if !done => {
            tracing::warn!("stopped by a signal; what was tracked so far is written{go_on}");
            Err(sam2::Error::Cancelled.into())
        }
        None => Ok(()),
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
    let options = match (&job.npz, job.cache) {
        // All logits are written at the end.
        (Some(_), _) => VideoOptions {
            memory_bytes: usize::MAX,
            ..VideoOptions::default()
        },
        (None, Some(bytes)) => VideoOptions::within(bytes),
        (None, None) => VideoOptions::default(),
    };
    VideoOptions {
        snap: job.snap,
        ..options
    }
}

/// One pass from `point` on, which moves with it; `false` where it was stopped.
fn pass(
    video: &mut VideoPredictor,
    reverse: bool,
    point: &mut Point,
    interrupt: &Interrupt,
    sink: &mut Sink<'_>,
    mut state: Option<&mut StateFile>,
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
        let more = point.next.is_some();
        if more && interrupt.asked() {
            return Ok(false);
        }
        if more && let Some(state) = &mut state {
            state.save_if_due(video, *point);
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
