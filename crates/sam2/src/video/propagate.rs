//! Passes through the video (`propagate_in_video`).

use super::output::FrameMasks;
use super::{VideoPredictor, bank};
use crate::Error;
use std::ops::ControlFlow;

/// Where a pass begins, how far it goes, and in which direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PassOptions {
    /// The earliest prompted frame where `None`.
    pub start_frame_idx: Option<usize>,
    /// Frames *after* the first, as in the official code; all where `None`.
    pub max_frame_num_to_track: Option<usize>,
    /// Backward. From frame 0 there is nothing backward, not even frame 0.
    pub reverse: bool,
}

/// How a pass ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PassEnd {
    /// All its frames were tracked.
    Done,
    /// The caller stopped it; everything tracked stays, and a new pass from there goes on.
    Stopped,
}

/// A pass under way: [`VideoPredictor::start_pass`], then [`VideoPredictor::next_frame`] until `None`.
/// Prompts may be given in between; they count from the next pass on.
#[derive(Debug, Clone)]
pub struct Pass {
    next: Option<usize>,
    last: usize,
    reverse: bool,
    done: usize,
    total: usize,
}

impl Pass {
    /// Frames of the pass.
    pub fn total(&self) -> usize {
        self.total
    }

    /// Frames tracked so far.
    pub fn done(&self) -> usize {
        self.done
    }

    /// The frame that comes next.
    pub fn upcoming(&self) -> Option<usize> {
        self.next
    }

    /// The frames of a pass over a clip of `frames`, whose start is in it.
    fn new(start: usize, frames: usize, options: PassOptions) -> Self {
        let most = options.max_frame_num_to_track.unwrap_or(frames);
        let last = match options.reverse {
            true => start.saturating_sub(most),
            false => start.saturating_add(most).min(frames - 1),
        };
        let nothing = options.reverse && start == 0;
        Self {
            next: (!nothing).then_some(start),
            last,
            reverse: options.reverse,
            done: 0,
            total: if nothing { 0 } else { start.abs_diff(last) + 1 },
        }
    }

    fn advance(&mut self, frame: usize) {
        self.done += 1;
        self.next = match (frame == self.last, self.reverse) {
            (true, _) => None,
            (false, true) => Some(frame - 1),
            (false, false) => Some(frame + 1),
        };
    }
}

impl VideoPredictor {
    /// Tracks all objects through the frames of a pass and shows each to `on_frame`, which may stop it.
    ///
    /// # Errors
    /// As [`VideoPredictor::start_pass`] and [`VideoPredictor::next_frame`]; what was tracked before
    /// the error stays.
    pub async fn propagate_in_video(
        &mut self,
        options: PassOptions,
        on_frame: &mut dyn FnMut(&FrameMasks) -> ControlFlow<()>,
    ) -> Result<PassEnd, Error> {
        let mut pass = self.start_pass(options)?;
        while let Some(masks) = self.next_frame(&mut pass).await? {
            if on_frame(&masks).is_break() {
                return Ok(PassEnd::Stopped);
            }
        }
        Ok(PassEnd::Done)
    }

    /// Takes over the prompts given since the last pass (`propagate_in_video_preflight`) and begins
    /// another.
    ///
    /// # Errors
    /// No object, an object without a prompted frame, a start that the video does not have.
    pub fn start_pass(&mut self, options: PassOptions) -> Result<Pass, Error> {
        self.preflight()?;
        let frames = self.num_frames();
        let prompted = self
            .objects
            .iter()
            .flat_map(|object| object.outputs.cond.keys().copied());
        let start = options.start_frame_idx.or(prompted.min()).unwrap_or(0);
        if start >= frames {
            let text = format!(
                "a pass cannot start on frame {start}: the video has {frames} frames, counted from 0"
            );
            return Err(Error::Prompt(text));
        }
        Ok(Pass::new(start, frames, options))
    }

