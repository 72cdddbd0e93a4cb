//! A prompt of a request, checked before it waits for the network.

use super::args::Limits;
use super::error::ApiError;
use super::live;
use super::session::VideoSession;
use sam2::block_on;
use sam2::image::{ImageSize, Mask, Rle};
use sam2::video::{ObjectId, VideoPredictor, VideoPrompt};
use serde::Deserialize;

/// COCO run lengths.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Segmentation {
    /// Height, width.
    pub size: [usize; 2],
    pub counts: String,
}

/// Points with labels, a box, both, or a mask; in pixels of the video.
#[derive(Debug, Default)]
pub struct Prompt {
    pub frame: usize,
    pub object: ObjectId,
    pub points: Vec<[f32; 2]>,
    pub labels: Vec<i32>,
    pub bounding_box: Option<[f32; 4]>,
    pub mask: Option<Segmentation>,
    /// Together with the points that the object has on the frame.
    pub keep_old_points: bool,
}

/// A prompt that can be given to the predictor.
#[derive(Debug)]
pub struct Checked {
    pub frame: usize,
    pub object: ObjectId,
    what: What,
}

#[derive(Debug)]
enum What {
    Points(VideoPrompt),
    Mask(Mask),
}

impl Prompt {
    /// What can be refused without the video; the predictor checks the rest.
    ///
    /// # Errors
    /// [`ApiError::Engine`] with `bad_prompt`.
    pub fn check(self, session: &VideoSession, limits: &Limits) -> Result<Checked, ApiError> {
        let nothing = || bad("there is no frame to prompt yet: push one first".to_owned());
        let size = session.size().ok_or_else(nothing)?;
        let Self {
            frame,
            object,
            points,
            labels,
            bounding_box,
            mask,
            keep_old_points,
        } = self;
        if points.len() > limits.points {
            let (given, most) = (points.len(), limits.points);
            return Err(bad(format!(
                "{given} points are more than a prompt takes, {most}"
            )));
        }
        let what = match mask {
            Some(_) if !points.is_empty() || bounding_box.is_some() => {
                return Err(bad("a mask stands alone, without points and box".to_owned()));
            }
            Some(mask) => What::Mask(decode(&mask, size)?),
            None => What::Points(VideoPrompt {
                points,
                labels,
                bounding_box,
                keep_old_points,
            }),
        };
        Ok(Checked {
            frame,
            object,
            what,
        })
    }
}

/// SECURITY: the size is compared before anything of it is allocated.
fn decode(mask: &Segmentation, size: ImageSize) -> Result<Mask, ApiError> {
    let [height, width] = mask.size;
    if (width, height) != (size.width, size.height) {
        return Err(bad(format!(
            "the mask is {width} x {height}, the video {} x {}",
            size.width, size.height
        )));
    }
    let rle = Rle::from_string(height, width, &mask.counts).map_err(sam2::Error::from)?;
    Ok(rle.to_mask())
}

fn bad(text: String) -> ApiError {
    ApiError::Engine(sam2::Error::Prompt(text))
}

impl Checked {
    /// Gives it to the predictor, on the inference thread.
    ///
    /// # Errors
    /// What the predictor reports; [`ApiError::Conflict`] beyond the objects of a session, and beyond the
    /// prompts of a live one.
    pub fn apply(
        &self,
        video: &mut VideoPredictor,
        session: &VideoSession,
        limits: &Limits,
    ) -> Result<(), ApiError> {
        let most = limits.objects;
        let objects = video.object_ids();
        if !objects.contains(&self.object) && objects.len() >= most {
            let text = format!("a session takes {most} objects, remove one first");
            return Err(ApiError::Conflict(text));
        }
        if session.live {
            live::room_for(self, video, limits)?;
        }
        let masks = match &self.what {
            What::Points(prompt) => {
                block_on(video.add_new_points_or_box(self.frame, self.object, prompt))?
            }
            What::Mask(mask) => block_on(video.add_new_mask(self.frame, self.object, mask))?,
        };
        session.keep(&masks);
        Ok(())
    }
}
