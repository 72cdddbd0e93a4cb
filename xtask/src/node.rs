//! Node, its packages and the browser that its tests drive.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::{self, run};
use crate::debian;
use crate::files;

/// The oldest version whose test runner and WebAssembly the page's tests need. [`FROM_NPM`] asks for
/// the same.
const OLDEST: u32 = 20;
/// Debian's packages: `npm` is one of its own there.
pub const PACKAGES: [&str; 2] = ["nodejs", "npm"];
/// Run after the packages where they are too old (Debian 12 has version 18): Node out of npm's registry. npm
/// comes first: Debian's is bound to Debian's Node, and ends in the middle of installing another.
const FROM_NPM: &str = "(node --version | grep -Eq '^v[2-9][0-9]' \
     || (SUDOnpm install -g npm@10 && hash -r && SUDOnpm install -g node@22))";
/// The browser's package.
pub const CHROMIUM_PACKAGES: [&str; 1] = ["chromium"];

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

/// Makes sure that Node is there and new enough: installed under CI, else an error with the command.
pub fn require() -> Result<()> {
    let line = format!("{} && {}", debian::line(&PACKAGES), renew());
    debian::require_by(WHAT, &line, is_ready)
}

/// What [`is_ready`] asks for.
pub const WHAT: &str = "Node 20 or newer with npm";

/// Whether Node is new enough and npm beside it.
pub fn is_ready() -> bool {
    let node = command::answer(Command::new("node").arg("--version"));
    let node = node.as_deref().and_then(major);
    node.is_some_and(|major| major >= OLDEST) && command::answer(npm().arg("--version")).is_some()
}

/// The command that replaces a Node that is too old.
pub fn renew() -> String {
    FROM_NPM.replace("SUDO", debian::sudo())
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
    debian::require(CHROMIUM, &CHROMIUM_PACKAGES, || find_chromium().is_some())?;
    find_chromium()
        .context("Chromium was installed but is not in /usr/bin; set CHROMIUM to its path")
}

/// What [`find_chromium`] looks for.
pub const CHROMIUM: &str = "Chromium (or set CHROMIUM to its path)";

/// The browser, where there is one.
pub fn find_chromium() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("CHROMIUM").filter(|path| !path.is_empty()) {
        return Some(PathBuf::from(path));
    }
    [
        "/usr/bin/chromium",
        "/usr/bin/chromium-browser",
        "/usr/bin/google-chrome",
    ]
    .iter()
    .map(PathBuf::from)
    .find(|path| path.is_file())
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
