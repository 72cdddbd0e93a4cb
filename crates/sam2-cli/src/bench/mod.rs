//! `sam2 bench`: how long loading, encoding and a click take, and what they need.

mod video;

use crate::session::Session;
use crate::{CliError, output};
use clap::Args;
use sam2::image::{ImageSize, RgbImage};
use sam2::{CleanUp, ImagePredictor, Prompt, block_on};
use serde::Serialize;
use std::sync::Arc;
use std::time::Instant;

#[derive(Debug, Args)]
pub struct BenchArgs {
    /// A model file, or the name of a model in SAM2_MODELS_DIR [default: the built-in sam2-nano]
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
    /// Runs after one warm-up; the median is reported
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub runs: u32,
    /// Tell the mask check's part of a click, too
    #[arg(long, conflicts_with = "video")]
    pub checks: bool,
    #[command(flatten)]
    pub video: video::VideoArgs,
    /// One JSON object on stdout
    #[arg(long)]
    pub json: bool,
}

/// What is measured; the medians are milliseconds.
#[derive(Debug, Serialize)]
struct Report {
    model: String,
    device: &'static str,
    threads: usize,
    /// From the closed file to a model that answers.
    load_ms: f64,
    /// A decoded picture to its embedding, resize and normalisation included.
    encode_ms: f64,
    /// One click, three masks, read back and cut at the picture's size.
    decode_ms: f64,
    /// With --checks: of that, what the mask check took on the host, as a mean; a GPU's own part is not in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    check_ms: Option<f64>,
    /// The most memory that was resident at once (VmHWM); `None` where the system does not say.
    peak_rss_mb: Option<u64>,
}

/// Runs the command.
///
/// # Errors
/// As loading and predicting.
pub fn run(args: &BenchArgs, session: &Session) -> Result<(), CliError> {
    // Threads and device are part of the program's start, not of loading a model.
    session.open_runtime()?;
    let start = Instant::now();
    let model = session.load(args.model.as_deref())?;
    let load_ms = ms(start);
    if args.video.video {
        return video::run(&model, &args.video, args.json, session);
    }
    let predictor = ImagePredictor::new(Arc::clone(&model));
    let picture = picture()?;

    let mut encodes = Vec::new();
    let mut embedding = block_on(predictor.set_image(&picture))?;
    for _ in 0..args.runs {
        let start = Instant::now();
        embedding = block_on(predictor.set_image(&picture))?;
        encodes.push(ms(start));
    }
    let encoded = predictor.encodes();

    let ImageSize { width, height } = embedding.image_size();
    let mut decodes = Vec::new();
    let mut checked = sam2::check_time();
    for run in 0..=args.runs {
        // Another place each time, so that nothing can be kept from the run before.
        let across = (run as f32 + 1.0) / (args.runs as f32 + 2.0);
        let click = Prompt::click(width as f32 * across, height as f32 * 0.5);
        let start = Instant::now();
        block_on(predictor.predict(&embedding, &click, CleanUp::default()))?;
        match run {
            0 => checked = sam2::check_time(),
            _ => decodes.push(ms(start)),
        }
    }
    let checks = sam2::check_time() - checked;
    if predictor.encodes() != encoded {
        return Err(CliError::Verify(
            "a click ran the image encoder again".to_owned(),
        ));
    }

    let report = Report {
        model: model.name().to_owned(),
        device: model.runtime().kind.name(),
        threads: model.runtime().threads,
        load_ms: round(load_ms),
        encode_ms: round(median(encodes)),
        decode_ms: round(median(decodes)),
        check_ms: args
            .checks
            .then(|| round(checks.as_secs_f64() * 1e3 / f64::from(args.runs))),
        peak_rss_mb: peak_rss_mb(),
    };
    if args.json {
        return output::json(&report);
    }
    let gflop = sam2::flops::encode(model.config()) / 1e9;
    let rate = gflop / (report.encode_ms / 1e3);
    let memory = report
        .peak_rss_mb
        .map_or_else(|| "unknown".to_owned(), |mb| format!("{mb} MB"));
    let checked = report.check_ms.map_or_else(String::new, |check| {
        let share = 100.0 * check / report.decode_ms;
        format!(", of which {check:.2} ms ({share:.1} %) for the mask check")
    });
    for (what, value) in [
        ("model", report.model.clone()),
        (
            "device",
            format!("{}, {} threads", report.device, report.threads),
        ),
        ("load", format!("{:.1} ms", report.load_ms)),
        (
            "encode",
            format!(
                "{:.1} ms ({gflop:.1} GFLOP, {rate:.1} GFLOP/s)",
                report.encode_ms
            ),
        ),
        ("click", format!("{:.1} ms{checked}", report.decode_ms)),
        ("peak memory", memory),
    ] {
        output::line(&format!("{what:12}{value}"))?;
    }
    Ok(())
}

/// A picture of 1500 x 1000 with edges and texture; its content does not change the work.
fn picture() -> Result<RgbImage, CliError> {
    let (width, height) = (1500, 1000);
    let mut data = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        for x in 0..width {
            let disc = (x as i64 - 900).pow(2) + (y as i64 - 450).pow(2) < 300 * 300;
            let texture = ((x * 7 + y * 13) % 32) as u8;
            data.extend(match disc {
                true => [220 - texture, 180, 60 + texture],
                false => [(x / 8) as u8, (y / 8) as u8, 90 + texture],
            });
        }
    }
    Ok(RgbImage::from_rgb(width, height, data).map_err(sam2::Error::from)?)
}

fn ms(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

fn round(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

/// The middle value, or the mean of the two in the middle; 0 for none.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[n / 2],
        n => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}

/// VmHWM of this process.
pub fn peak_rss_mb() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib >> 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(vec![]), 0.0);
    }

    #[test]
    fn peak_memory_is_known_on_linux() {
        if cfg!(target_os = "linux") {
            assert!(peak_rss_mb().is_some_and(|mb| mb > 0));
        }
    }
}
