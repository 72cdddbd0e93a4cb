//! Packages of Debian: installed under CI, named to a person.

use std::process::Command;

use anyhow::{Result, bail};

use crate::command;
use crate::workspace::unattended;

/// Makes sure that `packages` are there when `found` says that they are not.
///
/// Under CI they are installed with apt-get. For a person the error carries the one command,
/// because a recipe has no business changing somebody's system.
pub fn require(what: &str, packages: &[&str], found: impl Fn() -> bool) -> Result<()> {
    if found() {
        return Ok(());
    }
    let sudo = if is_root() { "" } else { "sudo " };
    let line = format!(
        "{sudo}apt-get update && {sudo}apt-get install -y --no-install-recommends {}",
        packages.join(" ")
    );
    if !unattended() {
        bail!("{what} is missing; on Debian or Ubuntu:\n    {line}");
    }
    eprintln!("xtask: {what} is missing, installing: {line}");
    command::run(
        Command::new("sh")
            .args(["-c", &line])
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )?;
    if !found() {
        bail!("{what} is still missing after: {line}");
    }
    Ok(())
}

fn is_root() -> bool {
    command::answer(Command::new("id").arg("-u")).as_deref() == Some("0")
}
