//! Node, its packages and the browser that its tests drive.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{self, run};
use crate::debian;
use crate::files;

/// The oldest version whose test runner and WebAssembly the page's tests need.
const OLDEST: u32 = 20;

/// Checks Node and installs the packages of `folder` where they are not those of its lock file.
pub fn prepare(folder: &Path) -> Result<()> {
    require()?;
    let lock = folder.join("package-lock.json");
    let wanted = files::sha256(&lock)?;
    // Written by us after a complete install: a half one has no stamp.
    let stamp = folder.join("node_modules/.sam2-lock");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    run(npm()
        .current_dir(folder)
        .args(["ci", "--no-audit", "--no-fund"]))?;
    std::fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))
}

/// `npm run NAME` in `folder`.
pub fn script(folder: &Path, name: &str) -> Command {
    let mut command = npm();
    command.current_dir(folder).args(["run", "--silent", name]);
    command
}

/// Installs one package into a folder of its own.
pub fn install(folder: &Path, package: &str) -> Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot create {}", folder.display()))?;
    let flags = ["--no-audit", "--no-fund", "--no-save", "--prefix"];
    run(npm().arg("install").args(flags).arg(folder).arg(package))
}

/// Fails with what to do when Node is missing or too old.
pub fn require() -> Result<()> {
    let Some(version) = command::answer(Command::new("node").arg("--version")) else {
        bail!("node is missing; install Node {OLDEST} or newer (https://nodejs.org)");
    };
    match major(&version) {
        Some(major) if major >= OLDEST => Ok(()),
        _ => bail!("node is {version}; the page's tools need {OLDEST} or newer"),
    }
}

fn major(version: &str) -> Option<u32> {
    version
        .trim_start_matches('v')
        .split('.')
        .next()?
        .parse()
        .ok()
}

/// The browser: `CHROMIUM`, or the system's.
pub fn chromium() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("CHROMIUM").filter(|path| !path.is_empty()) {
        return Ok(PathBuf::from(path));
    }
    let find = || {
        [
            "/usr/bin/chromium",
            "/usr/bin/chromium-browser",
            "/usr/bin/google-chrome",
        ]
        .iter()
        .map(PathBuf::from)
        .find(|path| path.is_file())
    };
    debian::require(
        "Chromium (or set CHROMIUM to its path)",
        &["chromium"],
        || find().is_some(),
    )?;
    find().context("Chromium was installed but is not in /usr/bin; set CHROMIUM to its path")
}

fn npm() -> Command {
    // A batch file on Windows, which has to be named in full.
    Command::new(if cfg!(windows) { "npm.cmd" } else { "npm" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(major("v20.20.2"), Some(20));
        assert_eq!(major("22.1.0"), Some(22));
        assert_eq!(major("nightly"), None);
    }
}
