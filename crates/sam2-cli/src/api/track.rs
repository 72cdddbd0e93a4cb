//! Passes of a session, one frame a step.

use super::Api;
use super::engine::Turn;
use super::error::ApiError;
use super::propagation::{Failure, Propagation, State};
use super::session::VideoSession;
use sam2::Error;
use sam2::block_on;
use sam2::video::{Pass, PassOptions, VideoPredictor};
use std::collections::VecDeque;
use std::sync::Arc;

/// Queues passes over a session's video, one after the other.
///
/// # Errors
/// [`ApiError::Conflict`] for a live session and where a propagation is under way, [`ApiError::Busy`].
pub fn propagate(
    api: &Api,
    session: &Arc<VideoSession>,
    passes: Vec<PassOptions>,
) -> Result<Arc<Propagation>, ApiError> {
    if session.live {
        let text = "a live session is not propagated: its objects are tracked on every frame that is pushed";
        return Err(ApiError::Conflict(text.to_owned()));
    }
    let propagation = session.begin_propagation()?;
    let mut run = Run {
        propagation: Arc::clone(&propagation),
        wanted: passes,
        passes: None,
    };
    let queued = api.engine.push(Arc::clone(session), move |video, session| {
        run.step(video, session)
    });
    if let Err(error) = queued {
        propagation.end(State::Cancelled, None);
        return Err(error);
    }
    Ok(propagation)
}

struct Run {
    propagation: Arc<Propagation>,
    wanted: Vec<PassOptions>,
    /// Those not done; none before the first step.
    passes: Option<VecDeque<Pass>>,
}

impl Run {
    fn step(&mut self, video: &mut VideoPredictor, session: &VideoSession) -> Turn {
        if self.propagation.is_cancelled() {
            self.propagation.end(State::Cancelled, None);
            return Turn::Over;
        }
        let tracked = self.frame(video, session);
        // The view first: who waits for the end looks at it.
        session.refresh(video);
        let (state, error) = match tracked {
            Ok(true) => return Turn::Again,
            Ok(false) => (State::Done, None),
            Err(error) => {
                tracing::warn!(code = error.code(), "a propagation ended: {error}");
                (State::Failed, Some(Failure::of(&error)))
            }
        };
        self.propagation.end(state, error);
        Turn::Over
    }

    /// Tracks one frame; `false` where none is left.
    fn frame(&mut self, video: &mut VideoPredictor, session: &VideoSession) -> Result<bool, Error> {
        let passes = match &mut self.passes {
            Some(passes) => passes,
            None => {
                let passes = self.wanted.iter().map(|options| video.start_pass(*options));
                let passes: VecDeque<Pass> = passes.collect::<Result<_, _>>()?;
                self.propagation.begin(passes.iter().map(Pass::total).sum());
                self.passes.insert(passes)
            }
        };
        while let Some(pass) = passes.front_mut() {
            if let Some(masks) = block_on(video.next_frame(pass))? {
                session.keep(&masks);
                self.propagation.tracked(masks.frame);
                return Ok(true);
            }
            passes.pop_front();
        }
        Ok(false)
    }
}
