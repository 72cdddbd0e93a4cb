//! `cargo xtask package`: the page as it is put on a server, optimised and precompressed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{self, run};
use crate::debian;
use crate::files;
use crate::node;
use crate::site;
use crate::wasm;
use crate::workspace::Workspace;

/// What is worth compressing; weights and pictures are not.
const COMPRESSED: [&str; 7] = ["html", "js", "css", "json", "svg", "wasm", "md"];
/// Below this a file fits in one packet either way.
const WORTH: u64 = 1024;

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
    debian::require("wasm-opt", &["binaryen"], || command::exists("wasm-opt"))?;
    wasm::build(workspace, wasm::Options::default())?;
    let assets = wasm::replace_module(workspace, optimise)?;
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

fn optimise(from: &Path, to: &Path) -> Result<()> {
    run(Command::new("wasm-opt")
        .arg("-O2")
        .args(FEATURES)
        .arg(from)
        .arg("-o")
        .arg(to))
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
