//! The inference thread: one step of one session after the other.
//!
//! A step is an answer to a prompt or one frame of a propagation. After a frame the propagation goes to
//! the end of the queue, so that a client's click waits for one frame of another's and not for its
//! clip. More threads would not be faster: the network itself runs on all cores.

use super::error::ApiError;
use super::lock;
use super::propagation::{Failure, State};
use super::registry::{Registry, short};
use super::session::VideoSession;
use crate::CliError;
use sam2::video::VideoPredictor;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// What comes after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    Again,
    Over,
}

type Step = Box<dyn FnMut(&mut VideoPredictor, &VideoSession) -> Turn + Send>;

struct Task {
    session: Arc<VideoSession>,
    step: Step,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Task>,
    running: bool,
    stopped: bool,
}

/// A handle to the inference thread.
pub struct Engine {
    shared: Arc<Shared>,
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    most: usize,
    /// A step's time, smoothed.
    step_ms: AtomicU64,
}

impl Engine {
    /// Starts the thread.
    ///
    /// # Errors
    /// [`CliError::Io`] where the system gives no thread.
    pub fn start(most: usize, registry: Arc<Registry>) -> Result<Self, CliError> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            wake: Condvar::new(),
            most,
            step_ms: AtomicU64::new(0),
        });
        let worker = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("sam2-inference".to_owned())
            .spawn(move || worker.run(&registry))
            .map_err(CliError::io("the inference thread"))?;
        Ok(Self { shared })
    }

    /// Queues steps of a session.
    ///
    /// # Errors
    /// [`ApiError::Busy`] where the queue is full.
    pub fn push(
        &self,
        session: Arc<VideoSession>,
        step: impl FnMut(&mut VideoPredictor, &VideoSession) -> Turn + Send + 'static,
    ) -> Result<(), ApiError> {
        let mut queue = lock(&self.shared.queue);
        let tasks = queue.waiting.len() + usize::from(queue.running);
        if queue.stopped || tasks >= self.shared.most {
            let milliseconds = self.shared.step_ms.load(Ordering::Relaxed) * tasks as u64;
            return Err(ApiError::Busy {
                what: format!("{tasks} requests wait for the network already"),
                seconds: (milliseconds / 1000).clamp(1, 60),
            });
        }
        let step = Box::new(step);
        queue.waiting.push_back(Task { session, step });
        self.shared.wake.notify_one();
        Ok(())
    }

    /// Runs `work` on a session's predictor and waits for what it gives.
    ///
    /// # Errors
    /// [`ApiError::Busy`]; [`ApiError::NotFound`] where the session ended meanwhile; what `work` reports.
    pub async fn call<T: Send + 'static>(
        &self,
        session: &Arc<VideoSession>,
        work: impl FnOnce(&mut VideoPredictor, &VideoSession) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let (reply, answer) = oneshot::channel();
        let mut once = Some((work, reply));
        self.push(Arc::clone(session), move |video, session| {
            if let Some((work, reply)) = once.take()
                && !reply.is_closed()
            {
                let answer = work(video, session);
                // The view first: whoever has the answer may look at it at once.
                session.refresh(video);
                // Nobody waits any more: then the answer is nobody's.
                let _ = reply.send(answer);
            }
            Turn::Over
        })?;
        // The task was dropped: its session is gone, or the step broke.
        answer.await.unwrap_or_else(|_| Err(ApiError::no_session()))
    }

    /// Tasks waiting and running.
    pub fn tasks(&self) -> usize {
        let queue = lock(&self.shared.queue);
        queue.waiting.len() + usize::from(queue.running)
    }

    /// Takes no more work and forgets what waits.
    pub fn stop(&self) {
        let mut queue = lock(&self.shared.queue);
        queue.stopped = true;
        let waiting = std::mem::take(&mut queue.waiting);
        drop(queue);
        drop(waiting);
        self.shared.wake.notify_all();
    }
}

impl Shared {
    fn run(&self, registry: &Registry) {
        let mut swept = Instant::now();
        let every = registry.sweep_every();
        loop {
            let Some(task) = self.next(every) else { return };
            if let Some(mut task) = task
                && !task.session.is_closed()
                && self.step(&mut task) == Turn::Again
            {
                self.give_back(task);
            }
            lock(&self.queue).running = false;
            if swept.elapsed() >= every {
                registry.sweep();
                swept = Instant::now();
            }
        }
    }

    /// The next task; none after a while, so that idle sessions end. `None`: the end.
    #[allow(clippy::option_option)] // three outcomes, of one use
    fn next(&self, wait: Duration) -> Option<Option<Task>> {
        let mut queue = lock(&self.queue);
        if queue.waiting.is_empty() && !queue.stopped {
            let waited = self.wake.wait_timeout(queue, wait);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if queue.stopped {
            return None;
        }
        let task = queue.waiting.pop_front();
        queue.running = task.is_some();
        Some(task)
    }

    fn step(&self, task: &mut Task) -> Turn {
        let start = Instant::now();
        let session = Arc::clone(&task.session);
        let step = || {
            let mut video = lock(&session.video);
            (task.step)(&mut video, &session)
        };
        // A bug in one session's step must not end the others.
        let turn = catch_unwind(AssertUnwindSafe(step)).unwrap_or_else(|_| {
            tracing::error!(
                "session {}... broke: {}",
                short(&session.id),
                CliError::internal()
            );
            if let Some(propagation) = session.propagation() {
                propagation.end(State::Failed, Some(Failure::internal()));
            }
            session.close();
            Turn::Over
        });
        let took = start.elapsed().as_millis() as u64;
        let smoothed = (self.step_ms.load(Ordering::Relaxed) * 7 + took) / 8;
        self.step_ms.store(smoothed, Ordering::Relaxed);
        turn
    }

    fn give_back(&self, task: Task) {
        let mut queue = lock(&self.queue);
        if !queue.stopped {
            queue.waiting.push_back(task);
        }
    }
}
