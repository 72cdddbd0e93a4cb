//! The SAM heads as video uses them (`SAM2Base._forward_sam_heads` and `_use_mask_as_output`): prompts
//! to a mask, and to the object's pointer.

use super::{ImageFeatures, Sam2Base};
use crate::ops::from_vec;
use crate::sam::mask_decoder::{DecoderOutput, NUM_MASK_TOKENS};
use crate::sam::prompt_encoder::PromptPoint;
use crate::select::{Selection, argmax, select};
use burn::tensor::Tensor;

/// The logit of every pixel of an absent object (`NO_OBJ_SCORE`).
pub const NO_OBJ_SCORE: f32 = -1024.0;

/// Logits that a mask prompt becomes: this inside, its negative outside.
pub const MASK_PROMPT_LOGIT: f32 = 10.0;

/// What the heads predict for a batch of objects, for all four mask tokens, still on the device.
#[derive(Debug, Clone)]
pub struct SamHeads {
    pub decoder: DecoderOutput,
    /// A pointer for each mask token, before the absence of the object is mixed in: `[B * 4, C]`.
    pub obj_ptrs: Tensor<2>,
}

/// One object of a batch, read back: views of the four tokens' answers.
#[derive(Debug, Clone, Copy)]
pub struct TokenAnswers<'a> {
    /// `[4, h * w]`.
    pub masks: &'a [f32],
    /// `[4]`.
    pub iou: &'a [f32],
    pub object_score: f32,
    /// `[4, C]`.
    pub obj_ptrs: &'a [f32],
}

/// What is known of one object on one frame.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectAnswer {
    /// Low-resolution logits `[S / 4, S / 4]`; [`NO_OBJ_SCORE`] everywhere where it is absent.
    pub logits: Vec<f32>,
    /// Predicted IoU; 1 for a mask prompt.
    pub iou: f32,
    /// Above 0 the object is there.
    pub object_score: f32,
    /// `[C]`.
    pub obj_ptr: Vec<f32>,
}

impl Sam2Base {
    /// Prompt encoder, mask decoder and pointer projection. `image [B or 1, HW, C]`; one list of points
    /// per object; an empty list stands for the one "not a point" that the official code supplies
    /// (the prompt encoder adds a second); `masks [B, S / 4, S / 4, 1]` in logits.
    pub fn forward_sam_heads(
        &self,
        image: Tensor<3>,
        features: &ImageFeatures,
        points: &[Vec<PromptPoint>],
        masks: Option<Tensor<4>>,
    ) -> SamHeads {
        let padded = |list: &Vec<PromptPoint>| match list.is_empty() {
            true => vec![PromptPoint::PADDING],
            false => list.clone(),
        };
        let points: Vec<_> = points.iter().map(padded).collect();
        let decoder = self.decode(image, features.high_res.as_ref(), &points, masks);
        let obj_ptrs = self
            .memory
            .obj_ptr_proj
            .forward(decoder.mask_tokens.clone());
        let [b, tokens, c] = obj_ptrs.dims();
        SamHeads {
            decoder,
            obj_ptrs: obj_ptrs.reshape([b * tokens, c]),
        }
    }

    /// The heads over a mask prompt that is itself the answer: only the pointer is wanted. `mask` is the
    /// prompt at the model's input size, 0 or 1, `[S * S]`. `None` for models without pointers.
    pub fn forward_mask_prompt(
        &self,
        features: &ImageFeatures,
        mask: Vec<f32>,
    ) -> Option<SamHeads> {
        let size = self.config.image_size;
        let downsample = self.memory.mask_downsample.as_ref()?;
        let mask = downsample.forward(from_vec(mask, [1, size, size, 1], self.device()));
        Some(self.forward_sam_heads(features.embed.clone(), features, &[vec![]], Some(mask)))
    }

    /// `_use_multimask`; a box counts as two points.
    pub fn use_multimask(&self, is_init_cond_frame: bool, num_points: usize) -> bool {
        let c = &self.config;
        c.multimask_output_in_sam
            && (is_init_cond_frame || c.multimask_output_for_tracking)
            && (c.multimask_min_pt_num..=c.multimask_max_pt_num).contains(&num_points)
    }

    /// Chooses among the four tokens and mixes in the absence of the object (the second half of
    /// `_forward_sam_heads`). The pointer follows the mask only where three masks were asked for and
    /// the model wants it; a single mask that gave way for its instability keeps token 0's.
    pub fn choose(&self, answers: TokenAnswers, multimask: bool) -> ObjectAnswer {
        let TokenAnswers {
            masks,
            iou,
            object_score,
            obj_ptrs,
        } = answers;
        let c = &self.config;
        let token = match select(masks, iou, multimask, &c.sam_mask_decoder_extra_args) {
            Selection::Single(token) => token,
            Selection::Multi => 1 + argmax(&iou[1..]),
        };
        let pixels = masks.len() / NUM_MASK_TOKENS;
        let appears = object_score > 0.0;
        let logits = match appears || !c.pred_obj_scores {
            true => masks[token * pixels..(token + 1) * pixels].to_vec(),
            false => vec![NO_OBJ_SCORE; pixels],
        };
        let ptr_token = if multimask && c.use_multimask_token_for_obj_ptr {
            token
        } else {
            0
        };
        let width = obj_ptrs.len() / NUM_MASK_TOKENS;
        let mut obj_ptr = obj_ptrs[ptr_token * width..(ptr_token + 1) * width].to_vec();
        let appearing = match c.soft_no_obj_ptr {
            true => 1.0 / (1.0 + (-object_score).exp()),
            false => f32::from(u8::from(appears)),
        };
        self.mix_no_obj_ptr(&mut obj_ptr, appearing);
        ObjectAnswer {
            logits,
            iou: iou[token],
            object_score,
            obj_ptr,
        }
    }

    /// The answer to a mask prompt (`_use_mask_as_output`): `logits` are the prompt's own, at low
    /// resolution; `heads` what [`Sam2Base::forward_mask_prompt`] read back; `appearing`, whether the
    /// prompt has any pixel.
    pub fn mask_as_output(
        &self,
        logits: Vec<f32>,
        heads: Option<TokenAnswers>,
        appearing: bool,
    ) -> ObjectAnswer {
        let obj_ptr = match heads {
            Some(heads) => self.choose(heads, false).obj_ptr,
            None => vec![0.0; self.config.hidden_dim()],
        };
        let mut answer = ObjectAnswer {
            logits,
            iou: 1.0,
            object_score: if appearing {
                MASK_PROMPT_LOGIT
            } else {
                -MASK_PROMPT_LOGIT
            },
            obj_ptr,
        };
        self.mix_no_obj_ptr(&mut answer.obj_ptr, f32::from(u8::from(appearing)));
        answer
    }

    /// `obj_ptr = appearing * obj_ptr + (1 - appearing) * no_obj_ptr`, the first factor only with
    /// `fixed_no_obj_ptr`.
    fn mix_no_obj_ptr(&self, obj_ptr: &mut [f32], appearing: f32) {
        let Some(no_obj_ptr) = &self.memory.no_obj_ptr else {
            return;
        };
        let keep = if self.config.fixed_no_obj_ptr {
            appearing
        } else {
            1.0
        };
        for (ptr, absent) in obj_ptr.iter_mut().zip(no_obj_ptr) {
            *ptr = keep * *ptr + (1.0 - appearing) * absent;
        }
    }
}
