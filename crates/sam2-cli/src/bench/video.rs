//! `sam2 bench --video`: where the time of a tracked frame goes.

use super::{median, peak_rss_mb, round};
use crate::session::Session;
use crate::{CliError, output};
use sam2::image::RgbImage;
use sam2::video::frames::MemoryFrames;
use sam2::video::{PassOptions, VideoPredictor, VideoPrompt, VideoStats};
use sam2::{Model, block_on};
use serde::Serialize;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Frames of the clip: enough that the memory bank (7 frames) is full for half of them.
const FRAMES: usize = 15;
/// DAVIS' size.
const WIDTH: usize = 854;
const HEIGHT: usize = 480;
/// Numbers of objects that are measured.
const OBJECTS: [u32; 3] = [1, 4, 16];

#[derive(Debug, Serialize)]
struct Report {
    model: String,
    device: &'static str,
    threads: usize,
    frames: usize,
    runs: Vec<Run>,
    peak_rss_mb: Option<u64>,
}

/// Milliseconds per frame, over all frames of a first pass; `frame_ms` is the median.
#[derive(Debug, Serialize)]
struct Run {
    objects: u32,
    frame_ms: f64,
    frames_per_s: f64,
    encode_ms: f64,
    memory_attention_ms: f64,
    decode_ms: f64,
    memory_encode_ms: f64,
    /// A second pass, over frames whose features are cached.
    second_pass_ms: f64,
    /// Runs of the image encoder in both passes: one per frame.
    encodes: u64,
}

/// Runs the command.
///
/// # Errors
/// As loading and tracking.
pub fn run(model: &Arc<Model>, json: bool, session: &Session) -> Result<(), CliError> {
    let frames: Result<Vec<_>, _> = (0..FRAMES).map(picture).collect();
    let frames = MemoryFrames::new(frames?)?;
    let runs: Result<Vec<_>, _> = OBJECTS.iter().map(|n| track(model, &frames, *n)).collect();
    let report = Report {
        model: model.name().to_owned(),
        device: model.runtime().kind.name(),
        threads: session.threads(),
        frames: FRAMES,
        runs: runs?,
        peak_rss_mb: peak_rss_mb(),
    };
    if json {
        return output::json(&report);
    }
    output::line(&format!(
        "{:>8}{:>10}{:>10}{:>10}{:>11}{:>10}{:>10}{:>10}",
        "objects", "frames/s", "ms/frame", "encode", "attention", "decode", "memory", "2nd pass"
    ))?;
    for r in &report.runs {
        output::line(&format!(
            "{:>8}{:>10.2}{:>10.1}{:>10.1}{:>11.1}{:>10.1}{:>10.1}{:>10.1}",
            r.objects,
            r.frames_per_s,
            r.frame_ms,
            r.encode_ms,
            r.memory_attention_ms,
            r.decode_ms,
            r.memory_encode_ms,
            r.second_pass_ms
        ))?;
    }
    let memory = report
        .peak_rss_mb
        .map_or_else(|| "unknown".to_owned(), |mb| format!("{mb} MB"));
    output::line(&format!(
        "{}, {}, peak memory {memory}",
        report.model, report.device
    ))
}

fn track(model: &Arc<Model>, frames: &MemoryFrames, objects: u32) -> Result<Run, CliError> {
    let source = Box::new(frames.clone());
    let mut video = VideoPredictor::new(Arc::clone(model), source, Default::default())?;
    for object in 0..objects {
        // Spread over the picture, so that the objects are not the same.
        let (x, y) = (40 + 197 * (object % 4), 50 + 110 * (object / 4));
        let click = VideoPrompt::click(x as f32, y as f32);
        block_on(video.add_new_points_or_box(0, object, &click))?;
    }
    let before = video.stats();
    let first = pass(&mut video)?;
    let after = video.stats();
    let second = pass(&mut video)?;
    let each = |of: fn(&VideoStats) -> Duration| {
        round((of(&after) - of(&before)).as_secs_f64() * 1e3 / FRAMES as f64)
    };
    let frame_ms = median(first);
    Ok(Run {
        objects,
        frame_ms: round(frame_ms),
        frames_per_s: round(1e3 / frame_ms.max(1e-9)),
        encode_ms: each(|s| s.encoding),
        memory_attention_ms: each(|s| s.memory_attention),
        decode_ms: each(|s| s.decoding),
        memory_encode_ms: each(|s| s.memory_encoding),
        second_pass_ms: round(median(second)),
        encodes: video.stats().encodes,
    })
}

/// Milliseconds of every frame of a pass.
fn pass(video: &mut VideoPredictor) -> Result<Vec<f64>, CliError> {
    let mut pass = video.start_pass(PassOptions::default())?;
    let mut times = Vec::new();
    loop {
        let start = Instant::now();
        if block_on(video.next_frame(&mut pass))?.is_none() {
            return Ok(times);
        }
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
}

/// A textured scene with a disc that moves.
fn picture(frame: usize) -> Result<RgbImage, CliError> {
    let (cx, cy) = (200 + 12 * frame as i64, 240);
    let mut data = Vec::with_capacity(WIDTH * HEIGHT * 3);
    for y in 0..HEIGHT {
        for x in 0..WIDTH {
            let disc = (x as i64 - cx).pow(2) + (y as i64 - cy).pow(2) < 90 * 90;
            let texture = ((x * 7 + y * 13) % 32) as u8;
            data.extend(match disc {
                true => [220 - texture, 170, 60 + texture],
                false => [(x / 5) as u8, (y / 3) as u8, 90 + texture],
            });
        }
    }
    Ok(RgbImage::from_rgb(WIDTH, HEIGHT, data).map_err(sam2::Error::from)?)
}
