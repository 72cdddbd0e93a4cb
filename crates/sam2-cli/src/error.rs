//! The error type of the command line: one line for a person, a stable code, an exit status.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// What ends a command.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CliError {
    /// The command line itself is wrong; nothing was done.
    #[error("{0}")]
    Usage(String),
    /// A prompt that no picture could answer.
    #[error("{0}")]
    Prompt(String),
    /// A file or folder that cannot be read or written.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    /// A file whose content is not what the command reads.
    #[error("{path}: {reason}", path = .path.display())]
    BadFile { path: PathBuf, reason: String },
    /// A file that is larger than its kind can be meant to be.
    #[error(
        "{path}: it has {bytes} bytes or more, and no more than {max_bytes} are read: is it the right \
         file?",
        path = .path.display()
    )]
    TooLarge {
        path: PathBuf,
        bytes: u64,
        max_bytes: u64,
    },
    /// The engine, about a picture.
    #[error("{path}: {}", as_typed(.source), path = .path.display())]
    Picture { path: PathBuf, source: sam2::Error },
    /// The engine.
    #[error("{}", as_typed(.0))]
    Engine(#[from] sam2::Error),
    /// The engine, about a model file.
    #[error("{model}: {}", as_typed(.source))]
    Model { model: String, source: sam2::Error },
    /// A model that is nowhere.
    #[error("{0}")]
    NoModel(String),
    /// Environment variables.
    #[error(transparent)]
    Settings(#[from] sam2_server::SettingsError),
    /// `sam2 serve`.
    #[error(transparent)]
    Server(#[from] sam2_server::ServerError),
    /// `sam2 models fetch`.
    #[error("{url}: {reason}")]
    Fetch { url: String, reason: String },
    /// Bytes that are not those that were promised.
    #[error("{path}: {reason}", path = .path.display())]
    Checksum { path: PathBuf, reason: String },
    /// The list of models.
    #[error("the list of models cannot be used: {0}")]
    Manifest(String),
    /// Part of the work failed; each failure was reported when it happened.
    #[error("{failed} of {total} {what} failed")]
    Partly {
        what: &'static str,
        failed: usize,
        total: usize,
        status: u8,
    },
    /// Whoever read standard output has gone: there is nobody left to tell.
    #[error("standard output was closed")]
    Closed,
    /// A bug.
    #[error("internal error: {0}; please report it")]
    Internal(String),
    /// Figures that are not those they must be.
    #[error("{0}")]
    Verify(String),
}

impl CliError {
    /// An I/O error with its path.
    pub fn io(path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { path, source }
    }

    /// The error for a panic that was caught.
    pub fn internal() -> Self {
        let last = LAST_PANIC
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        Self::Internal(last.unwrap_or_else(|| "unknown".to_owned()))
    }

    /// The stable code of this error (the table in ARCHITECTURE.md).
    pub fn code(&self) -> &'static str {
        match self {
            Self::Usage(_) | Self::Settings(_) | Self::TooLarge { .. } => "bad_setting",
            Self::Prompt(_) => "bad_prompt",
            Self::Io { source, .. } if is_full(source) => "storage_full",
            Self::Io { .. } | Self::BadFile { .. } | Self::Partly { .. } => "bad_image",
            Self::Engine(e) | Self::Model { source: e, .. } | Self::Picture { source: e, .. } => {
                e.code()
            }
            Self::NoModel(_) | Self::Manifest(_) | Self::Verify(_) | Self::Fetch { .. } => {
                "bad_model"
            }
            Self::Checksum { .. } => "checksum",
            Self::Server(e) => e.code(),
            Self::Closed => "cancelled",
            Self::Internal(_) => "internal",
        }
    }

    /// Every tensor that is missing, unexpected or wrongly shaped, where that is what is wrong.
    pub fn mismatch(&self) -> Option<&sam2_checkpoint::Mismatch> {
        match self {
            Self::Engine(e) | Self::Model { source: e, .. } => match e {
                sam2::Error::Checkpoint(sam2_checkpoint::CheckpointError::Mismatch(m)) => Some(m),
                _ => None,
            },
            _ => None,
        }
    }

    /// 1: work failed. 2: the command line, a setting or a prompt is wrong.
    pub fn status(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Prompt(_) | Self::Settings(_) | Self::TooLarge { .. } => 2,
            Self::Partly { status, .. } => *status,
            Self::Engine(e) | Self::Model { source: e, .. } => match e.code() {
                "bad_prompt" | "bad_setting" => 2,
                _ => 1,
            },
            Self::Server(e) if e.code() == "bad_setting" => 2,
            _ => 1,
        }
    }
}

/// Whether there is no room left, on the disk or for this person.
fn is_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}

/// The engine's error, with what to do in the words of the command line: the engine knows none, since a
/// page shows its errors too.
fn as_typed(error: &sam2::Error) -> String {
    use sam2_checkpoint::CheckpointError::NoConfig;
    let hint = match error {
        sam2::Error::OutOfMemory { hint, .. } => hint.replace("image-size", "--image-size"),
        sam2::Error::Checkpoint(NoConfig) => "give its yaml with --config".to_owned(),
        other => return other.to_string(),
    };
    format!("{}: {hint}", error.message())
}

static LAST_PANIC: Mutex<Option<String>> = Mutex::new(None);

/// Keeps a panic's message for [`CliError::internal`].
pub fn remember_panic(text: &str) {
    tracing::debug!("panic: {}", one_line(text));
    *LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner) = Some(one_line(text));
}

/// Line breaks and what surrounds them become one space: an error is one line.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_prompts_and_settings_are_two_and_work_is_one() {
        let outside = sam2::Error::Prompt("outside".into());
        assert_eq!(CliError::from(outside).status(), 2);
        assert_eq!(CliError::Usage("x".into()).status(), 2);
        assert_eq!(CliError::NoModel("x".into()).status(), 1);
        let io = CliError::io("a.png")(std::io::Error::other("gone"));
        assert_eq!((io.status(), io.to_string().as_str()), (1, "a.png: gone"));
    }

    #[test]
    fn a_full_disk_is_no_bad_picture() {
        let io = |error: std::io::Error| CliError::io("a.png")(error).code();
        assert_eq!(io(std::io::ErrorKind::StorageFull.into()), "storage_full");
        assert_eq!(io(std::io::ErrorKind::QuotaExceeded.into()), "storage_full");
        assert_eq!(io(std::io::ErrorKind::NotFound.into()), "bad_image");
        #[cfg(target_os = "linux")]
        {
            // The kernel's own full disk.
            use std::io::Write;
            let mut full = std::fs::File::create("/dev/full").unwrap();
            assert_eq!(io(full.write_all(b"x").unwrap_err()), "storage_full");
        }
    }

    #[test]
    fn what_to_do_is_said_as_it_is_typed() {
        let no_config = sam2_checkpoint::CheckpointError::NoConfig;
        let error = CliError::Model {
            model: "own.pt".into(),
            source: no_config.into(),
        };
        let text = error.to_string();
        assert!(text.starts_with("own.pt: the model is"), "{text}");
        assert!(text.ends_with(": give its yaml with --config"), "{text}");
        let error = CliError::from(sam2::Error::OutOfMemory {
            what: "this".into(),
            need_mb: 2,
            have_mb: 1,
            hint: "use a smaller model, or image-size 512".into(),
        });
        let text = error.to_string();
        assert!(
            text.ends_with(": use a smaller model, or --image-size 512"),
            "{text}"
        );
    }

    #[test]
    fn an_error_is_one_line() {
        assert_eq!(one_line("a\n  b\r\n\nc"), "a b c");
    }
}
