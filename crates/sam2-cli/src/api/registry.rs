//! The sessions that are open: names, their number, their end.

use super::error::ApiError;
use super::lock;
use super::session::VideoSession;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// All sessions.
pub struct Registry {
    sessions: Mutex<HashMap<String, Arc<VideoSession>>>,
    taken: Arc<AtomicUsize>,
    most: usize,
    idle: Duration,
}

/// A place for a session: taken before its video is opened, given back when the last of it is gone.
pub struct Slot(Arc<AtomicUsize>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Registry {
    pub fn new(most: usize, idle: Duration) -> Self {
        Self {
            sessions: Mutex::default(),
            taken: Arc::default(),
            most,
            idle,
        }
    }

    /// # Errors
    /// [`ApiError::Busy`] where all places are taken.
    pub fn reserve(&self) -> Result<Slot, ApiError> {
        self.sweep();
        let free = |taken: usize| (taken < self.most).then_some(taken + 1);
        match self
            .taken
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, free)
        {
            Ok(_) => Ok(Slot(Arc::clone(&self.taken))),
            Err(_) => Err(ApiError::Busy {
                what: format!(
                    "{} sessions are open, which is the most; delete one",
                    self.most
                ),
                seconds: 30,
            }),
        }
    }

    /// A name that nobody guesses: who knows it may use the session.
    ///
    /// # Errors
    /// [`ApiError::Internal`] where the system gives no random bytes.
    pub fn new_id() -> Result<String, ApiError> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)
            .map_err(|e| ApiError::Internal(format!("no random bytes: {e}")))?;
        Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    pub fn add(&self, session: Arc<VideoSession>) {
        lock(&self.sessions).insert(session.id.clone(), session);
    }

    /// # Errors
    /// [`ApiError::NotFound`].
    pub fn get(&self, id: &str) -> Result<Arc<VideoSession>, ApiError> {
        let session = lock(&self.sessions).get(id).cloned();
        let session = session
            .filter(|s| !s.is_closed())
            .ok_or_else(ApiError::no_session)?;
        session.touch();
        Ok(session)
    }

    /// Closes a session.
    ///
    /// # Errors
    /// [`ApiError::NotFound`].
    pub fn remove(&self, id: &str) -> Result<(), ApiError> {
        let session = lock(&self.sessions)
            .remove(id)
            .ok_or_else(ApiError::no_session)?;
        session.close();
        Ok(())
    }

    /// Closes what nobody has asked for too long, and forgets what was closed.
    pub fn sweep(&self) {
        let mut ended = Vec::new();
        lock(&self.sessions).retain(|_, session| {
            let idle = session.idle() > self.idle && !session.is_working();
            let over = idle || session.is_closed();
            if over {
                ended.push(Arc::clone(session));
            }
            !over
        });
        for session in ended {
            if !session.is_closed() {
                tracing::info!(
                    "session {}... ends: nobody asked for it",
                    short(&session.id)
                );
                session.close();
            }
        }
    }

    /// Closes everything.
    pub fn close_all(&self) {
        let all: Vec<_> = lock(&self.sessions).drain().collect();
        all.iter().for_each(|(_, session)| session.close());
    }

    /// How often [`Registry::sweep`] is due.
    pub fn sweep_every(&self) -> Duration {
        (self.idle / 4).clamp(Duration::from_millis(100), Duration::from_secs(30))
    }

    pub fn len(&self) -> usize {
        lock(&self.sessions).len()
    }
}

/// The name as the log shows it: enough to tell sessions apart.
pub fn short(id: &str) -> &str {
    id.get(..6).unwrap_or(id)
}
