//! Live sessions: frames come one by one, each as the body of a request, and nobody knows how many.
//!
//! A frame is tracked before its answer, and the next one is taken after it: so frames have an order, a
//! client that is too fast for the network hears of it, and a session holds one frame that waits.

use super::Api;
use super::args::Limits;
use super::body::{Body, announced};
use super::error::ApiError;
use super::known::PlacedMask;
use super::open::blocking;
use super::prompt::Checked;
use super::registry::{Registry, short};
use super::session::VideoSession;
use sam2::image::{DecodeLimits, ImageError, ImageSize, RgbImage, decode};
use sam2::video::frames::{MAX_PIXELS, same_size};
use sam2::video::{LivePictures, VideoPredictor};
use sam2::{SharedModel, block_on};
use sam2_server::actix_web::{HttpRequest, web};
use std::sync::Arc;

/// Opens a live session. Its size comes with its first frame.
///
/// # Errors
/// [`ApiError::Busy`], [`ApiError::Engine`] for a model that cannot track.
pub fn open(api: &Api) -> Result<Arc<VideoSession>, ApiError> {
    let slot = api.registry.reserve()?;
    let id = Registry::new_id()?;
    // Nothing can be done with a video of no size but to push its first frame, which makes the real one.
    let nothing = ImageSize {
        width: 0,
        height: 0,
    };
    let video = predictor(&api.model, nothing, &api.limits)?;
    let session = Arc::new(VideoSession::new(id, (video, None, Vec::new()), None, slot));
    tracing::info!("session {}... begins: live", short(&session.id));
    api.registry.add(Arc::clone(&session));
    Ok(session)
}

fn predictor(
    model: &SharedModel,
    size: ImageSize,
    limits: &Limits,
) -> Result<VideoPredictor, sam2::Error> {
    let pictures = LivePictures {
        max_dimension: limits.video.max_dimension,
        bytes: limits.live.pictures,
    };
    VideoPredictor::live_within(Arc::clone(model), size, limits.live.caches, pictures)
}

/// Takes the next frame, a picture file as a request's body, and tracks the objects on it.
///
/// # Errors
/// [`ApiError::Conflict`] for a session on a file, and while another frame of the session is taken;
/// those of [`announced`] and [`Body::next`]; [`ApiError::Engine`] for a body that is no picture, or one
/// of another size than the first, and what tracking reports. After an error the frame was not taken.
pub async fn push(
    api: &web::Data<Api>,
    session: &Arc<VideoSession>,
    request: &HttpRequest,
    body: web::Payload,
) -> Result<(usize, Vec<PlacedMask>), ApiError> {
    if !session.live {
        let text =
            "this session is on a file and takes no frames: open a live one, {\"live\": true}";
        return Err(ApiError::Conflict(text.to_owned()));
    }
    announced(request, api.limits.frame)?;
    let _taking = session.begin_push()?;
    let bytes = Body::new(body, api.limits.frame).whole(&api.limits).await?;
    let size = session.size();
    let picture = blocking(move || Ok(read(&bytes, size)?)).await?;
    let shared = web::Data::clone(api);
    let pushed = api.engine.call(session, move |video, session| {
        if video.num_frames() == 0 {
            let (width, height) = (picture.width(), picture.height());
            *video = predictor(&shared.model, ImageSize { width, height }, &shared.limits)?;
        }
        let masks = block_on(video.push_frame(picture))?;
        session.keep(&masks);
        Ok((masks.frame, session.masks_on(masks.frame)))
    });
    pushed.await
}

/// Decodes a frame of a video of `size`, of any size where it is the first. Blocks.
///
/// SECURITY: what the header promises is held against that size before anything is allocated.
fn read(bytes: &[u8], size: Option<ImageSize>) -> Result<RgbImage, sam2::Error> {
    let fits = |width, height| match size {
        Some(size) => same_size("the frame", ImageSize { width, height }, size),
        None => Ok(()),
    };
    let available = sam2::memory::available();
    let mut limits = available.map_or_else(DecodeLimits::default, DecodeLimits::within);
    let most = size.map_or(MAX_PIXELS, |size| (size.width * size.height) as u64);
    limits.max_pixels = limits.max_pixels.min(most);
    let picture = decode(bytes, &limits);
    if let Err(ImageError::TooManyPixels { width, height, .. }) = &picture {
        // Where the size is right, memory is what lacks.
        fits(*width as usize, *height as usize)?;
    }
    let picture = picture?;
    fits(picture.width(), picture.height())?;
    Ok(picture)
}

/// Holds a prompt of a live session against what its prompts may take: prompted frames are kept, and
/// there is no end of frames.
///
/// # Errors
/// [`ApiError::Conflict`].
pub fn room_for(prompt: &Checked, video: &VideoPredictor, limits: &Limits) -> Result<(), ApiError> {
    let most = limits.live.caches.memory_bytes;
    let again = video.prompted_frames(prompt.object).contains(&prompt.frame);
    if again || video.held().prompted < most {
        return Ok(());
    }
    let mb = most.div_ceil(1 << 20);
    Err(ApiError::Conflict(format!(
        "the prompts of this session fill the {mb} MB that there are for them: clear prompts on older \
         frames, or remove an object"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_held_against_the_size_before_its_pixels_are_there() {
        let picture = RgbImage::from_rgb(4, 2, vec![0; 24]).unwrap();
        let png = picture.to_png().unwrap();
        let of = |width, height| Some(ImageSize { width, height });
        assert_eq!(read(&png, None).unwrap().width(), 4);
        assert!(read(&png, of(4, 2)).is_ok());
        // Fewer pixels, as many, more.
        for size in [of(2, 2), of(2, 4), of(40, 40)] {
            let error = read(&png, size).unwrap_err();
            assert_eq!(error.code(), "unsupported_video");
            assert!(error.to_string().contains("the frame is 4 x 2"), "{error}");
        }
        assert_eq!(read(b"GIF89a", None).unwrap_err().code(), "bad_image");
    }
}
