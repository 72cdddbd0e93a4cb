//! MJPEG: JPEG pictures one after the other in one file, read at offsets.

use super::index::FrameIndex;
use super::open::VideoLimits;
use super::{FrameFuture, FrameSource, MAX_PIXELS, fit, same_size, size_of};
use crate::Error;
use sam2_image::{DecodeLimits, ImageSize, RgbImage, decode};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// The frames of an MJPEG file. A single JPEG is a video of one frame.
#[derive(Debug)]
pub(super) struct MjpegFrames {
    index: FrameIndex,
    size: ImageSize,
    max_dimension: usize,
}

impl MjpegFrames {
    pub fn open(path: &Path, limits: VideoLimits) -> Result<Self, Error> {
        let io = |e: std::io::Error| Error::Video(e.to_string());
        let file = BufReader::with_capacity(1 << 16, File::open(path).map_err(io)?);
        let mut index = FrameIndex::new(file, limits.max_frames);
        find(&mut index).map_err(io)?;
        let size = ImageSize {
            width: 0,
            height: 0,
        };
        let mut frames = Self {
            index,
            size,
            max_dimension: limits.max_dimension,
        };
        frames.size = size_of(&frames.picture(0)?);
        Ok(frames)
    }

    pub fn found(&self) -> usize {
        self.index.found()
    }

    fn picture(&mut self, index: usize) -> Result<RgbImage, Error> {
        let bytes = self.index.read(index)?;
        let limits = DecodeLimits {
            max_pixels: MAX_PIXELS,
            ..DecodeLimits::default()
        };
        decode(&bytes, &limits).map_err(|e| Error::Video(format!("frame {index}: {e}")))
    }

    fn frame(&mut self, index: usize) -> Result<RgbImage, Error> {
        let image = self.picture(index)?;
        same_size(&format!("frame {index}"), size_of(&image), self.size)?;
        Ok(fit(image, self.max_dimension))
    }
}

/// Finds the pictures: each from its start marker to its end marker. Segments before the scan carry
/// their length and are skipped whole (a thumbnail inside one has markers too); in the scan's data a
/// marker's first byte is always followed by 0 or a restart marker unless it is a real one.
fn find(index: &mut FrameIndex) -> std::io::Result<()> {
    let mut at = 0;
    while let Some((start, end)) = next_picture(index.file(), at)? {
        index.add(start, end - start);
        at = end;
    }
    Ok(())
}

/// Start and end of the first picture in what is left of a file, `at` bytes of which are read. One that
/// is cut short ends with the file: what is there of it is the decoder's to refuse, by its number.
fn next_picture(reader: &mut impl BufRead, at: u64) -> std::io::Result<Option<(u64, u64)>> {
    let mut bytes = Bytes {
        reader: reader.bytes(),
        at,
    };
    let Some(start) = bytes.find_start()? else {
        return Ok(None);
    };
    loop {
        // After a segment, or in a scan: on to the next marker.
        match bytes.next_marker()? {
            None | Some(0xd9) => return Ok(Some((start, bytes.at))),
            Some(0xd8 | 0x01 | 0xd0..=0xd7 | 0x00) => {}
            Some(_) => bytes.skip_segment()?,
        }
    }
}

struct Bytes<R: BufRead> {
    reader: std::io::Bytes<R>,
    at: u64,
}

impl<R: BufRead> Bytes<R> {
    fn next(&mut self) -> std::io::Result<Option<u8>> {
        let byte = self.reader.next().transpose()?;
        self.at += u64::from(byte.is_some());
        Ok(byte)
    }

    /// Where the next picture starts; padding before it is skipped.
    fn find_start(&mut self) -> std::io::Result<Option<u64>> {
        let mut previous = 0;
        while let Some(byte) = self.next()? {
            if (previous, byte) == (0xff, 0xd8) {
                return Ok(Some(self.at - 2));
            }
            previous = byte;
        }
        Ok(None)
    }

    /// The byte after the next run of 0xff.
    fn next_marker(&mut self) -> std::io::Result<Option<u8>> {
        let mut previous = 0;
        while let Some(byte) = self.next()? {
            if previous == 0xff && byte != 0xff {
                return Ok(Some(byte));
            }
            previous = byte;
        }
        Ok(None)
    }

    fn skip_segment(&mut self) -> std::io::Result<()> {
        let (Some(high), Some(low)) = (self.next()?, self.next()?) else {
            return Ok(());
        };
        for _ in 2..u16::from_be_bytes([high, low]) {
            if self.next()?.is_none() {
                break;
            }
        }
        Ok(())
    }
}

impl FrameSource for MjpegFrames {
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
    use image::ExtendedColorType;
    use image::codecs::jpeg::JpegEncoder;

    fn jpeg(grey: u8, width: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let data: Vec<u8> = (0..width * 9 * 3)
            .map(|i| grey.wrapping_add((i % 5) as u8))
            .collect();
        JpegEncoder::new_with_quality(&mut bytes, 90)
            .encode(&data, width, 9, ExtendedColorType::Rgb8)
            .unwrap();
        bytes
    }

    #[test]
    fn pictures_are_found_past_thumbnails_and_padding() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clip.mjpeg");
        let mut first = jpeg(40, 16);
        // An application segment with a whole JPEG inside, as cameras write thumbnails.
        let thumbnail = jpeg(0, 8);
        let mut segment = vec![0xff, 0xe1];
        segment.extend(((thumbnail.len() + 2) as u16).to_be_bytes());
        segment.extend(thumbnail);
        first.splice(2..2, segment);
        let bytes = [first, vec![0, 0], jpeg(120, 16), jpeg(200, 16)].concat();
        std::fs::write(&path, &bytes).unwrap();
        let mut frames = MjpegFrames::open(&path, VideoLimits::default()).unwrap();
        assert_eq!(
            (frames.len(), frames.size()),
            (
                3,
                ImageSize {
                    width: 16,
                    height: 9
                }
            )
        );
        for (index, grey) in [(2, 202), (0, 42), (1, 122)] {
            let pixel = frames.frame(index).unwrap().data()[0];
            assert!(pixel.abs_diff(grey) < 6, "{index}: {pixel}");
        }
        // Cut in the middle of the third: the first two can be read, the third is named.
        std::fs::write(&path, &bytes[..bytes.len() - 200]).unwrap();
        let mut frames = MjpegFrames::open(&path, VideoLimits::default()).unwrap();
        assert_eq!(frames.len(), 3);
        assert!(frames.frame(1).is_ok());
        let error = frames.frame(2).map(|f| f.data()[0]).unwrap_err();
        assert!(error.to_string().contains("frame 2"), "{error}");
    }

    #[test]
    fn frames_of_another_size_are_refused_by_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clip.mjpg");
        std::fs::write(&path, [jpeg(1, 16), jpeg(1, 24)].concat()).unwrap();
        let mut frames = MjpegFrames::open(&path, VideoLimits::default()).unwrap();
        let error = frames.frame(1).unwrap_err().to_string();
        assert!(
            error.contains("frame 1 is 24 x 9, the first frame 16 x 9"),
            "{error}"
        );
    }
}
