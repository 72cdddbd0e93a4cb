//! `models/manifest.json`: the models that can be picked by name.

use serde::{Deserialize, Serialize};

use crate::config::{ModelConfig, Size, Version};
use crate::error::{CheckpointError, shown};
use crate::metadata::parse_sha256;

/// The version of the list's layout that this crate reads.
pub const SCHEMA: u32 = 1;

/// A real list has some ten entries.
const MAX_BYTES: usize = 1 << 20;

/// The models that can be picked by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Name of the model that is used when none is asked for.
    pub default: String,
    pub models: Vec<ModelEntry>,
}

/// One model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelEntry {
    /// What people type: lower-case letters, digits, `.`, `_` and `-`.
    pub name: String,
    /// Name of the file in the models folder, without a path.
    pub file: String,
    /// Where `sam2 models fetch` gets it, https only; absent for a model that comes with the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Bytes, where known for certain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Of the whole file, in hexadecimal. Absent where no source can be cited: pinned at first fetch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// SPDX expression.
    pub licence: String,
    /// Credits that have to travel with the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credits: Option<String>,
    /// Where the configuration comes from.
    pub config: ConfigSource,
    /// One sentence for the person who chooses.
    pub description: String,
    /// A warning that the page shows beside every result, such as that the weights are untrained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Where the configuration of a listed model comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ConfigSource {
    /// The file is the project's own and brings it.
    Inside,
    /// A published configuration.
    Official { size: Size, version: Version },
    /// A yaml beside the model, by name.
    Yaml(String),
}

impl ConfigSource {
    /// The configuration, where the list alone says it.
    pub fn official(&self) -> Option<ModelConfig> {
        match self {
            ConfigSource::Official { size, version } => {
                Some(ModelConfig::official(*size, *version))
            }
            ConfigSource::Inside | ConfigSource::Yaml(_) => None,
        }
    }
}

impl Manifest {
    /// Reads a list, strictly.
    ///
    /// # Errors
    /// [`CheckpointError::Manifest`] for unknown keys, another schema, a name that stands twice, a
    /// path where a file name is wanted, an address that is not https, a hash that is none.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        if text.len() > MAX_BYTES {
            return Err(bad(format!("is {} bytes long", text.len())));
        }
        let manifest: Self =
            serde_json::from_str(text).map_err(|error| bad(shown(&error.to_string())))?;
        manifest.check()?;
        Ok(manifest)
    }

    /// A model by its name.
    pub fn get(&self, name: &str) -> Option<&ModelEntry> {
        self.models.iter().find(|model| model.name == name)
    }

    /// The names, for an error that says what there is.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.models.iter().map(|model| model.name.as_str())
    }

    fn check(&self) -> Result<(), CheckpointError> {
        if self.schema != SCHEMA {
            return Err(bad(format!(
                "has schema {}, and this version reads {SCHEMA}; update sam2",
                self.schema
            )));
        }
        for (position, model) in self.models.iter().enumerate() {
            if self.models[..position]
                .iter()
                .any(|other| other.name == model.name || other.file == model.file)
            {
                return Err(bad(format!(
                    "`{}` or its file stands twice",
                    shown(&model.name)
                )));
            }
            model.check()?;
        }
        if self.get(&self.default).is_none() {
            return Err(bad(format!(
                "the default `{}` is not in it",
                shown(&self.default)
            )));
        }
        Ok(())
    }
}

impl ModelEntry {
    fn check(&self) -> Result<(), CheckpointError> {
        let bad = |message: String| bad(format!("model `{}`: {message}", shown(&self.name)));
        let lower =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
        if !is_file_name(&self.name) || !self.name.bytes().all(lower) {
            return Err(bad(
                "a name has lower-case letters, digits, `.`, `_` and `-`".into(),
            ));
        }
        if !is_file_name(&self.file) {
            return Err(bad(format!(
                "`{}` is not a plain file name",
                shown(&self.file)
            )));
        }
        if let ConfigSource::Yaml(file) = &self.config
            && !is_file_name(file)
        {
            return Err(bad(format!("`{}` is not a plain file name", shown(file))));
        }
        if let Some(url) = &self.url
            && !is_https(url)
        {
            return Err(bad(format!("`{}` is not an https address", shown(url))));
        }
        if self.size == Some(0) {
            return Err(bad("size is 0".into()));
        }
        if self
            .sha256
            .as_deref()
            .is_some_and(|hash| parse_sha256(hash).is_none())
        {
            return Err(bad("sha256 is not 64 hexadecimal digits".into()));
        }
        if self.licence.trim().is_empty() || self.description.trim().is_empty() {
            return Err(bad("licence and description must not be empty".into()));
        }
        Ok(())
    }
}

