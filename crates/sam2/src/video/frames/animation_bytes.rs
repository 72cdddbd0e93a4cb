//! Animated GIF, WebP and PNG whose bytes are in memory: what the page opens, where there is no folder
//! to keep frames in.

use super::animation::frames;
use super::{FrameFuture, FrameSource, beyond, fit, same_size, size_of};
use crate::Error;
use image::ImageFormat;
use sam2_image::{ImageSize, RgbImage};
use std::collections::VecDeque;
use std::io::Cursor;
use std::sync::Arc;

/// Decoded frames that are kept. Passes go from frame to frame, so what is read next was mostly
/// decoded with the frame before it.
const CACHE_BYTES: usize = 64 << 20;

/// Frames of an animation, decoded again from the start where they are not cached: such files can only
/// be read in order. In both directions a pass decodes the file once per cache full of frames.
pub struct AnimationFrames {
    bytes: Arc<[u8]>,
    format: ImageFormat,
    max_dimension: usize,
    /// Frames that can be decoded.
    whole: usize,
    /// Why the one after them cannot.
    broken: Option<String>,
    size: ImageSize,
    /// Seconds that each whole frame stays, where the file says it.
    stays: Vec<Option<f64>>,
    more: bool,
    /// Neighbouring frames in order, the first with number `start`.
    cache: VecDeque<RgbImage>,
    start: usize,
    cache_bytes: usize,
}

impl std::fmt::Debug for AnimationFrames {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AnimationFrames({} frames, {:?})", self.len(), self.size)
    }
}

impl AnimationFrames {
    /// Can these bytes be an animation? Their beginning decides.
    pub fn recognises(bytes: &[u8]) -> bool {
        format_of(bytes).is_some()
    }

    /// Decodes the whole animation once, up to `max_frames` (0: all). Frames are made smaller until their
    /// longer side is at most `max_dimension` (0: never). A frame that is damaged loses nothing before it:
    /// it counts as the last one, and reading it is the error.
    ///
    /// # Errors
    /// [`Error::Video`] for another format, a damaged first frame, and frames too large.
    pub fn open(bytes: Arc<[u8]>, max_dimension: usize, max_frames: usize) -> Result<Self, Error> {
        Self::with_cache(bytes, max_dimension, max_frames, CACHE_BYTES)
    }

    fn with_cache(
        bytes: Arc<[u8]>,
        max_dimension: usize,
        max_frames: usize,
        cache_bytes: usize,
    ) -> Result<Self, Error> {
        let Some(format) = format_of(&bytes) else {
            let text = "this is no animated picture: use GIF, WebP or PNG";
            return Err(Error::Video(text.to_owned()));
        };
        let (mut whole, mut size, mut stays, mut more) = (0, None, Vec::new(), false);
        let mut wrong = None;
        let result = frames(&reader(&bytes), format, &mut |(image, fps)| {
            if max_frames > 0 && whole == max_frames {
                more = true;
                return false;
            }
            let first = *size.get_or_insert_with(|| size_of(&image));
            wrong = same_size(&format!("frame {whole}"), size_of(&image), first).err();
            if wrong.is_some() {
                return false;
            }
            stays.push(fps.map(|fps| 1.0 / fps));
            whole += 1;
            true
        });
        let damaged = |error| Error::Video(format!("frame {whole}: {error}"));
        let mut broken = wrong.or(result.map_err(damaged).err());
        let Some(size) = size else {
            let none = || Error::Video("the video has no frames".to_owned());
            return Err(broken.unwrap_or_else(none));
        };
        if broken.is_some() && max_frames > 0 && whole == max_frames {
            // The first frame that is not used.
            (broken, more) = (None, true);
        }
        Ok(Self {
            bytes,
            format,
            max_dimension,
            whole,
            broken: broken.map(|error| error.to_string()),
            size,
            stays,
            more,
            cache: VecDeque::new(),
            start: 0,
            cache_bytes,
        })
    }

