//! Results on standard output.

use crate::CliError;
use serde::Serialize;
use std::io::Write;

/// Prints one line.
///
/// # Errors
/// [`CliError::Closed`] where the reader has gone (`sam2 ... | head`).
pub fn line(text: &str) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .map_err(|e| match e.kind() {
            std::io::ErrorKind::BrokenPipe => CliError::Closed,
            _ => CliError::io("standard output")(e),
        })
}

/// Prints a value as one line of JSON.
///
/// # Errors
/// As [`line`].
pub fn json(value: &impl Serialize) -> Result<(), CliError> {
    let text = serde_json::to_string(value)
        .map_err(|e| CliError::io("standard output")(std::io::Error::from(e)))?;
    line(&text)
}
