//! `sam2 serve`: the page, from this machine.

use crate::CliError;
use crate::session::Session;
use clap::Args;
use sam2_server::{ServerConfig, serve_blocking};
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(
    after_help = "SAM2_HOST (127.0.0.1) and SAM2_PORT (8080) say where it listens,
SAM2_MODELS_DIR which models it offers."
)]
pub struct ServeArgs {
    /// Folder of the built page [default: web/dist here or beside the program]
    #[arg(long, value_name = "DIR")]
    pub web: Option<PathBuf>,
    /// Port, instead of SAM2_PORT
    #[arg(long, value_name = "N")]
    pub port: Option<u16>,
}

/// Runs the command until SIGTERM or Ctrl-C.
///
/// # Errors
/// [`CliError::Server`]: no page there, the port taken.
pub fn run(args: &ServeArgs, session: &Session) -> Result<(), CliError> {
    let mut settings = session.settings.clone();
    settings.threads = Some(session.threads());
    settings.port = args.port.unwrap_or(settings.port);
    let web = args.web.clone().unwrap_or_else(page);
    let models = web.join("models");
    Ok(serve_blocking(ServerConfig::new(settings, web, models))?)
}

/// `web/dist` in this folder, else beside the program.
fn page() -> PathBuf {
    let here = PathBuf::from("web/dist");
    let program = std::env::current_exe().ok();
    let beside = program.and_then(|p| Some(p.parent()?.join("web/dist")));
    match beside {
        Some(beside) if !here.join("index.html").is_file() && beside.is_dir() => beside,
        _ => here,
    }
}
