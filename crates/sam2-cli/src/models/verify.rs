//! `sam2 models verify`: is this file what it says, and does the network answer as it should?

use super::official;
use crate::progress::Progress;
use crate::session::Session;
use crate::{CliError, output};
use clap::Args;
use sam2::{block_on, probe};
use sam2_checkpoint::expected_tensors;
use std::path::PathBuf;
use std::sync::Arc;

#[derive(Debug, Args)]
#[command(
    after_help = "The published answers are those that the tests of Hugging Face transformers hold
sam2.1-hiera-tiny against; DIR holds truck.jpg and groceries.jpg of the official repository
(notebooks/images)."
)]
pub struct VerifyArgs {
    /// A model file, or the name of a model in SAM2_MODELS_DIR [default: the built-in sam2-nano]
    #[arg(value_name = "MODEL")]
    pub model: Option<String>,
    /// Also hold the real SAM 2.1 tiny against published answers on the pictures in DIR
    #[arg(long, value_name = "DIR")]
    pub official_inputs: Option<PathBuf>,
}

/// Runs the command: every check is a line.
///
/// # Errors
/// The first check that fails.
pub fn run(args: &VerifyArgs, session: &Session) -> Result<(), CliError> {
    let (file, mut checkpoint) = session.open_checkpoint(args.model.as_deref())?;
    if let Some(config) = session.config()? {
        checkpoint.set_config(config);
    }
    let failed = |e: sam2_checkpoint::CheckpointError| file.error(e.into());
    output::line(&format!("{file}"))?;

    let bar = Progress::bytes(checkpoint.file_size(), "checking");
    let summed = checkpoint
        .verify_data_sha256(|done, _| bar.set(done))
        .map_err(failed)?;
    drop(bar);
    output::line(match summed {
        true => "checksum        as recorded in the file",
        false => "checksum        the file records none",
    })?;

    let expected = expected_tensors(checkpoint.require_config().map_err(failed)?);
    checkpoint.check_against(&expected).map_err(failed)?;
    let bar = Progress::count(expected.len() as u64, "tensors");
    for (done, (name, _)) in expected.iter().enumerate() {
        let values = checkpoint.read_f32(name).map_err(failed)?;
        if let Some(value) = values.iter().find(|v| !v.is_finite()) {
            let text = format!("{file}: the tensor {name} holds the value {value}");
            return Err(CliError::Verify(text));
        }
        bar.set(done as u64 + 1);
    }
    drop(bar);
    output::line(&format!(
        "tensors         {} of {0}, all finite",
        expected.len()
    ))?;

    let stored = checkpoint.probe().cloned();
    let runtime = session.open_runtime()?;
    let model = session.load_checkpoint(&file, checkpoint, None, runtime)?;
    let held = block_on(probe::hold(model.base(), model.runtime(), stored.as_ref()));
    let held = held.map_err(|reason| CliError::Verify(format!("{file}: {reason}")))?;
    output::line(&format!(
        "known answers   {}: {held}",
        model.runtime().kind.name()
    ))?;

    if let Some(folder) = &args.official_inputs {
        official::hold(Arc::new(model), folder)?;
    }
    Ok(())
}
