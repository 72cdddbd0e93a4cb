//! A path to its frames, whatever kind of video lies there.

use super::animation::animation;
use super::ffmpeg::ffmpeg;
use super::folder::FolderFrames;
use super::mjpeg::MjpegFrames;
use super::store::StoredFrames;
use super::y4m::Y4mFrames;
use super::{FrameSource, MemoryFrames};
use crate::Error;
use sam2_image::{ImageSize, fitted};
use std::io::Read;
use std::path::Path;

/// What is taken of a video.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VideoLimits {
    /// Frames are made smaller until their longer side is at most this (`MAX_FRAME_DIMENSION`); 0:
    /// never.
    pub max_dimension: usize,
    /// The first so many frames are used (`MAX_VIDEO_FRAMES`); 0: all.
    pub max_frames: usize,
}

impl Default for VideoLimits {
    fn default() -> Self {
        Self {
            max_dimension: 1920,
            max_frames: 300,
        }
    }
}

/// An open video.
pub struct OpenedVideo {
    pub source: Box<dyn FrameSource>,
    /// Frames per second, where the file says so.
    pub fps: Option<f64>,
    /// Lines for people: frames made smaller, frames cut off.
    pub notes: Vec<String>,
}

impl std::fmt::Debug for OpenedVideo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "OpenedVideo({} frames, {:?})",
            self.source.len(),
            self.source.size()
        )
    }
}

/// Opens a folder of pictures, an animated GIF, WebP or PNG, an MJPEG or Y4M file, or anything else
/// that the ffmpeg program can read.
///
/// # Errors
/// [`Error::Video`] that names the file and what is wrong with it; where ffmpeg would be needed and is
/// not there, it says so. [`Error::Storage`] where the temporary folder does not take its frames.
pub fn open_video(path: &Path, limits: VideoLimits) -> Result<OpenedVideo, Error> {
    if path.is_dir() {
        let frames = FolderFrames::open(path, limits.max_dimension, limits.max_frames)?;
        let found = frames.found();
        return Ok(opened(Box::new(frames), None, Some(found), limits));
    }
    let named = |e: Error| match e {
        Error::Video(text) => Error::Video(format!("{}: {text}", path.display())),
        other => other,
    };
    let head = head(path)?;
    match sniff(&head) {
        Kind::Y4m => {
            let frames = Y4mFrames::open(path, limits).map_err(named)?;
            let (fps, found) = (frames.fps(), frames.found());
            Ok(opened(Box::new(frames), fps, Some(found), limits))
        }
        Kind::Mjpeg => {
            let frames = MjpegFrames::open(path, limits).map_err(named)?;
            let found = frames.found();
            Ok(opened(Box::new(frames), None, Some(found), limits))
        }
        Kind::Animation(format) => {
            let (next, fps) = animation(path, format).map_err(named)?;
            let frames =
                StoredFrames::new(next, true, None, limits.max_dimension, limits.max_frames);
            Ok(opened(Box::new(frames.map_err(named)?), fps, None, limits))
        }
        Kind::Other => {
            let video = ffmpeg(path).map_err(named)?;
            let (max_dimension, max_frames) = (limits.max_dimension, limits.max_frames);
            let found = video.frames;
            let frames = StoredFrames::new(video.next, false, found, max_dimension, max_frames);
            Ok(opened(
                Box::new(frames.map_err(named)?),
                video.fps,
                found,
                limits,
            ))
        }
    }
}

/// Adds what people should know.
fn opened(
    source: Box<dyn FrameSource>,
    fps: Option<f64>,
    found: Option<usize>,
    limits: VideoLimits,
) -> OpenedVideo {
    let mut notes = Vec::new();
    let ImageSize { width, height } = source.size();
    let (w, h) = fitted(width, height, limits.max_dimension);
    if limits.max_dimension > 0 && (w, h) != (width, height) {
        notes.push(format!("{width}x{height} -> {w}x{h}"));
    }
    let used = source.len();
    match found {
        Some(found) if found > used => {
            notes.push(format!(
                "{found} frames, the first {used} are used (MAX_VIDEO_FRAMES)"
            ));
        }
        None if used == limits.max_frames => {
            notes.push(format!(
                "at most the first {used} frames are used (MAX_VIDEO_FRAMES)"
            ));
        }
        _ => {}
    }
    OpenedVideo { source, fps, notes }
}

impl From<MemoryFrames> for OpenedVideo {
    fn from(frames: MemoryFrames) -> Self {
        Self {
            source: Box::new(frames),
            fps: None,
            notes: Vec::new(),
        }
    }
}

/// What reads a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Y4m,
    Mjpeg,
    Animation(image::ImageFormat),
    Other,
}

/// The content decides, not the name.
fn sniff(head: &[u8]) -> Kind {
    match head {
        [
            0x59,
            0x55,
            0x56,
            0x34,
            0x4d,
            0x50,
            0x45,
            0x47,
            0x32,
            b' ' | b'\n',
            ..,
        ] => Kind::Y4m,
        [0xff, 0xd8, 0xff, ..] => Kind::Mjpeg,
        [b'G', b'I', b'F', b'8', ..] => Kind::Animation(image::ImageFormat::Gif),
        [0x89, b'P', b'N', b'G', ..] => Kind::Animation(image::ImageFormat::Png),
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => Kind::Animation(image::ImageFormat::WebP),
        _ => Kind::Other,
    }
}

fn head(path: &Path) -> Result<Vec<u8>, Error> {
    let failed = |e: std::io::Error| Error::Video(format!("cannot read {}: {e}", path.display()));
    let mut head = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(32).read_to_end(&mut head).map_err(failed)?;
    if head.is_empty() {
        return Err(Error::Video(format!("{} is empty", path.display())));
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_decides() {
        assert_eq!(sniff(b"YUV4MPEG2 W4 H4"), Kind::Y4m);
        assert_eq!(sniff(&[0xff, 0xd8, 0xff, 0xe0]), Kind::Mjpeg);
        assert_eq!(sniff(b"GIF89a"), Kind::Animation(image::ImageFormat::Gif));
        assert_eq!(
            sniff(b"RIFF1234WEBPVP8X"),
            Kind::Animation(image::ImageFormat::WebP)
        );
        assert_eq!(sniff(b"RIFF1234AVI LIST"), Kind::Other);
        assert_eq!(sniff(b"\0\0\0\x20ftypisom"), Kind::Other);
    }
}
