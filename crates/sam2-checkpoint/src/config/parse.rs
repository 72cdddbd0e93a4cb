//! From text to a checked configuration.

use serde_json::{Map, Value};

use super::{ConfigError, ModelConfig};

/// Real configurations are 4 kB; this bounds what a wrong file can cost.
const MAX_BYTES: usize = 1 << 20;

const BASE: &str = "sam2.modeling.sam2_base.SAM2Base";

/// Where the official layout names a class, and the classes implemented for that place.
/// The predictors are SAM2Base with more flags, which `ModelConfig` has as well.
const TARGETS: &[(&str, &[&str])] = &[
    (
        "",
        &[
            BASE,
            "sam2.sam2_video_predictor.SAM2VideoPredictor",
            "sam2.sam2_video_predictor.SAM2VideoPredictorVOS",
        ],
    ),
    (
        "image_encoder",
        &["sam2.modeling.backbones.image_encoder.ImageEncoder"],
    ),
    (
        "image_encoder.trunk",
        &["sam2.modeling.backbones.hieradet.Hiera"],
    ),
    (
        "image_encoder.neck",
        &["sam2.modeling.backbones.image_encoder.FpnNeck"],
    ),
    (
        "image_encoder.neck.position_encoding",
        &["sam2.modeling.position_encoding.PositionEmbeddingSine"],
    ),
    (
        "memory_attention",
        &["sam2.modeling.memory_attention.MemoryAttention"],
    ),
    (
        "memory_attention.layer",
        &["sam2.modeling.memory_attention.MemoryAttentionLayer"],
    ),
    (
        "memory_attention.layer.self_attention",
        &["sam2.modeling.sam.transformer.RoPEAttention"],
    ),
    (
        "memory_attention.layer.cross_attention",
        &["sam2.modeling.sam.transformer.RoPEAttention"],
    ),
    (
        "memory_encoder",
        &["sam2.modeling.memory_encoder.MemoryEncoder"],
    ),
    (
        "memory_encoder.position_encoding",
        &["sam2.modeling.position_encoding.PositionEmbeddingSine"],
    ),
    (
        "memory_encoder.mask_downsampler",
        &["sam2.modeling.memory_encoder.MaskDownSampler"],
    ),
    (
        "memory_encoder.fuser",
        &["sam2.modeling.memory_encoder.Fuser"],
    ),
    (
        "memory_encoder.fuser.layer",
        &["sam2.modeling.memory_encoder.CXBlock"],
    ),
];

impl ModelConfig {
    /// Reads a yaml in the official layout (root `model:`, classes in `_target_`), and sets what
    /// the official builders set on top ([`apply_postprocessing`](Self::apply_postprocessing)).
    ///
    /// # Errors
    /// Anything unknown, missing, of the wrong type, out of range or not implemented is a
    /// [`ConfigError`] that names the key.
    pub fn from_yaml(text: &str) -> Result<Self, ConfigError> {
        let mut config = Self::from_yaml_without_postprocessing(text)?;
        config.apply_postprocessing();
        Ok(config)
    }

    /// Reads a yaml in the official layout as `build_sam2(apply_postprocessing=False)` would.
    ///
    /// # Errors
    /// As [`from_yaml`](Self::from_yaml).
    pub fn from_yaml_without_postprocessing(text: &str) -> Result<Self, ConfigError> {
        check_length(text)?;
        let root: Value = serde_saphyr::from_str(text).map_err(|error| ConfigError::Syntax {
            format: "yaml",
            message: one_line(&error.without_snippet().to_string()),
        })?;
        let Value::Object(mut root) = root else {
            return Err(ConfigError::NoModel);
        };
        let model = root.remove("model").ok_or(ConfigError::NoModel)?;
        if let Some(key) = root.keys().next() {
            return Err(ConfigError::UnknownRoot { key: key.clone() });
        }
        if !model.is_object() {
            return Err(ConfigError::NoModel);
        }
        from_value(model)
    }

    /// Reads what [`to_json`](Self::to_json) wrote. Nothing is set on top.
    ///
    /// # Errors
    /// As [`from_yaml`](Self::from_yaml).
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        check_length(text)?;
        let value: Value = serde_json::from_str(text).map_err(|error| ConfigError::Syntax {
            format: "JSON",
            message: one_line(&error.to_string()),
        })?;
        from_value(value)
    }

    /// The configuration as JSON on one line: the keys of the official `model:` mapping, without
    /// `_target_`. The same configuration always gives the same text.
    pub fn to_json(&self) -> String {
        // Numbers, texts, lists and structs of them, which always serialise.
        serde_json::to_string(self).unwrap_or_default()
    }
}

fn from_value(mut value: Value) -> Result<ModelConfig, ConfigError> {
    take_targets(&mut value, "")?;
    let config: ModelConfig = serde_path_to_error::deserialize(value).map_err(|error| {
        let path = match error.path().to_string().as_str() {
            "." => "model".to_owned(),
            path => format!("model.{path}"),
        };
        ConfigError::Field {
            path,
            message: one_line(&error.into_inner().to_string()),
        }
    })?;
    config.validate()?;
    Ok(config)
}

/// Checks and removes every `_target_`, so that the structs hold settings only.
fn take_targets(value: &mut Value, path: &str) -> Result<(), ConfigError> {
    let Value::Object(map) = value else {
        return Ok(());
    };
    if let Some((_, known)) = TARGETS.iter().find(|(place, _)| *place == path) {
        check_target(map, path, known)?;
    }
    for (key, child) in map.iter_mut() {
        let path = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        take_targets(child, &path)?;
    }
    Ok(())
}

fn check_target(
    map: &mut Map<String, Value>,
    path: &str,
    known: &[&'static str],
) -> Result<(), ConfigError> {
    match map.remove("_target_") {
        None => Ok(()),
        Some(Value::String(name)) if known.contains(&name.as_str()) => Ok(()),
        Some(other) => Err(ConfigError::Target {
            path: if path.is_empty() {
                "model".into()
            } else {
                format!("model.{path}")
            },
            found: match other {
                Value::String(name) => name,
                other => other.to_string(),
            },
            expected: known.first().copied().unwrap_or(BASE),
        }),
    }
}

fn check_length(text: &str) -> Result<(), ConfigError> {
    if text.len() > MAX_BYTES {
        return Err(ConfigError::TooLong {
            bytes: text.len(),
            limit: MAX_BYTES,
        });
    }
    Ok(())
}

/// Errors are one line; parsers like to draw.
fn one_line(message: &str) -> String {
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(400) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
