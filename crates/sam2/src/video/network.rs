//! The network's part of a frame: features, tracking, and prompts (`_run_single_frame_inference`).

use super::VideoPredictor;
use super::remember::memory_of;
use super::sealed::{SealedFeatures, SealedMemory};
use super::state::{ObjectId, Output, PromptRole};
use crate::checked::{Answer, Input, Ladder, guarded, read_answer_of};
#[cfg(feature = "fault-injection")]
use crate::inject::{self, Site};
use crate::{Error, SharedModel};
use burn::tensor::Tensor;
use sam2_image::{resize_antialias, video_preprocess};
use sam2_model::ops::from_vec;
use sam2_model::sam::prompt_encoder::PromptPoint;
use sam2_model::sam2_base::heads::{MASK_PROMPT_LOGIT, SamHeads, TokenAnswers};
use sam2_model::sam2_base::memory::ObjectMemory;
use sam2_model::sam2_base::plan::{MemoryPlan, Slot};
use std::collections::BTreeMap;
use web_time::Instant;

/// A prompt on its way into the network.
#[derive(Debug, Clone)]
pub(super) enum PromptInput {
    /// In pixels of the model's input, and the low-resolution logits that go in with them.
    Points {
        points: Vec<PromptPoint>,
        previous: Option<Vec<f32>>,
    },
    /// At the model's input size, 0 or 1.
    Mask(Vec<f32>),
}

impl VideoPredictor {
    /// The features of a frame, from the cache or the image encoder (`_get_image_feature`).
    pub(super) async fn features(&mut self, frame: usize) -> Result<SealedFeatures, Error> {
        if let Some(features) = self.features.get(frame) {
            #[cfg(feature = "fault-injection")]
            let features = self.tampered(features, Site::CachedEmbedding).await?;
            return Ok(features);
        }
        let start = Instant::now();
        let picture = self.frames.read(frame).await?;
        let size = self.model.config().image_size;
        let input = video_preprocess(&picture, size);
        self.keep_picture(frame, &input)?;
        self.stats.reading += start.elapsed();
        let start = Instant::now();
        let base = self.model.base();
        let features = base.forward_image(from_vec(input, [1, 3, size, size], base.device()));
        self.stats.encoding += start.elapsed();
        self.stats.encodes += 1;
        let features = SealedFeatures::new(self.model.runtime(), features);
        #[cfg(feature = "fault-injection")]
        let features = self.tampered(features, Site::Embedding).await?;
        self.features.insert(frame, features.clone());
        Ok(features)
    }

    #[cfg(feature = "fault-injection")]
    async fn tampered(
        &self,
        mut features: SealedFeatures,
        site: Site,
    ) -> Result<SealedFeatures, Error> {
        let embed = features.embed.clone();
        *features.embed_mut() = inject::tensor(self.model.runtime().kind, site, embed).await?;
        Ok(features)
    }

    /// Forgets every tensor on the device; all can be made again from frames and logits.
    fn drop_device_state(&mut self) {
        self.features.clear();
        for object in &mut self.objects {
            object
                .all_outputs_mut()
                .for_each(|output| output.memory = None);
        }
        self.device = self.model.runtime().kind;
    }

    /// Another predictor of the same model may have moved it to the CPU.
    pub(super) fn follow_device(&mut self) {
        if self.device != self.model.runtime().kind {
            self.drop_device_state();
        }
    }

    /// After a failed step: lets it be tried again (first anew on the same device, then on the CPU), or
    /// gives the error back. What went into it is made again where it was found damaged.
    fn recover(&mut self, error: Error, ladder: &mut Ladder) -> Result<(), Error> {
        let damaged = matches!(&error, Error::Fault(fault) if fault.input);
        ladder.refuse(&self.model, error)?;
        if damaged {
            self.drop_device_state();
        }
        self.follow_device();
        Ok(())
    }

    /// A fault, with its place in the video. `objects` are those of the batch.
    fn placed(&self, error: Error, frame: usize, objects: &[ObjectId]) -> Error {
        let Error::Fault(mut fault) = error else {
            return error;
        };
        if fault.frame.is_some() {
            return Error::Fault(fault);
        }
        fault.frame = Some(frame);
        fault.size = Some(self.size);
        fault.object = match (fault.item, objects) {
            (Some(item), objects) => objects.get(item).copied(),
            (None, [one]) => Some(*one),
            (None, _) => None,
        };
        Error::Fault(fault)
    }

