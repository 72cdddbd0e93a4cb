//! What can be wrong with a configuration.

use thiserror::Error;

/// A configuration that cannot be used, and why.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Longer than any real configuration.
    #[error(
        "the configuration is {bytes} bytes long, more than the {limit} accepted; is this a yaml in the official layout?"
    )]
    TooLong { bytes: usize, limit: usize },
    /// Not yaml, or not JSON.
    #[error("the configuration is not valid {format}: {message}")]
    Syntax {
        format: &'static str,
        message: String,
    },
    /// Valid yaml of another layout.
    #[error(
        "the configuration has no `model:` mapping at its root; use a yaml in the layout of the official sam2/configs"
    )]
    NoModel,
    /// A key at the root that the official layout does not have.
    #[error("unknown key `{key}` at the root of the configuration; only `model` is expected there")]
    UnknownRoot { key: String },
    /// A missing, unknown or wrongly typed key.
    #[error("configuration, {path}: {message}")]
    Field { path: String, message: String },
    /// A class that this project does not implement in that place.
    #[error("configuration, {path}._target_: {found} is not supported; expected {expected}")]
    Target {
        path: String,
        found: String,
        expected: &'static str,
    },
    /// A value out of range, or one that does not fit another.
    #[error("configuration, {path}: {message}")]
    Value { path: &'static str, message: String },
    /// More parameters than any machine this is meant for can hold.
    #[error(
        "the configuration describes {parameters} parameters, more than the {limit} accepted; check embed_dim, stages and d_model"
    )]
    TooManyParameters { parameters: u64, limit: u64 },
}

impl ConfigError {
    /// The stable code of ARCHITECTURE.md, "Error codes".
    pub fn code(&self) -> &'static str {
        "bad_model"
    }
}
