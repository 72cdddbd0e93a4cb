//! J of clips: one box on frame 0, tracked to the end.

use super::manifest::VideoItem;
use super::protocol::tight_box;
use crate::progress::Progress;
use crate::{CliError, files};
use sam2::video::frames::MemoryFrames;
use sam2::video::{PassOptions, VideoOptions, VideoPredictor, VideoPrompt};
use sam2::{Model, block_on};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The object's number.
const OBJECT: u32 = 1;

/// Mean over clips of the mean IoU over their frames but the first; `None` without clips.
///
/// # Errors
/// A frame or mask that cannot be read, and what tracking reports.
pub fn mean_j(
    data: &Path,
    items: &[VideoItem],
    model: &Arc<Model>,
    snap: bool,
) -> Result<Option<f64>, CliError> {
    let mut sum = 0.0;
    for item in items {
        let j = clip_j(&data.join(&item.dir), item.frames, model, snap)?;
        tracing::info!("{}: J {j:.4}", item.dir);
        sum += j;
    }
    Ok((!items.is_empty()).then(|| (sum / items.len() as f64 * 1e4).round() / 1e4))
}

fn clip_j(folder: &Path, frames: usize, model: &Arc<Model>, snap: bool) -> Result<f64, CliError> {
    let bad = |reason: &str| CliError::BadFile {
        path: folder.to_owned(),
        reason: reason.to_owned(),
    };
    if frames < 2 {
        return Err(bad("a clip needs two frames at least"));
    }
    let pictures: Result<Vec<_>, _> = (0..frames)
        .map(|i| files::picture(&frame_path(folder, i)))
        .collect();
    let source = MemoryFrames::new(pictures?)?;
    let first = files::mask(&mask_path(folder, 0))?;
    if first.area() == 0 {
        return Err(bad(
            "the mask of frame 0 is empty: there is nothing to prompt",
        ));
    }
    let [x0, y0, x1, y1] = tight_box(&first);
    let options = VideoOptions {
        snap,
        ..VideoOptions::default()
    };
    let mut video = VideoPredictor::new(Arc::clone(model), Box::new(source), options)?;
    let prompt = VideoPrompt::boxed(x0, y0, x1, y1);
    block_on(video.add_new_points_or_box(0, OBJECT, &prompt))?;
    let mut pass = video.start_pass(PassOptions::default())?;
    let bar = Progress::count(pass.total() as u64, "frames");
    let mut sum = 0.0;
    while let Some(masks) = block_on(video.next_frame(&mut pass))? {
        bar.set(pass.done() as u64);
        let truth = files::mask(&mask_path(folder, masks.frame))?;
        let object = masks.object(OBJECT).filter(|_| masks.frame > 0);
        if let Some(object) = object {
            sum += object.mask.iou(&truth).map_err(sam2::Error::from)?;
        }
    }
    Ok(sum / (frames - 1) as f64)
}

fn mask_path(folder: &Path, frame: usize) -> PathBuf {
    folder.join(format!("{frame:05}.png"))
}

/// The frame beside its mask: a JPEG of the same number.
fn frame_path(folder: &Path, frame: usize) -> PathBuf {
    folder.join(format!("{frame:05}.jpg"))
}
