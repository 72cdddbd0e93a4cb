//! The last stage: answers become PNG, NumPy arrays and JSON.

use super::job::SegmentJob;
use super::line::{FailedLine, FailedReason, Line, LineImage, LineMask, Timings};
use super::pipeline::{Tally, report};
use crate::npz::NpzWriter;
use crate::progress::Progress;
use crate::{CliError, files, output};
use sam2::image::{ImageSize, OverlayStyle, RgbImage, cut_out_png, draw_overlay};
use sam2::{Model, PredictedMask, Prediction};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;

/// From the network to the sink. A picture is `Begin`, its answers, then `End` or `Failed`.
pub enum Message {
    Begin {
        index: usize,
        size: ImageSize,
        picture: Option<RgbImage>,
    },
    Features(Box<Features>),
    Answer {
        prompt: usize,
        answer: Prediction,
    },
    End {
        device: &'static str,
        timings: Timings,
    },
    Failed {
        index: usize,
        error: CliError,
    },
    /// All of its files are there.
    Skipped {
        index: usize,
    },
}

/// The features of one picture, `[1, C, H, W]` each.
pub struct Features(pub sam2::image_predictor::Features);

/// One colour per prompt in an overlay, told apart by most eyes (Okabe and Ito).
pub const COLORS: [[u8; 3]; 7] = [
    [230, 159, 0],
    [86, 180, 233],
    [0, 158, 115],
    [240, 228, 66],
    [0, 114, 178],
    [213, 94, 0],
    [204, 121, 167],
];

/// Name of a mask's file in its picture's folder.
pub fn mask_file(prompt: usize, mask: usize) -> String {
    format!("{prompt}_{mask}.png")
}

/// Name of what a mask covers, cut out.
pub fn cutout_file(prompt: usize, mask: usize) -> String {
    format!("{prompt}_{mask}_cutout.png")
}

/// Name of the picture with the masks drawn over it.
pub const OVERLAY: &str = "overlay.png";

/// Writes what arrives.
pub struct Sink<'a> {
    job: &'a SegmentJob,
    model: &'a Model,
    bar: &'a Progress,
    tally: Tally,
    picture: Option<Picture>,
    /// The picture that failed last: it may fail here and in the network, and counts once.
    failed: Option<usize>,
}

/// The picture at hand.
struct Picture {
    index: usize,
    size: ImageSize,
    /// The picture as it is, to cut out of.
    pixels: Option<RgbImage>,
    /// The picture with the best masks so far painted over it.
    painted: Option<RgbImage>,
    folder: Option<PathBuf>,
    npz: Option<NpzWriter>,
    masks: Vec<LineMask>,
}

impl<'a> Sink<'a> {
    pub fn new(job: &'a SegmentJob, model: &'a Model, bar: &'a Progress) -> Self {
        Self {
            job,
            model,
            bar,
            tally: Tally::default(),
            picture: None,
            failed: None,
        }
    }

    /// Takes messages until the network is done.
    ///
    /// # Errors
    /// [`CliError::Closed`] where nobody reads standard output any more.
    pub fn run(mut self, messages: Receiver<Message>) -> Result<Tally, CliError> {
        for message in messages {
            match message {
                Message::Skipped { index } => self.skip(index),
                Message::Failed { index, error } => self.fail(index, &error)?,
                Message::Begin {
                    index,
                    size,
                    picture,
                } => self.begin(index, size, picture)?,
                other => {
                    let Some(mut picture) = self.picture.take() else {
                        continue;
                    };
                    match self.take(&mut picture, other) {
                        Ok(true) => self.tally.done += 1,
                        Ok(false) => self.picture = Some(picture),
                        Err(CliError::Closed) => return Err(CliError::Closed),
                        Err(error) => self.fail(picture.index, &error)?,
                    }
                }
            }
            let Tally {
                done,
                skipped,
                failed,
                ..
            } = self.tally;
            self.bar.set((done + skipped + failed) as u64);
        }
        Ok(self.tally)
    }

    /// The files may be answers to another prompt, so that nobody should take them for this run's.
    fn skip(&mut self, index: usize) {
        self.tally.skipped += 1;
        let path = self.job.inputs[index].path.display();
        tracing::info!("{path}: already there, left as it is; --force replaces it");
    }

    fn begin(
        &mut self,
        index: usize,
        size: ImageSize,
        pixels: Option<RgbImage>,
    ) -> Result<(), CliError> {
        let folder = self
            .job
            .out
            .as_ref()
            .map(|out| out.join(&self.job.inputs[index].folder));
        let npz = match self.job.npz.as_deref().map(NpzWriter::create).transpose() {
            Ok(npz) => npz,
            Err(error) => return self.fail(index, &error),
        };
        // A copy only where both are asked for: a picture may be a third of a gigabyte.
        let (pixels, painted) = match (self.job.cutout, self.job.overlay) {
            (true, true) => (pixels.clone(), pixels),
            (true, false) => (pixels, None),
            _ => (None, pixels),
        };
        let masks = Vec::new();
        self.picture = Some(Picture {
            index,
            size,
            pixels,
            painted,
            folder,
            npz,
            masks,
        });
        Ok(())
    }

