//! A folder of pictures in natural order.

use super::{FrameFuture, FrameSource, beyond, natural_order, same_size, size_of};
use super::{MAX_PIXELS, fit};
use crate::Error;
use sam2_image::{DecodeLimits, ImageSize, RgbImage, decode};
use std::path::{Path, PathBuf};

/// Name endings that are taken as frames, in lower case.
const SUFFIXES: [&str; 5] = ["png", "jpg", "jpeg", "webp", "bmp"];

/// A folder whose pictures are the frames. Each is decoded when it is read, never re-encoded.
#[derive(Debug, Clone)]
pub struct FolderFrames {
    files: Vec<PathBuf>,
    size: ImageSize,
    max_dimension: usize,
    /// Pictures in the folder, before the limit on their number.
    found: usize,
}

impl FolderFrames {
    /// Lists the folder and decodes its first picture. Frames are made smaller until their longer side
    /// is at most `max_dimension` pixels (0: never); the first `max_frames` are used (0: all).
    ///
    /// # Errors
    /// [`Error::Video`]: a folder that cannot be read or holds no pictures, a broken first picture.
    pub fn open(path: &Path, max_dimension: usize, max_frames: usize) -> Result<Self, Error> {
        let shown = path.display();
        let failed =
            |e: std::io::Error| Error::Video(format!("cannot read the folder {shown}: {e}"));
        let mut files = Vec::new();
        for entry in std::fs::read_dir(path).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let suffix = path.extension().map(|s| s.to_string_lossy().to_lowercase());
            if suffix.is_some_and(|s| SUFFIXES.contains(&s.as_str())) && path.is_file() {
                files.push(path);
            }
        }
        let name = |path: &PathBuf| {
            path.file_name()
                .map(|n| n.to_string_lossy().into_owned())
                .unwrap_or_default()
        };
        files.sort_by(|a, b| natural_order(&name(a), &name(b)));
        let found = files.len();
        if max_frames > 0 {
            files.truncate(max_frames);
        }
        let Some(first) = files.first() else {
            let text = format!(
                "the folder {shown} holds no pictures ({})",
                SUFFIXES.join(", ")
            );
            return Err(Error::Video(text));
        };
        let size = size_of(&decode_file(0, first)?);
        Ok(Self {
            files,
            size,
            max_dimension,
            found,
        })
    }

    /// Pictures in the folder, those beyond the limit too.
    pub fn found(&self) -> usize {
        self.found
    }

    fn frame(&self, index: usize) -> Result<RgbImage, Error> {
        let path = self
            .files
            .get(index)
            .ok_or_else(|| beyond(index, self.files.len()))?;
        let image = decode_file(index, path)?;
        same_size(
            &format!("frame {index} ({})", path.display()),
            size_of(&image),
            self.size,
        )?;
        Ok(fit(image, self.max_dimension))
    }
}

fn decode_file(index: usize, path: &Path) -> Result<RgbImage, Error> {
    let named =
        |reason: String| Error::Video(format!("frame {index} ({}): {reason}", path.display()));
    let bytes = std::fs::read(path).map_err(|e| named(e.to_string()))?;
    let limits = DecodeLimits {
        max_pixels: MAX_PIXELS,
        ..DecodeLimits::default()
    };
    decode(&bytes, &limits).map_err(|e| named(e.to_string()))
}

impl FrameSource for FolderFrames {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn size(&self) -> ImageSize {
        self.size
    }

    fn read(&mut self, index: usize) -> FrameFuture<'_> {
        Box::pin(async move { self.frame(index) })
    }
}
