//! `cargo xtask package`: the page as it is put on a server, optimised and precompressed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{self, run};
use crate::files;
use crate::node;
use crate::site;
use crate::wasm;
use crate::workspace::Workspace;

/// What is worth compressing; weights and pictures are not.
const COMPRESSED: [&str; 7] = ["html", "js", "css", "json", "svg", "wasm", "md"];
/// Below this a file fits in one packet either way.
const WORTH: u64 = 1024;

/// The version taken from npm where the system has none that works.
const BINARYEN: u32 = 132;
/// Debian 12 has version 108, which exports the wrong table of a module with two: the script then
/// fails on its first call.
const OLDEST: u32 = 116;

/// Features that rustc turns on by itself, and SIMD; wasm-opt refuses what it is not told of.
const FEATURES: [&str; 7] = [
    "--enable-simd",
    "--enable-bulk-memory",
    "--enable-nontrapping-float-to-int",
    "--enable-sign-ext",
    "--enable-mutable-globals",
    "--enable-reference-types",
    "--enable-multivalue",
];

/// Builds `web/dist` with an optimised module and `.br` and `.gz` beside each file.
pub fn package(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    if !arguments.is_empty() {
        bail!("package takes no arguments");
    }
    node::require()?;
    let optimiser = Optimiser::find(workspace)?;
    wasm::build(workspace, wasm::Options::default())?;
    let assets = wasm::replace_module(workspace, |from, to| optimiser.run(from, to))?;
    start_once(workspace, &assets)?;
    site::lay_out(workspace)?;
    compress(workspace)?;
    let size = |extension: &str| {
        let path = workspace
            .dist()
            .join("pkg")
            .join(format!("{}{extension}", assets.wasm));
        fs::metadata(path).map_or(f64::NAN, |file| file.len() as f64 / 1e6)
    };
    println!(
        "{}: module {:.1} MB, gzip {:.1} MB, brotli {:.1} MB",
        workspace.dist().display(),
        size(""),
        size(".gz"),
        size(".br")
    );
    Ok(())
}

/// A wasm-opt that is new enough.
enum Optimiser {
    System,
    /// The JavaScript of npm's package: minutes instead of seconds for a module of 30 MB.
    Node(PathBuf),
}

impl Optimiser {
    fn find(workspace: &Workspace) -> Result<Self> {
        let system = command::answer(Command::new("wasm-opt").arg("--version"));
        if system
            .as_deref()
            .and_then(version)
            .is_some_and(|version| version >= OLDEST)
        {
            return Ok(Self::System);
        }
        let folder = workspace.target().join(format!("binaryen-{BINARYEN}"));
        let program = folder.join("node_modules/binaryen/bin/wasm-opt");
        if !program.is_file() {
            let why = if system.is_some() {
                "is too old"
            } else {
                "is missing"
            };
            eprintln!("xtask: wasm-opt {why}, taking version {BINARYEN} from npm");
            node::install(&folder, &format!("binaryen@{BINARYEN}.0.0"))?;
        }
        Ok(Self::Node(program))
    }

    fn run(&self, from: &Path, to: &Path) -> Result<()> {
        let mut command = match self {
            Self::System => Command::new("wasm-opt"),
            Self::Node(program) => {
                let mut command = Command::new("node");
                command.arg(program);
                command
            }
        };
        run(command
            .arg("-O2")
            .args(FEATURES)
            .arg(from)
            .arg("-o")
            .arg(to))
    }
}

/// The number in `wasm-opt version 108 (version_108)`.
fn version(line: &str) -> Option<u32> {
    line.split_whitespace().nth(2)?.parse().ok()
}

/// Starts the module in Node, through its own script: an optimiser's mistake ends here and not in
/// somebody's browser.
fn start_once(workspace: &Workspace, assets: &wasm::Assets) -> Result<()> {
    let script = workspace.target().join("start.mjs");
    fs::write(&script, include_str!("start.mjs"))
        .with_context(|| format!("cannot write {}", script.display()))?;
    let folder = workspace.dist().join("pkg");
    run(Command::new("node")
        .arg(&script)
        .arg(folder.join(&assets.js))
        .arg(folder.join(&assets.wasm)))
    .context("the optimised module does not start")
}

fn compress(workspace: &Workspace) -> Result<()> {
    let dist = workspace.dist();
    let plain = dist.join("pkg").join(wasm::PLAIN_WASM);
    let mut worth: Vec<PathBuf> = Vec::new();
    for file in files::walk(&dist, &|path| {
        path.file_name().is_none_or(|name| name != "models")
    })? {
        let listed = file
            .extension()
            .is_some_and(|extension| COMPRESSED.iter().any(|one| extension == *one));
        if listed && file != plain && fs::metadata(&file)?.len() >= WORTH {
            worth.push(file);
        }
    }
    // Handed to Node as a file, so that no quoting of a shell is involved.
    let script = workspace.target().join("compress.mjs");
    fs::write(&script, include_str!("compress.mjs"))
        .with_context(|| format!("cannot write {}", script.display()))?;
    run(Command::new("node").arg(&script).args(&worth))?;
    // The module under its plain name is the same bytes, which take a minute to compress.
    let assets = wasm::Assets::read(&dist.join("pkg")).context("web/dist/pkg is incomplete")?;
    for extension in ["br", "gz"] {
        let from = dist
            .join("pkg")
            .join(format!("{}.{extension}", assets.wasm));
        if from.is_file() {
            let to = dist
                .join("pkg")
                .join(format!("{}.{extension}", wasm::PLAIN_WASM));
            files::place(&from, &to)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(version("wasm-opt version 108 (version_108)"), Some(108));
        assert_eq!(version("wasm-opt version 120"), Some(120));
        assert_eq!(version("something else"), None);
    }
}
