//! Fixtures and helpers shared by the cross-crate tests.

pub mod compare;
pub mod npz;
