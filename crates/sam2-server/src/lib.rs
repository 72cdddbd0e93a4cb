//! The server of the page: files, model weights, health and settings. No engine, no Burn.
//!
//! The built page works from any static file server; this one adds what such servers often lack:
//! ranges and precompressed files with right validators, the headers that give a page shared
//! memory, a strict content security policy, limits on what a client can hold, and an end that
//! lets running downloads finish.
//!
//! ```no_run
//! # fn main() -> Result<(), sam2_server::ServerError> {
//! use sam2_server::{ServerConfig, Settings};
//!
//! let settings = Settings::from_os_env(std::env::vars_os())?;
//! sam2_server::init_logging(&settings);
//! settings.warn_of_what_waits();
//! sam2_server::serve_blocking(ServerConfig::new(settings, "web/dist", "models"))?;
//! # Ok(()) }
//! ```
//!
//! A caller adds routes of its own, such as a session API, with [`ServerConfig::extra`].

mod body;
mod conditional;
pub mod cores;
mod encoding;
mod error;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod fuzz;
mod headers;
mod logging;
mod media_type;
mod page_config;
mod range;
mod resolve;
mod server;
mod settings;
mod site;

pub use actix_web;

pub use error::{RequestError, ServerError};
pub use logging::init_logging;
pub use server::{Extra, Limits, Server, ServerConfig, run, serve_blocking, shutdown_signal};
pub use settings::{ModelSize, Settings, SettingsError};