    /// Tracks `objects` (indices) on a frame where they were not prompted, all of them or none.
    pub(super) async fn track(
        &mut self,
        frame: usize,
        reverse: bool,
        objects: &[usize],
    ) -> Result<(), Error> {
        let mut ladder = Ladder::new(&self.model);
        loop {
            let model = SharedModel::clone(&self.model);
            let work = self.track_once(frame, reverse, objects);
            match guarded(model.runtime(), work).await {
                Ok(outputs) => {
                    ladder.passed();
                    self.stats.tracked += outputs.len() as u64;
                    for (index, output) in outputs {
                        self.objects[index].outputs.non_cond.insert(frame, output);
                    }
                    return Ok(());
                }
                Err(error) => {
                    let error = self.placed(error, frame, &[]);
                    self.recover(error, &mut ladder)?;
                }
            }
        }
    }

    async fn track_once(
        &mut self,
        frame: usize,
        reverse: bool,
        objects: &[usize],
    ) -> Result<Vec<(usize, Output)>, Error> {
        self.follow_device();
        let features = self.features(frame).await?;
        // Objects whose memories are equally long share a batch.
        let mut groups: BTreeMap<(usize, usize), Vec<(usize, MemoryPlan)>> = BTreeMap::new();
        for &index in objects {
            let plan = self.plan(index, frame, reverse).await?;
            let lengths = (plan.frames.len(), plan.pointers.len());
            groups.entry(lengths).or_default().push((index, plan));
        }
        let multimask = self.model.base().use_multimask(false, 0);
        let mut out = Vec::with_capacity(objects.len());
        for ((frames, pointers), group) in &groups {
            let most = self.options.objects_per_pass;
            let by_size = || self.model.base().objects_per_pass(*frames, *pointers);
            let most = most.unwrap_or_else(by_size).max(1);
            for batch in group.chunks(most) {
                let answer = self.decode_batch(&features, batch).await;
                let ids = batch.iter().map(|(index, _)| self.objects[*index].id);
                let ids: Vec<ObjectId> = ids.collect();
                let answer = answer.map_err(|error| self.placed(error, frame, &ids))?;
                let mut outputs = self.choose(&answer, multimask, false);
                self.remember(&features, &mut outputs).await?;
                out.extend(batch.iter().map(|(index, _)| *index).zip(outputs));
            }
        }
        Ok(out)
    }

    /// Memory attention, heads and one read for a batch of tracked objects.
    async fn decode_batch(
        &mut self,
        features: &SealedFeatures,
        batch: &[(usize, MemoryPlan)],
    ) -> Result<Answer, Error> {
        let model = SharedModel::clone(&self.model);
        let start = Instant::now();
        let conditioned = self.condition(features, batch)?;
        let inputs = self.inputs(features, batch);
        self.stats.memory_attention += start.elapsed();
        let start = Instant::now();
        let points = vec![Vec::new(); batch.len()];
        let heads = model
            .base()
            .forward_sam_heads(conditioned, features, &points, None);
        let answer = self.read(heads, &inputs).await;
        self.stats.decoding += start.elapsed();
        answer
    }

    /// What goes into a batch: the frame's features and the memories of its plans.
    fn inputs(&self, features: &SealedFeatures, batch: &[(usize, MemoryPlan)]) -> Vec<Input> {
        let memories = batch.iter().flat_map(|(index, plan)| {
            let outputs = &self.objects[*index].outputs;
            let output = |slot: &Slot| outputs.of(slot.cond).get(&slot.frame);
            plan.frames
                .iter()
                .filter_map(move |(_, slot)| output(slot)?.memory.as_ref())
        });
        let memories = SealedMemory::input(memories);
        [Some(features.input()), memories]
            .into_iter()
            .flatten()
            .collect()
    }

    /// The features, conditioned on the memories of a batch: `[B, HW, C]`.
    fn condition(
        &self,
        features: &SealedFeatures,
        batch: &[(usize, MemoryPlan)],
    ) -> Result<Tensor<3>, Error> {
        let objects: Vec<ObjectMemory> = batch
            .iter()
            .map(|(index, plan)| memory_of(&self.objects[*index], plan))
            .collect::<Option<_>>()
            .ok_or_else(|| Error::Video("a memory vanished between two steps".to_owned()))?;
        if batch
            .iter()
            .any(|(_, plan)| plan.frames.is_empty() && plan.pointers.is_empty())
        {
            let text =
                "no memory of the object is left: prompt it again on a frame that is still there";
            return Err(Error::Video(text.to_owned()));
        }
        Ok(self.model.base().condition_on_memory(features, &objects))
    }

