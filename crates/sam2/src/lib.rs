//! Segment Anything 2 in Rust: predictors, devices, sessions.
