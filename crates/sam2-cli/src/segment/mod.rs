//! `sam2 segment`: masks for points and boxes, in one picture or thousands.

mod inputs;
mod job;
pub mod line;
pub mod mask_input;
mod pipeline;
pub mod prompts;
pub mod sink;

use crate::CliError;
use crate::session::Session;
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sam2 segment photo.jpg --point 320,200 --out masks
  sam2 segment photo.jpg --box 40,60,300,420 --point 10,10,0 --json
  sam2 segment holiday/ --point 500,400 --multimask --overlay --out masks

Coordinates are pixels of the picture as a person sees it (EXIF orientation applied); so are the
masks. They are written to OUT/<picture>/<prompt>_<mask>.png.")]
pub struct SegmentArgs {
    /// Pictures, folders (searched whole, in natural order), or - for a list of paths on stdin
    #[arg(required = true, value_name = "INPUT")]
    pub inputs: Vec<PathBuf>,
    /// A model file, or the name of a model in SAM2_MODELS_DIR [default: the built-in sam2-nano]
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
    /// A point of the object (label 1, the default) or of what is not the object (label 0)
    #[arg(long = "point", value_name = "X,Y[,LABEL]", allow_hyphen_values = true)]
    pub points: Vec<String>,
    /// A box around the object
    #[arg(long = "box", value_name = "X0,Y0,X1,Y1", allow_hyphen_values = true)]
    pub bounding_box: Option<String>,
    /// A mask to start from: an .npz of an earlier run (its last answer), an .npy of low-resolution
    /// logits, or a black and white picture
    #[arg(long, value_name = "FILE")]
    pub mask_input: Option<PathBuf>,
    /// Three masks for an ambiguous prompt instead of one
    #[arg(long)]
    pub multimask: bool,
    /// Several prompts, as JSON: [{"points": [[x, y]], "labels": [1], "box": [x0, y0, x1, y1],
    /// "multimask": true, "refine": false}, ...]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["points", "bounding_box", "mask_input", "multimask"])]
    pub prompts: Option<PathBuf>,
    /// Move borders to the picture's edges where the model is unsure of them: for small models, whose
    /// masks are rough (sam2-nano). The logits in --npz stay the model's
    #[arg(long)]
    pub snap: bool,
    /// Fill holes of up to this many pixels
    #[arg(long, value_name = "AREA", default_value_t = 0)]
    pub fill_holes: usize,
    /// Remove islands of up to this many pixels
    #[arg(long, value_name = "AREA", default_value_t = 0)]
    pub remove_islands: usize,
    /// Folder for the masks; it is created
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Write features, logits, scores and masks of one picture as NumPy arrays
    #[arg(long, value_name = "FILE")]
    pub npz: Option<PathBuf>,
    /// One JSON object per picture on stdout, masks as COCO run lengths
    #[arg(long)]
    pub json: bool,
    /// Also write each prompt's best mask drawn over the picture
    #[arg(long, requires = "out")]
    pub overlay: bool,
    /// Also write what each mask covers, cut out with alpha
    #[arg(long, requires = "out")]
    pub cutout: bool,
    /// Replace files that are there already
    #[arg(long)]
    pub force: bool,
}

/// Runs the command.
///
/// # Errors
/// Wrong usage before anything is loaded; [`CliError::Partly`] at the end where pictures failed.
pub fn run(args: &SegmentArgs, session: &Session) -> Result<(), CliError> {
    let job = job::SegmentJob::try_from_args(args)?;
    let model = session.load(args.model.as_deref())?;
    pipeline::run(job, model)
}