    /// Reports a failure once, as a line on stderr and with `--json` as an object.
    fn fail(&mut self, index: usize, error: &CliError) -> Result<(), CliError> {
        if matches!(error, CliError::Closed) {
            return Err(CliError::Closed);
        }
        self.picture = None;
        if self.failed.replace(index) == Some(index) {
            return Ok(());
        }
        self.tally.failed += 1;
        self.tally.refused += usize::from(error.code() == "bad_prompt");
        let input = &self.job.inputs[index];
        report(input, error);
        if self.job.json {
            let reason = FailedReason {
                code: error.code(),
                message: crate::error::one_line(&error.to_string()),
            };
            output::json(&FailedLine {
                file: input.path.display().to_string(),
                error: reason,
            })?;
        }
        Ok(())
    }

    /// Writes one message of a picture; `true` when it was the last.
    fn take(&mut self, picture: &mut Picture, message: Message) -> Result<bool, CliError> {
        match message {
            Message::Features(features) => {
                if let Some(npz) = &mut picture.npz {
                    write_features(npz, &features.0)?;
                }
            }
            Message::Answer { prompt, answer } => self.answer(picture, prompt, &answer)?,
            Message::End { device, timings } => {
                if let Some(npz) = picture.npz.take() {
                    npz.finish()?;
                }
                if let (Some(folder), Some(painted)) = (&picture.folder, &picture.painted) {
                    self.write_new(&folder.join(OVERLAY), || painted.to_png())?;
                }
                if self.job.json {
                    let ImageSize { width, height } = picture.size;
                    output::json(&Line {
                        schema: 1,
                        file: self.job.inputs[picture.index].path.display().to_string(),
                        image: LineImage {
                            width,
                            height,
                            oriented: true,
                        },
                        device,
                        model: self.model.name(),
                        timings_ms: timings,
                        masks: std::mem::take(&mut picture.masks),
                    })?;
                }
                return Ok(true);
            }
            Message::Begin { .. } | Message::Failed { .. } | Message::Skipped { .. } => {}
        }
        Ok(false)
    }

    fn answer(
        &mut self,
        picture: &mut Picture,
        prompt: usize,
        answer: &Prediction,
    ) -> Result<(), CliError> {
        if let Some(folder) = &picture.folder {
            for (number, mask) in answer.masks.iter().enumerate() {
                let path = folder.join(mask_file(prompt, number));
                self.write_new(&path, || mask.mask.to_png())?;
                if let (true, Some(pixels)) = (self.job.cutout, &picture.pixels) {
                    let path = folder.join(cutout_file(prompt, number));
                    self.write_new(&path, || cut_out_png(pixels, &mask.mask, true))?;
                }
            }
            let best = answer.masks.get(answer.best());
            if let (Some(painted), Some(best)) = (&mut picture.painted, best) {
                let color = COLORS[prompt % COLORS.len()];
                let style = OverlayStyle::new(color, painted.width(), painted.height());
                draw_overlay(painted, &best.mask, &style).map_err(sam2::Error::from)?;
            }
        }
        if let Some(npz) = &mut picture.npz {
            write_answer(npz, prompt, &answer.masks)?;
        }
        if self.job.json {
            picture
                .masks
                .extend(answer.masks.iter().map(|m| LineMask::new(prompt, m)));
        }
        Ok(())
    }

    /// Writes a file unless it is there and stays.
    fn write_new(
        &mut self,
        path: &Path,
        bytes: impl FnOnce() -> Result<Vec<u8>, sam2::image::ImageError>,
    ) -> Result<(), CliError> {
        if !self.job.force && path.exists() {
            self.tally.kept += 1;
            return Ok(());
        }
        files::write(path, &bytes().map_err(sam2::Error::from)?)
    }
}

/// `e`, `h0`, `h1`, as tests/parity/reference.py names them.
fn write_features(
    npz: &mut NpzWriter,
    features: &sam2::image_predictor::Features,
) -> Result<(), CliError> {
    npz.f32("e", &features.embed.1, &features.embed.0)?;
    for (level, (values, shape)) in features.high_res.iter().enumerate() {
        npz.f32(&format!("h{level}"), shape, values)?;
    }
    Ok(())
}

/// `low_i` [M, h, w], `iou_i` [M], `mask_i` [M, H, W].
fn write_answer(npz: &mut NpzWriter, i: usize, masks: &[PredictedMask]) -> Result<(), CliError> {
    let Some(first) = masks.first() else {
        return Ok(());
    };
    let (m, side) = (masks.len(), first.low_res.side);
    let low: Vec<f32> = masks
        .iter()
        .flat_map(|m| m.low_res.logits.iter().copied())
        .collect();
    npz.f32(&format!("low_{i}"), &[m, side, side], &low)?;
    let iou: Vec<f32> = masks.iter().map(|m| m.iou).collect();
    npz.f32(&format!("iou_{i}"), &[m], &iou)?;
    let shape = [m, first.mask.height(), first.mask.width()];
    npz.bool(
        &format!("mask_{i}"),
        &shape,
        masks.iter().map(|m| m.mask.bits()),
    )
}
