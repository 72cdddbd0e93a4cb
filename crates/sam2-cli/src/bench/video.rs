//! `sam2 bench --video`: where the time of a tracked frame goes.

use super::{ms, peak_rss_mb, round};
use crate::session::Session;
use crate::{CliError, output};
use clap::Args;
use sam2::image::{ImageSize, RgbImage};
use sam2::video::frames::{FrameSource, MemoryFrames};
use sam2::video::{PassOptions, VideoLimits, VideoPredictor, VideoPrompt, VideoStats, open_video};
use sam2::{Model, block_on};
use serde::Serialize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The built-in clip has DAVIS' size.
const WIDTH: usize = 854;
const HEIGHT: usize = 480;

#[derive(Debug, Args)]
pub struct VideoArgs {
    /// Time tracking through a clip instead
    #[arg(long)]
    pub video: bool,
    /// With --video: a video, or a folder of frames, instead of the built-in clip
    #[arg(long, value_name = "CLIP", requires = "video")]
    pub clip: Option<PathBuf>,
    /// With --video: frames of the clip; the memory bank is full after 7
    #[arg(long, value_name = "N", default_value_t = 15, requires = "video",
        value_parser = clap::value_parser!(u32).range(2..=10_000))]
    pub frames: u32,
    /// With --video: numbers of objects, each timed on its own
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_values_t = [1, 4, 16], requires = "video",
        value_parser = clap::value_parser!(u32).range(1..=256))]
    pub objects: Vec<u32>,
}

#[derive(Debug, Serialize)]
struct Report {
    model: String,
    device: &'static str,
    threads: usize,
    frames: usize,
    runs: Vec<Run>,
    peak_rss_mb: Option<u64>,
}

/// Milliseconds for each frame after the prompted one, as means over a first pass; the prompts, which
/// encode their frame, come before it.
#[derive(Debug, Serialize)]
struct Run {
    objects: u32,
    /// All prompts, with the encoding of their frame.
    prompt_ms: f64,
    frame_ms: f64,
    frames_per_s: f64,
    read_ms: f64,
    encode_ms: f64,
    memory_attention_ms: f64,
    decode_ms: f64,
    memory_encode_ms: f64,
    /// A second pass, over frames whose features are cached where the cache holds the clip; with the
    /// fewest objects only.
    #[serde(skip_serializing_if = "Option::is_none")]
    second_pass_ms: Option<f64>,
    /// Runs of the image encoder in the prompts and the first pass: one per frame.
    encodes: u64,
    /// Those in the second pass: none while the features are cached.
    #[serde(skip_serializing_if = "Option::is_none")]
    second_pass_encodes: Option<u64>,
}

/// Runs the command.
///
/// # Errors
/// As opening the clip, loading and tracking.
pub fn run(
    model: &Arc<Model>,
    args: &VideoArgs,
    json: bool,
    session: &Session,
) -> Result<(), CliError> {
    let frames = clip(args)?;
    let fewest = args.objects.iter().min().copied();
    let runs: Result<Vec<_>, _> = args
        .objects
        .iter()
        .map(|n| track(model, &frames, *n, Some(*n) == fewest))
        .collect();
    let report = Report {
        model: model.name().to_owned(),
        device: model.runtime().kind.name(),
        threads: session.threads(),
        frames: frames.len(),
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
        let second = r
            .second_pass_ms
            .map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1}"));
        output::line(&format!(
            "{:>8}{:>10.2}{:>10.1}{:>10.1}{:>11.1}{:>10.1}{:>10.1}{second:>10}",
            r.objects,
            r.frames_per_s,
            r.frame_ms,
            r.encode_ms,
            r.memory_attention_ms,
            r.decode_ms,
            r.memory_encode_ms,
        ))?;
    }
    let memory = report
        .peak_rss_mb
        .map_or_else(|| "unknown".to_owned(), |mb| format!("{mb} MB"));
    output::line(&format!(
        "{}, {}, {} frames, peak memory {memory}",
        report.model, report.device, report.frames
    ))
}

/// The frames, in memory: what a decoder takes is not the network's time.
fn clip(args: &VideoArgs) -> Result<MemoryFrames, CliError> {
    let wanted = args.frames as usize;
    let frames: Result<Vec<_>, CliError> = match &args.clip {
        None => (0..wanted).map(picture).collect(),
        Some(path) => {
            let limits = VideoLimits {
                max_frames: wanted,
                ..VideoLimits::default()
            };
            let mut source = open_video(path, limits)?.source;
            let found = wanted.min(source.len());
            let mut read = |i| Ok(block_on(source.read(i))?);
            (0..found).map(&mut read).collect()
        }
    };
    let frames = MemoryFrames::new(frames?)?;
    match frames.len() {
        1 => Err(CliError::Usage(
            "the clip has one frame: there is nothing to track".to_owned(),
        )),
        _ => Ok(frames),
    }
}

fn track(
    model: &Arc<Model>,
    frames: &MemoryFrames,
    objects: u32,
    twice: bool,
) -> Result<Run, CliError> {
    let source = Box::new(frames.clone());
    let mut video = VideoPredictor::new(Arc::clone(model), source, Default::default())?;
    let ImageSize { width, height } = video.size();
    let start = Instant::now();
    for object in 0..objects {
        // Spread over the picture, so that the objects are not the same.
        let at = |step: u32, of: usize| (step as f32 + 0.5) / 4.0 % 1.0 * of as f32;
        let click = VideoPrompt::click(at(object, width), at(object / 4, height));
        block_on(video.add_new_points_or_box(0, object, &click))?;
    }
    let prompt_ms = ms(start);
    let before = video.stats();
    // The prompted frame is answered already: it takes no time.
    let tracked = (frames.len() - 1) as f64;
    let frame_ms = pass(&mut video)? / tracked;
    let after = video.stats();
    let second_pass_ms = match twice {
        true => Some(round(pass(&mut video)? / tracked)),
        false => None,
    };
    let again = video.stats().encodes - after.encodes;
    let each = |of: fn(&VideoStats) -> Duration| {
        round((of(&after) - of(&before)).as_secs_f64() * 1e3 / tracked)
    };
    Ok(Run {
        objects,
        prompt_ms: round(prompt_ms),
        frame_ms: round(frame_ms),
        frames_per_s: round(1e3 / frame_ms.max(1e-9)),
        read_ms: each(|s| s.reading),
        encode_ms: each(|s| s.encoding),
        memory_attention_ms: each(|s| s.memory_attention),
        decode_ms: each(|s| s.decoding),
        memory_encode_ms: each(|s| s.memory_encoding),
        second_pass_ms,
        encodes: after.encodes,
        second_pass_encodes: second_pass_ms.map(|_| again),
    })
}

/// Milliseconds of a pass.
fn pass(video: &mut VideoPredictor) -> Result<f64, CliError> {
    let start = Instant::now();
    let mut pass = video.start_pass(PassOptions::default())?;
    while block_on(video.next_frame(&mut pass))?.is_some() {}
    Ok(ms(start))
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
