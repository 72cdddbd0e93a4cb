//! Which file `--model` means.

use crate::CliError;
use crate::models::manifest;
use sam2::{Checkpoint, FileSource, ReadAt};
use sam2_server::Settings;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The default model, inside the program.
pub static EMBEDDED: &[u8] = include_bytes!("../../../models/sam2-nano.safetensors");
/// Its name.
pub const EMBEDDED_NAME: &str = "sam2-nano";
/// What a model file's name may end with, in the order they are looked for.
const ENDINGS: [&str; 2] = ["safetensors", "pt"];

/// A model's bytes and what to call them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelFile {
    Embedded,
    File(PathBuf),
}

impl ModelFile {
    /// The file's name without its ending, for outputs.
    pub fn name(&self) -> Option<String> {
        match self {
            Self::Embedded => Some(EMBEDDED_NAME.to_owned()),
            Self::File(path) => Some(path.file_stem()?.to_string_lossy().into_owned()),
        }
    }

    /// Opens the file and reads its headers.
    ///
    /// # Errors
    /// [`CliError::Io`], or [`CliError::Model`] with the file's name.
    pub fn open(&self) -> Result<Checkpoint, CliError> {
        let source: Arc<dyn ReadAt> = match self {
            Self::Embedded => Arc::new(EMBEDDED),
            Self::File(path) => {
                // The error brings the path already.
                let plain = |e: std::io::Error| {
                    let reason = e.to_string();
                    let reason = reason.strip_prefix(&format!("{}: ", path.display()));
                    let reason = reason.map_or_else(|| e.to_string(), str::to_owned);
                    CliError::BadFile {
                        path: path.clone(),
                        reason,
                    }
                };
                Arc::new(FileSource::open(path).map_err(plain)?)
            }
        };
        Checkpoint::open(source).map_err(|e| self.error(e.into()))
    }

    /// An error about this file.
    pub fn error(&self, source: sam2::Error) -> CliError {
        CliError::Model {
            model: self.to_string(),
            source,
        }
    }
}

impl std::fmt::Display for ModelFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Embedded => write!(f, "the built-in {EMBEDDED_NAME}"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// The file that `model` means: a path, or the name of a model or of its file in SAM2_MODELS_DIR; without one
/// SAM2_MODEL_SIZE decides, and without that the built-in model is taken.
///
/// # Errors
/// [`CliError::NoModel`] naming `sam2 models fetch`.
pub fn locate(model: Option<&str>, settings: &Settings) -> Result<ModelFile, CliError> {
    let asked = match (model, settings.model_size) {
        (Some(model), _) => model.to_owned(),
        (None, None) => return Ok(ModelFile::Embedded),
        (None, Some(size)) => size.as_str().to_owned(),
    };
    if asked == EMBEDDED_NAME || asked == "nano" {
        return Ok(ModelFile::Embedded);
    }
    let path = Path::new(&asked);
    let ending = path
        .extension()
        .is_some_and(|e| ENDINGS.iter().any(|ours| e == *ours));
    if path.components().count() > 1 || path.is_file() || (ending && path.exists()) {
        return Ok(ModelFile::File(path.to_owned()));
    }
    let folder = models_dir(settings);
    if ending {
        return file_in(&folder, &asked);
    }
    let listed = manifest()?
        .get(&asked)
        .map(|entry| folder.join(&entry.file));
    let files = ENDINGS.map(|e| folder.join(format!("{asked}.{e}")));
    if let Some(path) = files.into_iter().chain(listed).find(|p| p.is_file()) {
        return Ok(ModelFile::File(path));
    }
    Err(CliError::NoModel(format!(
        "there is no model {asked} in {} (SAM2_MODELS_DIR): fetch it with `sam2 models fetch {asked}`, \
         or give the path of a file",
        folder.display()
    )))
}

/// The file called `name`, which is not here, among the models.
fn file_in(folder: &Path, name: &str) -> Result<ModelFile, CliError> {
    let path = folder.join(name);
    if path.is_file() {
        return Ok(ModelFile::File(path));
    }
    let manifest = manifest()?;
    let listed = manifest
        .models
        .iter()
        .find(|m| m.file == name && m.url.is_some());
    let fetch = match listed {
        Some(entry) => format!("fetch it with `sam2 models fetch {}`", entry.name),
        None => "`sam2 models fetch` gets those that `sam2 models list` names".to_owned(),
    };
    Err(CliError::NoModel(format!(
        "there is no file {name} here or in {} (SAM2_MODELS_DIR): {fetch}, or give the path of the file",
        folder.display()
    )))
}

/// SAM2_MODELS_DIR, else the place for a program's data: `$XDG_DATA_HOME/sam2/models` or
/// `~/.local/share/sam2/models`, or `%LOCALAPPDATA%`; else `models` here.
pub fn models_dir(settings: &Settings) -> PathBuf {
    if let Some(folder) = &settings.models_dir {
        return folder.clone();
    }
    let var = |name: &str| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    let data = var("XDG_DATA_HOME")
        .or_else(|| var("LOCALAPPDATA"))
        .or_else(|| Some(var("HOME")?.join(".local/share")));
    data.map_or_else(|| PathBuf::from("models"), |data| data.join("sam2/models"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sam2_server::ModelSize;

    #[test]
    fn names_paths_and_the_default() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sam2.1_hiera_tiny.pt");
        std::fs::write(&file, b"x").unwrap();
        let settings = Settings {
            models_dir: Some(folder.path().into()),
            ..Settings::default()
        };
        assert_eq!(locate(None, &settings).unwrap(), ModelFile::Embedded);
        assert_eq!(
            locate(Some("nano"), &settings).unwrap(),
            ModelFile::Embedded
        );
        assert_eq!(
            locate(Some("tiny"), &settings).unwrap(),
            ModelFile::File(file.clone())
        );
        let sized = Settings {
            model_size: Some(ModelSize::Tiny),
            ..settings.clone()
        };
        assert_eq!(locate(None, &sized).unwrap(), ModelFile::File(file));
        assert_eq!(
            locate(Some("sam2.1_hiera_tiny.pt"), &settings).unwrap(),
            ModelFile::File(folder.path().join("sam2.1_hiera_tiny.pt"))
        );
        for (name, way) in [
            ("sam2.1_hiera_large.pt", "sam2 models fetch large"),
            ("own.safetensors", "sam2 models fetch"),
        ] {
            let error = locate(Some(name), &settings).unwrap_err();
            let text = error.to_string();
            assert!(text.contains(way) && text.contains(name), "{text}");
            assert_eq!(error.code(), "bad_model");
        }
        let path = ModelFile::File("a/b.pt".into());
        assert_eq!(locate(Some("a/b.pt"), &settings).unwrap(), path);
        assert_eq!(path.name().unwrap(), "b");
        let error = locate(Some("large"), &settings).unwrap_err();
        assert!(
            error.to_string().contains("sam2 models fetch large"),
            "{error}"
        );
    }
}
