//! Animated GIF, WebP and PNG, without another program.

use super::MAX_PIXELS;
#[cfg(not(target_family = "wasm"))]
use super::store::NextFrame;
use crate::Error;
use image::codecs::{gif::GifDecoder, png::PngDecoder, webp::WebPDecoder};
use image::{AnimationDecoder, Frame, ImageDecoder, ImageFormat, Limits, Rgba};
use sam2_image::RgbImage;
use std::io::{BufRead, Seek};
#[cfg(not(target_family = "wasm"))]
use std::{
    fs::File,
    io::BufReader,
    path::Path,
    sync::mpsc::{Receiver, sync_channel},
};

/// Gives the frames of an animation as a person sees them (each drawn over the ones before it; alpha is
/// then dropped), and their number per second where they are evenly spaced.
#[cfg(not(target_family = "wasm"))]
pub(super) fn animation(
    path: &Path,
    format: ImageFormat,
) -> Result<(NextFrame, Option<f64>), Error> {
    let (send, receive) = sync_channel(1);
    let path = path.to_owned();
    // The decoders' iterators cannot be sent to another thread, so they live on one of their own; it
    // ends with the last frame, or when nobody waits for frames any more.
    let thread = std::thread::Builder::new().name("sam2-animation".to_owned());
    thread
        .spawn(move || {
            let open = || {
                File::open(&path)
                    .map(BufReader::new)
                    .map_err(|e| Error::Video(e.to_string()))
            };
            let result = frames(&open, format, &mut |frame| send.send(Ok(frame)).is_ok());
            if let Err(error) = result {
                // Nobody left to tell is fine.
                let _ = send.send(Err(error));
            }
        })
        .map_err(|e| Error::Video(format!("cannot start a thread for decoding: {e}")))?;
    let receive: Receiver<Result<(RgbImage, Option<f64>), Error>> = receive;
    // The first frame says how long it stands.
    let mut first = receive.recv().ok();
    let fps = match &first {
        Some(Ok((_, fps))) => *fps,
        _ => None,
    };
    let next = move || {
        let frame = first.take().or_else(|| receive.recv().ok())?;
        Some(frame.map(|(image, _)| image))
    };
    Ok((Box::new(next), fps))
}

/// Decodes what `open` opens (anew each time) until `give` does not want more: a frame, and the frames
/// per second that its own time on the screen makes.
pub(super) fn frames<R: BufRead + Seek>(
    open: &dyn Fn() -> Result<R, Error>,
    format: ImageFormat,
    give: &mut dyn FnMut((RgbImage, Option<f64>)) -> bool,
) -> Result<(), Error> {
    match format {
        ImageFormat::Gif => each(checked(GifDecoder::new(open()?).map_err(bad)?)?, give),
        ImageFormat::WebP => {
            let decoder = checked(WebPDecoder::new(open()?).map_err(bad)?)?;
            match decoder.has_animation() {
                true => each(decoder, give),
                false => still(open()?, give),
            }
        }
        _ => {
            let decoder = checked(PngDecoder::new(open()?).map_err(bad)?)?;
            match decoder.is_apng().map_err(bad)? {
                true => each(decoder.apng().map_err(bad)?, give),
                false => still(open()?, give),
            }
        }
    }
}

/// Refuses a size beyond the limit before anything is allocated.
fn checked<D: ImageDecoder>(mut decoder: D) -> Result<D, Error> {
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(Error::Video(format!(
            "its frames are {width} x {height}, which is too large"
        )));
    }
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_PIXELS * 8);
    decoder.set_limits(limits).map_err(bad)?;
    Ok(decoder)
}

fn each<'a>(
    decoder: impl AnimationDecoder<'a>,
    give: &mut dyn FnMut((RgbImage, Option<f64>)) -> bool,
) -> Result<(), Error> {
    for frame in decoder.into_frames() {
        if !give(convert(&frame.map_err(bad)?)?) {
            break;
        }
    }
    Ok(())
}

/// A picture that does not move is a video of one frame.
fn still(
    mut file: impl BufRead,
    give: &mut dyn FnMut((RgbImage, Option<f64>)) -> bool,
) -> Result<(), Error> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)
        .map_err(|e| Error::Video(e.to_string()))?;
    let image = sam2_image::decode(&bytes, &Default::default())?;
    give((image, None));
    Ok(())
}

fn convert(frame: &Frame) -> Result<(RgbImage, Option<f64>), Error> {
    let (numerator, denominator) = frame.delay().numer_denom_ms();
    let seconds = f64::from(numerator) / f64::from(denominator.max(1)) / 1000.0;
    let fps = (seconds > 0.0).then(|| 1.0 / seconds);
    let buffer = frame.buffer();
    let mut data = Vec::with_capacity(buffer.len() / 4 * 3);
    for Rgba([r, g, b, _]) in buffer.pixels() {
        data.extend([*r, *g, *b]);
    }
    let image = RgbImage::from_rgb(buffer.width() as usize, buffer.height() as usize, data)?;
    Ok((image, fps))
}

fn bad(error: image::ImageError) -> Error {
    Error::Video(format!("it is damaged or cut short ({error})"))
}

#[cfg(test)]
mod tests {
    use crate::video::{VideoLimits, open_video};
    use image::codecs::gif::GifEncoder;
    use image::{Delay, Frame, Rgba, RgbaImage};
    use sam2_image::ImageSize;

    #[test]
    fn a_gif_is_read_without_ffmpeg_and_cut_short_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("moving.bin");
        let mut bytes = Vec::new();
        {
            let mut encoder = GifEncoder::new(&mut bytes);
            for i in 0..5_u8 {
                let image = RgbaImage::from_fn(12, 7, |x, _| {
                    Rgba(if x == u32::from(i) {
                        [255, 0, 0, 255]
                    } else {
                        [0, 0, 255, 255]
                    })
                });
                let delay = Delay::from_numer_denom_ms(100, 1);
                encoder
                    .encode_frame(Frame::from_parts(image, 0, 0, delay))
                    .unwrap();
            }
        }
        std::fs::write(&path, &bytes).unwrap();
        let mut video = open_video(
            &path,
            VideoLimits {
                max_dimension: 0,
                max_frames: 4,
            },
        )
        .unwrap();
        assert_eq!(video.source.len(), 4);
        assert_eq!(
            video.source.size(),
            ImageSize {
                width: 12,
                height: 7
            }
        );
        assert_eq!(video.fps, Some(10.0));
        assert_eq!(video.notes.len(), 1, "{:?}", video.notes);
        let frame = crate::block_on(video.source.read(3)).unwrap();
        assert_eq!(&frame.row(2)[9..12], [255, 0, 0]);
        assert_eq!(&frame.row(2)[..3], [0, 0, 255]);

        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        let mut video = open_video(&path, VideoLimits::default()).unwrap();
        let broken = video.source.len() - 1;
        assert!((1..5).contains(&broken), "{broken} whole frames");
        let whole = crate::block_on(video.source.read(broken - 1)).unwrap();
        assert_eq!(&whole.row(2)[3 * (broken - 1)..][..3], [255, 0, 0]);
        for _ in 0..2 {
            let error = crate::block_on(video.source.read(broken)).unwrap_err();
            assert_eq!(error.code(), "unsupported_video");
            let named = error.to_string().contains(&format!("frame {broken}"));
            assert!(named, "{error}");
        }
    }
}
