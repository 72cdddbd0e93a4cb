//! Y4M (uncompressed YUV), read at offsets: nothing is stored, nothing decoded ahead.

use super::index::FrameIndex;
use super::open::VideoLimits;
use super::{FrameFuture, FrameSource, MAX_PIXELS, fit};
use crate::Error;
use sam2_image::{ImageSize, RgbImage};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::path::Path;

/// Longest header line that is read.
const MAX_LINE: u64 = 4096;

/// How colour is stored: places of a chroma sample, horizontally and vertically; `None` without colour.
type Chroma = Option<(usize, usize)>;

/// The frames of a Y4M file of 8 bits. Colours are converted as BT.601, limited range unless the header
/// says full.
#[derive(Debug)]
pub(super) struct Y4mFrames {
    /// The planes of each frame.
    index: FrameIndex,
    size: ImageSize,
    chroma: Chroma,
    full_range: bool,
    fps: Option<f64>,
    max_dimension: usize,
}

impl Y4mFrames {
    pub fn open(path: &Path, limits: VideoLimits) -> Result<Self, Error> {
        let file = File::open(path).map_err(|e| Error::Video(e.to_string()))?;
        let mut file = BufReader::new(file);
        let header =
            line(&mut file)?.ok_or_else(|| Error::Video("its header is cut short".to_owned()))?;
        let (mut width, mut height, mut chroma, mut full_range) = (0, 0, Some((2, 2)), false);
        let mut fps = None;
        for tag in header.split(' ').skip(1).filter(|tag| !tag.is_empty()) {
            let (key, value) = tag.split_at_checked(1).unwrap_or((tag, ""));
            match key {
                "W" => width = value.parse().unwrap_or(0),
                "H" => height = value.parse().unwrap_or(0),
                "C" => chroma = chroma_of(value)?,
                "F" => {
                    let (a, b) = value.split_once(':').unwrap_or((value, "1"));
                    let rate = a
                        .parse::<f64>()
                        .ok()
                        .zip(b.parse::<f64>().ok())
                        .map(|(a, b)| a / b);
                    fps = rate.filter(|r| r.is_finite() && *r > 0.0);
                }
                "X" => full_range |= value == "COLORRANGE=FULL",
                _ => {}
            }
        }
        if width == 0 || height == 0 || (width as u64).saturating_mul(height as u64) > MAX_PIXELS {
            let text = format!("its header gives frames of {width} x {height}, which cannot be");
            return Err(Error::Video(text));
        }
        let mut frames = Self {
            size: ImageSize { width, height },
            chroma,
            full_range,
            fps,
            max_dimension: limits.max_dimension,
            index: FrameIndex::new(file, limits.max_frames),
        };
        frames.find()?;
        Ok(frames)
    }

    /// Finds where frames begin. A frame that is cut short or damaged ends the list: reading it is the
    /// error, unless it is the first.
    fn find(&mut self) -> Result<(), Error> {
        loop {
            match (self.next(), self.index.found()) {
                (Ok(true), _) => {}
                (Ok(false), 0) => return Err(Error::Video("the video has no frames".to_owned())),
                (Ok(false), _) => return Ok(()),
                (Err(error), 0) => return Err(error),
                (Err(error), _) => {
                    self.index.end_damaged(&error);
                    return Ok(());
                }
            }
        }
    }

    /// Takes note of one more frame; `false` at the end.
    fn next(&mut self) -> Result<bool, Error> {
        let io = |e: std::io::Error| Error::Video(e.to_string());
        let bytes = self.frame_bytes() as u64;
        let Some(header) = line(self.index.file())? else {
            return Ok(false);
        };
        if !header.starts_with("FRAME") {
            let text = "its header is missing, the file is damaged";
            return Err(Error::Video(text.to_owned()));
        }
        let start = self.index.file().stream_position().map_err(io)?;
        let skipped = self.index.file().seek_relative(bytes as i64);
        skipped.map_err(io)?;
        self.index.add(start, bytes);
        Ok(true)
    }

    pub fn found(&self) -> usize {
        self.index.found()
    }

    pub fn fps(&self) -> Option<f64> {
        self.fps
    }

    /// Samples of a chroma plane.
    fn chroma_size(&self) -> (usize, usize) {
        match self.chroma {
            Some((x, y)) => (self.size.width.div_ceil(x), self.size.height.div_ceil(y)),
            None => (0, 0),
        }
    }

    fn frame_bytes(&self) -> usize {
        let (cw, ch) = self.chroma_size();
        self.size.width * self.size.height + 2 * cw * ch
    }

    fn frame(&mut self, index: usize) -> Result<RgbImage, Error> {
        let data = self.index.read(index)?;
        let image = RgbImage::from_rgb(self.size.width, self.size.height, self.to_rgb(&data))?;
        Ok(fit(image, self.max_dimension))
    }

    fn to_rgb(&self, data: &[u8]) -> Vec<u8> {
        let ImageSize { width, height } = self.size;
        let (cw, ch) = self.chroma_size();
        let (luma, colour) = data.split_at(width * height);
        let (cb, cr) = colour.split_at(cw * ch);
        let mut out = Vec::with_capacity(3 * width * height);
        for y in 0..height {
            for x in 0..width {
                let l = luma[y * width + x];
                let (u, v) = match self.chroma {
                    Some((sx, sy)) => {
                        let at = y / sy * cw + x / sx;
                        (f32::from(cb[at]) - 128.0, f32::from(cr[at]) - 128.0)
                    }
                    None => (0.0, 0.0),
                };
                let (l, scale) = match self.full_range {
                    true => (f32::from(l), 1.0),
                    false => ((f32::from(l) - 16.0) * (255.0 / 219.0), 255.0 / 224.0),
                };
                let (u, v) = (u * scale, v * scale);
                // `as` saturates at 0 and 255.
                out.push((l + 1.402 * v + 0.5) as u8);
                out.push((l - 0.344_136 * u - 0.714_136 * v + 0.5) as u8);
                out.push((l + 1.772 * u + 0.5) as u8);
            }
        }
        out
    }
}

