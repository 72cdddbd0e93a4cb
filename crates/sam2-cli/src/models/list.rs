//! `sam2 models list`.

use super::manifest;
use crate::locate::models_dir;
use crate::session::Session;
use crate::{CliError, output};
use clap::Args;
use sam2_checkpoint::manifest::ModelEntry;
use serde::Serialize;
use std::path::Path;

#[derive(Debug, Args)]
pub struct ListArgs {
    /// One JSON object per model on stdout
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    name: &'a str,
    /// `built-in`, `here` or `fetch`.
    state: &'static str,
    file: String,
    licence: &'a str,
    description: &'a str,
}

/// Runs the command.
///
/// # Errors
/// [`CliError::Manifest`].
pub fn run(args: &ListArgs, session: &Session) -> Result<(), CliError> {
    let folder = models_dir(&session.settings);
    let manifest = manifest()?;
    for entry in &manifest.models {
        let line = line(entry, &folder);
        if args.json {
            output::json(&line)?;
        } else {
            let Line {
                name,
                state,
                licence,
                description,
                ..
            } = line;
            output::line(&format!("{name:16}{state:10}{licence:20}{description}"))?;
        }
    }
    if !args.json {
        tracing::info!("models are kept in {} (SAM2_MODELS_DIR)", folder.display());
    }
    Ok(())
}

fn line<'a>(entry: &'a ModelEntry, folder: &Path) -> Line<'a> {
    let path = folder.join(&entry.file);
    let state = match (&entry.url, path.is_file()) {
        (None, _) => "built-in",
        (_, true) => "here",
        _ => "fetch",
    };
    Line {
        name: &entry.name,
        state,
        file: path.display().to_string(),
        licence: &entry.licence,
        description: &entry.description,
    }
}
