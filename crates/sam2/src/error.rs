//! The error type of everything that people call, and its stable codes.

use crate::checked::Fault;
use sam2_checkpoint::CheckpointError;
use sam2_checkpoint::config::ConfigError;
use sam2_image::ImageError;
use sam2_model::LoadError;

/// What went wrong and what to do. [`Error::code`] is stable (the table in ARCHITECTURE.md).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A picture, a prompt's coordinates, or a mask.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A model file.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A tensor that could not become part of the network.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A prompt that asks for nothing or contradicts itself.
    #[error("{0}")]
    Prompt(String),
    /// The model, at this input size, needs more memory than there is.
    #[error("{what} needs about {need_mb} MB, and {have_mb} MB are there: {hint}")]
    OutOfMemory {
        what: String,
        need_mb: u64,
        have_mb: u64,
        hint: String,
    },
    /// No GPU could be opened although one was asked for.
    #[error("no usable GPU: {0}; use the device cpu, or auto to choose by itself")]
    NoGpu(String),
    /// The GPU went away in the middle of work.
    #[error("the GPU was lost ({0}); the work goes on after a restart, or on the device cpu")]
    DeviceLost(String),
    /// A read-back that failed the mask check on every device tried.
    #[error("the mask check refused the result: {0}; try again, or use the device cpu")]
    Fault(#[source] Box<Fault>),
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// A setting out of its range.
    #[error("{0}")]
    Setting(String),
    /// A video or its frames.
    #[error("{0}")]
    Video(String),
}

impl Error {
    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Image(e) => e.code(),
            Self::Checkpoint(e) => e.code(),
            Self::Config(e) => e.code(),
            Self::Load(_) => "bad_model",
            Self::Prompt(_) => "bad_prompt",
            Self::OutOfMemory { .. } => "out_of_memory",
            Self::NoGpu(_) => "no_webgpu",
            Self::DeviceLost(_) => "device_lost",
            Self::Fault(_) => "mask_fault",
            Self::Cancelled => "cancelled",
            Self::Setting(_) => "bad_setting",
            Self::Video(_) => "unsupported_video",
        }
    }

    /// [`Error::DeviceLost`] with what the driver said, on one line and without the backtrace after it.
    pub(crate) fn device_lost(said: impl std::fmt::Debug) -> Self {
        let said = format!("{said:?}");
        let line: Vec<&str> = said
            .lines()
            .map(str::trim)
            .take_while(|line| !line.to_ascii_lowercase().contains("backtrace"))
            .filter(|line| !line.is_empty())
            .collect();
        Self::DeviceLost(match line.is_empty() {
            true => "its driver failed".to_owned(),
            false => line.join(" "),
        })
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::Fault(Box::new(fault))
    }
}

impl From<Box<Fault>> for Error {
    fn from(fault: Box<Fault>) -> Self {
        Self::Fault(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::Error;

    /// What Burn's errors print for `{:?}`.
    struct Said(&'static str);

    impl std::fmt::Debug for Said {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(self.0)
        }
    }

    #[test]
    fn what_the_driver_said_is_one_line_without_a_backtrace() {
        let said = "An error happened during execution\nCaused by:\n  Device is lost\n\nBackTrace:\nNo backtrace available\n 0: main";
        let lost = Error::device_lost(Said(said));
        assert!(
            matches!(&lost, Error::DeviceLost(text) if text == "An error happened during execution Caused by: Device is lost"),
            "{lost}"
        );
        let silent = Error::device_lost(Said("Backtrace: none"));
        assert!(matches!(&silent, Error::DeviceLost(text) if text == "its driver failed"));
    }
}