    /// Frames per second, by the first frame that says how long it stays on the screen.
    pub fn fps(&self) -> Option<f64> {
        let stays = self.stays.iter().flatten().next()?;
        Some(1.0 / stays)
    }

    /// Seconds at which each frame comes on, and at last those at which the last one goes: one more than
    /// there are frames. `None` where a frame does not say how long it stays.
    pub fn times(&self) -> Option<Vec<f64>> {
        let mut stays: Vec<f64> = self.stays.iter().copied().collect::<Option<_>>()?;
        // A broken frame counts as the last one and says nothing.
        stays.resize(self.len(), stays.last().copied()?);
        let mut end = 0.0;
        let ends = stays.iter().map(|stay| {
            end += stay;
            end
        });
        Some(std::iter::once(0.0).chain(ends).collect())
    }

    /// Has the file more frames than are used?
    pub fn has_more(&self) -> bool {
        self.more
    }

    /// The frame from the cache, which is filled around it where it is not there.
    fn frame(&mut self, index: usize) -> Result<RgbImage, Error> {
        if index >= self.whole {
            return Err(match &self.broken {
                Some(reason) => Error::Video(reason.clone()),
                None => beyond(index, self.whole),
            });
        }
        let cached = |cache: &VecDeque<RgbImage>, start: usize| {
            cache.get(index.checked_sub(start)?).cloned()
        };
        if let Some(image) = cached(&self.cache, self.start) {
            return Ok(image);
        }
        // Going backward the frames before it are wanted next, going forward those after it.
        let backward = !self.cache.is_empty() && index < self.start;
        self.cache.clear();
        let (mut at, mut bytes) = (0, 0);
        let (cache, max_dimension, budget, last) = (
            &mut self.cache,
            self.max_dimension,
            self.cache_bytes,
            self.whole,
        );
        let mut start = 0;
        let result = frames(&reader(&self.bytes), self.format, &mut |(image, _)| {
            let number = at;
            at += 1;
            if number < index && !backward {
                return true;
            }
            let image = fit(image, max_dimension);
            bytes += image.data().len();
            if cache.is_empty() {
                start = number;
            }
            cache.push_back(image);
            while bytes > budget && cache.len() > 1 && start < index {
                bytes -= cache.pop_front().map_or(0, |old| old.data().len());
                start += 1;
            }
            // Up to the frame, and going forward as far as there is room.
            number < index || (!backward && bytes < budget && at < last)
        });
        self.start = start;
        result.map_err(|error| Error::Video(format!("frame {at}: {error}")))?;
        cached(&self.cache, self.start).ok_or_else(|| beyond(index, self.whole))
    }
}

fn format_of(bytes: &[u8]) -> Option<ImageFormat> {
    use ImageFormat::{Gif, Png, WebP};
    image::guess_format(bytes)
        .ok()
        .filter(|format| matches!(format, Gif | Png | WebP))
}

fn reader(bytes: &Arc<[u8]>) -> impl Fn() -> Result<Cursor<Arc<[u8]>>, Error> + use<> {
    let bytes = Arc::clone(bytes);
    move || Ok(Cursor::new(Arc::clone(&bytes)))
}

