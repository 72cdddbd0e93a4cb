//! `cargo xtask parity` and `cargo xtask bench`: the comparisons that need the official code.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::{run, without_cargo_environment};
use crate::files;
use crate::node;
use crate::workspace::Workspace;

/// The version of the official code that the answers come from.
const OFFICIAL: &str = "sam2==1.1.0";
/// What exporting to ONNX needs besides.
const EXPORT: [&str; 3] = ["onnx", "onnxslim", "onnxscript"];

/// All eight official configurations and micro against the official code; see tests/parity.
/// Arguments go to `sweep.py`.
pub fn parity(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let python = environment(workspace, &[])?;
    let program = command_line(workspace)?;
    let work = workspace.target().join("parity");
    run(Command::new(python)
        .current_dir(workspace.root())
        .arg(workspace.root().join("tests/parity/sweep.py"))
        .arg("--sam2")
        .arg(program)
        .arg("--work")
        .arg(work)
        .args(arguments))
}

/// PyTorch and onnxruntime-web beside this project; see benches. Arguments go to `peers.py`.
pub fn bench(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let benches = workspace.root().join("benches");
    node::prepare(&benches)?;
    let python = environment(workspace, &EXPORT)?;
    let program = command_line(workspace)?;
    run(Command::new(python)
        .current_dir(workspace.root())
        .arg(benches.join("peers.py"))
        .arg("--work")
        .arg(workspace.target().join("bench"))
        .arg("--sam2")
        .arg(program)
        .args(arguments))
}

/// Builds the command line and returns its path.
fn command_line(workspace: &Workspace) -> Result<PathBuf> {
    let mut command = Command::new(workspace.cargo());
    without_cargo_environment(&mut command);
    run(command.current_dir(workspace.root()).args([
        "build",
        "--release",
        "--package",
        "sam2-cli",
    ]))?;
    Ok(workspace
        .target()
        .join("release")
        .join(format!("sam2{}", std::env::consts::EXE_SUFFIX)))
}

/// The interpreter of a virtual environment with the official code and `extra` packages, made on
/// the first call and whenever the requirements change. It takes some 6 GB: PyTorch brings CUDA.
fn environment(workspace: &Workspace, extra: &[&str]) -> Result<PathBuf> {
    let requirements = workspace.root().join("tests/parity/requirements.txt");
    let folder = workspace.target().join("python");
    let python = folder.join(if cfg!(windows) {
        "Scripts/python.exe"
    } else {
        "bin/python"
    });
    if !python.is_file() {
        let system = if cfg!(windows) { "python" } else { "python3" };
        run(Command::new(system).args(["-m", "venv"]).arg(&folder))
            .context("cannot make a Python environment; on Debian: apt-get install python3-venv")?;
    }
    let wanted = files::sha256(&requirements)?;
    once(&folder.join("sam2-official"), &wanted, || {
        run(pip(&python).arg("-r").arg(&requirements))?;
        // Its build imports torch, so the environment is not isolated; its CUDA part only fills
        // holes, which is not compared.
        run(pip(&python)
            .args(["--no-build-isolation", OFFICIAL])
            .env("SAM2_BUILD_CUDA", "0"))
    })?;
    if !extra.is_empty() {
        once(&folder.join("sam2-extra"), &extra.join(" "), || {
            run(pip(&python).args(extra))
        })?;
    }
    Ok(python)
}

fn pip(python: &Path) -> Command {
    let mut command = Command::new(python);
    command.args(["-m", "pip", "install", "--disable-pip-version-check"]);
    command
}

/// Does `work` unless `stamp` says that the same was done already.
fn once(stamp: &Path, what: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    if std::fs::read_to_string(stamp).is_ok_and(|done| done == what) {
        return Ok(());
    }
    work()?;
    std::fs::write(stamp, what).with_context(|| format!("cannot write {}", stamp.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_done_once_and_again_when_it_failed_or_changed() {
        let dir = tempfile::tempdir().unwrap();
        let stamp = dir.path().join("stamp");
        let mut times = 0;
        assert!(once(&stamp, "a", || anyhow::bail!("no network")).is_err());
        for (what, expected) in [("a", 1), ("a", 1), ("b", 2)] {
            once(&stamp, what, || {
                times += 1;
                Ok(())
            })
            .unwrap();
            assert_eq!(times, expected, "{what}");
        }
    }
}
