//! Frames of a source that can only be decoded in order, kept in files.

use super::{FrameFuture, FrameSource, beyond, same_size, size_of};
use super::{MAX_PIXELS, fit};
use crate::Error;
use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;
use sam2_image::{DecodeLimits, ImageSize, RgbImage, decode};
use std::path::PathBuf;

/// Quality of stored JPEG frames.
const JPEG_QUALITY: u8 = 85;

/// Gives the frames of a video one after the other; `None` at its end.
pub(super) type NextFrame = Box<dyn FnMut() -> Option<Result<RgbImage, Error>> + Send>;

/// Reads ahead as far as it was asked to and keeps every frame in a temporary folder: as JPEG of
/// quality 85, or as PNG where the source is lossless. A frame is always given as it was stored, so that
/// a second pass sees what the first one saw.
pub(super) struct StoredFrames {
    folder: tempfile::TempDir,
    next: NextFrame,
    lossless: bool,
    max_dimension: usize,
    /// Frames in the folder.
    stored: usize,
    /// Frames there are, as far as is known.
    len: usize,
    size: ImageSize,
    /// Why no frame after the stored ones can be had. Asked again, the decoder that failed would say
    /// that the clip is over, and one whose frame could not be stored would give the one after it.
    broken: Option<Broken>,
}

/// Kept in words: it is the answer for many frames.
enum Broken {
    /// The video.
    Video(String),
    /// The temporary folder.
    Storage(String),
}

impl Broken {
    fn error(&self) -> Error {
        match self {
            Self::Video(text) => Error::Video(text.clone()),
            Self::Storage(text) => Error::Storage(text.clone()),
        }
    }
}

impl From<&Error> for Broken {
    fn from(error: &Error) -> Self {
        match error {
            Error::Storage(text) => Self::Storage(text.clone()),
            other => Self::Video(other.to_string()),
        }
    }
}

impl StoredFrames {
    /// `len`: the number of frames where the source knows it, which counts only as a promise; without
    /// it everything is read now. At most `max_frames` (0: all) are used. A frame that cannot be read
    /// loses nothing before it: it counts as the last one, and reading it is the error.
    pub fn new(
        mut next: NextFrame,
        lossless: bool,
        len: Option<usize>,
        max_dimension: usize,
        max_frames: usize,
    ) -> Result<Self, Error> {
        let first =
            next().unwrap_or_else(|| Err(Error::Video("the video has no frames".to_owned())));
        let first = first?;
        let folder = tempfile::Builder::new()
            .prefix("sam2-frames-")
            .tempdir()
            .map_err(|e| not_stored(0, &e))?;
        let most = if max_frames == 0 {
            usize::MAX
        } else {
            max_frames
        };
        let mut frames = Self {
            folder,
            next,
            lossless,
            max_dimension,
            stored: 0,
            len: len.unwrap_or(most).clamp(1, most),
            size: size_of(&first),
            broken: None,
        };
        frames.put(first)?;
        if len.is_none() {
            while frames.stored < most && matches!(frames.advance(), Ok(true)) {}
            frames.len = frames.stored + usize::from(frames.broken.is_some());
        }
        Ok(frames)
    }

    fn path(&self, index: usize) -> PathBuf {
        let suffix = if self.lossless { "png" } else { "jpg" };
        self.folder.path().join(format!("{index:06}.{suffix}"))
    }

