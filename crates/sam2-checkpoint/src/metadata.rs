//! What the project's own file says about itself in `__metadata__`.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::config::ModelConfig;
use crate::error::{CheckpointError, shown};

/// The format that this version writes. The number is the major version: a reader refuses one that
/// it does not know, and keys it does not know are ignored.
pub const FORMAT: &str = "sam2/1";

pub(crate) const KEY_FORMAT: &str = "format";
pub(crate) const KEY_CONFIG: &str = "config";
pub(crate) const KEY_SHA256: &str = "data_sha256";
pub(crate) const KEY_NAME: &str = "name";
pub(crate) const KEY_LICENCE: &str = "licence";
pub(crate) const KEY_PRODUCER: &str = "producer";
pub(crate) const KEY_PROBE: &str = "probe";

/// The metadata of a model file that are not its configuration.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metadata {
    /// What to call the model, such as `sam2.1_tiny`.
    pub name: Option<String>,
    /// SPDX expression, and credits where the licence asks for them.
    pub licence: Option<String>,
    /// Program and version that wrote the file.
    pub producer: Option<String>,
    /// The model's answers on the built-in picture, as the crate that computes them writes them.
    pub probe: Option<Value>,
}

/// Everything read out of `__metadata__` of the project's own file.
pub(crate) struct Own {
    pub config: ModelConfig,
    pub metadata: Metadata,
    pub data_sha256: [u8; 32],
}

/// Reads the project's own metadata; `None` for any other `.safetensors`.
///
/// # Errors
/// [`CheckpointError::UnknownFormat`] for a later major version, [`CheckpointError::Metadata`] for
/// an entry that is missing or damaged, [`CheckpointError::Config`] for a bad configuration.
pub(crate) fn parse(map: &BTreeMap<String, String>) -> Result<Option<Own>, CheckpointError> {
    // PyTorch and transformers write format = "pt"; only "sam2/..." is ours.
    let Some(format) = map
        .get(KEY_FORMAT)
        .filter(|format| format.starts_with("sam2/"))
    else {
        return Ok(None);
    };
    if format != FORMAT {
        return Err(CheckpointError::UnknownFormat {
            found: shown(format),
        });
    }
    let required = |key: &'static str| {
        map.get(key).ok_or(CheckpointError::Metadata {
            key,
            message: "is missing".into(),
        })
    };
    let config = ModelConfig::from_json(required(KEY_CONFIG)?)?;
    let data_sha256 = parse_sha256(required(KEY_SHA256)?).ok_or(CheckpointError::Metadata {
        key: KEY_SHA256,
        message: "is not 64 hexadecimal digits".into(),
    })?;
    let probe = map
        .get(KEY_PROBE)
        .map(|text| serde_json::from_str(text))
        .transpose()
        .map_err(|error| CheckpointError::Metadata {
            key: KEY_PROBE,
            message: shown(&error.to_string()),
        })?;
    let metadata = Metadata {
        name: map.get(KEY_NAME).cloned(),
        licence: map.get(KEY_LICENCE).cloned(),
        producer: map.get(KEY_PRODUCER).cloned(),
        probe,
    };
    Ok(Some(Own {
        config,
        metadata,
        data_sha256,
    }))
}

/// 64 hexadecimal digits, as `sha256sum` prints them.
pub(crate) fn parse_sha256(text: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}

/// As `sha256sum` prints it.
pub(crate) fn hex(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
