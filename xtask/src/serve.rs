//! `cargo xtask serve`: build what is missing, then serve the page.

use std::net::TcpListener;

use anyhow::{Result, bail};
use sam2_server::actix_web::rt::System;
use sam2_server::{Server, ServerConfig, ServerError, Settings};

use crate::children;
use crate::site;
use crate::wasm;
use crate::workspace::Workspace;

/// Builds the page where it is missing or older than its sources, and serves it until a signal.
pub fn serve(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    if !arguments.is_empty() {
        bail!("serve takes no arguments; SAM2_PORT and the other settings are variables");
    }
    let settings = Settings::from_os_env(std::env::vars_os())?;
    sam2_server::init_logging(&settings);
    settings.warn_of_what_waits();
    // Asked before a build that may take a quarter of an hour.
    ask_for_the_port(&settings)?;
    wasm::build_if_stale(workspace)?;
    site::lay_out(workspace)?;
    let server = Server::bind(ServerConfig::new(
        settings,
        workspace.dist(),
        workspace.models(),
    ))?;
    children::leave_signals_to_the_server();
    println!("{}", server.url());
    System::new().block_on(server.run(sam2_server::shutdown_signal()))?;
    Ok(())
}

fn ask_for_the_port(settings: &Settings) -> Result<(), ServerError> {
    match TcpListener::bind((settings.host.as_str(), settings.port)) {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            Err(ServerError::PortTaken {
                host: settings.host.clone(),
                port: settings.port,
            })
        }
        // Anything else is said by the server itself.
        _ => Ok(()),
    }
}
