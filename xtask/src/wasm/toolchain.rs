//! Which compiler builds for wasm.
//!
//! rustup's target where it is installed or can be added; else Debian's `rustc-web`, which has the
//! standard library as source and builds it with the crate. What is already installed comes
//! before anything that needs a network.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

use anyhow::{Error, Result, anyhow, bail};

use super::TARGET;
use crate::command;
use crate::debian;
use crate::workspace::Workspace;

/// What has to be there for [`is_ready`] without rustup.
pub const DEBIAN_PACKAGES: [&str; 5] = [
    "rustc-web",
    "cargo-web",
    "rust-web-src",
    "rust-web-llvm",
    "lld-22",
];

/// The kinds of toolchain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    Rustup,
    Debian,
}

impl FromStr for Choice {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "rustup" => Ok(Self::Rustup),
            "debian" => Ok(Self::Debian),
            other => bail!("unknown toolchain {other}; known: rustup, debian"),
        }
    }
}

/// A toolchain that was found to be complete.
#[derive(Debug)]
pub struct Toolchain {
    choice: Choice,
    version: String,
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.choice {
            Choice::Rustup => write!(f, "{} and its {TARGET}", self.version),
            Choice::Debian => write!(f, "Debian's {} and -Zbuild-std", self.version),
        }
    }
}

impl Toolchain {
    /// A `cargo` command of this toolchain, without arguments.
    pub fn cargo(&self, workspace: &Workspace) -> Command {
        match self.choice {
            Choice::Rustup => Command::new(workspace.cargo()),
            Choice::Debian => {
                let mut command = Command::new("/usr/bin/cargo");
                let path = std::env::var("PATH").unwrap_or_default();
                command
                    .env("PATH", format!("/usr/bin:{path}"))
                    .env("RUSTC", "/usr/bin/rustc")
                    .env_remove("RUSTUP_TOOLCHAIN")
                    // -Zbuild-std is the only unstable thing used.
                    .env("RUSTC_BOOTSTRAP", "1");
                command
            }
        }
    }

    /// Whether the standard library is built with the crate.
    pub fn builds_std(&self) -> bool {
        self.choice == Choice::Debian
    }

    /// Arguments after `cargo build`.
    pub fn extra_arguments(&self) -> &'static [&'static str] {
        match self.choice {
            Choice::Rustup => &[],
            Choice::Debian => &["-Zbuild-std=std,panic_abort"],
        }
    }
}

/// Whether a toolchain is there, with nothing to add.
pub fn is_ready(workspace: &Workspace) -> bool {
    has_rustup_target(workspace) || has_debian()
}

/// Finds a toolchain, adding what can be added.
pub fn find(workspace: &Workspace, wanted: Option<Choice>) -> Result<Toolchain> {
    let rustup_allowed = wanted != Some(Choice::Debian);
    let debian_allowed = wanted != Some(Choice::Rustup);
    if rustup_allowed && has_rustup_target(workspace) {
        return rustup(workspace);
    }
    if debian_allowed && has_debian() {
        return debian();
    }
    if rustup_allowed && add_rustup_target() && has_rustup_target(workspace) {
        return rustup(workspace);
    }
    if !debian_allowed {
        bail!("rustup has no {TARGET} here; try: rustup target add {TARGET}");
    }
    debian::require(
        &format!("a Rust toolchain for {TARGET} (rustup target add {TARGET} did not work)"),
        &DEBIAN_PACKAGES,
        has_debian,
    )?;
    debian()
}

fn rustup(workspace: &Workspace) -> Result<Toolchain> {
    let version = command::answer(rustc(workspace).arg("--version"))
        .ok_or_else(|| anyhow!("rustc does not answer --version"))?;
    Ok(Toolchain {
        choice: Choice::Rustup,
        version,
    })
}

fn debian() -> Result<Toolchain> {
    let version = command::answer(Command::new("/usr/bin/rustc").arg("--version"))
        .ok_or_else(|| anyhow!("/usr/bin/rustc does not answer --version"))?;
    Ok(Toolchain {
        choice: Choice::Debian,
        version,
    })
}

/// The `rustc` beside the Cargo in use: rustup's proxies could name another one.
fn rustc(workspace: &Workspace) -> Command {
    let beside = workspace.cargo().with_file_name("rustc");
    Command::new(if beside.is_file() {
        beside
    } else {
        PathBuf::from("rustc")
    })
}

fn has_rustup_target(workspace: &Workspace) -> bool {
    command::answer(rustc(workspace).args(["--print", "sysroot"])).is_some_and(|root| {
        Path::new(&root)
            .join("lib/rustlib")
            .join(TARGET)
            .join("lib")
            .is_dir()
    })
}

fn add_rustup_target() -> bool {
    command::rustup(&["target", "add", TARGET])
}

fn has_debian() -> bool {
    let source = command::answer(Command::new("/usr/bin/rustc").args(["--print", "sysroot"]))
        .is_some_and(|root| {
            Path::new(&root)
                .join("lib/rustlib/src/rust/library")
                .is_dir()
        });
    // Without this linker the build ends with "linker `rust-lld` not found".
    source && Path::new("/usr/bin/cargo").is_file() && Path::new("/usr/bin/wasm-ld-22").is_file()
}
