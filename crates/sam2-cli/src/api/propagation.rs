//! A pass of a session under way: what it has done, who waits for it, how it is stopped.

use super::lock;
use crate::error::one_line;
use serde::Serialize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Where a propagation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It waits for its turn.
    Queued,
    Running,
    Done,
    Cancelled,
    Failed,
}

impl State {
    pub fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Cancelled | Self::Failed)
    }
}

/// Why it failed; what was tracked before stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    pub code: &'static str,
    pub detail: String,
}

impl Failure {
    pub fn of(error: &sam2::Error) -> Self {
        Self {
            code: error.code(),
            detail: one_line(&error.to_string()),
        }
    }

    pub fn internal() -> Self {
        Self {
            code: "internal",
            detail: "internal error; the service's log says more".to_owned(),
        }
    }
}

/// Progress for people and programs.
#[derive(Debug, Clone, Serialize)]
pub struct Progress {
    pub state: State,
    /// Frames tracked so far, over all directions.
    pub done: usize,
    /// Frames of all directions; 0 until it begins.
    pub total: usize,
    /// Frames per second since it began.
    pub fps: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
}

/// One propagation. The inference thread writes, everybody reads.
#[derive(Debug)]
pub struct Propagation {
    inner: Mutex<Inner>,
    cancelled: AtomicBool,
    changed: watch::Sender<()>,
}

#[derive(Debug)]
struct Inner {
    state: State,
    total: usize,
    /// In the order in which they were tracked; backward passes count down.
    frames: Vec<usize>,
    began: Option<Instant>,
    took: Duration,
    error: Option<Failure>,
    logged: Instant,
}

/// Frames between two lines of the log, unless it takes longer.
const LOG_FRAMES: usize = 50;
const LOG_SECONDS: u64 = 5;

impl Propagation {
    pub fn new() -> Self {
        let inner = Inner {
            state: State::Queued,
            total: 0,
            frames: Vec::new(),
            began: None,
            took: Duration::ZERO,
            error: None,
            logged: Instant::now(),
        };
        Self {
            inner: Mutex::new(inner),
            cancelled: AtomicBool::new(false),
            changed: watch::Sender::new(()),
        }
    }

    pub fn begin(&self, total: usize) {
        let mut inner = lock(&self.inner);
        if !inner.state.is_over() {
            let now = Instant::now();
            (inner.state, inner.total) = (State::Running, total);
            (inner.began, inner.logged) = (Some(now), now);
        }
        drop(inner);
        self.changed.send_replace(());
    }

    /// Takes note of a tracked frame; now and then a line in the log.
    pub fn tracked(&self, frame: usize) {
        let mut inner = lock(&self.inner);
        inner.frames.push(frame);
        inner.took = inner.began.map_or(Duration::ZERO, |began| began.elapsed());
        let done = inner.frames.len();
        let slow = inner.logged.elapsed() >= Duration::from_secs(LOG_SECONDS);
        if done.is_multiple_of(LOG_FRAMES) || done == inner.total || slow {
            inner.logged = Instant::now();
            let (total, fps) = (inner.total, inner.fps());
            tracing::info!("Propagation progress: {done}/{total} frames ({fps:.1} fps)");
        }
        drop(inner);
        self.changed.send_replace(());
    }

    /// Ends it; the first end stands.
    pub fn end(&self, state: State, error: Option<Failure>) {
        let mut inner = lock(&self.inner);
        if !inner.state.is_over() {
            inner.state = state;
            inner.error = error;
        }
        drop(inner);
        self.changed.send_replace(());
    }

    /// Asks it to end before its next frame.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    pub fn progress(&self) -> Progress {
        let inner = lock(&self.inner);
        Progress {
            state: inner.state,
            done: inner.frames.len(),
            total: inner.total,
            fps: (inner.fps() * 100.0).round() / 100.0,
            error: inner.error.clone(),
        }
    }

    /// Up to `most` frames tracked after the first `seen`.
    pub fn frames_after(&self, seen: usize, most: usize) -> Vec<usize> {
        let inner = lock(&self.inner);
        let rest = inner.frames.get(seen..).unwrap_or_default();
        rest.iter().take(most).copied().collect()
    }

    /// For waiting: take it before looking, then no change is missed.
    pub fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Waits for the end.
    pub async fn over(&self) -> Progress {
        let mut changes = self.watch();
        loop {
            let progress = self.progress();
            // The sender is in `self`: it cannot go away meanwhile.
            if progress.state.is_over() || changes.changed().await.is_err() {
                return progress;
            }
        }
    }
}

impl Inner {
    fn fps(&self) -> f64 {
        match self.took.as_secs_f64() {
            seconds if seconds > 0.0 => self.frames.len() as f64 / seconds,
            _ => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_end_stands_and_frames_are_kept() {
        let run = Propagation::new();
        run.begin(3);
        run.tracked(5);
        run.tracked(6);
        assert_eq!(run.frames_after(1, 9), [6]);
        assert_eq!(run.frames_after(7, 9), [0; 0]);
        run.end(State::Cancelled, None);
        run.end(State::Done, None);
        run.begin(9);
        let progress = run.progress();
        assert_eq!(
            (progress.state, progress.done, progress.total),
            (State::Cancelled, 2, 3)
        );
        assert_eq!(
            sam2::block_on(run.over()).done,
            2,
            "nobody waits for what is over"
        );
    }
}