/// SECURITY: names become paths in the models folder and in URLs; nothing may lead out of it.
fn is_file_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+".contains(&byte);
    !name.is_empty() && name.len() <= 128 && !name.starts_with('.') && name.bytes().all(allowed)
}

fn is_https(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("https://") else {
        return false;
    };
    let host = rest.split('/').next().unwrap_or("");
    !host.is_empty() && !host.contains('@') && url.bytes().all(|byte| byte.is_ascii_graphic())
}

fn bad(message: impl Into<String>) -> CheckpointError {
    CheckpointError::Manifest {
        message: message.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMITTED: &str = include_str!("../../../models/manifest.json");

    #[test]
    fn the_committed_list_has_nano_and_the_eight_published_models() {
        let manifest = Manifest::parse(COMMITTED).unwrap();
        assert_eq!(manifest.default, "nano");
        assert_eq!(manifest.get("nano").unwrap().config, ConfigSource::Inside);
        for size in Size::ALL {
            for (version, name, folder, file) in [
                (
                    Version::V2_1,
                    size.name().to_owned(),
                    "092824",
                    format!("sam2.1_hiera_{size}.pt"),
                ),
                (
                    Version::V2_0,
                    format!("{size}_2.0"),
                    "072824",
                    format!("sam2_hiera_{size}.pt"),
                ),
            ] {
                let model = manifest.get(&name).unwrap();
                assert_eq!(model.config, ConfigSource::Official { size, version });
                let url =
                    format!("https://dl.fbaipublicfiles.com/segment_anything_2/{folder}/{file}");
                assert_eq!((model.url.as_ref(), &model.file), (Some(&url), &file));
            }
        }
        assert_eq!(manifest.names().count(), 9);
        let again = serde_json::to_string(&manifest).unwrap();
        assert_eq!(Manifest::parse(&again).unwrap(), manifest);
    }

    #[test]
    fn lists_that_could_do_harm_are_refused() {
        let hash = "0".repeat(63);
        let with_hash = format!("\"licence\": \"Apache-2.0\", \"sha256\": \"{hash}\"");
        for (from, to, says) in [
            ("\"schema\": 1", "\"schema\": 2", "schema 2"),
            ("\"default\": \"nano\"", "\"default\": \"none\"", "none"),
            ("\"name\": \"small\"", "\"name\": \"tiny\"", "twice"),
            ("\"name\": \"small\"", "\"name\": \"Small\"", "lower-case"),
            (
                "\"file\": \"sam2.1_hiera_small.pt\"",
                "\"file\": \"../../etc/passwd\"",
                "plain file name",
            ),
            (
                "\"file\": \"sam2.1_hiera_small.pt\"",
                "\"file\": \".hidden\"",
                "plain file name",
            ),
            ("https://dl", "http://dl", "https"),
            ("https://dl", "https://user@dl", "https"),
            ("\"licence\": \"Apache-2.0\"", &with_hash, "sha256"),
            (
                "\"licence\": \"Apache-2.0\"",
                "\"license\": \"Apache-2.0\"",
                "license",
            ),
            ("\"version\": \"2.1\"", "\"version\": \"2.2\"", "2.2"),
        ] {
            assert!(COMMITTED.contains(from), "{from}");
            let error = Manifest::parse(&COMMITTED.replacen(from, to, 1)).unwrap_err();
            assert!(error.to_string().contains(says), "{to}: {error}");
        }
    }
}
