//! A session without its frames, to go on with in another process.
//!
//! Memories are not part of it: they are made again of a frame's picture and its logits, as where they
//! were dropped. So what a restored session tracks is what the first one would have tracked.

use super::VideoPredictor;
use super::state::{Logits, Object, ObjectId, Output, Outputs};
use crate::Error;
use crate::prompt::label_from;
use half::f16;
use indexmap::IndexMap;
use sam2_image::Rle;
use sam2_model::sam::prompt_encoder::{PointLabel, PromptPoint};

/// All that a [`VideoPredictor`] knows of its objects.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SavedSession {
    /// In the order in which they were added.
    pub objects: Vec<SavedObject>,
    /// What [`VideoPredictor::mask`] gives.
    pub masks: Vec<(usize, ObjectId, Rle)>,
    /// Frames of the clip as far as was known: fewer than a file promises where its decoder came to the
    /// end before. A short clip's length is part of what the network is told.
    pub frames: Option<usize>,
}

/// A click, or a corner of a box: (x, y) in pixels of the model's input, and its label.
pub type SavedPoint = ([f32; 2], i32);

/// One object.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SavedObject {
    pub id: ObjectId,
    /// Clicks and boxes by frame.
    pub points: Vec<(usize, Vec<SavedPoint>)>,
    /// Frames with a mask prompt.
    pub masks: Vec<usize>,
    /// Frames that a pass went over, and whether it went backward.
    pub tracked: Vec<(usize, bool)>,
    pub outputs: Vec<SavedOutput>,
}

/// Where an output belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SavedRole {
    /// A conditioning frame.
    pub is_cond: bool,
    /// The answer to a prompt that no pass has seen yet.
    pub is_temp: bool,
    /// Prompted by a person.
    pub is_prompted: bool,
}

/// One object on one frame.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedOutput {
    pub frame: usize,
    pub role: SavedRole,
    /// `[S / 4, S / 4]`; none where they were dropped under memory pressure.
    pub logits: Option<Vec<f32>>,
    /// Whether the logits had become half floats.
    pub is_half: bool,
    /// `[C]`.
    pub obj_ptr: Vec<f32>,
    pub object_score: f32,
    pub iou: f32,
}

impl VideoPredictor {
    /// Everything known of the objects.
    pub fn save(&self) -> SavedSession {
        let masks = self.results.iter();
        SavedSession {
            objects: self.objects.iter().map(saved).collect(),
            masks: masks
                .map(|((frame, object), rle)| (*frame, *object, rle.clone()))
                .collect(),
            frames: self.frames.clip_len(),
        }
    }

    /// Goes on with a saved session of the same video and model; what this one knew is forgotten.
    ///
    /// # Errors
    /// [`Error::Video`] where the session cannot be one of this video and model; then nothing changes.
    pub fn restore(&mut self, session: SavedSession) -> Result<(), Error> {
        let config = self.model.config();
        let (logits, pointer) = (config.low_res_size().pow(2), config.hidden_dim());
        let here = self.num_frames();
        let frames = session.frames.unwrap_or(here).min(here);
        let wrong = |what: &str| {
            Error::Video(format!(
                "the saved session is of another video or model, or damaged: {what}"
            ))
        };
        for output in session.objects.iter().flat_map(|object| &object.outputs) {
            let values = output.logits.as_deref().unwrap_or_default();
            if output.frame >= frames {
                return Err(wrong("it has more frames"));
            }
            if output.logits.is_some() && values.len() != logits || output.obj_ptr.len() != pointer
            {
                return Err(wrong("its arrays are of another size"));
            }
            let mut all = values.iter().chain(&output.obj_ptr);
            if !all.all(|v| v.is_finite()) || !output.object_score.is_finite() {
                return Err(wrong("it holds values that are not finite"));
            }
        }
        let size = [self.size.height, self.size.width];
        if session
            .masks
            .iter()
            .any(|(frame, _, rle)| rle.size() != size || *frame >= frames)
        {
            return Err(wrong("its masks are of another size"));
        }
        let objects: Result<Vec<Object>, Error> =
            session.objects.into_iter().map(restored).collect();
        self.objects = objects?;
        self.frames.shorten(frames);
        let masks = session.masks.into_iter();
        self.results = masks
            .map(|(frame, object, rle)| ((frame, object), rle))
            .collect();
        Ok(())
    }
}

fn saved(object: &Object) -> SavedObject {
    let mut outputs = Vec::new();
    for (is_temp, part) in [(false, &object.outputs), (true, &object.temp)] {
        for is_cond in [true, false] {
            let of = part.of(is_cond).iter();
            outputs
                .extend(of.map(|(frame, output)| saved_output(*frame, output, is_cond, is_temp)));
        }
    }
    let points = object.points.iter().map(|(frame, points)| {
        let points = points.iter().map(|p| ([p.x, p.y], number_of(p.label)));
        (*frame, points.collect())
    });
    SavedObject {
        id: object.id,
        points: points.collect(),
        masks: object.masks.iter().copied().collect(),
        tracked: object
            .tracked
            .iter()
            .map(|(frame, reverse)| (*frame, *reverse))
            .collect(),
        outputs,
    }
}

fn saved_output(frame: usize, output: &Output, is_cond: bool, is_temp: bool) -> SavedOutput {
    SavedOutput {
        frame,
        role: SavedRole {
            is_cond,
            is_temp,
            is_prompted: output.is_mask_from_pts,
        },
        logits: output.logits.values().map(|values| values.into_owned()),
        is_half: matches!(output.logits, Logits::Half(_)),
        obj_ptr: output.obj_ptr.clone(),
        object_score: output.object_score,
        iou: output.iou,
    }
}

fn restored(saved: SavedObject) -> Result<Object, Error> {
    let mut object = Object::new(saved.id);
    for (frame, points) in saved.points {
        let points = points.into_iter().map(|([x, y], label)| {
            Ok(PromptPoint {
                x,
                y,
                label: label_from(label)?,
            })
        });
        object
            .points
            .insert(frame, points.collect::<Result<_, Error>>()?);
    }
    object.masks = saved.masks.into_iter().collect();
    object.tracked = saved.tracked.into_iter().collect();
    // In the order in which they were saved: that of conditioning frames counts.
    for output in saved.outputs {
        let SavedRole {
            is_cond,
            is_temp,
            is_prompted,
        } = output.role;
        let part: &mut Outputs = if is_temp {
            &mut object.temp
        } else {
            &mut object.outputs
        };
        let into: &mut IndexMap<usize, Output> = part.of_mut(is_cond);
        let logits = match output.logits {
            None => Logits::Dropped,
            Some(values) if output.is_half => {
                Logits::Half(values.into_iter().map(f16::from_f32).collect())
            }
            Some(values) => Logits::Full(values),
        };
        let restored = Output {
            logits,
            memory: None,
            is_mask_from_pts: is_prompted,
            obj_ptr: output.obj_ptr,
            object_score: output.object_score,
            iou: output.iou,
        };
        into.insert(output.frame, restored);
    }
    Ok(object)
}

/// The number that [`label_from`] reads.
fn number_of(label: PointLabel) -> i32 {
    match label {
        PointLabel::NotAPoint => -1,
        PointLabel::Background => 0,
        PointLabel::Foreground => 1,
        PointLabel::BoxTopLeft => 2,
        PointLabel::BoxBottomRight => 3,
    }
}
