//! `sam2 models`: list, fetch, describe and verify.

mod fetch;
mod info;
mod list;
mod official;
mod verify;

use crate::CliError;
use crate::session::Session;
use clap::Subcommand;
use sam2_checkpoint::manifest::Manifest;

#[derive(Debug, Subcommand)]
pub enum ModelsCommand {
    /// The models that can be named, and whether they are here
    List(list::ListArgs),
    /// Download a model into SAM2_MODELS_DIR; a broken download goes on where it stopped
    Fetch(fetch::FetchArgs),
    /// What a model file is
    Info(info::InfoArgs),
    /// Checksums, tensors and known answers of a model file
    Verify(verify::VerifyArgs),
}

/// Runs the command.
///
/// # Errors
/// Those of the command.
pub fn run(command: &ModelsCommand, session: &Session) -> Result<(), CliError> {
    match command {
        ModelsCommand::List(args) => list::run(args, session),
        ModelsCommand::Fetch(args) => fetch::run(args, session),
        ModelsCommand::Info(args) => info::run(args, session),
        ModelsCommand::Verify(args) => verify::run(args, session),
    }
}

/// The list of models that travels with the program.
///
/// # Errors
/// [`CliError::Manifest`].
pub fn manifest() -> Result<Manifest, CliError> {
    let text = include_str!("../../../../models/manifest.json");
    Manifest::parse(text).map_err(|e| CliError::Manifest(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_in_the_program_is_sound_and_its_default_is_built_in() {
        let manifest = manifest().unwrap();
        let default = manifest.get(&manifest.default).unwrap();
        assert!(default.url.is_none(), "the default comes with the program");
        assert!(manifest.get("tiny").is_some_and(|m| m.url.is_some()));
    }
}
