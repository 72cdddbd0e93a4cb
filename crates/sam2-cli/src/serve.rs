//! `sam2 serve`: the page, from this machine, and with `--api` video sessions.

use crate::CliError;
use crate::api::{self, Api, ApiArgs, ApiConfig};
use crate::locate::models_dir;
use crate::session::Session;
use clap::Args;
use sam2_server::actix_web::rt::System;
use sam2_server::actix_web::web::Data;
use sam2_server::{Server, ServerConfig, serve_blocking, shutdown_signal};
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(
    after_help = "SAM2_HOST (127.0.0.1) and SAM2_PORT (8080) say where it listens,
SAM2_MODELS_DIR which models it offers beside the page's own (by default those that `sam2 models
fetch` stored). With --api: SAM2_MEDIA_DIR is the folder whose videos
clients may name, SAM2_API_TOKEN the secret they must send (required beyond this machine),
MAX_VIDEO_FRAMES and MAX_FRAME_DIMENSION bound a video."
)]
pub struct ServeArgs {
    /// Folder of the built page [default: web/dist here or beside the program]
    #[arg(long, value_name = "DIR")]
    pub web: Option<PathBuf>,
    /// Port, instead of SAM2_PORT
    #[arg(long, value_name = "N")]
    pub port: Option<u16>,
    #[command(flatten)]
    pub api: ApiArgs,
}

/// Runs the command until SIGTERM or Ctrl-C.
///
/// # Errors
/// [`CliError::Server`]: no page there, the port taken. With `--api` also [`CliError::Usage`] for an
/// address that others can reach without a token, and what loading the model reports.
pub fn run(args: &ServeArgs, session: &Session) -> Result<(), CliError> {
    let mut settings = session.settings.clone();
    settings.threads = Some(session.threads());
    settings.port = args.port.unwrap_or(settings.port);
    let web = args.web.clone().unwrap_or_else(page);
    // What `sam2 models fetch` stored, where there is something; the page's own are offered besides.
    let fetched = models_dir(&settings);
    let models = match fetched.is_dir() {
        true => fetched,
        false => web.join("models"),
    };
    let checked = match args.api.api {
        true => Some(ApiConfig::try_from_args(&args.api, &settings)?),
        false => None,
    };
    let mut config = ServerConfig::new(settings, web, models);
    let Some(checked) = checked else {
        return Ok(serve_blocking(config)?);
    };
    let model = session.load_quietly(args.api.model.as_deref())?;
    config.engine = Some(format!("session API, {}", session.engine_facts(&model)));
    let api = Data::new(Api::start(checked, model)?);
    config.extra = Some(api::routes(Data::clone(&api)));
    // Nobody should wait for frames that nobody will see.
    config.drop_on_hangup = true;
    let server = Server::bind(config)?;
    let stop = async move {
        shutdown_signal().await;
        // Answers that wait for the network would hold up the end.
        api.stop();
    };
    Ok(System::new().block_on(server.run(stop))?)
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
