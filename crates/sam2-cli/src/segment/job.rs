//! Arguments to a checked job.

use super::SegmentArgs;
use super::inputs::{self, Input};
use super::mask_input::MaskInput;
use super::prompts::{self, Step};
use crate::pointed::Pointing;
use crate::{CliError, files};
use sam2::{CleanUp, Prompt};
use std::path::PathBuf;

/// What is to be done, with nothing left to check but the pictures themselves.
#[derive(Debug)]
pub struct SegmentJob {
    pub inputs: Vec<Input>,
    pub steps: Vec<Step>,
    /// For the first step.
    pub mask_input: Option<MaskInput>,
    pub clean_up: CleanUp,
    pub out: Option<PathBuf>,
    pub npz: Option<PathBuf>,
    pub json: bool,
    pub overlay: bool,
    pub cutout: bool,
    pub force: bool,
}

impl SegmentJob {
    /// Checks the arguments and lists the pictures.
    ///
    /// # Errors
    /// [`CliError::Usage`] and [`CliError::Prompt`] for what cannot be meant, [`CliError::Io`] for
    /// files that cannot be read.
    pub fn try_from_args(args: &SegmentArgs) -> Result<Self, CliError> {
        let (out, npz) = (args.out.as_deref(), args.npz.as_deref());
        files::check_outputs(out, npz, args.json, args.force)?;
        let mask_input = args
            .mask_input
            .as_deref()
            .map(MaskInput::read)
            .transpose()?;
        let steps = match &args.prompts {
            Some(path) => prompts::read(path)?,
            None => vec![Step {
                prompt: from_flags(args, mask_input.is_some())?,
                refine: false,
            }],
        };
        let inputs = inputs::list(&args.inputs, args.out.as_deref())?;
        if args.npz.is_some() && inputs.len() != 1 {
            let text = format!("--npz holds one picture, and {} were given", inputs.len());
            return Err(CliError::Usage(text));
        }
        Ok(Self {
            inputs,
            steps,
            mask_input,
            clean_up: CleanUp {
                snap: args.snap,
                fill_holes: args.fill_holes,
                remove_islands: args.remove_islands,
            },
            out: args.out.clone(),
            npz: args.npz.clone(),
            json: args.json,
            overlay: args.overlay,
            cutout: args.cutout,
            force: args.force,
        })
    }
}

fn from_flags(args: &SegmentArgs, has_mask: bool) -> Result<Prompt, CliError> {
    let pointing = Pointing::from_flags(&args.points, args.bounding_box.as_deref())?;
    let prompt = pointing.into_prompt(has_mask).map_err(CliError::Prompt)?;
    Ok(Prompt {
        multimask: args.multimask,
        ..prompt
    })
}
