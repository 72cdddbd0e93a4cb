//! Logs go to stderr, above a progress bar if there is one.

use crate::cli::Global;
use crate::progress;
use sam2_server::Settings;
use std::io::{IsTerminal, Write};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts logging: `-q` and `-v` decide, else RUST_LOG, else what a person wants to see.
pub fn start(global: &Global, settings: &Settings) {
    let ours = |level: LevelFilter| {
        // Burn and wgpu report much that is of no use to the person at the keyboard.
        let names = [
            "sam2",
            "sam2_cli",
            "sam2_server",
            "sam2_model",
            "sam2_image",
        ];
        let all = Targets::new().with_default(LevelFilter::ERROR);
        names
            .into_iter()
            .fold(all, |targets, name| targets.with_target(name, level))
    };
    // What the settings hold where RUST_LOG is not set would let every crate speak.
    let asked = std::env::var_os("RUST_LOG").is_some_and(|v| !v.is_empty());
    let targets = match (global.quiet, global.verbose) {
        (true, _) => Targets::new().with_default(LevelFilter::ERROR),
        (_, 0) if asked => settings.log.clone(),
        (_, 0) => ours(LevelFilter::INFO),
        (_, 1) => ours(LevelFilter::DEBUG),
        _ => Targets::new()
            .with_default(LevelFilter::DEBUG)
            .with_target("sam2", LevelFilter::TRACE),
    };
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(|| AboveTheBar)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(global.verbose > 0)
        .without_time();
    // A second start in one process (tests) keeps the first.
    let _ = tracing_subscriber::registry()
        .with(layer)
        .with(targets)
        .try_init();
}

/// Standard error, with the progress bar out of the way while a line is written.
struct AboveTheBar;

impl Write for AboveTheBar {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        progress::suspend(|| std::io::stderr().write(text))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}
