//! Arguments to a checked job.

use super::prompts::{self, Step};
use super::{TrackArgs, encode};
use crate::{CliError, files};
use sam2::video::VideoLimits;
use sam2_server::Settings;
use std::path::PathBuf;
use std::time::Duration;

/// What is to be done.
#[derive(Debug)]
pub struct TrackJob {
    pub input: PathBuf,
    pub limits: VideoLimits,
    /// Bytes for what is kept of frames; the usual where `None`.
    pub cache: Option<usize>,
    pub steps: Vec<Step>,
    /// Whether each pass goes backward.
    pub passes: Vec<bool>,
    pub snap: bool,
    pub out: Option<PathBuf>,
    pub npz: Option<PathBuf>,
    pub json: bool,
    pub overlay: bool,
    pub overlay_video: Option<PathBuf>,
    pub resume: bool,
    /// How often the state for `--resume` is written.
    pub save_every: Duration,
    pub force: bool,
}

/// Between two states for `--resume`: a killed run loses a few minutes.
const SAVE_EVERY: u32 = 180;

impl TrackJob {
    /// Whether frames are drawn once all is tracked.
    pub fn has_overlays(&self) -> bool {
        self.overlay || self.overlay_video.is_some()
    }

    /// Checks the arguments.
    ///
    /// # Errors
    /// [`CliError::Usage`] and [`CliError::Prompt`] for what cannot be meant, [`CliError::Io`] for
    /// prompts that cannot be read.
    pub fn try_from_args(args: &TrackArgs, settings: &Settings) -> Result<Self, CliError> {
        let (out, npz) = (args.out.as_deref(), args.npz.as_deref());
        files::check_outputs(out, npz, args.json, args.force)?;
        if let Some(path) = &args.overlay_video {
            files::refuse_existing(path, args.force || args.resume)?;
            encode::check(path)?;
        }
        let steps = match &args.prompts {
            Some(path) => prompts::read(path)?,
            None => vec![prompts::from_flags(args)?],
        };
        let limits = VideoLimits {
            max_dimension: args
                .max_frame_dimension
                .unwrap_or(settings.max_frame_dimension as usize),
            max_frames: args
                .max_frames
                .unwrap_or(settings.max_video_frames as usize),
        };
        let passes = match (args.both_ways, args.reverse) {
            (true, _) => vec![false, true],
            (_, reverse) => vec![reverse],
        };
        Ok(Self {
            input: args.input.clone(),
            limits,
            cache: args.cache.map(|mb| (mb as usize) << 20),
            steps,
            passes,
            snap: args.snap,
            out: args.out.clone(),
            npz: args.npz.clone(),
            json: args.json,
            overlay: args.overlay,
            overlay_video: args.overlay_video.clone(),
            resume: args.resume,
            save_every: Duration::from_secs(args.save_every.unwrap_or(SAVE_EVERY).into()),
            // The files that are there are this run's own.
            force: args.force || args.resume,
        })
    }
}
