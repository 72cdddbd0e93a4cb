//! What a video holds in memory, in bytes.

use super::state::Output;
use super::{VideoPredictor, bank, frames::Frames};

/// Bytes that a video holds now. Run lengths of masks and the objects' pointers, about a KB each, are
/// not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HeldBytes {
    /// The latest pictures of a live video; a clip's are read when they are needed.
    pub pictures: usize,
    /// Image features.
    pub features: usize,
    /// Memories and logits of tracked frames.
    pub tracked: usize,
    /// Memories and logits of prompted frames: these are kept whatever the budget says.
    pub prompted: usize,
}

impl HeldBytes {
    pub fn total(self) -> usize {
        self.pictures + self.features + self.tracked + self.prompted
    }
}

impl VideoPredictor {
    /// What the video holds now.
    pub fn held(&self) -> HeldBytes {
        let pictures = match &self.frames {
            Frames::Clip(_) => 0,
            Frames::Live(live) => live.bytes(),
        };
        let outputs = || self.objects.iter().flat_map(|object| object.all_outputs());
        let prompted = outputs().filter(|output| output.is_mask_from_pts);
        let prompted = prompted.map(Output::bytes).sum();
        HeldBytes {
            pictures,
            features: self.features.bytes(),
            tracked: bank::bytes(&self.objects) - prompted,
            prompted,
        }
    }

    /// One line for people: what the caches hold, in MB.
    pub fn memory_line(&self) -> String {
        let held = self.held();
        let mb = |bytes: usize| bytes.div_ceil(1 << 20);
        format!(
            "features of {} frames {} MB, memories and logits {} MB, {} masks as RLE",
            self.features.len(),
            mb(held.features),
            mb(held.tracked + held.prompted),
            self.results.len(),
        )
    }
}