fn chroma_of(tag: &str) -> Result<Chroma, Error> {
    match tag {
        "mono" => Ok(None),
        "444" => Ok(Some((1, 1))),
        "422" => Ok(Some((2, 1))),
        "411" => Ok(Some((4, 1))),
        "420" | "420jpeg" | "420mpeg2" | "420paldv" => Ok(Some((2, 2))),
        other => Err(Error::Video(format!(
            "its colour format {other} is not supported: convert it to 8 bits (420, 422, 444 or mono)"
        ))),
    }
}

/// A line without its end; `None` at the end of the file.
fn line(file: &mut BufReader<File>) -> Result<Option<String>, Error> {
    let mut bytes = Vec::new();
    let read = file.take(MAX_LINE).read_until(b'\n', &mut bytes);
    read.map_err(|e| Error::Video(e.to_string()))?;
    if bytes.is_empty() {
        return Ok(None);
    }
    if bytes.pop() != Some(b'\n') {
        return Err(Error::Video("a header is cut short".to_owned()));
    }
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

impl FrameSource for Y4mFrames {
    fn len(&self) -> usize {
        self.index.len()
    }

    fn size(&self) -> ImageSize {
        self.size
    }

    fn read(&mut self, index: usize) -> FrameFuture<'_> {
        Box::pin(async move { self.frame(index) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clip.y4m");
        std::fs::write(&path, bytes).unwrap();
        (folder, path)
    }

    #[test]
    fn frames_of_odd_sizes_are_found_and_coloured() {
        // 3 x 1, chroma 2 x 1; the first frame black and white and grey, the second red.
        let mut bytes = b"YUV4MPEG2 W3 H1 F30000:1001 Ip C420jpeg\n".to_vec();
        bytes.extend(b"FRAME\n");
        bytes.extend([16, 235, 126, 128, 128, 128, 128]);
        bytes.extend(b"FRAME Ip\n");
        bytes.extend([81, 81, 81, 90, 90, 240, 240]);
        let (_folder, path) = file(&bytes);
        let mut frames = Y4mFrames::open(&path, VideoLimits::default()).unwrap();
        assert_eq!(
            (frames.len(), frames.size()),
            (
                2,
                ImageSize {
                    width: 3,
                    height: 1
                }
            )
        );
        assert!((frames.fps().unwrap() - 29.97).abs() < 0.01);
        assert_eq!(
            frames.frame(1).unwrap().row(0),
            [254, 0, 0, 254, 0, 0, 254, 0, 0]
        );
        assert_eq!(
            frames.frame(0).unwrap().row(0),
            [0, 0, 0, 255, 255, 255, 128, 128, 128]
        );
        assert!(frames.frame(2).is_err());
        let limits = VideoLimits {
            max_frames: 1,
            ..VideoLimits::default()
        };
        let frames = Y4mFrames::open(&path, limits).unwrap();
        assert_eq!((frames.len(), frames.found()), (1, 2));
    }

    #[test]
    fn hostile_files_are_errors() {
        let refused = |bytes: &[u8]| {
            let (_folder, path) = file(bytes);
            Y4mFrames::open(&path, VideoLimits::default())
                .unwrap_err()
                .code()
        };
        assert_eq!(
            refused(b"YUV4MPEG2 W99999999 H99999999 C444\nFRAME\n"),
            "unsupported_video"
        );
        assert_eq!(refused(b"YUV4MPEG2 W4 H4"), "unsupported_video");
        assert_eq!(refused(b"YUV4MPEG2 W4 H4\n"), "unsupported_video");
        assert_eq!(
            refused(b"YUV4MPEG2 W2 H1 C420p10\nFRAME\n"),
            "unsupported_video"
        );
        assert_eq!(
            refused(b"YUV4MPEG2 W2 H1 Cmono\nXX\nab"),
            "unsupported_video"
        );
        // The last frame is cut short: the ones before it can be read.
        let (_folder, path) = file(b"YUV4MPEG2 W2 H1 Cmono\nFRAME\nabFRAME\na");
        let mut frames = Y4mFrames::open(&path, VideoLimits::default()).unwrap();
        assert!(frames.frame(0).is_ok());
        assert!(frames.frame(1).unwrap_err().to_string().contains("frame 1"));
        // The same where a header is damaged, or cut short.
        for end in ["XX\n", "FRAM"] {
            let bytes = format!("YUV4MPEG2 W2 H1 Cmono\nFRAME\nabFRAME\ncd{end}");
            let (_folder, path) = file(bytes.as_bytes());
            let mut frames = Y4mFrames::open(&path, VideoLimits::default()).unwrap();
            assert_eq!((frames.len(), frames.found()), (3, 3));
            assert!(frames.frame(1).is_ok());
            for _ in 0..2 {
                let error = frames.frame(2).unwrap_err().to_string();
                assert!(error.contains("frame 2"), "{error}");
            }
            let limits = VideoLimits {
                max_frames: 2,
                ..VideoLimits::default()
            };
            let frames = Y4mFrames::open(&path, limits).unwrap();
            assert_eq!(frames.len(), 2, "what is not used may be damaged");
        }
    }
}
