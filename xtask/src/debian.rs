//! Packages of Debian: installed under CI, named to a person.

use std::process::Command;

use anyhow::{Result, bail};

use crate::command;
use crate::workspace::unattended;

/// Makes sure that `packages` are there when `found` says that they are not.
///
/// # Errors
/// As [`require_by`].
pub fn require(what: &str, packages: &[&str], found: impl Fn() -> bool) -> Result<()> {
    require_by(what, &line(packages), found)
}

/// Makes sure that `what` is there, with `line` where `found` says that it is not.
///
/// Under CI the line is run. For a person the error carries it, because a recipe has no business
/// changing somebody's system.
pub fn require_by(what: &str, line: &str, found: impl Fn() -> bool) -> Result<()> {
    if found() {
        return Ok(());
    }
    if !unattended() {
        bail!("missing: {what}; on Debian or Ubuntu:\n    {line}");
    }
    eprintln!("xtask: missing: {what}; installing: {line}");
    command::run(
        Command::new("sh")
            .args(["-c", line])
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )?;
    if !found() {
        bail!("still missing after that: {what}");
    }
    Ok(())
}

/// The command that installs `packages`.
pub fn line(packages: &[&str]) -> String {
    let sudo = sudo();
    format!(
        "{sudo}apt-get update && {sudo}apt-get install -y --no-install-recommends {}",
        packages.join(" ")
    )
}

/// What stands before a command that changes the system.
pub fn sudo() -> &'static str {
    let root = command::answer(Command::new("id").arg("-u")).as_deref() == Some("0");
    if root { "" } else { "sudo " }
}
