//! MJPEG: JPEG pictures one after the other in one file, read at offsets.

use super::open::{MAX_PIXELS, VideoLimits, fit};
use super::{FrameFuture, FrameSource, beyond, same_size, size_of};
use crate::Error;
use sam2_image::{DecodeLimits, ImageSize, RgbImage, decode};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// The frames of an MJPEG file. A single JPEG is a video of one frame.
#[derive(Debug)]
pub(super) struct MjpegFrames {
    file: File,
    /// Start and length of each picture.
    pictures: Vec<(u64, u64)>,
    size: ImageSize,
    found: usize,
    max_dimension: usize,
}

impl MjpegFrames {
    pub fn open(path: &Path, limits: VideoLimits) -> Result<Self, Error> {
        let io = |e: std::io::Error| Error::Video(e.to_string());
        let mut file = File::open(path).map_err(io)?;
        let mut pictures = index(&mut BufReader::with_capacity(1 << 16, &mut file)).map_err(io)?;
        let found = pictures.len();
        if limits.max_frames > 0 {
            pictures.truncate(limits.max_frames);
        }
        let size = ImageSize {
            width: 0,
            height: 0,
        };
        let mut frames = Self {
            file,
            pictures,
            size,
            found,
            max_dimension: limits.max_dimension,
        };
        frames.size = size_of(&frames.picture(0)?);
        Ok(frames)
    }

    pub fn found(&self) -> usize {
        self.found
    }

    fn picture(&mut self, index: usize) -> Result<RgbImage, Error> {
        let frames = self.pictures.len();
        let (start, length) = *self
            .pictures
            .get(index)
            .ok_or_else(|| beyond(index, frames))?;
        let named = |reason: String| Error::Video(format!("frame {index}: {reason}"));
        let mut bytes = Vec::new();
        self.file
            .seek(SeekFrom::Start(start))
            .and_then(|_| (&mut self.file).take(length).read_to_end(&mut bytes))
            .map_err(|e| named(e.to_string()))?;
        let limits = DecodeLimits {
            max_pixels: MAX_PIXELS,
            ..DecodeLimits::default()
        };
        decode(&bytes, &limits).map_err(|e| named(e.to_string()))
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
fn index(reader: &mut impl BufRead) -> std::io::Result<Vec<(u64, u64)>> {
    let mut bytes = Bytes {
        reader: reader.bytes(),
        at: 0,
    };
    let mut pictures = Vec::new();
    'pictures: while let Some(start) = bytes.find_start()? {
        loop {
            // After a segment, or in a scan: on to the next marker.
            let Some(marker) = bytes.next_marker()? else {
                // Cut short: what is there of the picture is the decoder's to refuse, by its number.
                pictures.push((start, bytes.at - start));
                break 'pictures;
            };
            match marker {
                0xd9 => break,
                0xd8 | 0x01 | 0xd0..=0xd7 | 0x00 => {}
                _ => bytes.skip_segment()?,
            }
        }
        pictures.push((start, bytes.at - start));
    }
    Ok(pictures)
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
        self.pictures.len()
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