    async fn read(&self, heads: SamHeads, inputs: &[Input]) -> Result<Answer, Error> {
        let sigmoid = self.model.config().iou_prediction_use_sigmoid;
        read_answer_of(
            self.model.runtime(),
            &heads.decoder,
            sigmoid,
            Some(heads.obj_ptrs),
            inputs,
        )
        .await
    }

    /// The answer of each object of a batch.
    fn choose(&self, answer: &Answer, multimask: bool, prompted: bool) -> Vec<Output> {
        let base = self.model.base();
        (0..answer.object_score.len())
            .map(|i| Output::new(base.choose(tokens(answer, i), multimask), prompted))
            .collect()
    }

    /// Answers a prompt of one object on one frame; its memory is made when a pass needs it.
    pub(super) async fn answer_prompt(
        &mut self,
        frame: usize,
        (id, object): (ObjectId, Option<usize>),
        role: PromptRole,
        input: &PromptInput,
    ) -> Result<Output, Error> {
        let mut ladder = Ladder::new(&self.model);
        loop {
            let model = SharedModel::clone(&self.model);
            let work = self.answer_prompt_once(frame, object, role, input);
            match guarded(model.runtime(), work).await {
                Ok(output) => {
                    ladder.passed();
                    return Ok(output);
                }
                Err(error) => {
                    let error = self.placed(error, frame, &[id]);
                    self.recover(error, &mut ladder)?;
                }
            }
        }
    }

    async fn answer_prompt_once(
        &mut self,
        frame: usize,
        object: Option<usize>,
        role: PromptRole,
        input: &PromptInput,
    ) -> Result<Output, Error> {
        self.follow_device();
        let model = SharedModel::clone(&self.model);
        let base = model.base();
        let features = self.features(frame).await?;
        let low = base.config.low_res_size();
        let (points, mask) = match input {
            PromptInput::Mask(mask) if base.config.use_mask_input_as_output_without_sam => {
                return self.mask_as_output(&features, mask).await;
            }
            PromptInput::Mask(mask) => {
                let size = base.config.image_size;
                (
                    Vec::new(),
                    Some(resize_antialias(mask, (size, size), (low, low))?),
                )
            }
            PromptInput::Points { points, previous } => (points.clone(), previous.clone()),
        };
        let (image, inputs) = match (role.is_init_cond_frame, object) {
            (true, _) | (_, None) => (base.image_embedding(&features), vec![features.input()]),
            (false, Some(index)) => {
                let batch = [(index, self.plan(index, frame, role.reverse).await?)];
                let image = self.condition(&features, &batch)?;
                (image, self.inputs(&features, &batch))
            }
        };
        let start = Instant::now();
        let multimask = base.use_multimask(role.is_init_cond_frame, points.len());
        let mask = mask.map(|mask| from_vec(mask, [1, low, low, 1], base.device()));
        let heads = base.forward_sam_heads(image, &features, &[points], mask);
        let answer = self.read(heads, &inputs).await;
        self.stats.decoding += start.elapsed();
        let chosen = base.choose(tokens(&answer?, 0), multimask);
        Ok(Output::new(chosen, true))
    }

    /// A mask prompt that is itself the answer; the heads give its pointer.
    async fn mask_as_output(
        &mut self,
        features: &SealedFeatures,
        mask: &[f32],
    ) -> Result<Output, Error> {
        let model = SharedModel::clone(&self.model);
        let base = model.base();
        let (size, low) = (base.config.image_size, base.config.low_res_size());
        let high: Vec<f32> = mask
            .iter()
            .map(|v| v * 2.0 * MASK_PROMPT_LOGIT - MASK_PROMPT_LOGIT)
            .collect();
        let logits = resize_antialias(&high, (size, size), (low, low))?;
        let appearing = mask.iter().any(|v| *v > 0.0);
        let answer = match base.forward_mask_prompt(features, mask.to_vec()) {
            Some(heads) => Some(self.read(heads, &[features.input()]).await?),
            None => None,
        };
        let tokens = answer.as_ref().map(|answer| tokens(answer, 0));
        Ok(Output::new(
            base.mask_as_output(logits, tokens, appearing),
            true,
        ))
    }
}

/// The `i`-th object of a batch.
fn tokens(answer: &Answer, i: usize) -> TokenAnswers<'_> {
    let count = answer.object_score.len().max(1);
    let part = |values: &'_ [f32]| -> std::ops::Range<usize> {
        let n = values.len() / count;
        i * n..(i + 1) * n
    };
    TokenAnswers {
        masks: &answer.masks[part(&answer.masks)],
        iou: &answer.iou[part(&answer.iou)],
        object_score: answer.object_score[i],
        obj_ptrs: &answer.extra[part(&answer.extra)],
    }
}
