//! What every command that runs the network does first: threads, device, model, one start line.

use crate::cli::Global;
use crate::locate::{ModelFile, locate};
use crate::progress::Progress;
use crate::{CliError, files};
use sam2::{Checkpoint, DeviceChoice, Model, ModelOptions, Runtime, block_on};
use sam2_checkpoint::ModelConfig;
use sam2_server::Settings;
use sam2_server::cores::Machine;
use std::path::Path;
use std::sync::Arc;

/// The global arguments and the settings, checked.
pub struct Session {
    pub global: Global,
    pub settings: Settings,
    pub machine: Machine,
}

impl Session {
    pub fn new(global: Global, settings: Settings) -> Self {
        Self {
            global,
            settings,
            machine: Machine::detect(),
        }
    }

    /// Sets the number of CPU threads and opens the device.
    ///
    /// # Errors
    /// [`CliError::Engine`] where a GPU was asked for and does not answer.
    pub fn open_runtime(&self) -> Result<Runtime, CliError> {
        self.open(self.global.device.into())
    }

    /// As [`Session::open_runtime`], for a device of the caller's choice.
    ///
    /// # Errors
    /// As [`Session::open_runtime`].
    pub fn open(&self, device: DeviceChoice) -> Result<Runtime, CliError> {
        sam2::device::set_threads(self.threads())?;
        Ok(block_on(Runtime::open(device))?)
    }

    /// `--threads`, else the settings, else the cores this process may use.
    pub fn threads(&self) -> usize {
        let asked = self
            .global
            .threads
            .map(usize::from)
            .or(self.settings.threads);
        asked.unwrap_or_else(|| self.machine.threads())
    }

    /// The configuration of `--config`.
    ///
    /// # Errors
    /// [`CliError::Io`], or [`CliError::Model`] naming what is wrong in the yaml.
    pub fn config(&self) -> Result<Option<ModelConfig>, CliError> {
        self.global.config.as_deref().map(read_config).transpose()
    }

    /// Opens a model file: headers only.
    ///
    /// # Errors
    /// [`CliError::NoModel`], or [`CliError::Model`] with the file's name.
    pub fn open_checkpoint(
        &self,
        model: Option<&str>,
    ) -> Result<(ModelFile, Checkpoint), CliError> {
        let file = locate(model, &self.settings)?;
        let checkpoint = file.open()?;
        Ok((file, checkpoint))
    }

    /// Loads a model onto the device and says so in one line.
    ///
    /// # Errors
    /// As [`Session::open_checkpoint`] and [`Model::load`].
    pub fn load(&self, model: Option<&str>) -> Result<Arc<Model>, CliError> {
        let model = self.load_quietly(model)?;
        let threads = model.runtime().threads;
        let simd = sam2_server::cores::simd();
        let facts = self.engine_facts(&model);
        tracing::info!("{}, threads {threads}, SIMD {simd}, {facts}", self.machine);
        Ok(model)
    }

    /// As [`Session::load`], where the caller writes the line.
    ///
    /// # Errors
    /// As [`Session::load`].
    pub fn load_quietly(&self, model: Option<&str>) -> Result<Arc<Model>, CliError> {
        let (file, checkpoint) = self.open_checkpoint(model)?;
        let config = self.config()?;
        let runtime = self.open_runtime()?;
        let model = self.load_checkpoint(&file, checkpoint, config, runtime)?;
        tracing::debug!("trust in the device: {}", model.trust());
        Ok(Arc::new(model))
    }

    /// Loads an open checkpoint, with progress.
    ///
    /// # Errors
    /// [`CliError::Model`] with the file's name.
    pub fn load_checkpoint(
        &self,
        file: &ModelFile,
        checkpoint: Checkpoint,
        config: Option<ModelConfig>,
        runtime: Runtime,
    ) -> Result<Model, CliError> {
        let name = checkpoint
            .metadata()
            .name
            .is_none()
            .then(|| file.name())
            .flatten();
        let options = ModelOptions {
            config,
            image_size: self.global.image_size,
            name,
        };
        let bar = Progress::share("loading the model");
        let step = |what: &str, done: u64, total: u64| {
            bar.set(done * 100 / total.max(1));
            bar.message(what);
        };
        block_on(Model::load(checkpoint, options, runtime, &step)).map_err(|e| file.error(e))
    }

    /// Device, model and precision, for the one line that says what runs, on what, and why.
    pub fn engine_facts(&self, model: &Model) -> String {
        let runtime = model.runtime();
        let size = model.config().image_size;
        format!(
            "device {} ({}: {}), model {} at {size} x {size}, precision {}",
            runtime.kind.name(),
            runtime.adapter,
            runtime.why,
            model.name(),
            model.checkpoint().precision(),
        )
    }
}

/// Most bytes of a configuration; the official ones have 4 kB.
const MOST_CONFIG_BYTES: u64 = 1 << 20;

/// A yaml in the official layout.
///
/// # Errors
/// As [`Session::config`].
pub fn read_config(path: &Path) -> Result<ModelConfig, CliError> {
    let text = files::read_text(path, MOST_CONFIG_BYTES)?;
    ModelConfig::from_yaml(&text).map_err(|e| CliError::Model {
        model: path.display().to_string(),
        source: e.into(),
    })
}
