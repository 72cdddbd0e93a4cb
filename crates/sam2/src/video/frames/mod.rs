//! Where frames come from.
//!
//! Frames are read when they are needed and not kept in memory: a source keeps files, offsets or a
//! decoder. Frames larger than the limit are made smaller by area; masks still come out at the
//! original size.

mod animation;
mod animation_bytes;
#[cfg(not(target_family = "wasm"))]
mod ffmpeg;
#[cfg(not(target_family = "wasm"))]
mod folder;
#[cfg(not(target_family = "wasm"))]
mod index;
mod live;
#[cfg(not(target_family = "wasm"))]
mod mjpeg;
#[cfg(not(target_family = "wasm"))]
mod natural;
#[cfg(not(target_family = "wasm"))]
mod open;
#[cfg(not(target_family = "wasm"))]
mod store;
#[cfg(not(target_family = "wasm"))]
mod y4m;

pub use animation_bytes::AnimationFrames;
#[cfg(not(target_family = "wasm"))]
pub use folder::FolderFrames;
pub(super) use live::LiveFrames;
#[cfg(not(target_family = "wasm"))]
pub use natural::natural_order;
#[cfg(not(target_family = "wasm"))]
pub use open::{OpenedVideo, VideoLimits, open_video};

use crate::Error;
use sam2_image::{ImageSize, RgbImage, area_downsample};
use std::future::Future;
use std::pin::Pin;

/// Most pixels of one frame: four times 8K. A header that promises more is refused before anything is
/// allocated.
pub const MAX_PIXELS: u64 = 1 << 27;

/// A frame on its way; reading is asynchronous because the page's frames come from JavaScript.
pub type FrameFuture<'a> = Pin<Box<dyn Future<Output = Result<RgbImage, Error>> + 'a>>;

/// `Send` natively, where a video may be tracked on a thread of its own.
#[cfg(not(target_family = "wasm"))]
pub trait MaybeSend: Send {}
#[cfg(not(target_family = "wasm"))]
impl<T: Send> MaybeSend for T {}
/// Nothing in the page, which has one thread.
#[cfg(target_family = "wasm")]
pub trait MaybeSend {}
#[cfg(target_family = "wasm")]
impl<T> MaybeSend for T {}

/// The frames of a clip, read in any order.
pub trait FrameSource: MaybeSend {
    /// Number of frames. It may shrink when a decoder comes to an end earlier than the file's header
    /// promised.
    fn len(&self) -> usize;

    /// Without frames.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Size of the original pictures: prompts are given and masks come out in these pixels. What
    /// [`FrameSource::read`] gives may be smaller.
    fn size(&self) -> ImageSize;

    /// Reads frame `index`, counted from 0.
    ///
    /// # Errors
    /// [`Error::Video`] that names the frame; [`Error::Storage`] where it was kept in the temporary folder
    /// and that is full, emptied or damaged.
    fn read(&mut self, index: usize) -> FrameFuture<'_>;

    /// The clip was seen to end after `frames` frames, by another source of the same file. Means
    /// something only where the length is a promise.
    fn shorten(&mut self, _frames: usize) {}
}

/// Frames that are in memory already.
#[derive(Debug, Clone)]
pub struct MemoryFrames(Vec<RgbImage>);

impl MemoryFrames {
    /// # Errors
    /// [`Error::Video`] without frames, or with frames of different sizes.
    pub fn new(frames: Vec<RgbImage>) -> Result<Self, Error> {
        let Some(first) = frames.first() else {
            return Err(Error::Video("the video has no frames".to_owned()));
        };
        let size = size_of(first);
        for (index, frame) in frames.iter().enumerate() {
            same_size(&format!("frame {index}"), size_of(frame), size)?;
        }
        Ok(Self(frames))
    }
}

impl FrameSource for MemoryFrames {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn size(&self) -> ImageSize {
        self.0.first().map_or(
            ImageSize {
                width: 0,
                height: 0,
            },
            size_of,
        )
    }

    fn read(&mut self, index: usize) -> FrameFuture<'_> {
        let frame = self.0.get(index).cloned();
        Box::pin(async move { frame.ok_or_else(|| beyond(index, self.0.len())) })
    }
}

/// A clip, or what is left of a live video.
pub(super) enum Frames {
    Clip(Box<dyn FrameSource>),
    Live(LiveFrames),
}

impl Frames {
    /// Frames that exist, or existed.
    pub fn seen(&self) -> usize {
        match self {
            Self::Clip(source) => source.len(),
            Self::Live(live) => live.seen(),
        }
    }

    /// The length where it is known.
    pub fn clip_len(&self) -> Option<usize> {
        match self {
            Self::Clip(source) => Some(source.len()),
            Self::Live(_) => None,
        }
    }

    /// Takes the next frame of a live video; its number.
    ///
    /// # Errors
    /// A clip, and a picture of another size.
    pub fn push(&mut self, picture: RgbImage, size: ImageSize) -> Result<usize, Error> {
        let Self::Live(live) = self else {
            return Err(Error::Video(
                "a clip takes no frames: open a live video for that".to_owned(),
            ));
        };
        same_size("the frame", size_of(&picture), size)?;
        Ok(live.push(picture))
    }

    /// As [`FrameSource::shorten`].
    pub fn shorten(&mut self, frames: usize) {
        if let Self::Clip(source) = self {
            source.shorten(frames);
        }
    }

    /// Can the frame be read at all (a live one may be gone)?
    pub fn can_read(&self, frame: usize) -> bool {
        match self {
            Self::Clip(source) => frame < source.len(),
            Self::Live(live) => live.get(frame).is_some(),
        }
    }

    pub async fn read(&mut self, frame: usize) -> Result<RgbImage, Error> {
        match self {
            Self::Clip(source) => source.read(frame).await,
            Self::Live(live) => live
                .get(frame)
                .cloned()
                .ok_or_else(|| Error::Video(format!("frame {frame} of the live video is gone"))),
        }
    }
}

/// A frame whose longer side is at most `max_dimension` (0: any), made smaller by area.
pub fn fit(image: RgbImage, max_dimension: usize) -> RgbImage {
    if max_dimension == 0 || image.width().max(image.height()) <= max_dimension {
        return image;
    }
    area_downsample(&image, max_dimension)
}

fn size_of(image: &RgbImage) -> ImageSize {
    ImageSize {
        width: image.width(),
        height: image.height(),
    }
}

/// Frames of one video are of one size.
///
/// # Errors
/// [`Error::Video`] that names the frame and both sizes.
pub fn same_size(name: &str, found: ImageSize, expected: ImageSize) -> Result<(), Error> {
    if found == expected {
        return Ok(());
    }
    Err(Error::Video(format!(
        "{name} is {} x {}, the first frame {} x {}: make all frames the same size",
        found.width, found.height, expected.width, expected.height
    )))
}

fn beyond(index: usize, frames: usize) -> Error {
    Error::Video(format!(
        "frame {index} is not in the video, which has {frames} frames"
    ))
}
