//! What can be wrong with a checkpoint.

use std::io;

use thiserror::Error;

use crate::config::ConfigError;
use crate::index::Mismatch;

/// A checkpoint that cannot be used: what is wrong, and what to do where there is something to do.
/// Every message is one line.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The medium failed, not the file.
    #[error("cannot read {what}: {source}")]
    Read { what: String, source: io::Error },
    /// Something else under the name of a model.
    #[error("this is not a model file: it looks like {looks_like}; {hint}")]
    NotACheckpoint {
        looks_like: &'static str,
        hint: &'static str,
    },
    /// Shorter than its own header says.
    #[error(
        "the model file is cut short: its header describes {expected} bytes, but {found} are there; download or copy it again"
    )]
    Truncated { expected: u64, found: u64 },
    /// A `.safetensors` whose header contradicts itself or the file.
    #[error("the .safetensors header is damaged: {message}")]
    Safetensors { message: String },
    /// A `.pt` whose zip archive cannot be read.
    #[error("the .pt archive cannot be read: {message}")]
    Zip { message: String },
    /// A `.pt` whose pickle is more than a state dict, or damaged.
    #[error("the .pt file is not a plain state dict: {message}")]
    Pickle { message: String },
    /// A file of this project from a later, incompatible version.
    #[error(
        "the model file has format `{found}`, and this version reads `sam2/1`; update sam2, or convert the model again"
    )]
    UnknownFormat { found: String },
    /// A damaged entry in the metadata of the project's own file.
    #[error("the model file's metadata, {key}: {message}")]
    Metadata { key: &'static str, message: String },
    /// No configuration inside, and not a published model.
    #[error(
        "the model is not one of the published SAM 2 sizes and brings no configuration; give its yaml in the official layout besides"
    )]
    NoConfig,
    /// The configuration inside, or beside it, cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The tensors are not those of the configuration.
    #[error(transparent)]
    Mismatch(#[from] Box<Mismatch>),
    /// A name that the checkpoint does not have.
    #[error("the checkpoint has no tensor `{name}`")]
    NoTensor { name: String },
    /// A tensor that is not floating-point.
    #[error("tensor `{name}` is {dtype}, but weights must be F32, F16, BF16 or F64")]
    NotFloat { name: String, dtype: String },
    /// The bytes are not those that were written.
    #[error(
        "{what} does not have the checksum that was recorded when it was written; download or copy the model again"
    )]
    Checksum { what: String },
    /// Memory for one tensor could not be had.
    #[error("not enough memory for tensor `{name}` ({bytes} bytes); use a smaller model")]
    OutOfMemory { name: String, bytes: u64 },
    /// A tensor that would not come back as it was.
    #[error("cannot write tensor `{name}`: it {message}")]
    NotWritable { name: String, message: String },
    /// A model list that cannot be used.
    #[error("the model list (manifest.json): {message}")]
    Manifest { message: String },
    /// Writing failed.
    #[error("cannot write the model: {0}")]
    Write(#[source] io::Error),
}

impl CheckpointError {
    /// The stable code of ARCHITECTURE.md, "Error codes".
    pub fn code(&self) -> &'static str {
        match self {
            Self::Mismatch(_) => "model_mismatch",
            Self::Checksum { .. } => "checksum",
            Self::OutOfMemory { .. } => "out_of_memory",
            Self::Config(error) => error.code(),
            // Writing fails where the disk is full, or not writable.
            Self::Write(_) => "storage_full",
            Self::Read { .. }
            | Self::NotACheckpoint { .. }
            | Self::Truncated { .. }
            | Self::Safetensors { .. }
            | Self::Zip { .. }
            | Self::Pickle { .. }
            | Self::UnknownFormat { .. }
            | Self::Metadata { .. }
            | Self::NoConfig
            | Self::NoTensor { .. }
            | Self::NotFloat { .. }
            | Self::NotWritable { .. }
            | Self::Manifest { .. } => "bad_model",
        }
    }

    pub(crate) fn read(what: impl Into<String>, source: io::Error) -> Self {
        Self::Read {
            what: what.into(),
            source,
        }
    }

    pub(crate) fn safetensors(message: impl Into<String>) -> Self {
        Self::Safetensors {
            message: message.into(),
        }
    }
}

/// A name out of a file, safe to show: short, printable, on one line.
pub(crate) fn shown(name: &str) -> String {
    const LIMIT: usize = 120;
    let mut text: String = name
        .chars()
        .take(LIMIT)
        .flat_map(char::escape_debug)
        .collect();
    if name.chars().nth(LIMIT).is_some() {
        text.push('…');
    }
    text
}
