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
    /// Frames that cannot be kept in the temporary folder, or not read back from it: the video is fine.
    #[error("{0}")]
    Storage(String),
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
            Self::Storage(_) => "storage_full",
        }
    }

    /// What was wrong, without what to do about it: for a surface that shows the two apart.
    pub fn message(&self) -> String {
        self.parts().0
    }

    /// What to do about it, empty where nobody knows.
    pub fn hint(&self) -> String {
        self.parts().1
    }

    /// The text of the error, cut between the two. What others say, a driver or a damaged file, may hold any
    /// mark, so that only what this project writes behind it is a hint.
    fn parts(&self) -> (String, String) {
        let text = self.to_string();
        let at = match self {
            Self::OutOfMemory { hint, .. } => text.len().checked_sub(hint.len() + 2),
            Self::Load(_)
            | Self::Cancelled
            | Self::Checkpoint(CheckpointError::Mismatch(_))
            | Self::Image(
                ImageError::Rle { .. } | ImageError::Encode { .. } | ImageError::Fault(_),
            ) => None,
            Self::NoGpu(_)
            | Self::DeviceLost(_)
            | Self::Fault(_)
            | Self::Checkpoint(_)
            | Self::Config(_)
            | Self::Storage(_) => text.rfind("; "),
            Self::Image(_) | Self::Prompt(_) | Self::Setting(_) | Self::Video(_) => {
                text.rfind(": ").or_else(|| text.rfind("; "))
            }
        };
        match at {
            Some(at) => (text[..at].to_owned(), text[at + 2..].to_owned()),
            None => (text, String::new()),
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
    use super::{CheckpointError, Error, Fault, ImageError};
    use sam2_image::MaskFault;

    /// What Burn's errors print for `{:?}`.
    struct Said(&'static str);

    impl std::fmt::Debug for Said {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(self.0)
        }
    }

    #[test]
    fn what_a_driver_says_is_no_hint() {
        let said = "Caused by: out of luck; Device: lost";
        for (error, hint) in [
            (Error::NoGpu(said.into()), "use the device cpu, or auto"),
            (Error::DeviceLost(said.into()), "the work goes on"),
        ] {
            assert!(error.message().contains(said), "{}", error.message());
            assert!(error.hint().starts_with(hint), "{}", error.hint());
        }
        let fault = Fault::new(
            "mask logits",
            "gpu",
            MaskFault::Constant {
                value: 0.0,
                count: 4,
            },
        );
        let fault = Error::from(fault);
        assert_eq!(fault.hint(), "try again, or use the device cpu");
        assert!(
            fault.message().contains("mask logits"),
            "{}",
            fault.message()
        );
    }

    #[test]
    fn message_and_hint_are_the_text() {
        let memory = Error::OutOfMemory {
            what: "this".into(),
            need_mb: 2,
            have_mb: 1,
            hint: "either: less; or more".into(),
        };
        assert_eq!(memory.hint(), "either: less; or more");
        assert_eq!(
            memory.message(),
            "this needs about 2 MB, and 1 MB are there"
        );
        let empty = Error::Prompt("the prompt is empty: give a point".into());
        assert_eq!(
            (&*empty.message(), &*empty.hint()),
            ("the prompt is empty", "give a point")
        );
        let unknown = Error::from(ImageError::UnknownFormat);
        assert!(unknown.hint().starts_with("use PNG"), "{}", unknown.hint());
        let rle = Error::from(ImageError::Rle {
            reason: "counts: too few".into(),
        });
        assert_eq!(
            (rle.message(), rle.hint()),
            (rle.to_string(), String::new())
        );
        let none = Error::from(CheckpointError::NoConfig);
        assert!(!none.to_string().contains("--"), "{none}");
        assert!(none.hint().contains("yaml"), "{}", none.hint());
        assert_eq!(
            format!("{}; {}", none.message(), none.hint()),
            none.to_string()
        );
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
