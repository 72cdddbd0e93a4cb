//! The flags of `sam2 serve --api`, checked.

use super::access::Access;
use super::media::MediaDir;
use crate::CliError;
use clap::Args;
use sam2::video::{VideoLimits, VideoOptions};
use sam2_server::Settings;
use std::net::{IpAddr, ToSocketAddrs};
use std::time::Duration;

#[derive(Debug, Args)]
#[command(next_help_heading = "Session API")]
pub struct ApiArgs {
    /// Also track videos for clients over HTTP: /api/v1 (see /api/v1/openapi.json)
    #[arg(long)]
    pub api: bool,
    /// The model that tracks: a file, or a name in SAM2_MODELS_DIR [default: the built-in sam2-nano]
    #[arg(long, value_name = "MODEL", requires = "api")]
    pub model: Option<String>,
    /// A name by which clients call this machine, besides localhost and IP addresses
    #[arg(long = "allow-host", value_name = "NAME", requires = "api")]
    pub allow_host: Vec<String>,
    /// Sessions that may be open at once
    #[arg(long, value_name = "N", default_value_t = 4, requires = "api", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub max_sessions: u16,
    /// Requests for the network that may wait or run; beyond it 503
    #[arg(long, value_name = "N", default_value_t = 16, requires = "api", value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub max_queue: u16,
    /// Objects of one session
    #[arg(long, value_name = "N", default_value_t = 32, requires = "api", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub max_objects: u16,
    /// Largest upload
    #[arg(long, value_name = "MB", default_value_t = 256, requires = "api", value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    pub max_upload: u32,
    /// Memory for the caches of all sessions together
    #[arg(long, value_name = "MB", default_value_t = 2048, requires = "api", value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    pub session_memory: u32,
    /// A session that nobody asks for so long is closed
    #[arg(long, value_name = "SECONDS", default_value_t = 1800, requires = "api", value_parser = clap::value_parser!(u32).range(1..=604_800))]
    pub session_idle: u32,
}

/// What clients may take.
#[derive(Debug, Clone)]
pub struct Limits {
    pub sessions: usize,
    /// Tasks for the network, waiting and running.
    pub queue: usize,
    pub objects: usize,
    /// Points of one prompt: each is a token of the decoder.
    pub points: usize,
    /// Bytes of an upload.
    pub upload: u64,
    /// Bytes of a JSON body; a mask as run lengths fits.
    pub body: usize,
    /// Bytes of a frame that is pushed, in memory until it is decoded; a photograph in 4K as PNG fits.
    pub frame: u64,
    pub idle: Duration,
    /// An upload that sends nothing for so long is given up.
    pub upload_pause: Duration,
    /// Frames and their size.
    pub video: VideoLimits,
    /// Caches of one session on a file, and how it takes corrections.
    pub caches: VideoOptions,
    pub live: LiveLimits,
}

/// What a live session may hold; all of it together is as much as one on a file may.
#[derive(Debug, Clone, Copy)]
pub struct LiveLimits {
    pub caches: VideoOptions,
    /// Bytes of the latest pictures.
    pub pictures: usize,
}

/// A checked configuration.
#[derive(Debug)]
pub struct ApiConfig {
    pub limits: Limits,
    pub access: Access,
    pub media: MediaDir,
}

impl ApiConfig {
    /// # Errors
    /// [`CliError::Usage`]: an address that others can reach without a token.
    /// [`CliError::Io`]: SAM2_MEDIA_DIR is no folder that can be read.
    pub fn try_from_args(args: &ApiArgs, settings: &Settings) -> Result<Self, CliError> {
        let token = settings.api_token.as_ref().map(|t| t.reveal());
        if token.is_none() && !is_loopback(&settings.host, settings.port) {
            let text = format!(
                "SAM2_HOST={} can be reached from other machines: set SAM2_API_TOKEN to a secret that \
                 clients of the session API must know, or leave --api out",
                settings.host
            );
            return Err(CliError::Usage(text));
        }
        if token.is_some_and(|token| token.len() < 16) {
            tracing::warn!("SAM2_API_TOKEN is short and can be guessed: use 16 characters or more");
        }
        let mut names = args.allow_host.clone();
        names.push(settings.host.clone());
        Ok(Self {
            limits: limits(args, settings),
            access: Access::new(token, names),
            media: MediaDir::open(settings.media_dir.as_deref())?,
        })
    }
}

fn limits(args: &ApiArgs, settings: &Settings) -> Limits {
    let sessions = usize::from(args.max_sessions);
    let bytes = ((args.session_memory as usize) << 20) / sessions;
    let caches = |bytes| VideoOptions {
        // Clients propagate from the frame that they corrected.
        add_all_frames_to_correct_as_cond: true,
        ..VideoOptions::within(bytes)
    };
    // 102 MB of the usual 512, in which the latest 16 frames fit at 1920 x 1080.
    let pictures = bytes / 5;
    Limits {
        sessions,
        queue: args.max_queue.into(),
        objects: args.max_objects.into(),
        points: 256,
        upload: u64::from(args.max_upload) << 20,
        body: 2 << 20,
        frame: 32 << 20,
        idle: Duration::from_secs(args.session_idle.into()),
        upload_pause: Duration::from_secs(30),
        video: VideoLimits {
            max_dimension: settings.max_frame_dimension as usize,
            max_frames: settings.max_video_frames as usize,
        },
        caches: caches(bytes),
        live: LiveLimits {
            caches: caches(bytes - pictures),
            pictures,
        },
    }
}

/// Does the host name nothing but this machine? A name that cannot be resolved counts as reachable.
fn is_loopback(host: &str, port: u16) -> bool {
    match host.parse::<IpAddr>() {
        Ok(ip) => ip.is_loopback(),
        Err(_) => (host, port).to_socket_addrs().is_ok_and(|addresses| {
            let mut ips = addresses.map(|address| address.ip()).peekable();
            ips.peek().is_some() && ips.all(|ip| ip.is_loopback())
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_goes_without_a_token() {
        for host in ["127.0.0.1", "127.8.8.8", "::1", "localhost"] {
            assert!(is_loopback(host, 80), "{host}");
        }
        for host in ["0.0.0.0", "::", "192.168.1.7", "no.such.host.invalid"] {
            assert!(!is_loopback(host, 80), "{host}");
        }
    }
}
