//! `sam2 models info`.

use crate::session::Session;
use crate::{CliError, output};
use clap::Args;
use sam2_checkpoint::{Checkpoint, Format, ModelConfig};
use serde::Serialize;

#[derive(Debug, Args)]
pub struct InfoArgs {
    /// A model file, or the name of a model in SAM2_MODELS_DIR [default: the built-in sam2-nano]
    #[arg(value_name = "MODEL")]
    pub model: Option<String>,
    /// One JSON object on stdout, the whole configuration in it
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Serialize)]
struct Info {
    file: String,
    format: &'static str,
    bytes: u64,
    name: Option<String>,
    licence: Option<String>,
    producer: Option<String>,
    /// The published model that it is.
    official: Option<String>,
    tensors: usize,
    parameters: u64,
    precision: &'static str,
    probe_answers: bool,
    image_size: Option<usize>,
    /// What loading and one picture need, in bytes.
    memory_need: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<ModelConfig>,
}

/// Runs the command.
///
/// # Errors
/// A file that is no model.
pub fn run(args: &InfoArgs, session: &Session) -> Result<(), CliError> {
    let (file, mut checkpoint) = session.open_checkpoint(args.model.as_deref())?;
    if let Some(config) = session.config()? {
        checkpoint.set_config(config);
    }
    let info = info(file.to_string(), &checkpoint);
    if args.json {
        return output::json(&info);
    }
    let none = || "-".to_owned();
    let mb = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    let config = match (&info.config, info.image_size) {
        (Some(c), Some(size)) => {
            let trunk = &c.image_encoder.trunk;
            format!(
                "{size} x {size}, trunk {} {:?}, {} channels",
                trunk.embed_dim,
                trunk.stages,
                c.hidden_dim()
            )
        }
        _ => "not inside: give it with --config".to_owned(),
    };
    for (what, value) in [
        ("file", info.file.clone()),
        (
            "format",
            format!("{}, {}, {}", info.format, info.precision, mb(info.bytes)),
        ),
        ("name", info.name.clone().unwrap_or_else(none)),
        ("published as", info.official.clone().unwrap_or_else(none)),
        ("licence", info.licence.clone().unwrap_or_else(none)),
        ("producer", info.producer.clone().unwrap_or_else(none)),
        (
            "tensors",
            format!(
                "{}, {:.2} M values",
                info.tensors,
                info.parameters as f64 / 1e6
            ),
        ),
        ("configuration", config),
        (
            "probe answers",
            if info.probe_answers { "inside" } else { "-" }.to_owned(),
        ),
        ("memory", info.memory_need.map_or_else(none, mb)),
    ] {
        output::line(&format!("{what:16}{value}"))?;
    }
    Ok(())
}

fn info(file: String, checkpoint: &Checkpoint) -> Info {
    let metadata = checkpoint.metadata();
    let config = checkpoint.config().cloned();
    Info {
        file,
        format: match checkpoint.format() {
            Format::Pt => "PyTorch .pt",
            Format::Safetensors => "plain .safetensors",
            Format::Sam2 => "sam2/1",
            _ => "unknown",
        },
        bytes: checkpoint.file_size(),
        name: metadata.name.clone(),
        licence: metadata.licence.clone(),
        producer: metadata.producer.clone(),
        official: checkpoint
            .official()
            .map(|(size, version)| format!("SAM {version} {size}")),
        tensors: checkpoint.index().len(),
        parameters: checkpoint.num_parameters(),
        precision: checkpoint.precision(),
        probe_answers: checkpoint.probe().is_some(),
        image_size: config.as_ref().map(|c| c.image_size),
        memory_need: config.as_ref().map(sam2::memory::need),
        config,
    }
}
