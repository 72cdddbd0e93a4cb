//! Arguments to a checked job.

use super::TrackArgs;
use super::prompts::{self, Step};
use crate::{CliError, files};
use sam2::video::VideoLimits;
use sam2_server::Settings;
use std::path::PathBuf;

/// What is to be done.
#[derive(Debug)]
pub struct TrackJob {
    pub input: PathBuf,
    pub limits: VideoLimits,
    pub steps: Vec<Step>,
    /// Whether each pass goes backward.
    pub passes: Vec<bool>,
    pub out: Option<PathBuf>,
    pub npz: Option<PathBuf>,
    pub json: bool,
    pub overlay: bool,
    pub force: bool,
}

impl TrackJob {
    /// Checks the arguments.
    ///
    /// # Errors
    /// [`CliError::Usage`] and [`CliError::Prompt`] for what cannot be meant, [`CliError::Io`] for
    /// prompts that cannot be read.
    pub fn try_from_args(args: &TrackArgs, settings: &Settings) -> Result<Self, CliError> {
        if args.out.is_none() && args.npz.is_none() && !args.json {
            let text = "there is nowhere to put the masks: give --out, --npz or --json";
            return Err(CliError::Usage(text.to_owned()));
        }
        let steps = match &args.prompts {
            Some(path) => prompts::read(path)?,
            None => vec![prompts::from_flags(args)?],
        };
        if let Some(npz) = &args.npz {
            files::refuse_existing(npz, args.force)?;
        }
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
            steps,
            passes,
            out: args.out.clone(),
            npz: args.npz.clone(),
            json: args.json,
            overlay: args.overlay,
            force: args.force,
        })
    }
}
