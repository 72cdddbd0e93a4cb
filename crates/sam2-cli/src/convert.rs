//! `sam2 convert`: a checkpoint becomes the project's own file, or goes back into the official layout.

use crate::files::{AtomicFile, refuse_existing};
use crate::locate::ModelFile;
use crate::progress::Progress;
use crate::session::Session;
use crate::{CliError, output};
use clap::{Args, ValueEnum};
use sam2::{Checkpoint, DeviceChoice, block_on, probe};
use sam2_checkpoint::{
    Metadata, ModelConfig, Precision, expected_tensors, write_safetensors, write_sam2,
};
use serde_json::Value;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sam2 convert sam2.1_hiera_tiny.pt tiny.safetensors
  sam2 convert own.pt own.safetensors --config own.yaml --precision f32
  sam2 convert tiny.safetensors plain.safetensors --to-official

The project's own file holds the configuration, a checksum, and the model's answers on a built-in
picture, by which a GPU is tested before it is trusted.")]
pub struct ConvertArgs {
    /// An official .pt or .safetensors, or the project's own file
    #[arg(value_name = "INPUT")]
    pub input: PathBuf,
    /// Where the result goes
    #[arg(value_name = "OUTPUT")]
    pub output: PathBuf,
    /// How weights are stored; computing is in f32 either way
    #[arg(long, value_enum, default_value_t = PrecisionArg::F16)]
    pub precision: PrecisionArg,
    /// Write a plain .safetensors with official key names, which PyTorch loads
    #[arg(long, conflicts_with_all = ["name", "licence"])]
    pub to_official: bool,
    /// What to call the model [default: its own name, or the output file's]
    #[arg(long)]
    pub name: Option<String>,
    /// Its licence, an SPDX expression, with the credits that it asks for
    #[arg(long)]
    pub licence: Option<String>,
    /// Replace the output if it is there already
    #[arg(long)]
    pub force: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PrecisionArg {
    F32,
    F16,
}

impl From<PrecisionArg> for Precision {
    fn from(arg: PrecisionArg) -> Self {
        match arg {
            PrecisionArg::F32 => Self::F32,
            PrecisionArg::F16 => Self::F16,
        }
    }
}

/// Runs the command.
///
/// # Errors
/// A checkpoint that is not a whole model; an output that is there already or cannot be written.
pub fn run(args: &ConvertArgs, session: &Session) -> Result<(), CliError> {
    refuse_existing(&args.output, args.force)?;
    let file = ModelFile::File(args.input.clone());
    let mut checkpoint = file.open()?;
    if let Some(config) = session.config()? {
        checkpoint.set_config(config);
    }
    let failed = |e: sam2_checkpoint::CheckpointError| file.error(e.into());
    let config = checkpoint.require_config().map_err(failed)?.clone();
    let shapes = expected_tensors(&config);
    checkpoint.check_against(&shapes).map_err(failed)?;
    let work = Work {
        checkpoint,
        config,
        shapes,
        precision: args.precision.into(),
        file,
    };
    if args.to_official {
        work.write_official(&args.output)?;
    } else {
        let metadata = work.metadata(args);
        work.write_own(&args.output, metadata, session)?;
    }
    let bytes = std::fs::metadata(&args.output)
        .map_err(CliError::io(&args.output))?
        .len();
    output::line(&format!(
        "{}: {} tensors, {:.1} M values, {:.1} MB",
        args.output.display(),
        work.shapes.len(),
        work.checkpoint.num_parameters() as f64 / 1e6,
        bytes as f64 / 1e6,
    ))
}

/// A checked checkpoint on its way into another file.
struct Work {
    checkpoint: Checkpoint,
    config: ModelConfig,
    shapes: Vec<(String, Vec<usize>)>,
    precision: Precision,
    file: ModelFile,
}

impl Work {
    fn metadata(&self, args: &ConvertArgs) -> Metadata {
        let old = self.checkpoint.metadata();
        let stem = || {
            args.output
                .file_stem()
                .map(|s| s.to_string_lossy().into_owned())
        };
        let official = || {
            self.checkpoint
                .official()
                .map(|(s, v)| format!("sam{v}_{s}"))
        };
        // The published checkpoints are under this licence; of others nothing is known.
        let licence = || self.checkpoint.official().map(|_| "Apache-2.0".to_owned());
        Metadata {
            name: args
                .name
                .clone()
                .or_else(|| old.name.clone())
                .or_else(official)
                .or_else(stem),
            licence: args
                .licence
                .clone()
                .or_else(|| old.licence.clone())
                .or_else(licence),
            producer: Some(format!("sam2 convert {}", env!("CARGO_PKG_VERSION"))),
            probe: None,
        }
    }

    fn write_official(&self, path: &Path) -> Result<(), CliError> {
        let bar = Progress::count(self.shapes.len() as u64, "tensors");
        let mut file = AtomicFile::create(path)?;
        let mut out = BufWriter::new(file.file()?);
        let read = |name: &str| self.checkpoint.read_f32(name);
        write_safetensors(&mut out, &self.shapes, read, self.precision, |done, _| {
            bar.set(done as u64)
        })
        .map_err(|e| self.file.error(e.into()))?;
        drop(out);
        file.keep()
    }

    /// Twice: once without the probe answers, so that they are computed on the weights as stored
    /// (rounded to f16), by the same code that will load them; then with them.
    fn write_own(
        &self,
        path: &Path,
        metadata: Metadata,
        session: &Session,
    ) -> Result<(), CliError> {
        let draft = self.write_once(path, &metadata)?;
        let probe = self.probe(draft.temporary(), session)?;
        drop(draft);
        let whole = self.write_once(
            path,
            &Metadata {
                probe: Some(probe),
                ..metadata
            },
        )?;
        whole.keep()
    }

    fn write_once(&self, path: &Path, metadata: &Metadata) -> Result<AtomicFile, CliError> {
        let bar = Progress::count(self.shapes.len() as u64, "tensors");
        let mut file = AtomicFile::create(path)?;
        let mut out = BufWriter::new(file.file()?);
        let read = |name: &str| self.checkpoint.read_f32(name);
        let step = |done: usize, _| bar.set(done as u64);
        write_sam2(
            &mut out,
            &self.shapes,
            read,
            self.precision,
            &self.config,
            metadata,
            step,
        )
        .map_err(|e| self.file.error(e.into()))?;
        drop(out);
        Ok(file)
    }

    fn probe(&self, path: &Path, session: &Session) -> Result<Value, CliError> {
        let file = ModelFile::File(path.to_owned());
        let cpu = session.open(DeviceChoice::Cpu)?;
        let model = session.load_checkpoint(&file, file.open()?, None, cpu)?;
        let bad = |reason: String| CliError::BadFile {
            path: self.path(),
            reason,
        };
        let answers = block_on(probe::compute(model.base(), model.runtime())).map_err(|e| {
            bad(format!(
                "the model's answers on the built-in picture could not be computed: {e}"
            ))
        })?;
        serde_json::to_value(answers).map_err(|e| bad(e.to_string()))
    }

    fn path(&self) -> PathBuf {
        match &self.file {
            ModelFile::File(path) => path.clone(),
            ModelFile::Embedded => PathBuf::from(self.file.to_string()),
        }
    }
}