impl FrameSource for AnimationFrames {
    fn len(&self) -> usize {
        self.whole + usize::from(self.broken.is_some())
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
    use image::codecs::gif::GifEncoder;
    use image::{Delay, Frame, Rgba, RgbaImage};

    /// 12 x 7, frame `i` red in column `i`, 10 frames a second.
    fn gif(frames: u32) -> Arc<[u8]> {
        uneven_gif(frames, &|_| 100)
    }

    /// The same with the milliseconds that a frame stays.
    fn uneven_gif(frames: u32, stays: &dyn Fn(u32) -> u32) -> Arc<[u8]> {
        let mut bytes = Vec::new();
        let mut encoder = GifEncoder::new(&mut bytes);
        for i in 0..frames {
            let image = RgbaImage::from_fn(12, 7, |x, _| match x == i {
                true => Rgba([255, 0, 0, 255]),
                false => Rgba([0, 0, 255, 255]),
            });
            let delay = Delay::from_numer_denom_ms(stays(i), 1);
            let frame = Frame::from_parts(image, 0, 0, delay);
            encoder.encode_frame(frame).unwrap();
        }
        drop(encoder);
        bytes.into()
    }

    /// The column that is red in a frame.
    fn red(image: &RgbImage) -> Option<usize> {
        (0..image.width()).find(|x| image.row(3)[3 * x] == 255)
    }

    #[test]
    fn frames_come_in_any_order_with_a_cache_of_three() {
        let mut frames = AnimationFrames::with_cache(gif(10), 0, 0, 3 * 12 * 7 * 3).unwrap();
        assert_eq!(
            (frames.len(), frames.fps(), frames.has_more()),
            (10, Some(10.0), false)
        );
        let order = [0, 1, 2, 3, 9, 8, 7, 6, 5, 0, 4, 4, 9];
        for index in order {
            assert_eq!(
                red(&frames.frame(index).unwrap()),
                Some(index),
                "frame {index}"
            );
            assert!(
                frames.cache.len() <= 4,
                "{} frames cached",
                frames.cache.len()
            );
        }
        assert_eq!(frames.frame(10).unwrap_err().code(), "unsupported_video");
    }

    #[test]
    fn limits_hold_and_damage_is_named() {
        let mut few = AnimationFrames::open(gif(10), 6, 4).unwrap();
        assert_eq!((few.len(), few.has_more()), (4, true));
        assert_eq!((few.size().width, few.frame(1).unwrap().width()), (12, 6));
        let whole = gif(10);
        let cut: Arc<[u8]> = whole[..whole.len() / 2].into();
        let mut frames = AnimationFrames::open(Arc::clone(&cut), 0, 0).unwrap();
        let broken = frames.len() - 1;
        assert!((2..9).contains(&broken), "{broken} whole frames");
        // Backward and forward past the frames that are whole: what is broken stays the same.
        for index in [broken - 1, 0, broken, broken + 3, 1, broken] {
            match frames.frame(index) {
                Ok(image) => assert_eq!((red(&image), index < broken), (Some(index), true)),
                Err(error) => {
                    assert_eq!(error.code(), "unsupported_video");
                    let named = error.to_string().contains(&format!("frame {broken}"));
                    assert!(named && index >= broken, "{index}: {error}");
                }
            }
        }
        let few = AnimationFrames::open(cut, 0, broken).unwrap();
        assert_eq!((few.len(), few.has_more()), (broken, true));
        assert!(AnimationFrames::open(gif(3)[..20].into(), 0, 0).is_err());
        assert!(AnimationFrames::open(vec![0; 40].into(), 0, 0).is_err());
        assert!(!AnimationFrames::recognises(&[0xff, 0xd8, 0xff, 0xe0]));
    }
    #[test]
    fn frames_come_on_when_the_file_says() {
        let milliseconds = |frames: &AnimationFrames| {
            let times = frames.times()?;
            Some(times.iter().map(|s| (s * 1e3).round()).collect::<Vec<_>>())
        };
        let uneven = uneven_gif(4, &|i| [100, 30, 500, 20][i as usize]);
        let frames = AnimationFrames::open(Arc::clone(&uneven), 0, 0).unwrap();
        let expected = vec![0.0, 100.0, 130.0, 630.0, 650.0];
        assert_eq!(
            (milliseconds(&frames), frames.fps()),
            (Some(expected), Some(10.0))
        );
        let few = AnimationFrames::open(uneven, 0, 2).unwrap();
        assert_eq!(milliseconds(&few), Some(vec![0.0, 100.0, 130.0]));
        let silent = AnimationFrames::open(uneven_gif(3, &|i| 100 * i), 0, 0).unwrap();
        assert_eq!((milliseconds(&silent), silent.fps()), (None, Some(10.0)));
        let whole = gif(10);
        let cut = AnimationFrames::open(whole[..whole.len() / 2].into(), 0, 0).unwrap();
        assert_eq!(cut.times().unwrap().len(), cut.len() + 1);
    }
}
