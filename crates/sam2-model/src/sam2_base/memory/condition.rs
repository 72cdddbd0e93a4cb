//! A frame's features, conditioned on what its objects remember (`_prepare_memory_conditioned_features`).

use super::super::{ImageFeatures, Sam2Base};
use crate::ops::{GPU_ELEMENTS, from_vec};
use crate::position_encoding::sine_1d;
use burn::tensor::Tensor;
use sam2_checkpoint::config::ModelConfig;

/// What one object remembers of other frames, in the order of a
/// [`MemoryPlan`](crate::sam2_base::plan::MemoryPlan).
#[derive(Debug, Clone, Default)]
pub struct ObjectMemory<'a> {
    /// `t_pos` and the spatial memory `[1, HW, D]`.
    pub frames: Vec<(usize, Tensor<3>)>,
    /// Scaled distance in frames and the pointer `[C]`.
    pub pointers: Vec<(f32, &'a [f32])>,
}

impl Sam2Base {
    /// Objects that may go through the network at once, each with memories of so many frames and so many
    /// pointers, so that no tensor on a GPU passes WebGPU's guaranteed binding, and a CPU keeps the keys
    /// of a few objects only. All prompted frames are looked at, so that there is no largest number of
    /// frames: one object alone passes the binding from 32 of them on at 1024 x 1024.
    pub fn objects_per_pass(&self, frames: usize, pointers: usize) -> usize {
        let largest = largest_tensor(&self.config, frames, pointers);
        (GPU_ELEMENTS / largest).clamp(1, 64)
    }

    /// `_prepare_memory_conditioned_features` for a frame that has memories: its features, conditioned
    /// on those of each of `B` objects, `[B, HW, C]`. All objects have equally many memory frames and
    /// pointers, and at least one of either.
    pub fn condition_on_memory(
        &self,
        features: &ImageFeatures,
        objects: &[ObjectMemory],
    ) -> Tensor<3> {
        let m = &self.memory;
        let memory = objects.iter().map(|object| {
            let frames = object.frames.iter().map(|(_, memory)| memory.clone());
            Tensor::cat(frames.chain(self.pointer_tokens(object)).collect(), 1)
        });
        let places = objects.iter().map(|object| {
            let frames = object
                .frames
                .iter()
                .map(|(t_pos, _)| m.maskmem_pos[*t_pos].clone());
            Tensor::cat(frames.chain(self.pointer_places(object)).collect(), 1)
        });
        let memory = Tensor::cat(memory.collect(), 0);
        let places = Tensor::cat(places.collect(), 0);
        let pointers = objects.first().map_or(0, |object| object.pointers.len());
        let tokens = pointers * self.tokens_per_pointer();
        m.memory_attention
            .forward(features.embed.clone(), memory, places, tokens)
    }

    /// A pointer is split into tokens of the memory's width.
    fn tokens_per_pointer(&self) -> usize {
        self.config.hidden_dim() / self.config.mem_dim()
    }

    /// `[1, P * C / D, D]`.
    fn pointer_tokens(&self, object: &ObjectMemory) -> Option<Tensor<3>> {
        let values: Vec<f32> = object
            .pointers
            .iter()
            .flat_map(|(_, ptr)| ptr.iter().copied())
            .collect();
        self.on_device(values)
    }

    /// The temporal encoding of the pointers, the same for all tokens of one: `[1, P * C / D, D]`.
    fn pointer_places(&self, object: &ObjectMemory) -> Option<Tensor<3>> {
        let (c, repeat) = (&self.config, self.tokens_per_pointer());
        let place =
            |distance: f32| match (&self.memory.obj_ptr_tpos_proj, c.add_tpos_enc_to_obj_ptrs) {
                (_, false) => vec![0.0; c.mem_dim()],
                (Some(proj), true) => proj.forward(&sine_1d(distance, c.hidden_dim())),
                (None, true) => sine_1d(distance, c.mem_dim()),
            };
        let places = object
            .pointers
            .iter()
            .flat_map(|(d, _)| place(*d).repeat(repeat));
        self.on_device(places.collect())
    }

    fn on_device(&self, values: Vec<f32>) -> Option<Tensor<3>> {
        let width = self.config.mem_dim();
        let tokens = values.len() / width;
        (tokens > 0).then(|| from_vec(values, [1, tokens, width], self.device()))
    }
}

/// Elements of the largest tensor that one object adds to a batch, with memories of so many frames and
/// so many pointers.
fn largest_tensor(c: &ModelConfig, frames: usize, pointers: usize) -> usize {
    let side = c.image_embedding_size();
    let tokens = side * side;
    let width = c.memory_attention.layer.cross_attention.internal_dim();
    let keys = frames * tokens + pointers * (c.hidden_dim() / c.mem_dim());
    let tensors = [
        keys * width.max(c.mem_dim()),
        tokens * 4 * c.hidden_dim(),
        c.image_size * c.image_size,
    ];
    tensors.into_iter().max().unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sam2_checkpoint::config::{Size, Version};

    #[test]
    fn a_batch_shrinks_with_the_memories_that_are_looked_at() {
        let config = ModelConfig::official(Size::Tiny, Version::V2_1);
        let batch = |frames, pointers| GPU_ELEMENTS / largest_tensor(&config, frames, pointers);
        assert_eq!((batch(1, 1), batch(7, 16)), (4, 2));
        // Prompted frames beyond the usual one: two objects with 10 memories each would be too much.
        assert_eq!(batch(10, 16), 1);
        // The bound of a binding, in elements of four bytes.
        for frames in 1..32 {
            let together = largest_tensor(&config, frames, 16) * batch(frames, 16).max(1);
            assert!(together * 4 <= 128 << 20, "{frames} frames: {together}");
        }
    }
}
