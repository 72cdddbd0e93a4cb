//! Fixtures and helpers shared by the cross-crate tests.

pub mod npz;
