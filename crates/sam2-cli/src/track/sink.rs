//! Masks of frames become PNG, JSON lines, NumPy arrays and overlays.

use super::encode::VideoWriter;
use super::interrupt::Interrupt;
use super::job::TrackJob;
use crate::npz::NpzWriter;
use crate::progress::Progress;
use crate::segment::line::Segmentation;
use crate::segment::sink::COLORS;
use crate::{CliError, files, output};
use sam2::block_on;
use sam2::image::{OverlayStyle, draw_overlay};
use sam2::video::{FrameMasks, ObjectId, ObjectMask, VideoPredictor, open_video};
use serde::Serialize;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Frames per second where the input does not say.
const DEFAULT_RATE: f64 = 24.0;

/// One line of `--json`.
#[derive(Debug, Serialize)]
struct Line {
    schema: u32,
    frame: usize,
    pass: &'static str,
    objects: Vec<LineObject>,
}

#[derive(Debug, Serialize)]
struct LineObject {
    object: ObjectId,
    visible: bool,
    /// Above 0 the object is there.
    score: Option<f32>,
    iou: Option<f32>,
    area: usize,
    /// x, y, width, height in pixels of the video.
    bbox: [usize; 4],
    segmentation: Segmentation,
}

/// Writes what is tracked.
pub struct Sink<'a> {
    job: &'a TrackJob,
    /// Frames per second of the video, where its file says so.
    fps: Option<f64>,
    /// Files of this run: a later pass replaces them, and not what was there before.
    written: HashSet<PathBuf>,
    kept: usize,
}

impl<'a> Sink<'a> {
    pub fn new(job: &'a TrackJob, fps: Option<f64>) -> Self {
        Self {
            job,
            fps,
            written: HashSet::new(),
            kept: 0,
        }
    }

    /// Writes one frame's masks.
    ///
    /// # Errors
    /// [`CliError::Io`], [`CliError::Closed`].
    pub fn frame(&mut self, reverse: bool, masks: &FrameMasks) -> Result<(), CliError> {
        if let Some(out) = &self.job.out {
            for object in &masks.objects {
                let path = out.join(object.id.to_string()).join(png_name(masks.frame));
                let bytes = object.mask.to_png().map_err(sam2::Error::from)?;
                self.write(path, &bytes)?;
            }
        }
        if self.job.json {
            let pass = if reverse { "backward" } else { "forward" };
            let objects = masks.objects.iter().map(line_object).collect();
            output::json(&Line {
                schema: 1,
                frame: masks.frame,
                pass,
                objects,
            })?;
        }
        Ok(())
    }

    /// Writes what needs the whole clip; `false` where it was stopped on the way.
    ///
    /// # Errors
    /// [`CliError::Io`], and what reading the frames again for overlays reports.
    pub fn finish(
        mut self,
        video: &VideoPredictor,
        interrupt: &Interrupt,
    ) -> Result<bool, CliError> {
        if let Some(path) = &self.job.npz {
            write_npz(path, video)?;
        }
        let mut whole = true;
        if self.job.has_overlays() {
            whole = self.overlays(video, interrupt)?;
        }
        if self.kept > 0 {
            tracing::info!(
                "{} files were there already and stay; --force replaces them",
                self.kept
            );
        }
        Ok(whole)
    }

    /// The frames from the first tracked one to the last with their masks drawn over them, as pictures
    /// and as a video. Where tracking was stopped they are of what was tracked; a signal that comes now
    /// stops them, and there is no video then.
    fn overlays(
        &mut self,
        video: &VideoPredictor,
        interrupt: &Interrupt,
    ) -> Result<bool, CliError> {
        let before = interrupt.asked();
        // Overlays are of the video's own size, as its masks are.
        let limits = sam2::video::VideoLimits {
            max_dimension: 0,
            ..self.job.limits
        };
        let mut source = open_video(&self.job.input, limits)?.source;
        let objects = video.object_ids();
        let seen = |frame: &usize| objects.iter().any(|id| video.mask(*frame, *id).is_some());
        let mut frames = (0..video.num_frames()).filter(seen);
        let Some(first) = frames.next() else {
            return Ok(true);
        };
        let last = frames.next_back().unwrap_or(first);
        let folder = self.job.out.as_ref().filter(|_| self.job.overlay);
        let folder = folder.map(|out| out.join("overlay"));
        let mut writer = match &self.job.overlay_video {
            Some(path) => Some(VideoWriter::create(path, video.size(), self.rate())?),
            None => None,
        };
        let bar = Progress::count((last + 1 - first) as u64, "overlays");
        for frame in first..=last {
            if interrupt.asked() && !before {
                return Ok(false);
            }
            let mut picture = block_on(source.read(frame))?;
            for (number, id) in objects.iter().enumerate() {
                let Some(mask) = video.mask(frame, *id) else {
                    continue;
                };
                let color = COLORS[number % COLORS.len()];
                let style = OverlayStyle::new(color, picture.width(), picture.height());
                draw_overlay(&mut picture, &mask.to_mask(), &style).map_err(sam2::Error::from)?;
            }
            if let Some(writer) = &mut writer {
                writer.frame(&picture)?;
            }
            if let Some(folder) = folder.as_ref().filter(|_| seen(&frame)) {
                let bytes = picture.to_png().map_err(sam2::Error::from)?;
                self.write(folder.join(png_name(frame)), &bytes)?;
            }
            bar.set((frame + 1 - first) as u64);
        }
        writer.map_or(Ok(()), VideoWriter::finish)?;
        Ok(true)
    }

    /// Frames per second of an overlay video.
    fn rate(&self) -> f64 {
        self.fps.unwrap_or_else(|| {
            tracing::info!(
                "the input has no frame rate, the overlay video gets {DEFAULT_RATE} frames/s"
            );
            DEFAULT_RATE
        })
    }

    /// Writes a file unless it was there before this run and stays.
    fn write(&mut self, path: PathBuf, bytes: &[u8]) -> Result<(), CliError> {
        if !self.job.force && !self.written.contains(&path) && path.exists() {
            self.kept += 1;
            return Ok(());
        }
        files::write(&path, bytes)?;
        self.written.insert(path);
        Ok(())
    }
}

fn png_name(frame: usize) -> String {
    format!("{frame:05}.png")
}

fn line_object(object: &ObjectMask) -> LineObject {
    let rle = object.mask.to_rle();
    LineObject {
        object: object.id,
        visible: object.visible(),
        score: object.score,
        iou: object.iou,
        area: rle.area(),
        bbox: rle.bbox_xywh(),
        segmentation: Segmentation::new(&rle),
    }
}

/// `logits_F_O` [h, w] and `mask_F_O` [H, W], as tests/parity/reference.py names them.
fn write_npz(path: &Path, video: &VideoPredictor) -> Result<(), CliError> {
    let mut npz = NpzWriter::create(path)?;
    for object in video.object_ids() {
        for frame in video.tracked_frames(object) {
            if let Some(logits) = video.low_res_logits(frame, object) {
                let shape = [logits.side, logits.side];
                npz.f32(&format!("logits_{frame}_{object}"), &shape, &logits.values)?;
            }
        }
        for frame in 0..video.num_frames() {
            if let Some(rle) = video.mask(frame, object) {
                let mask = rle.to_mask();
                let planes = std::iter::once(mask.bits());
                npz.bool(&format!("mask_{frame}_{object}"), &rle.size(), planes)?;
            }
        }
    }
    npz.finish()
}
