//! What is known of the objects (the official `inference_state`).

use super::sealed::SealedMemory;
use half::f16;
use indexmap::IndexMap;
use sam2_model::sam::prompt_encoder::PromptPoint;
use sam2_model::sam2_base::heads::ObjectAnswer;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// The caller's name for an object.
pub type ObjectId = u32;

/// Low-resolution logits `[S / 4, S / 4]`, as the decoder or a mask prompt gave them.
#[derive(Debug, Clone)]
pub(super) enum Logits {
    Full(Vec<f32>),
    /// Under memory pressure.
    Half(Vec<f16>),
    /// Under more of it: only the pointer is left.
    Dropped,
}

impl Logits {
    pub fn values(&self) -> Option<Cow<'_, [f32]>> {
        match self {
            Self::Full(values) => Some(Cow::Borrowed(values)),
            Self::Half(values) => Some(values.iter().map(|v| v.to_f32()).collect()),
            Self::Dropped => None,
        }
    }

    pub fn bytes(&self) -> usize {
        match self {
            Self::Full(values) => values.len() * 4,
            Self::Half(values) => values.len() * 2,
            Self::Dropped => 0,
        }
    }
}

/// One object on one frame.
#[derive(Debug, Clone)]
pub(super) struct Output {
    /// Before holes are filled: a tracked frame is remembered unfilled, but shown filled.
    pub logits: Logits,
    /// `[1, HW, D]`, a cache: made from the frame's features and the logits.
    pub memory: Option<SealedMemory>,
    /// Prompted by the person: the memory is made of the filled mask, cut at 0 where the model says so.
    pub is_mask_from_pts: bool,
    /// `[C]`.
    pub obj_ptr: Vec<f32>,
    pub object_score: f32,
    pub iou: f32,
}

impl Output {
    pub fn new(answer: ObjectAnswer, is_mask_from_pts: bool) -> Self {
        Self {
            logits: Logits::Full(answer.logits),
            memory: None,
            is_mask_from_pts,
            obj_ptr: answer.obj_ptr,
            object_score: answer.object_score,
            iou: answer.iou,
        }
    }

    pub fn bytes(&self) -> usize {
        let memory = self.memory.as_ref().map_or(0, |memory| {
            memory.tensor.dims().iter().product::<usize>() * 4
        });
        memory + self.logits.bytes()
    }
}

/// Outputs of one object: conditioning frames in the order they were added (as Python's dict keeps
/// them), and the others.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    pub cond: IndexMap<usize, Output>,
    pub non_cond: IndexMap<usize, Output>,
}

impl Outputs {
    pub fn of(&self, cond: bool) -> &IndexMap<usize, Output> {
        if cond { &self.cond } else { &self.non_cond }
    }

    pub fn of_mut(&mut self, cond: bool) -> &mut IndexMap<usize, Output> {
        if cond {
            &mut self.cond
        } else {
            &mut self.non_cond
        }
    }

    /// The output on a frame, a conditioning one first.
    pub fn get(&self, frame: usize) -> Option<&Output> {
        self.cond.get(&frame).or_else(|| self.non_cond.get(&frame))
    }
}

/// One object.
#[derive(Debug)]
pub(super) struct Object {
    pub id: ObjectId,
    /// Clicks and boxes, in pixels of the model's input (`point_inputs_per_obj`).
    pub points: BTreeMap<usize, Vec<PromptPoint>>,
    /// Frames with a mask prompt (`mask_inputs_per_obj`).
    pub masks: BTreeSet<usize>,
    /// `output_dict_per_obj`.
    pub outputs: Outputs,
    /// Answers to prompts since the last pass (`temp_output_dict_per_obj`).
    pub temp: Outputs,
    /// Frames that a pass went over, and whether it went backward (`frames_tracked_per_obj`).
    pub tracked: BTreeMap<usize, bool>,
}

impl Object {
    pub fn new(id: ObjectId) -> Self {
        Self {
            id,
            points: BTreeMap::new(),
            masks: BTreeSet::new(),
            outputs: Outputs::default(),
            temp: Outputs::default(),
            tracked: BTreeMap::new(),
        }
    }

    /// How a prompt on `frame` is taken.
    pub fn prompt_role(&self, frame: usize, add_all_as_cond: bool) -> PromptRole {
        let tracked = self
            .tracked
            .get(&frame)
            .filter(|_| !self.outputs.cond.is_empty());
        PromptRole {
            is_init_cond_frame: tracked.is_none(),
            reverse: tracked.copied().unwrap_or(false),
            is_cond: tracked.is_none() || add_all_as_cond,
        }
    }

    /// All outputs, those of prompts since the last pass too.
    pub fn all_outputs(&self) -> impl Iterator<Item = &Output> {
        [&self.outputs, &self.temp]
            .into_iter()
            .flat_map(|outputs| outputs.cond.values().chain(outputs.non_cond.values()))
    }

    /// As [`Object::all_outputs`].
    pub fn all_outputs_mut(&mut self) -> impl Iterator<Item = &mut Output> {
        let outputs = self
            .outputs
            .cond
            .values_mut()
            .chain(self.outputs.non_cond.values_mut());
        outputs
            .chain(self.temp.cond.values_mut())
            .chain(self.temp.non_cond.values_mut())
    }
}

/// How a prompt is taken: a frame not tracked before is segmented without memory and conditions the
/// others; on a tracked frame the prompt corrects it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PromptRole {
    pub is_init_cond_frame: bool,
    /// The direction in which the frame was tracked.
    pub reverse: bool,
    /// Where the answer is kept.
    pub is_cond: bool,
}