    fn put(&mut self, image: RgbImage) -> Result<(), Error> {
        let index = self.stored;
        same_size(&format!("frame {index}"), size_of(&image), self.size)?;
        let image = fit(image, self.max_dimension);
        let bytes = match self.lossless {
            true => image.to_png()?,
            false => {
                let mut bytes = Vec::new();
                let (width, height) = (image.width() as u32, image.height() as u32);
                JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY)
                    .encode(image.data(), width, height, ExtendedColorType::Rgb8)
                    .map_err(|e| Error::Video(format!("frame {index} cannot be stored: {e}")))?;
                bytes
            }
        };
        std::fs::write(self.path(index), bytes).map_err(|e| not_stored(index, &e))?;
        self.stored += 1;
        Ok(())
    }

    /// Stores one more frame; `false` at the end. After an error it is the same one for ever.
    fn advance(&mut self) -> Result<bool, Error> {
        if let Some(broken) = &self.broken {
            return Err(broken.error());
        }
        let index = self.stored;
        let stored = match (self.next)() {
            None => return Ok(false),
            Some(frame) => frame
                .map_err(|e| Error::Video(format!("frame {index}: {e}")))
                .and_then(|frame| self.put(frame)),
        };
        if let Err(error) = &stored {
            self.broken = Some(error.into());
        }
        stored.map(|()| true)
    }

    fn frame(&mut self, index: usize) -> Result<RgbImage, Error> {
        while self.stored <= index && index < self.len {
            if !self.advance()? {
                let (promised, came) = (self.len, self.stored);
                tracing::warn!(
                    "the file promised {promised} frames and {came} came: the video ends there"
                );
                self.len = came;
            }
        }
        if index >= self.len {
            return Err(beyond(index, self.len));
        }
        let bytes = std::fs::read(self.path(index)).map_err(|e| not_read_back(index, &e))?;
        let limits = DecodeLimits {
            max_pixels: MAX_PIXELS,
            ..DecodeLimits::default()
        };
        decode(&bytes, &limits).map_err(|e| not_read_back(index, &e))
    }
}

fn not_stored(index: usize, error: &std::io::Error) -> Error {
    Error::Storage(format!(
        "frame {index} cannot be stored in the temporary folder ({error}); make room there, or set \
         TMPDIR to a folder with room, and open the video again"
    ))
}

/// It was there: somebody emptied the temporary folder, or its disk fails.
fn not_read_back(index: usize, reason: &dyn std::fmt::Display) -> Error {
    Error::Storage(format!(
        "the stored frame {index} cannot be read back from the temporary folder ({reason}); open the \
         video again, with TMPDIR set to a folder that nothing empties meanwhile"
    ))
}

impl FrameSource for StoredFrames {
    fn len(&self) -> usize {
        self.len
    }

    fn size(&self) -> ImageSize {
        self.size
    }

