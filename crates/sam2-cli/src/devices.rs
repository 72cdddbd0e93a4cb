//! `sam2 devices`: what this machine can run on.

use crate::cli::DeviceArg;
use crate::session::Session;
use crate::{CliError, output};
use clap::Args;
use sam2::{DeviceChoice, Runtime};
use serde::Serialize;

#[derive(Debug, Args)]
pub struct DevicesArgs {
    /// One JSON object on stdout
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    cpu: Cpu,
    gpu: Gpu,
    /// What `--device auto` takes, and why.
    auto: Option<Choice>,
}

#[derive(Debug, Serialize)]
struct Cpu {
    cores: usize,
    quota: Option<f64>,
    threads: usize,
    simd: String,
    memory_limit_mb: Option<u64>,
    memory_free_mb: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Gpu {
    adapter: Option<String>,
    /// Whether it opened and passed its self-test, in words.
    state: String,
}

#[derive(Debug, Serialize)]
struct Choice {
    device: &'static str,
    why: String,
}

/// Runs the command.
///
/// # Errors
/// [`CliError::Engine`] where `--device gpu` was asked for and there is none.
pub fn run(args: &DevicesArgs, session: &Session) -> Result<(), CliError> {
    let cpu = session.open(DeviceChoice::Cpu)?;
    let machine = &session.machine;
    let cpu = Cpu {
        cores: machine.cores,
        quota: machine.quota,
        threads: cpu.threads,
        simd: cpu.adapter,
        memory_limit_mb: machine.memory_limit.map(|bytes| bytes >> 20),
        memory_free_mb: sam2::memory::available().map(|bytes| bytes >> 20),
    };
    let choice = |runtime: Runtime| Choice {
        device: runtime.kind.name(),
        why: runtime.why,
    };
    let (gpu, auto) = match session.global.device {
        DeviceArg::Cpu => (
            Gpu {
                adapter: None,
                state: "not looked for (--device cpu)".to_owned(),
            },
            None,
        ),
        DeviceArg::Gpu => {
            let gpu = session.open(DeviceChoice::Gpu)?;
            (
                Gpu {
                    adapter: Some(gpu.adapter),
                    state: gpu.why,
                },
                None,
            )
        }
        DeviceArg::Auto => {
            let gpu = match session.open(DeviceChoice::Gpu) {
                Ok(gpu) => Gpu {
                    adapter: Some(gpu.adapter),
                    state: gpu.why,
                },
                Err(error) => Gpu {
                    adapter: None,
                    state: error.to_string(),
                },
            };
            (gpu, Some(choice(session.open(DeviceChoice::Auto)?)))
        }
    };
    let report = Report { cpu, gpu, auto };
    if args.json {
        return output::json(&report);
    }
    let Report { cpu, gpu, auto } = report;
    output::line(&format!(
        "cpu   {machine}, threads {}, {}",
        cpu.threads, cpu.simd
    ))?;
    output::line(&format!(
        "gpu   {}: {}",
        gpu.adapter.as_deref().unwrap_or("none"),
        gpu.state
    ))?;
    if let Some(auto) = auto {
        output::line(&format!("auto  {}: {}", auto.device, auto.why))?;
    }
    Ok(())
}
