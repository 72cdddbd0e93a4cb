//! What tracking remembers: which memories a frame needs, making them, and making them again.

use super::VideoPredictor;
use super::sealed::{SealedFeatures, SealedMemory};
use super::state::{Object, Output};
use crate::Error;
use crate::checked::verify;
#[cfg(feature = "fault-injection")]
use crate::inject::{self, Site};
use sam2_image::fill_holes_in_mask_scores;
use sam2_model::sam2_base::memory::ObjectMemory;
use sam2_model::sam2_base::plan::{MemoryPlan, Outputs as PlanOutputs, Slot, plan_memory};
use web_time::Instant;

impl VideoPredictor {
    /// The memory plan of an object for a frame; every memory in it is there.
    pub(super) async fn plan(
        &mut self,
        index: usize,
        frame: usize,
        reverse: bool,
    ) -> Result<MemoryPlan, Error> {
        let outputs = &self.objects[index].outputs;
        let cond: Vec<usize> = outputs.cond.keys().copied().collect();
        let non_cond = |t: usize| outputs.non_cond.contains_key(&t);
        let outputs = PlanOutputs {
            cond: &cond,
            non_cond: &non_cond,
        };
        let frames = self.frames.clip_len();
        let mut plan = plan_memory(&self.model.base().config, frame, frames, reverse, &outputs);
        let mut kept = Vec::with_capacity(plan.frames.len());
        for (t_pos, slot) in plan.frames {
            if self.recall(index, slot).await? {
                kept.push((t_pos, slot));
            }
        }
        plan.frames = kept;
        Ok(plan)
    }

    /// Makes the memory of one output where it is not cached. `false` where nothing is left to make it
    /// of: logits dropped under memory pressure, or a live frame long gone.
    async fn recall(&mut self, index: usize, slot: Slot) -> Result<bool, Error> {
        let output = |object: &Object| object.outputs.of(slot.cond).get(&slot.frame).cloned();
        let Some(mut output) = output(&self.objects[index]) else {
            return Ok(false);
        };
        if output.memory.is_some() {
            return Ok(true);
        }
        let in_reach = self.frames.can_read(slot.frame) || self.features.get(slot.frame).is_some();
        if output.logits.values().is_none() || !in_reach {
            return Ok(false);
        }
        let features = self.features(slot.frame).await?;
        // Nothing else is computed from them now, so that no answer would tell.
        verify(self.model.runtime(), &features.input()).await?;
        self.remember(&features, std::slice::from_mut(&mut output))
            .await?;
        self.objects[index]
            .outputs
            .of_mut(slot.cond)
            .insert(slot.frame, output);
        Ok(true)
    }

    /// Runs the memory encoder for outputs of one frame, which are prompted all or none.
    pub(super) async fn remember(
        &mut self,
        features: &SealedFeatures,
        outputs: &mut [Output],
    ) -> Result<(), Error> {
        let start = Instant::now();
        let base = self.model.base();
        let prompted = outputs
            .first()
            .is_some_and(|output| output.is_mask_from_pts);
        let logits: Vec<Vec<f32>> = outputs
            .iter()
            .map(|output| match prompted {
                true => self.pred_masks(output),
                false => output.logits.values().map(|v| v.into_owned()),
            })
            .collect::<Option<_>>()
            .ok_or_else(|| Error::Video("logits vanished between two steps".to_owned()))?;
        let logits: Vec<&[f32]> = logits.iter().map(Vec::as_slice).collect();
        let scores: Vec<f32> = outputs.iter().map(|output| output.object_score).collect();
        let memories = base.encode_new_memory(features, &logits, &scores, prompted);
        let memories = SealedMemory::split(self.model.runtime(), &memories);
        for (output, memory) in outputs.iter_mut().zip(memories) {
            #[cfg(feature = "fault-injection")]
            let memory = {
                let kind = self.model.runtime().kind;
                let tensor = inject::tensor(kind, Site::Memory, memory.tensor.clone()).await?;
                memory.with_tensor(tensor)
            };
            output.memory = Some(memory);
        }
        self.stats.memories += outputs.len() as u64;
        self.stats.memory_encoding += start.elapsed();
        Ok(())
    }

    /// The official `pred_masks` of an output: its logits with small holes filled.
    pub(super) fn pred_masks(&self, output: &Output) -> Option<Vec<f32>> {
        let config = self.model.config();
        let mut logits = output.logits.values()?.into_owned();
        if config.fill_hole_area > 0 {
            let side = config.low_res_size();
            // Only a wrong length could fail, and the side is the model's own.
            if let Err(error) =
                fill_holes_in_mask_scores(&mut logits, (side, side), config.fill_hole_area)
            {
                tracing::error!(%error, "holes were not filled");
            }
        }
        Some(logits)
    }
}

/// `None` where a memory of the plan is not there.
pub(super) fn memory_of<'a>(object: &'a Object, plan: &MemoryPlan) -> Option<ObjectMemory<'a>> {
    let output = |slot: &Slot| object.outputs.of(slot.cond).get(&slot.frame);
    let frames = plan
        .frames
        .iter()
        .map(|(t_pos, slot)| Some((*t_pos, output(slot)?.memory.as_ref()?.tensor.clone())));
    let pointers = plan
        .pointers
        .iter()
        .map(|(d, slot)| Some((*d, output(slot)?.obj_ptr.as_slice())));
    Some(ObjectMemory {
        frames: frames.collect::<Option<_>>()?,
        pointers: pointers.collect::<Option<_>>()?,
    })
}
