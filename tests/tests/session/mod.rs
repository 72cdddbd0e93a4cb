//! The tiny model and its clip.

#![allow(dead_code)] // each test file uses its own part

use anyhow::Result;
use sam2::{Checkpoint, FileSource, Model, ModelOptions, Runtime, SharedModel, block_on};
use sam2_checkpoint::ModelConfig;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub const FRAMES: usize = 12;
pub const WIDTH: usize = 240;
pub const HEIGHT: usize = 176;

/// The folder of its frames.
pub fn frames() -> PathBuf {
    Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default())
        .join("fixtures/micro/frames")
}

pub fn model() -> Result<SharedModel> {
    model_with("seed41", |_| ())
}

/// The model with the weights of a seed, under another configuration. The objects of seed 41 vanish and
/// return, those of seed 4 are always there.
pub fn model_with(seed: &str, change: impl FnOnce(&mut ModelConfig)) -> Result<SharedModel> {
    let micro =
        Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default()).join("fixtures/micro");
    let mut config = ModelConfig::from_yaml(&std::fs::read_to_string(micro.join("micro.yaml"))?)?;
    change(&mut config);
    let file = FileSource::open(micro.join(format!("weights/{seed}.safetensors")))?;
    let options = ModelOptions {
        config: Some(config),
        ..ModelOptions::default()
    };
    let checkpoint = Checkpoint::open(Arc::new(file))?;
    Ok(Arc::new(block_on(Model::load(
        checkpoint,
        options,
        Runtime::cpu("a test"),
        &|_, _, _| {},
    ))?))
}
