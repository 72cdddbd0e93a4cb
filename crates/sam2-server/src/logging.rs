//! Where log lines go: to standard error, one line each, levels by `RUST_LOG`.

use std::io::IsTerminal;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::settings::Settings;

/// Starts logging for the whole process; a second call, or a logger of the caller's, changes
/// nothing.
pub fn init_logging(settings: &Settings) {
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .compact();
    // An error only says that a logger is there already: the caller's choice stands.
    let _ = tracing_subscriber::registry()
        .with(lines)
        .with(settings.log.clone())
        .try_init();
}
