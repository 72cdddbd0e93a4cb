//! Prompts: adding, replacing, clearing; objects: adding, removing.

use super::VideoPredictor;
use super::mask_prompt::to_model_size;
use super::network::PromptInput;
use super::output::FrameMasks;
use super::state::{Object, ObjectId, Output, PromptRole};
use crate::{Error, Prompt};
use sam2_image::Mask;
use std::collections::BTreeSet;

/// Largest number of objects in one video.
const MAX_OBJECTS: usize = 1024;

/// Clicks and a box on one frame, in pixels of the video (`add_new_points_or_box`).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct VideoPrompt {
    /// (x, y).
    pub points: Vec<[f32; 2]>,
    /// 1 foreground, 0 background; one per point.
    pub labels: Vec<i32>,
    /// (x0, y0, x1, y1).
    pub bounding_box: Option<[f32; 4]>,
    /// Adds the points to those of an earlier prompt on the same frame, instead of replacing them
    /// (`clear_old_points=False`). Not with a box, which comes before all points.
    pub keep_old_points: bool,
}

impl VideoPrompt {
    /// One positive click.
    pub fn click(x: f32, y: f32) -> Self {
        Self {
            points: vec![[x, y]],
            labels: vec![1],
            ..Self::default()
        }
    }

    /// A box.
    pub fn boxed(x0: f32, y0: f32, x1: f32, y1: f32) -> Self {
        Self {
            bounding_box: Some([x0, y0, x1, y1]),
            ..Self::default()
        }
    }
}

impl VideoPredictor {
    /// Points, a box, or both for `object` on `frame`; an object that is not known is added, at any
    /// time. A second prompt on the same frame replaces the points of the first and goes in together
    /// with its logits. On a frame that a pass went over, the prompt corrects what was tracked; whether
    /// the next pass over the frame keeps that is
    /// [`VideoOptions::add_all_frames_to_correct_as_cond`](super::VideoOptions).
    ///
    /// Answers with the masks of all objects on the frame; on an error nothing has changed.
    ///
    /// # Errors
    /// A frame that the video does not have, a prompt outside the picture or without anything in it;
    /// a frame that cannot be read; [`Error::Fault`] as [`crate::ImagePredictor::predict`].
    pub async fn add_new_points_or_box(
        &mut self,
        frame: usize,
        object: ObjectId,
        prompt: &VideoPrompt,
    ) -> Result<FrameMasks, Error> {
        self.check_frame(frame)?;
        if prompt.keep_old_points && prompt.bounding_box.is_some() {
            let text = "a box cannot be added to earlier points, it has to come before them: give the \
                        points again together with the box";
            return Err(Error::Prompt(text.to_owned()));
        }
        let still = Prompt {
            points: prompt.points.clone(),
            labels: prompt.labels.clone(),
            bounding_box: prompt.bounding_box,
            ..Prompt::default()
        };
        let mut points = still.to_model(self.size, self.model.config().image_size)?;
        let index = self.objects.iter().position(|o| o.id == object);
        let role = self.role(index, frame)?;
        let mut previous = None;
        if let Some(known) = index.map(|index| &self.objects[index]) {
            if prompt.keep_old_points
                && let Some(old) = known.points.get(&frame)
            {
                points.splice(0..0, old.iter().copied());
            }
            let latest = known.temp.of(role.is_cond).get(&frame);
            previous = latest
                .or_else(|| known.outputs.get(frame))
                .and_then(|o| self.pred_masks(o));
        }
        // Clamped as the official code does it, against rare numerical trouble.
        let previous =
            previous.map(|logits| logits.into_iter().map(|v| v.clamp(-32.0, 32.0)).collect());
        let input = PromptInput::Points {
            points: points.clone(),
            previous,
        };
        let output = self
            .answer_prompt(frame, (object, index), role, &input)
            .await?;
        self.look_at(frame).await?;
        self.commit(frame, object, role, output, |object| {
            object.points.insert(frame, points);
            object.masks.remove(&frame);
        })
    }

    /// A mask for `object` on `frame`, of the video's size or any other (it is resized). An empty mask
    /// says that the object is not there.
    ///
    /// # Errors
    /// As [`VideoPredictor::add_new_points_or_box`].
    pub async fn add_new_mask(
        &mut self,
        frame: usize,
        object: ObjectId,
        mask: &Mask,
    ) -> Result<FrameMasks, Error> {
        self.check_frame(frame)?;
        if mask.width() == 0 || mask.height() == 0 {
            return Err(Error::Prompt(
                "the mask has no pixels: both sides must be at least 1".into(),
            ));
        }
        let index = self.objects.iter().position(|o| o.id == object);
        let role = self.role(index, frame)?;
        let input = PromptInput::Mask(to_model_size(mask, self.model.config().image_size)?);
        let output = self
            .answer_prompt(frame, (object, index), role, &input)
            .await?;
        self.look_at(frame).await?;
        self.commit(frame, object, role, output, |object| {
            object.masks.insert(frame);
            object.points.remove(&frame);
        })
    }

