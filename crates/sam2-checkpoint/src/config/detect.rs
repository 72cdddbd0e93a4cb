//! Recognising a published model from its tensors.

use super::{Size, Version};
use crate::TensorIndex;

const BLOCKS: &str = "image_encoder.trunk.blocks.";

/// The published model that a set of tensors looks like, from keys and shapes only (file names
/// lie). `None` for anything else, such a model brings its configuration.
///
/// The answer is a proposal: whether every tensor is there and fits is decided by
/// [`TensorIndex::check_against`] with the proposed configuration, so that a damaged official
/// checkpoint is reported as such instead of as an unknown model.
pub fn detect(index: &TensorIndex) -> Option<(Size, Version)> {
    let embed_dim = index
        .shape("image_encoder.trunk.patch_embed.proj.weight")?
        .first()
        .copied()?;
    let last_block = index
        .names()
        .filter_map(|name| {
            name.strip_prefix(BLOCKS)?
                .split('.')
                .next()?
                .parse::<usize>()
                .ok()
        })
        .max()?;
    let size = match (embed_dim, last_block.checked_add(1)?) {
        (96, 12) => Size::Tiny,
        (96, 16) => Size::Small,
        (112, 24) => Size::BasePlus,
        (144, 48) => Size::Large,
        _ => return None,
    };
    // The published models share one width everywhere after the trunk; another one is a relative.
    if index.shape("image_encoder.neck.convs.0.conv.bias")? != [256] {
        return None;
    }
    let new = index.contains("no_obj_embed_spatial") || index.contains("obj_ptr_tpos_proj.weight");
    Some((size, if new { Version::V2_1 } else { Version::V2_0 }))
}