    fn read(&mut self, index: usize) -> FrameFuture<'_> {
        Box::pin(async move { self.frame(index) })
    }

    fn shorten(&mut self, frames: usize) {
        self.len = self.len.min(frames.max(self.stored));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(frames: usize, broken_at: Option<usize>) -> NextFrame {
        let mut at = 0;
        Box::new(move || {
            let i = at;
            at += 1;
            match i {
                i if Some(i) == broken_at => Some(Err(Error::Video("cut short".to_owned()))),
                i if i < frames => {
                    Some(Ok(RgbImage::from_rgb(8, 4, vec![i as u8 * 10; 96]).unwrap()))
                }
                _ => None,
            }
        })
    }

    #[test]
    fn frames_come_in_any_order_and_lossless_ones_unchanged() {
        let mut frames = StoredFrames::new(source(9, None), true, Some(9), 0, 0).unwrap();
        assert_eq!(
            (frames.len(), frames.stored),
            (9, 1),
            "nothing is read ahead"
        );
        assert_eq!(frames.frame(7).unwrap().data(), [70; 96]);
        assert_eq!(frames.frame(2).unwrap().data(), [20; 96]);
        assert!(frames.frame(9).is_err());
        let mut small = StoredFrames::new(source(9, None), false, None, 4, 5).unwrap();
        assert_eq!(
            (small.len(), small.size()),
            (
                5,
                ImageSize {
                    width: 8,
                    height: 4
                }
            )
        );
        let image = small.frame(3).unwrap();
        assert_eq!(
            (image.width(), image.height()),
            (4, 2),
            "made smaller, the size stays the original's"
        );
    }

    #[test]
    fn a_promise_too_much_shrinks_and_a_broken_frame_is_named() {
        let mut frames = StoredFrames::new(source(4, None), true, Some(6), 0, 0).unwrap();
        assert!(frames.frame(5).is_err());
        assert_eq!(frames.len(), 4);
        assert!(frames.frame(3).is_ok());
        let mut frames = StoredFrames::new(source(6, Some(3)), true, Some(6), 0, 0).unwrap();
        // Again and again: the source itself would go on with the frame after it.
        for index in [5, 3, 4, 3] {
            let error = frames.frame(index).unwrap_err();
            assert_eq!(error.code(), "unsupported_video");
            assert!(error.to_string().contains("frame 3"), "{error}");
            assert_eq!(frames.len(), 6, "it did not become the end");
        }
        assert!(frames.frame(2).is_ok(), "everything before it is there");
        // Another decoder of the same file found its end already.
        let mut frames = StoredFrames::new(source(4, None), true, Some(6), 0, 0).unwrap();
        frames.shorten(4);
        assert_eq!(frames.len(), 4);
        assert!(frames.frame(4).is_err() && frames.frame(3).is_ok());
    }

    #[test]
    fn a_temporary_folder_that_is_damaged_is_no_fault_of_the_video() {
        let hint = "open the video again";
        for lossless in [true, false] {
            let mut frames = StoredFrames::new(source(9, None), lossless, Some(9), 0, 0).unwrap();
            frames.frame(3).unwrap();
            // Cut short, filled with something else, gone.
            let path = frames.path(1);
            let whole = std::fs::read(&path).unwrap();
            for bytes in [
                &whole[..whole.len() / 2],
                b"",
                b"no picture at all",
                &[0; 500],
            ] {
                std::fs::write(&path, bytes).unwrap();
                let error = frames.frame(1).unwrap_err();
                assert_eq!(error.code(), "storage_full", "{error}");
                assert!(error.message().contains("stored frame 1 cannot be read"));
                assert!(error.hint().contains(hint), "{error}");
            }
            std::fs::write(&path, &whole).unwrap();
            assert!(frames.frame(1).is_ok(), "it is asked for anew each time");
            std::fs::remove_dir_all(frames.folder.path()).unwrap();
            let error = frames.frame(2).unwrap_err();
            assert_eq!(error.code(), "storage_full", "{error}");
            assert!(error.message().contains("stored frame 2"), "{error}");
            // And those that were not stored yet; again and again, as the decoder has gone on.
            for index in [5, 4, 5] {
                let error = frames.frame(index).unwrap_err();
                assert_eq!(error.code(), "storage_full", "{error}");
                assert!(
                    error.message().contains("frame 4 cannot be stored"),
                    "{error}"
                );
                assert!(error.hint().contains(hint), "{error}");
            }
        }
    }

    #[test]
    fn a_broken_frame_loses_nothing_where_all_is_read_at_once() {
        let mut frames = StoredFrames::new(source(6, Some(3)), true, None, 0, 0).unwrap();
        assert_eq!(frames.len(), 4, "the broken one counts");
        for index in 0..3 {
            assert_eq!(frames.frame(index).unwrap().data()[0], index as u8 * 10);
        }
        for _ in 0..2 {
            let error = frames.frame(3).unwrap_err();
            assert!(error.to_string().contains("frame 3"), "{error}");
        }
        // Frames that are not used may be broken.
        let mut few = StoredFrames::new(source(6, Some(3)), true, None, 0, 3).unwrap();
        assert_eq!(few.len(), 3);
        assert!(few.frame(2).is_ok());
        let nothing = StoredFrames::new(source(6, Some(0)), true, None, 0, 0);
        assert!(nothing.is_err_and(|e| e.to_string().contains("cut short")));
    }
}
