//! A frame's features, conditioned on what its objects remember (`_prepare_memory_conditioned_features`).

use super::super::{ImageFeatures, Sam2Base};
use crate::memory_attention::MemoryPart;
use crate::ops::{GPU_ELEMENTS, from_vec, is_cpu};
use crate::position_encoding::sine_1d;
use burn::tensor::Tensor;
use sam2_checkpoint::config::ModelConfig;
use std::ops::Range;

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
    /// frames: one object alone may have more of them than a binding holds, and is then taken in parts.
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
        let pointers = objects.first().map_or(0, |object| object.pointers.len());
        let frames = match is_cpu(self.device()) {
            // Our kernels keep no more of the scores for more keys.
            true => usize::MAX,
            false => frames_per_part(&self.config, objects.len(), pointers),
        };
        self.condition_in_parts(features, objects, frames)
    }

    /// As [`Sam2Base::condition_on_memory`], with memories of at most so many frames in a part.
    fn condition_in_parts(
        &self,
        features: &ImageFeatures,
        objects: &[ObjectMemory],
        most: usize,
    ) -> Tensor<3> {
        let frames = objects.first().map_or(0, |object| object.frames.len());
        // Pointers alone are a part, too.
        let starts = (0..frames.max(1)).step_by(most.max(1));
        let parts = starts.map(|start| start..start.saturating_add(most.max(1)).min(frames));
        let parts = parts.map(|part| self.memory_part(objects, &part));
        let memory = &self.memory.memory_attention;
        memory.forward(features.embed.clone(), parts.collect())
    }

    /// The memories of some of the frames, and with the last of them the pointers.
    fn memory_part(&self, objects: &[ObjectMemory], part: &Range<usize>) -> MemoryPart {
        let (mut tokens, mut places, mut pointers) = (Vec::new(), Vec::new(), 0);
        for object in objects {
            let frames = &object.frames[part.clone()];
            let last = Some(object).filter(|object| part.end == object.frames.len());
            let own = frames.iter().map(|(_, memory)| memory.clone());
            let own = own.chain(last.and_then(|object| self.pointer_tokens(object)));
            tokens.push(Tensor::cat(own.collect(), 1));
            let own = frames.iter();
            let own = own.map(|(t_pos, _)| self.memory.maskmem_pos[*t_pos].clone());
            let own = own.chain(last.and_then(|object| self.pointer_places(object)));
            places.push(Tensor::cat(own.collect(), 1));
            pointers = last.map_or(0, |object| object.pointers.len());
        }
        MemoryPart {
            tokens: Tensor::cat(tokens, 0),
            places: Tensor::cat(places, 0),
            pointer_tokens: pointers * self.tokens_per_pointer(),
        }
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
/// so many pointers, before anything is taken in parts.
fn largest_tensor(c: &ModelConfig, frames: usize, pointers: usize) -> usize {
    let tokens = tokens_per_frame(c);
    let keys = frames * tokens + pointers * (c.hidden_dim() / c.mem_dim());
    let tensors = [
        keys * key_width(c),
        tokens * 4 * c.hidden_dim(),
        c.image_size * c.image_size,
    ];
    tensors.into_iter().max().unwrap_or(1).max(1)
}

/// Frames whose memories, those of so many objects, are keys of one tensor on a GPU, with room for the
/// pointers.
fn frames_per_part(c: &ModelConfig, objects: usize, pointers: usize) -> usize {
    let keys = GPU_ELEMENTS / (objects.max(1) * key_width(c));
    let pointers = pointers * (c.hidden_dim() / c.mem_dim());
    (keys.saturating_sub(pointers) / tokens_per_frame(c)).max(1)
}

fn tokens_per_frame(c: &ModelConfig) -> usize {
    c.image_embedding_size() * c.image_embedding_size()
}

/// The widest that a token of the memory becomes.
fn key_width(c: &ModelConfig) -> usize {
    let cross = &c.memory_attention.layer.cross_attention;
    cross.internal_dim().max(c.mem_dim()).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::{LoadError, TensorSource, Weights};
    use burn::tensor::Device;
    use sam2_checkpoint::config::{Size, Version};

    #[test]
    fn a_batch_shrinks_with_the_memories_that_are_looked_at() {
        let config = ModelConfig::official(Size::Tiny, Version::V2_1);
        let batch = |frames, pointers| GPU_ELEMENTS / largest_tensor(&config, frames, pointers);
        assert_eq!((batch(1, 1), batch(7, 16)), (4, 2));
        // Prompted frames beyond the usual one: two objects with 10 memories each would be too much.
        assert_eq!(batch(10, 16), 1);
    }

    #[test]
    fn no_part_of_the_keys_passes_a_binding_however_many_frames_are_prompted() {
        for image_size in [512, 1024, 2048] {
            let config = ModelConfig::official(Size::Large, Version::V2_1);
            let config = config.with_image_size(image_size).unwrap();
            for frames in 1..600 {
                // Each prompted frame has a pointer, too.
                let pointers = frames + 16;
                let objects = GPU_ELEMENTS / largest_tensor(&config, frames, pointers);
                let objects = objects.max(1);
                let in_part = frames_per_part(&config, objects, pointers).min(frames);
                let part = objects * largest_tensor(&config, in_part, pointers);
                assert!(part <= GPU_ELEMENTS, "{frames} at {image_size}: {part}");
                // What went in one piece goes so still.
                assert!(
                    objects == 1 || in_part == frames,
                    "{frames} at {image_size}"
                );
            }
        }
        let config = ModelConfig::official(Size::Large, Version::V2_1);
        assert_eq!(frames_per_part(&config, 1, 16), 15);
    }

    /// Values made from the tensor's name.
    struct Named;

    impl TensorSource for Named {
        fn read_f32(&self, key: &str, shape: &[usize]) -> Result<Vec<f32>, LoadError> {
            let seed: u32 = key.bytes().map(u32::from).sum();
            Ok(wave(shape.iter().product(), 0.1 + seed as f32 / 1e4))
        }
    }

    fn wave(n: usize, f: f32) -> Vec<f32> {
        (0..n).map(|i| (i as f32 * f).sin()).collect()
    }

    #[test]
    fn memories_in_parts_condition_as_all_at_once() {
        let yaml = include_str!("../../../../sam2-checkpoint/fixtures/micro.yaml");
        let config = ModelConfig::from_yaml(yaml).unwrap();
        #[allow(deprecated)]
        let device = Device::ndarray();
        let base = Sam2Base::load(&mut Weights::new(&Named, &device), &config).unwrap();
        let (tokens, dim) = (tokens_per_frame(&config), config.hidden_dim());
        let features = ImageFeatures {
            embed: from_vec(wave(tokens * dim, 0.37), [1, tokens, dim], &device),
            high_res: None,
        };
        let pointer = [0.9, 0.5, 0.7].map(|f| wave(dim, f));
        let object = |f: f32, frames: usize, pointers: usize| ObjectMemory {
            frames: (0..frames)
                .map(|i| {
                    let values = wave(tokens * config.mem_dim(), f + i as f32 * 0.01);
                    let shape = [1, tokens, config.mem_dim()];
                    (i % config.num_maskmem, from_vec(values, shape, &device))
                })
                .collect(),
            pointers: (0..pointers)
                .map(|i| (i as f32 / 15.0, &*pointer[i]))
                .collect(),
        };
        let values = |x: Tensor<3>| -> Vec<f32> { x.into_data().try_into_vec().unwrap() };
        for (frames, pointers) in [(5, 3), (6, 0), (0, 2)] {
            let objects = [0.21, 0.43].map(|f| object(f, frames, pointers));
            let whole = values(base.condition_on_memory(&features, &objects));
            let largest = whole.iter().fold(0.0_f32, |a, v| a.max(v.abs()));
            for in_part in [1, 2, 3] {
                // Sums of f32 in another order, through a few layers.
                let parts = values(base.condition_in_parts(&features, &objects, in_part));
                let off = parts.iter().zip(&whole).map(|(a, b)| (a - b).abs());
                let off = off.fold(0.0_f32, f32::max);
                assert!(
                    off <= 1e-5 * largest,
                    "{frames} by {in_part}: {off} of {largest}"
                );
            }
            // They count: a part that was lost would be seen.
            let fewer = objects.map(shortened);
            let other = values(base.condition_on_memory(&features, &fewer));
            let off = other.iter().zip(&whole).map(|(a, b)| (a - b).abs());
            let off = off.fold(0.0_f32, f32::max);
            assert!(off > 1e-3 * largest, "{frames}: {off} of {largest}");
        }
    }

    /// Without its last frame, or its last pointer where it has no frames.
    fn shortened(mut object: ObjectMemory) -> ObjectMemory {
        if object.frames.pop().is_none() {
            object.pointers.pop();
        }
        object
    }
}
