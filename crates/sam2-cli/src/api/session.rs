//! One client's video: the predictor, and what is known of it without asking the network.

use super::error::ApiError;
use super::known::{Known, KnownMask, KnownObject, PlacedMask};
use super::lock;
use super::propagation::{Failure, Propagation, State};
use super::registry::Slot;
use sam2::image::ImageSize;
use sam2::video::{FrameMasks, ObjectId, OpenedVideo, VideoPredictor};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempPath;

/// A session. HTTP threads read and never wait for the network: it works on the predictor alone, and
/// leaves what it found in `known`.
pub struct VideoSession {
    pub id: String,
    /// Its frames are pushed, one by one.
    pub live: bool,
    pub fps: Option<f64>,
    pub notes: Vec<String>,
    /// Locked by the inference thread alone, for as long as a frame takes.
    pub video: Mutex<VideoPredictor>,
    known: Mutex<Known>,
    closed: AtomicBool,
    broken: AtomicBool,
    /// A frame is being pushed.
    pushing: AtomicBool,
    last_used: Mutex<Instant>,
    /// Removed from the disk with the session.
    _upload: Option<TempPath>,
    _slot: Slot,
}

impl VideoSession {
    pub fn new(
        id: String,
        opened: (VideoPredictor, Option<f64>, Vec<String>),
        upload: Option<TempPath>,
        slot: Slot,
    ) -> Self {
        let (video, fps, notes) = opened;
        let mut known = Known::default();
        known.look_at(&video);
        Self {
            id,
            live: video.is_live(),
            fps,
            notes,
            video: Mutex::new(video),
            known: Mutex::new(known),
            closed: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            pushing: AtomicBool::new(false),
            last_used: Mutex::new(Instant::now()),
            _upload: upload,
            _slot: slot,
        }
    }

    /// Size of the pictures; none before the first frame of a live video.
    pub fn size(&self) -> Option<ImageSize> {
        lock(&self.known).size
    }

    /// Frames; of a live video those that came so far. A clip's may become fewer when a decoder ends before
    /// the file's header said.
    pub fn frames(&self) -> usize {
        lock(&self.known).frames
    }

    pub fn objects(&self) -> Vec<KnownObject> {
        lock(&self.known).objects.clone()
    }

    /// The oldest frame that can be prompted.
    pub fn oldest_frame(&self) -> usize {
        lock(&self.known).oldest_frame
    }

    /// Bytes of pictures, features and memories.
    pub fn held_bytes(&self) -> usize {
        lock(&self.known).held_bytes
    }

    /// Takes over what a step of the network changed.
    pub fn refresh(&self, video: &VideoPredictor) {
        lock(&self.known).look_at(video);
        self.touch();
    }

    /// Keeps the masks of a frame.
    pub fn keep(&self, masks: &FrameMasks) {
        let looked_for = masks.objects.iter().filter(|object| object.score.is_some());
        let found: Vec<_> = looked_for
            .map(|object| ((masks.frame, object.id), KnownMask::from(object)))
            .collect();
        lock(&self.known).masks.extend(found);
    }

    /// The masks of some frames, in order of frame and object.
    pub fn masks(&self, frames: Range<usize>) -> Vec<PlacedMask> {
        let known = lock(&self.known);
        let masks = known.masks.range((frames.start, 0)..(frames.end, 0));
        masks.map(|(place, mask)| (*place, mask.clone())).collect()
    }

    /// The masks of one frame.
    pub fn masks_on(&self, frame: usize) -> Vec<PlacedMask> {
        self.masks(frame..frame.saturating_add(1))
    }

    /// The mask of an object on a frame.
    pub fn mask(&self, frame: usize, object: ObjectId) -> Option<KnownMask> {
        lock(&self.known).masks.get(&(frame, object)).cloned()
    }

    /// The latest propagation.
    pub fn propagation(&self) -> Option<Arc<Propagation>> {
        lock(&self.known).propagation.clone()
    }

    /// Begins to keep a new propagation, unless one is under way.
    ///
    /// # Errors
    /// [`ApiError::Conflict`].
    pub fn begin_propagation(&self) -> Result<Arc<Propagation>, ApiError> {
        if self.is_broken() {
            return Err(ApiError::broken_session());
        }
        let mut known = lock(&self.known);
        if known
            .propagation
            .as_ref()
            .is_some_and(|p| !p.progress().state.is_over())
        {
            let text = "this session is being propagated already: wait for the end, or cancel it";
            return Err(ApiError::Conflict(text.to_owned()));
        }
        let propagation = Arc::new(Propagation::new());
        known.propagation = Some(Arc::clone(&propagation));
        Ok(propagation)
    }

    /// Begins to take a frame. The next one is taken when what this gives is dropped.
    ///
    /// # Errors
    /// [`ApiError::Conflict`].
    pub fn begin_push(self: &Arc<Self>) -> Result<Push, ApiError> {
        match self.pushing.swap(true, Ordering::AcqRel) {
            false => Ok(Push(Arc::clone(self))),
            true => Err(ApiError::Conflict(
                "a frame of this session is being taken: push the next one after its answer"
                    .to_owned(),
            )),
        }
    }

    /// Nobody can use it from now on; the network stops before its next frame.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        if let Some(propagation) = self.propagation() {
            propagation.cancel();
            propagation.end(State::Cancelled, None);
        }
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// A step of the network broke. What is known can be read; the predictor is not asked again.
    pub fn break_off(&self) {
        self.broken.store(true, Ordering::Relaxed);
        if let Some(propagation) = self.propagation() {
            propagation.end(State::Failed, Some(Failure::internal()));
        }
    }

    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// Somebody asked for it, or it works for somebody.
    pub fn touch(&self) {
        *lock(&self.last_used) = Instant::now();
    }

    /// How long nobody has.
    pub fn idle(&self) -> Duration {
        lock(&self.last_used).elapsed()
    }

    /// Whether a propagation waits or runs, or a frame is being pushed.
    pub fn is_working(&self) -> bool {
        let propagation = self.propagation();
        propagation.is_some_and(|p| !p.progress().state.is_over())
            || self.pushing.load(Ordering::Acquire)
    }
}

/// A frame is being taken.
pub struct Push(Arc<VideoSession>);

impl Drop for Push {
    fn drop(&mut self) {
        self.0.pushing.store(false, Ordering::Release);
    }
}

/// What a session needs of an opened video.
pub fn predictor(
    model: sam2::SharedModel,
    opened: OpenedVideo,
    caches: sam2::video::VideoOptions,
) -> Result<(VideoPredictor, Option<f64>, Vec<String>), sam2::Error> {
    let video = VideoPredictor::new(model, opened.source, caches)?;
    Ok((video, opened.fps, opened.notes))
}
