//! Progress as server-sent events (text/event-stream).
//!
//! `frame` for every tracked frame, from the first on whenever the client came; at last `done`,
//! `cancelled` or `failed`. A comment now and then shows that the connection lives.

use super::forms::{FrameView, MaskView};
use super::propagation::{Progress, Propagation, State};
use super::session::VideoSession;
use futures_util::Stream;
use futures_util::stream::unfold;
use sam2_server::actix_web::rt::time::timeout;
use sam2_server::actix_web::web::Bytes;
use serde::Serialize;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Frames told of in one go.
const BATCH: usize = 16;
const KEEP_ALIVE: Duration = Duration::from_secs(15);

#[derive(Serialize)]
struct FrameEvent {
    frame: usize,
    #[serde(flatten)]
    progress: Progress,
    #[serde(skip_serializing_if = "Option::is_none")]
    masks: Option<Vec<MaskView>>,
}

struct Listener {
    session: Arc<VideoSession>,
    propagation: Arc<Propagation>,
    changes: watch::Receiver<()>,
    with_masks: bool,
    seen: usize,
    over: bool,
}

/// The events of a propagation, to its end.
pub fn stream(
    session: Arc<VideoSession>,
    propagation: Arc<Propagation>,
    with_masks: bool,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let listener = Listener {
        changes: propagation.watch(),
        session,
        propagation,
        with_masks,
        seen: 0,
        over: false,
    };
    unfold(listener, |mut listener| async move {
        let text = listener.next().await?;
        Some((Ok(Bytes::from(text)), listener))
    })
}

impl Listener {
    async fn next(&mut self) -> Option<String> {
        if self.over {
            return None;
        }
        loop {
            // The state first: frames that come after it are told of before the end is.
            let progress = self.propagation.progress();
            let frames = self.propagation.frames_after(self.seen, BATCH);
            if !frames.is_empty() {
                let events = frames.iter().map(|frame| self.frame(*frame, &progress));
                let events: Vec<_> = events.collect();
                return Some(events.concat());
            }
            let name = match progress.state {
                State::Queued | State::Running => None,
                State::Done => Some("done"),
                State::Cancelled => Some("cancelled"),
                State::Failed => Some("failed"),
            };
            if let Some(name) = name {
                self.over = true;
                return Some(event(name, &progress));
            }
            self.session.touch();
            if timeout(KEEP_ALIVE, self.changes.changed()).await.is_err() {
                return Some(": still there\n\n".to_owned());
            }
        }
    }

    fn frame(&mut self, frame: usize, progress: &Progress) -> String {
        self.seen += 1;
        let masks = self.with_masks.then(|| {
            let masks = self.session.masks_on(frame);
            FrameView::new(frame, &masks).masks
        });
        let progress = Progress {
            state: State::Running,
            done: self.seen,
            ..progress.clone()
        };
        event(
            "frame",
            &FrameEvent {
                frame,
                progress,
                masks,
            },
        )
    }
}

fn event(name: &str, data: &impl Serialize) -> String {
    // Numbers, names and run lengths: they are always JSON, and JSON has no line breaks.
    let data = serde_json::to_string(data).unwrap_or_else(|_| "null".to_owned());
    format!("event: {name}\ndata: {data}\n\n")
}