    /// Tracks the next frame of a pass; `None` at its end.
    ///
    /// # Errors
    /// A frame that cannot be read (the error names it); [`Error::Fault`] where no device gave an
    /// answer that passes the mask check. The frame can be tried again with the same pass.
    pub async fn next_frame(&mut self, pass: &mut Pass) -> Result<Option<FrameMasks>, Error> {
        let Some(frame) = pass.next else {
            return Ok(None);
        };
        match self.track_frame(frame, pass.reverse).await {
            Ok(masks) => {
                pass.advance(frame);
                Ok(Some(masks))
            }
            // The decoder came to the clip's end before the frames that its header promised.
            Err(_) if frame >= self.num_frames() => {
                pass.next = None;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// One frame of a pass: prompted objects keep their answer, the others are tracked.
    pub(super) async fn track_frame(
        &mut self,
        frame: usize,
        reverse: bool,
    ) -> Result<FrameMasks, Error> {
        // An object added since the pass began has no memory yet: it waits for the next pass.
        let ready = |index: &usize| !self.objects[*index].outputs.cond.is_empty();
        let objects: Vec<usize> = (0..self.objects.len()).filter(ready).collect();
        let prompted = |index: &usize| self.objects[*index].outputs.cond.contains_key(&frame);
        let tracked: Vec<usize> = objects.iter().copied().filter(|i| !prompted(i)).collect();
        if !tracked.is_empty() {
            self.track(frame, reverse, &tracked).await?;
        }
        for index in objects {
            if self.model.config().clear_non_cond_mem_around_input {
                self.clear_non_cond_mem_around(frame, index);
            }
            self.objects[index].tracked.insert(frame, reverse);
        }
        let config = self.model.config();
        let reach = config.memory_temporal_stride_for_eval * config.num_maskmem;
        bank::enforce(&mut self.objects, self.options.memory_bytes, frame, reach);
        self.look_at(frame).await?;
        self.tracked_masks(frame)
    }

    /// Moves the answers to prompts into the outputs that passes see. Their memories are made when a
    /// frame first looks at them: the official code makes them here, of the same logits.
    pub(super) fn preflight(&mut self) -> Result<(), Error> {
        if self.objects.is_empty() {
            let text = "nothing to track: prompt an object with points, a box or a mask first";
            return Err(Error::Prompt(text.to_owned()));
        }
        // Before anything is moved: a pass that is refused changes nothing.
        let idle = |o: &&super::state::Object| o.outputs.cond.is_empty() && o.temp.cond.is_empty();
        if let Some(object) = self.objects.iter().find(idle) {
            let text = format!(
                "object {} has no prompt: give it points, a box or a mask, or remove it",
                object.id
            );
            return Err(Error::Prompt(text));
        }
        let clear_around = self.model.config().clear_non_cond_mem_around_input;
        for index in 0..self.objects.len() {
            for is_cond in [false, true] {
                let temp = std::mem::take(self.objects[index].temp.of_mut(is_cond));
                for (frame, output) in temp {
                    self.objects[index]
                        .outputs
                        .of_mut(is_cond)
                        .insert(frame, output);
                    if clear_around {
                        self.clear_non_cond_mem_around(frame, index);
                    }
                }
            }
            let super::state::Outputs { cond, non_cond } = &mut self.objects[index].outputs;
            non_cond.retain(|frame, _| !cond.contains_key(frame));
        }
        Ok(())
    }

    /// What `_clear_non_cond_mem_around_input` means to do, for a prompted frame of one object.
    fn clear_non_cond_mem_around(&mut self, frame: usize, index: usize) {
        let config = self.model.config();
        let reach = config.memory_temporal_stride_for_eval * config.num_maskmem;
        let object = &mut self.objects[index];
        if object.outputs.cond.contains_key(&frame) {
            object
                .outputs
                .non_cond
                .retain(|at, _| at.abs_diff(frame) > reach);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(start: usize, n: usize, most: Option<usize>, reverse: bool) -> Vec<usize> {
        let options = PassOptions {
            start_frame_idx: None,
            max_frame_num_to_track: most,
            reverse,
        };
        let mut pass = Pass::new(start, n, options);
        let total = pass.total();
        let mut out = Vec::new();
        while let Some(frame) = pass.upcoming() {
            out.push(frame);
            pass.advance(frame);
        }
        assert_eq!((out.len(), pass.done()), (total, total));
        out
    }

    #[test]
    fn the_frames_of_a_pass_are_the_official_ones() {
        assert_eq!(frames(2, 5, None, false), [2, 3, 4]);
        assert_eq!(
            frames(2, 9, Some(3), false),
            [2, 3, 4, 5],
            "the first frame is not counted"
        );
        assert_eq!(frames(8, 9, None, false), [8]);
        assert_eq!(frames(3, 9, None, true), [3, 2, 1, 0]);
        assert_eq!(frames(11, 12, Some(3), true), [11, 10, 9, 8]);
        assert_eq!(
            frames(0, 9, None, true),
            [0; 0],
            "backward from frame 0 yields nothing"
        );
        assert_eq!(frames(4, 9, Some(0), false), [4]);
        assert_eq!(frames(0, 1, Some(usize::MAX), false), [0]);
    }
}
