//! Progress bars on stderr, and lines between them.

use crate::cli::{Global, ProgressArg};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

static SHOWN: AtomicBool = AtomicBool::new(false);
/// The bar that is on screen, so that a log line can be written above it.
static CURRENT: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Decides once whether bars are shown.
pub fn configure(global: &Global) {
    let wanted = global.progress == ProgressArg::Auto && !global.quiet;
    SHOWN.store(wanted && std::io::stderr().is_terminal(), Ordering::Relaxed);
}

/// A bar that clears itself when it is dropped.
pub struct Progress(ProgressBar);

impl Progress {
    /// Counts `what`, with the rate and the time left.
    pub fn count(total: u64, what: &str) -> Self {
        let template =
            format!("{{bar:24}} {{pos}} of {{len}} {what}  {{per_sec}}  {{eta}} left  {{msg}}");
        Self::new(total, &template)
    }

    /// Counts bytes, with the rate and the time left.
    pub fn bytes(total: u64, what: &str) -> Self {
        let template = format!(
            "{what} {{bar:24}} {{bytes}} of {{total_bytes}}  {{bytes_per_sec}}  {{eta}} left"
        );
        Self::new(total, &template)
    }

    /// A step with a share done and no rate.
    pub fn share(what: &str) -> Self {
        Self::new(100, &format!("{what} {{bar:24}} {{percent}} %  {{msg}}"))
    }

    fn new(total: u64, template: &str) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total), target());
        // The template is our own; should it be wrong, the default style does.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        *current() = Some(bar.clone());
        Self(bar)
    }

    pub fn set(&self, position: u64) {
        self.0.set_position(position);
    }

    pub fn message(&self, text: &str) {
        self.0.set_message(text.to_owned());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
        *current() = None;
    }
}

fn target() -> ProgressDrawTarget {
    match SHOWN.load(Ordering::Relaxed) {
        true => ProgressDrawTarget::stderr_with_hz(8),
        false => ProgressDrawTarget::hidden(),
    }
}

fn current() -> std::sync::MutexGuard<'static, Option<ProgressBar>> {
    CURRENT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `f` with the bar out of the way.
pub fn suspend<T>(f: impl FnOnce() -> T) -> T {
    let bar = current().clone();
    match bar {
        Some(bar) => bar.suspend(f),
        None => f(),
    }
}
