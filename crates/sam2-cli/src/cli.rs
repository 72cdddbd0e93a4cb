//! What can be typed. Each command's arguments lie beside the command.

use crate::{bench, convert, devices, eval, models, segment, serve, track};
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use sam2::DeviceChoice;
use std::path::PathBuf;

/// Segment Anything 2: masks of what you point at, in pictures, on this machine.
#[derive(Debug, Parser)]
#[command(name = "sam2", version, max_term_width = 100, propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Masks for points and boxes, in one picture or thousands
    Segment(segment::SegmentArgs),
    /// Follow objects through a video
    Track(track::TrackArgs),
    /// Turn a checkpoint into the project's own file, or back into the official layout
    Convert(convert::ConvertArgs),
    /// List, fetch, describe and verify models
    #[command(subcommand)]
    Models(models::ModelsCommand),
    /// What this machine can run on, and how fast it is
    Devices(devices::DevicesArgs),
    /// Time loading, encoding and a click
    Bench(bench::BenchArgs),
    /// Measure a model against pictures with known masks
    Eval(eval::EvalArgs),
    /// Serve the page
    Serve(serve::ServeArgs),
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Where the network runs; auto takes a GPU only where it is faster and answers rightly
    #[arg(long, global = true, value_enum, default_value_t = DeviceArg::Auto)]
    pub device: DeviceArg,
    /// Configuration of the model, a yaml in the official layout (needed only for a model that is
    /// neither published nor the project's own file)
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Side of the square the network sees, a multiple of 64; smaller is faster and less exact
    #[arg(long, global = true, value_name = "N")]
    pub image_size: Option<usize>,
    /// CPU threads; by default the cores this process may use
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Only errors on stderr
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// More on stderr; twice for even more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Progress on stderr: auto shows it on a terminal
    #[arg(long, global = true, value_enum, default_value_t = ProgressArg::Auto)]
    pub progress: ProgressArg,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DeviceArg {
    Auto,
    Gpu,
    Cpu,
}

impl From<DeviceArg> for DeviceChoice {
    fn from(arg: DeviceArg) -> Self {
        match arg {
            DeviceArg::Auto => Self::Auto,
            DeviceArg::Gpu => Self::Gpu,
            DeviceArg::Cpu => Self::Cpu,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProgressArg {
    Auto,
    Never,
}

/// What clap found wrong, as one line with the way to the help.
pub fn usage_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    // The usage and the pointer to --help follow the message after an empty line.
    let end = text
        .find("\n\nUsage:")
        .or_else(|| text.find("\n\nFor more"))
        .unwrap_or(text.len());
    let text = crate::error::one_line(text[..end].trim_start_matches("error:"));
    format!("{text} (see sam2 --help)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_usage_error_is_one_line() {
        for args in [
            &["sam2", "segment"][..],
            &["sam2", "--devise", "cpu", "devices"],
            &["sam2"],
        ] {
            let error = Cli::try_parse_from(args).unwrap_err();
            let line = usage_line(&error);
            assert_eq!(line.lines().count(), 1, "{line}");
            assert!(line.ends_with("(see sam2 --help)"), "{line}");
        }
    }
}
