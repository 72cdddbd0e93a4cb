//! `sam2 track`: objects prompted on some frames, followed through a video.

mod encode;
mod interrupt;
mod job;
pub mod prompts;
mod resume;
mod run;
mod sink;

use crate::CliError;
use crate::locate::locate;
use crate::session::Session;
use clap::Args;
use std::path::PathBuf;
use std::sync::Arc;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sam2 track clip.mp4 --point 320,200 --out masks
  sam2 track frames/ --frame 10 --box 40,60,300,420 --both-ways --overlay --out masks
  sam2 track clip.mp4 --prompts track.json --json > masks.jsonl
  sam2 track clip.mp4 --point 320,200 --overlay-video seen.mp4 --out masks

Frames are counted from 0; coordinates are pixels of the video. Masks are written to
OUT/<object>/<frame>.png. Ctrl-C ends after the frame at hand, with what was done; the same command
with --resume goes on from there, but for --npz, which needs a run as a whole.")]
pub struct TrackArgs {
    /// A video, an animated picture, or a folder of frames
    #[arg(value_name = "INPUT")]
    pub input: PathBuf,
    /// A model file, or the name of a model in SAM2_MODELS_DIR [default: the built-in sam2-nano]
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
    /// Prompts as JSON: [{"frame": 0, "object": 1, "points": [[x, y]], "labels": [1],
    /// "box": [x0, y0, x1, y1]}, ...]; "mask": "file.png" instead of points and box
    #[arg(long, value_name = "FILE", conflicts_with_all = ["points", "bounding_box", "frame", "object"])]
    pub prompts: Option<PathBuf>,
    /// Frame that the point or box is on [default: 0]
    #[arg(long, value_name = "N")]
    pub frame: Option<usize>,
    /// Number of the object [default: 1]
    #[arg(long, value_name = "K")]
    pub object: Option<u32>,
    /// A point of the object (label 1, the default) or of what is not the object (label 0)
    #[arg(long = "point", value_name = "X,Y[,LABEL]", allow_hyphen_values = true)]
    pub points: Vec<String>,
    /// A box around the object
    #[arg(long = "box", value_name = "X0,Y0,X1,Y1", allow_hyphen_values = true)]
    pub bounding_box: Option<String>,
    /// Track backward instead of forward
    #[arg(long, conflicts_with = "both_ways")]
    pub reverse: bool,
    /// Track forward, then backward; the last pass over a frame stands
    #[arg(long)]
    pub both_ways: bool,
    /// Use the first N frames; 0 is all [default: MAX_VIDEO_FRAMES, 300]
    #[arg(long, value_name = "N")]
    pub max_frames: Option<usize>,
    /// Make frames smaller until their longer side has N pixels; 0 is never [default:
    /// MAX_FRAME_DIMENSION, 1920]. Masks have the video's own size.
    #[arg(long, value_name = "N")]
    pub max_frame_dimension: Option<usize>,
    /// Memory for features and memories kept, in MB; what gives way is computed again, or with a few
    /// hundred frames behind it forgotten. The masks of all frames come on top [default: 640]
    #[arg(long, value_name = "MB", conflicts_with = "npz", value_parser = clap::value_parser!(u32).range(16..=1_048_576))]
    pub cache: Option<u32>,
    /// Move borders to the frames' edges where the model is unsure of them: for small models, whose
    /// masks are rough (sam2-nano). What is tracked, and the logits in --npz, stay the model's
    #[arg(long)]
    pub snap: bool,
    /// Folder for the masks; it is created
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Write logits and masks as NumPy arrays
    #[arg(long, value_name = "FILE")]
    pub npz: Option<PathBuf>,
    /// One JSON object per frame on stdout while it runs, masks as COCO run lengths
    #[arg(long)]
    pub json: bool,
    /// Also write every frame with its masks drawn over it, to OUT/overlay
    #[arg(long, requires = "out")]
    pub overlay: bool,
    /// Also write them as a video (.mp4, .mov, .mkv, .webm, .gif), through the ffmpeg program
    #[arg(long, value_name = "FILE", requires = "out")]
    pub overlay_video: Option<PathBuf>,
    /// Go on where a run of the same command was stopped: its state is in OUT/resume.sam2. Masks of the
    /// run are replaced. Without such a state it begins at the beginning.
    #[arg(long, requires = "out", conflicts_with = "npz")]
    pub resume: bool,
    /// How often that state is written while it runs, for a run that is killed; 0 is after every frame
    /// [default: 180]
    #[arg(long, value_name = "SECONDS", requires = "out", conflicts_with = "npz")]
    pub save_every: Option<u32>,
    /// Replace files that are there already
    #[arg(long)]
    pub force: bool,
}

/// Runs the command.
///
/// # Errors
/// Wrong usage before anything is loaded; a frame that cannot be read, by its number, with what came
/// before it kept.
pub fn run(args: &TrackArgs, session: &Session) -> Result<(), CliError> {
    let job = job::TrackJob::try_from_args(args, &session.settings)?;
    let model = session.load(args.model.as_deref())?;
    // Reading a large file again takes a second or two, which is paid only where a run can go on.
    let state = match resume::path(&job) {
        Some(path) => {
            let file = locate(args.model.as_deref(), &session.settings)?;
            Some((path, resume::model_digest(&file, model.config())?))
        }
        None => None,
    };
    let result = run::run(&job, Arc::clone(&model), state);
    model.runtime().settle();
    result
}
