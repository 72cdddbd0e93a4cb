//! The inference thread: one step of one session after the other.
//!
//! A step is an answer to a prompt or one frame of a propagation. After a frame the propagation goes to
//! the end of the queue, so that a client's click waits for one frame of another's and not for its
//! clip. More threads would not be faster: the network itself runs on all cores.

use super::error::ApiError;
use super::lock;
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
    /// [`ApiError::Busy`] where the queue is full, [`ApiError::Conflict`] where the session broke.
    pub fn push(
        &self,
        session: Arc<VideoSession>,
        step: impl FnMut(&mut VideoPredictor, &VideoSession) -> Turn + Send + 'static,
    ) -> Result<(), ApiError> {
        if session.is_broken() {
            return Err(ApiError::broken_session());
        }
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
    /// [`ApiError::Busy`]; [`ApiError::NotFound`] where the session ended meanwhile,
    /// [`ApiError::Internal`] where it broke; what `work` reports.
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
        // The task was dropped: its session is gone, or a step broke.
        answer.await.unwrap_or_else(|_| {
            let gone = session.is_closed() || lock(&self.shared.queue).stopped;
            Err(match gone {
                true => ApiError::no_session(),
                false => ApiError::Internal("the service's log says more".to_owned()),
            })
        })
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
                && !task.session.is_broken()
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
        // A bug in one session's step must not end the others, nor take what this one has found.
        let turn = catch_unwind(AssertUnwindSafe(step)).unwrap_or_else(|_| {
            tracing::error!(
                "session {}... broke: {}",
                short(&session.id),
                CliError::internal()
            );
            session.break_off();
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

#[cfg(test)]
mod tests {
    use super::super::propagation::State;
    use super::super::session::predictor;
    use super::*;
    use sam2::image::RgbImage;
    use sam2::video::VideoPrompt;
    use sam2::video::frames::MemoryFrames;
    use sam2::{Checkpoint, FileSource, Model, ModelConfig, ModelOptions, Runtime, block_on};
    use std::path::Path;

    /// A session of the tiny model on three frames, with an object on the first.
    fn session(registry: &Registry, engine: &Engine) -> Arc<VideoSession> {
        let micro = Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default())
            .join("../../tests/fixtures/micro");
        let config = std::fs::read_to_string(micro.join("micro.yaml")).unwrap();
        let options = ModelOptions {
            config: Some(ModelConfig::from_yaml(&config).unwrap()),
            ..ModelOptions::default()
        };
        let file = FileSource::open(micro.join("weights/seed4.safetensors")).unwrap();
        let checkpoint = Checkpoint::open(Arc::new(file)).unwrap();
        let cpu = Runtime::cpu("a test");
        let model = block_on(Model::load(checkpoint, options, cpu, &|_, _, _| {})).unwrap();
        let data = (0..64 * 48 * 3).map(|i| (i * 7 % 251) as u8).collect();
        let picture = RgbImage::from_rgb(64, 48, data).unwrap();
        let frames = MemoryFrames::new(vec![picture; 3]).unwrap();
        let opened = predictor(Arc::new(model), frames.into(), Default::default()).unwrap();
        let slot = registry.reserve().unwrap();
        let session = Arc::new(VideoSession::new("0123456789".into(), opened, None, slot));
        registry.add(Arc::clone(&session));
        let clicked = engine.call(&session, |video, session| {
            let click = VideoPrompt::click(20.0, 20.0);
            session.keep(&block_on(video.add_new_points_or_box(0, 1, &click))?);
            Ok(())
        });
        block_on(clicked).unwrap();
        session
    }

    #[test]
    fn a_session_that_broke_can_be_read_and_does_nothing_more() {
        let registry = Arc::new(Registry::new(1, Duration::from_secs(60)));
        let engine = Engine::start(8, Arc::clone(&registry)).unwrap();
        let session = session(&registry, &engine);
        let propagation = session.begin_propagation().unwrap();
        let bug = engine.call(&session, |_, _| -> Result<(), ApiError> { panic!("a bug") });
        assert_eq!(block_on(bug).unwrap_err().code(), "internal");
        // Whoever waited for the propagation hears of it.
        let progress = block_on(propagation.over());
        assert_eq!(progress.state, State::Failed);
        assert_eq!(progress.error.unwrap().code, "internal");
        let more = engine.call(&session, |_, _| Ok(()));
        assert_eq!(block_on(more).unwrap_err().code(), "conflict");
        let again = session.begin_propagation();
        assert_eq!(again.unwrap_err().code(), "conflict");
        assert_eq!(
            session.propagation().unwrap().progress().state,
            State::Failed
        );
        // What was found is there, until somebody deletes it.
        let found = registry.get(&session.id).unwrap();
        assert!(found.mask(0, 1).is_some() && found.objects().len() == 1);
        registry.sweep();
        assert_eq!(registry.len(), 1);
        registry.remove(&session.id).unwrap();
        assert!(registry.get(&session.id).is_err());
        engine.stop();
    }
}
