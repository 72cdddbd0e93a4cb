//! What stays on the device from frame to frame, with the seals taken when it was made.

use crate::Runtime;
use crate::checked::{Held, Input, Seal};
use burn::tensor::Tensor;
use sam2_model::ImageFeatures;
use std::ops::Deref;

/// The features of a frame.
#[derive(Debug, Clone)]
pub(super) struct SealedFeatures {
    features: ImageFeatures,
    seal: Seal,
}

impl SealedFeatures {
    pub fn new(runtime: &Runtime, features: ImageFeatures) -> Self {
        let seal = Seal::take(runtime, &held(&features));
        Self { features, seal }
    }

    /// To be held against the seal by the read of whatever is computed from them.
    pub fn input(&self) -> Input {
        Input {
            held: held(&self.features),
            seal: self.seal.clone(),
        }
    }

    #[cfg(feature = "fault-injection")]
    pub fn embed_mut(&mut self) -> &mut Tensor<3> {
        &mut self.features.embed
    }
}

impl Deref for SealedFeatures {
    type Target = ImageFeatures;

    fn deref(&self) -> &ImageFeatures {
        &self.features
    }
}

fn held(features: &ImageFeatures) -> Held {
    let held = Held::new("the frame's features").with(&features.embed);
    match &features.high_res {
        Some(levels) => held.with(&levels.s0).with(&levels.s1),
        None => held,
    }
}

const MEMORY: &str = "a frame's memory";

/// The memory of one object on one frame, `[1, HW, D]`.
#[derive(Debug, Clone)]
pub(super) struct SealedMemory {
    pub tensor: Tensor<3>,
    seal: Seal,
}

impl SealedMemory {
    /// Memories `[B, HW, D]`, object by object.
    pub fn split(runtime: &Runtime, memories: &Tensor<3>) -> Vec<Self> {
        let [b, _, _] = memories.dims();
        let one = |i: usize| match b {
            1 => memories.clone(),
            _ => memories.clone().narrow(0, i, 1),
        };
        let tensors: Vec<_> = (0..b).map(one).collect();
        let held = tensors.iter().fold(Held::new(MEMORY), Held::with);
        let seal = Seal::take(runtime, &held);
        let sealed = |(i, tensor)| Self {
            tensor,
            seal: seal.part(i),
        };
        tensors.into_iter().enumerate().map(sealed).collect()
    }

    /// Another tensor under the same seal.
    #[cfg(feature = "fault-injection")]
    pub fn with_tensor(self, tensor: Tensor<3>) -> Self {
        Self { tensor, ..self }
    }

    /// All memories that go into a computation.
    pub fn input<'a>(memories: impl Iterator<Item = &'a Self>) -> Option<Input> {
        let (mut held, mut seals) = (Held::new(MEMORY), Vec::new());
        for memory in memories {
            held = held.with(&memory.tensor);
            seals.push(memory.seal.clone());
        }
        let seal = Seal::join(seals)?;
        Some(Input { held, seal })
    }
}
