//! The mask check on the host.

/// What the mask check found wrong.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MaskFault {}