    /// Removes what `object` was prompted with on `frame`. What a pass found there stays, as an
    /// ordinary frame. No pass tracks the frames of a live video anew: there, what was tracked with the
    /// prompt goes with it, the frame may be long gone, and the object goes on from its other prompts.
    ///
    /// # Errors
    /// An unknown object, a frame that the video does not have.
    pub fn clear_all_prompts_in_frame(
        &mut self,
        frame: usize,
        object: ObjectId,
    ) -> Result<FrameMasks, Error> {
        self.check_number(frame)?;
        let index = self.index_of(object)?;
        if self.clear(frame, index) {
            self.results.remove(&(frame, object));
        }
        self.consolidated(frame)
    }

    /// Removes an object and everything known of it. Answers with the frames on which it was prompted,
    /// as they are without it; the other objects keep their memories.
    ///
    /// # Errors
    /// An unknown object.
    pub fn remove_object(&mut self, object: ObjectId) -> Result<Vec<FrameMasks>, Error> {
        let index = self.index_of(object)?;
        if self.objects.len() == 1 {
            self.reset_state();
            return Ok(Vec::new());
        }
        let removed = self.objects.remove(index);
        self.results.retain(|(_, id), _| *id != object);
        let frames: BTreeSet<usize> = removed
            .points
            .keys()
            .chain(&removed.masks)
            .copied()
            .collect();
        frames
            .into_iter()
            .map(|frame| self.consolidated(frame))
            .collect()
    }

    /// Removes all objects, prompts and results. Features of frames stay cached.
    pub fn reset_state(&mut self) {
        self.objects.clear();
        self.results.clear();
    }

    fn check_number(&self, frame: usize) -> Result<(), Error> {
        let frames = self.num_frames();
        if frame >= frames {
            let text = format!(
                "frame {frame} is not in the video, which has {frames} frames, counted from 0"
            );
            return Err(Error::Prompt(text));
        }
        Ok(())
    }

    /// A frame that can be prompted.
    fn check_frame(&self, frame: usize) -> Result<(), Error> {
        self.check_number(frame)?;
        if !self.frames.can_read(frame) {
            let text = format!(
                "frame {frame} of the live video is gone: prompt one of the latest frames, from {} on",
                self.oldest_frame()
            );
            return Err(Error::Prompt(text));
        }
        Ok(())
    }

    /// How a prompt is taken; of a new object as its first.
    fn role(&self, index: Option<usize>, frame: usize) -> Result<PromptRole, Error> {
        let add_all = self.options.add_all_frames_to_correct_as_cond
            || self.model.config().add_all_frames_to_correct_as_cond;
        match index {
            Some(index) => Ok(self.objects[index].prompt_role(frame, add_all)),
            None if self.objects.len() >= MAX_OBJECTS => Err(Error::Prompt(format!(
                "a video takes at most {MAX_OBJECTS} objects"
            ))),
            None => Ok(Object::new(0).prompt_role(frame, add_all)),
        }
    }

    /// Stores the answer to a prompt, adding the object where it is new.
    fn commit(
        &mut self,
        frame: usize,
        id: ObjectId,
        role: PromptRole,
        output: Output,
        note: impl FnOnce(&mut Object),
    ) -> Result<FrameMasks, Error> {
        let index = match self.objects.iter().position(|o| o.id == id) {
            Some(index) => index,
            None => {
                self.objects.push(Object::new(id));
                self.objects.len() - 1
            }
        };
        let object = &mut self.objects[index];
        note(object);
        object.temp.of_mut(role.is_cond).insert(frame, output);
        if role.is_cond {
            // The next pass would drop it for this one; until then the latest answer is the one shown.
            object.temp.non_cond.shift_remove(&frame);
        }
        self.consolidated(frame)
    }

    /// The forgetting half of `clear_all_prompts_in_frame`. Whether an answer that no pass has taken over
    /// went with it: the mask that is kept is that one then.
    fn clear(&mut self, frame: usize, index: usize) -> bool {
        let live = self.frames.clip_len().is_none();
        let object = &mut self.objects[index];
        object.points.remove(&frame);
        object.masks.remove(&frame);
        let answers = [
            object.temp.cond.shift_remove(&frame),
            object.temp.non_cond.shift_remove(&frame),
        ];
        if let Some(output) = object.outputs.cond.shift_remove(&frame) {
            if live {
                object.outputs.non_cond.retain(|at, _| *at < frame);
                return true;
            }
            // Not a conditioning frame any more; its output is an ordinary one.
            object.outputs.non_cond.insert(frame, output);
            object.tracked.remove(&frame);
        }
        answers.iter().any(Option::is_some)
    }
}
