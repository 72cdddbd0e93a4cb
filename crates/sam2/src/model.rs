//! A loaded model: the network on its device, and the file it came from, in case another device has to
//! take over.

use crate::checked::guarded;
use crate::device::{DeviceKind, Runtime};
use crate::{Error, memory, probe};
use sam2_checkpoint::config::ModelConfig;
use sam2_checkpoint::{Checkpoint, expected_tensors};
use sam2_model::Sam2Base;
use sam2_model::weights::{LoadError, TensorSource, Weights};
use std::cell::Cell;
use std::sync::{Arc, OnceLock};

/// How a model is loaded.
#[derive(Debug, Clone, Default)]
pub struct ModelOptions {
    /// Configuration that comes beside the file; the file's own or a recognised official size otherwise.
    pub config: Option<ModelConfig>,
    /// Side of the square input, where it shall differ from the model's own.
    pub image_size: Option<usize>,
    /// Name for people and outputs.
    pub name: Option<String>,
}

/// A step of loading, for progress: what, done, of how many.
pub type Progress<'a> = &'a dyn Fn(&str, u64, u64);

/// A model on a device.
pub struct Model {
    name: String,
    config: ModelConfig,
    checkpoint: Checkpoint,
    base: Sam2Base,
    runtime: Runtime,
    /// The same model on the CPU, made when the device first fails.
    fallback: OnceLock<Box<(Sam2Base, Runtime)>>,
    /// What was held against the model's probe answers, in words.
    trust: String,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Model({}, {})", self.name, self.runtime().kind.name())
    }
}

impl Model {
    /// Checks the file against its configuration, loads every tensor, and on a GPU holds the device
    /// against the model's probe answers; a GPU that does not reproduce them is not used.
    ///
    /// # Errors
    /// A file that is no model, tensors that are missing, unexpected or wrongly shaped, an input size
    /// that the model cannot take, and a model that does not fit into memory.
    pub async fn load(
        mut checkpoint: Checkpoint,
        options: ModelOptions,
        runtime: Runtime,
        progress: Progress<'_>,
    ) -> Result<Self, Error> {
        if let Some(config) = options.config {
            checkpoint.set_config(config);
        }
        let mut config = checkpoint.require_config()?.clone();
        checkpoint.check_against(&expected_tensors(&config))?;
        if let Some(size) = options.image_size {
            config = config.with_image_size(size)?;
        }
        memory::check(&config, memory::available())?;
        let (base, runtime, trust) = place(&checkpoint, &config, runtime, progress).await?;
        if runtime.kind == DeviceKind::Cpu {
            checkpoint.close(); // only a device that may fail needs the file again
        }
        let name = options
            .name
            .or_else(|| checkpoint.metadata().name.clone())
            .or_else(|| checkpoint.official().map(|(s, v)| format!("sam{v}_{s}")))
            .unwrap_or_else(|| "custom".to_owned());
        let fallback = OnceLock::new();
        Ok(Self {
            name,
            config,
            checkpoint,
            base,
            runtime,
            fallback,
            trust,
        })
    }

    /// Name for people and outputs.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The file the model came from; on the CPU it is closed, and its tensors are not read again.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The device that works now: the one chosen, or the CPU after it failed.
    pub fn runtime(&self) -> &Runtime {
        match self.fallback.get() {
            Some(pair) => &pair.1,
            None => &self.runtime,
        }
    }

    /// How far the device was held against known answers, in words.
    pub fn trust(&self) -> &str {
        &self.trust
    }

    /// The network on the device that works now.
    pub fn base(&self) -> &Sam2Base {
        match self.fallback.get() {
            Some(pair) => &pair.0,
            None => &self.base,
        }
    }

    /// Moves to the CPU for good, after the device failed in the middle of work. `false` where the
    /// model is on the CPU already, so that nothing is left to try.
    ///
    /// # Errors
    /// As loading.
    pub fn fall_back(&self, reason: &str) -> Result<bool, Error> {
        if self.runtime().kind == DeviceKind::Cpu {
            return Ok(false);
        }
        tracing::warn!(device = %self.runtime.adapter, reason, "moving to the CPU");
        let cpu = Runtime::cpu(&format!("{} failed: {reason}", self.runtime.adapter));
        let base = build(&self.checkpoint, &self.config, &cpu, &|_, _, _| {})?;
        // Two callers at once: the first one's copy serves both.
        let _ = self.fallback.set(Box::new((base, cpu)));
        Ok(true)
    }
}

/// Loads onto the device; where a GPU does not reproduce the probe answers, onto the CPU.
async fn place(
    checkpoint: &Checkpoint,
    config: &ModelConfig,
    runtime: Runtime,
    progress: Progress<'_>,
) -> Result<(Sam2Base, Runtime, String), Error> {
    if runtime.kind == DeviceKind::Cpu {
        let base = build(checkpoint, config, &runtime, progress)?;
        return Ok((base, runtime, "the CPU is the reference".to_owned()));
    }
    let work = async {
        let base = build(checkpoint, config, &runtime, progress)?;
        progress("warming up", 0, 1);
        let held = probe::hold(&base, &runtime, checkpoint.probe()).await;
        let trust = held.map_err(Error::DeviceLost)?;
        progress("warming up", 1, 1);
        Ok((base, trust))
    };
    match guarded(&runtime, work).await {
        Ok((base, trust)) => Ok((base, runtime, trust)),
        Err(Error::DeviceLost(reason)) => {
            let why = format!(
                "{} is not trusted with this model: {reason}",
                runtime.adapter
            );
            tracing::warn!("{why}");
            runtime.cleanup();
            let cpu = Runtime::cpu(&why);
            Ok((build(checkpoint, config, &cpu, progress)?, cpu, why))
        }
        Err(error) => Err(error),
    }
}

fn build(
    checkpoint: &Checkpoint,
    config: &ModelConfig,
    runtime: &Runtime,
    progress: Progress<'_>,
) -> Result<Sam2Base, Error> {
    let (done, total) = (Cell::new(0), checkpoint.num_parameters());
    let step = |values: usize| {
        done.set(done.get() + values as u64);
        progress("loading", done.get(), total);
    };
    let source = Source(checkpoint);
    let mut weights = Weights::new(&source, runtime.device()).with_progress(&step);
    Ok(Sam2Base::load(&mut weights, config)?)
}

/// A checkpoint as the network reads it. Shapes were checked for the whole file before.
struct Source<'a>(&'a Checkpoint);

impl TensorSource for Source<'_> {
    fn read_f32(&self, key: &str, shape: &[usize]) -> Result<Vec<f32>, LoadError> {
        let error = |reason: String| LoadError {
            key: key.to_owned(),
            reason,
        };
        match self.0.index().shape(key) {
            Some(found) if found == shape => {}
            Some(found) => return Err(error(format!("shape {found:?} where {shape:?} is needed"))),
            None => return Err(error("it is missing".to_owned())),
        }
        self.0.read_f32(key).map_err(|e| error(e.to_string()))
    }
}

/// A model shared by predictors.
pub type SharedModel = Arc<Model>;
