//! `cargo xtask wasm`: the engine as a wasm module with its JavaScript, in `web/dist/pkg`.

mod assets;
mod bindgen;
pub mod toolchain;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::command::{run, without_cargo_environment};
use crate::files;
use crate::workspace::Workspace;
pub use assets::Assets;
pub use bindgen::PLAIN_WASM;
use toolchain::Toolchain;

pub const TARGET: &str = "wasm32-unknown-unknown";

/// Crates that are no part of the module.
const NATIVE_ONLY: [&str; 2] = ["sam2-cli", "sam2-server"];

/// What to build and how.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Keep function names, for profiles and readable traces; the module grows by a third.
    pub names: bool,
    /// Use this toolchain and no other.
    pub toolchain: Option<toolchain::Choice>,
}

impl Options {
    /// Reads `--names` and `--toolchain rustup|debian`.
    pub fn parse(arguments: &[String]) -> Result<Self> {
        let mut options = Self::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--names" => options.names = true,
                "--toolchain" => {
                    let name = arguments
                        .next()
                        .context("--toolchain takes rustup or debian")?;
                    options.toolchain = Some(name.parse()?);
                }
                other => bail!("unknown argument {other}; known: --names, --toolchain"),
            }
        }
        Ok(options)
    }
}

/// Builds the module and writes `web/dist/pkg`; Cargo decides what is stale.
pub fn build(workspace: &Workspace, options: Options) -> Result<Assets> {
    let source = source_fingerprint(workspace)?;
    let toolchain = toolchain::find(workspace, options.toolchain)?;
    eprintln!("xtask: building the wasm module with {toolchain}");
    let began = Instant::now();
    let module = compile(workspace, &toolchain)?;
    let compiled = began.elapsed().as_secs_f64();
    let assets = bindgen::generate(&module, &workspace.dist(), options.names, &source)?;
    eprintln!(
        "xtask: wasm module: {:.1} MB, compiled in {compiled:.0} s, bound in {:.0} s",
        assets.wasm_bytes as f64 / 1e6,
        began.elapsed().as_secs_f64() - compiled,
    );
    Ok(assets)
}

/// Builds the module unless `web/dist/pkg` already comes from exactly these sources.
///
/// Lets `cargo xtask serve` start where no wasm toolchain is installed but a built page is.
pub fn build_if_stale(workspace: &Workspace) -> Result<Assets> {
    if let Some(assets) = Assets::read(&workspace.dist().join("pkg"))
        && assets.source == source_fingerprint(workspace)?
    {
        return Ok(assets);
    }
    build(workspace, Options::default())
}

/// Replaces the module of `web/dist/pkg` by what `change` makes of it, under a new name.
pub fn replace_module(
    workspace: &Workspace,
    change: impl FnOnce(&Path, &Path) -> Result<()>,
) -> Result<Assets> {
    bindgen::replace_module(&workspace.dist().join("pkg"), change)
}

/// Builds the crate's own tests, which `wasm-pack test` runs and no recipe here, so that they keep up
/// with the crate. A build and no check: it takes the module's dependencies as they are, where a check
/// would want Burn once more, for this target.
pub fn build_tests(workspace: &Workspace) -> Result<()> {
    let toolchain = toolchain::find(workspace, None)?;
    if toolchain.builds_std() {
        eprintln!(
            "xtask: the tests of sam2-wasm are left out: {toolchain} has no test harness built"
        );
        return Ok(());
    }
    cargo_build(workspace, &toolchain, &["--test", "node"])
}

fn compile(workspace: &Workspace, toolchain: &Toolchain) -> Result<PathBuf> {
    cargo_build(workspace, toolchain, &["--lib"])?;
    let module = workspace
        .wasm_target()
        .join(TARGET)
        .join("release/sam2_wasm.wasm");
    if !module.is_file() {
        bail!("cargo succeeded but {} is not there", module.display());
    }
    Ok(module)
}

fn cargo_build(workspace: &Workspace, toolchain: &Toolchain, what: &[&str]) -> Result<()> {
    let mut command = toolchain.cargo(workspace);
    command
        .current_dir(workspace.root())
        .args(["build", "--release", "--package", "sam2-wasm"])
        .args(what)
        .args(["--target", TARGET])
        .args(toolchain.extra_arguments())
        .env("CARGO_TARGET_DIR", workspace.wasm_target())
        // RUSTFLAGS of the surroundings are meant for the machine, and would replace the
        // `target-feature` of .cargo/config.toml.
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("RUSTFLAGS", rustflags());
    run(without_cargo_environment(&mut command))
}

/// SIMD, and no path of the building machine in panic messages: the module goes to strangers.
///
/// The clone's own path is not among the flags: Cargo names workspace files relative to it, and a
/// flag that differs from clone to clone would build all of Burn again in each.
fn rustflags() -> String {
    let mut flags = String::from("-Ctarget-feature=+simd128");
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
    // RUSTFLAGS splits at spaces, so a path with one cannot be given.
    if let Some(path) = home.as_ref().and_then(|path| path.to_str())
        && !path.contains(char::is_whitespace)
    {
        flags.push_str(&format!(" --remap-path-prefix={path}=cargo"));
    }
    flags
}

/// A hash over everything of ours that decides what the module is.
fn source_fingerprint(workspace: &Workspace) -> Result<String> {
    let root = workspace.root();
    let mut sources = vec![root.join("Cargo.lock"), root.join("Cargo.toml")];
    sources.extend(files::walk(&root.join("crates"), &|path| {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let name = name.unwrap_or_default();
        !NATIVE_ONLY.contains(&name.as_str()) && name != "tests" && name != "pkg"
    })?);
    files::sha256_of_all(root, &sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_or_refused() {
        let parse = |words: &[&str]| {
            Options::parse(
                &words
                    .iter()
                    .map(|word| (*word).to_owned())
                    .collect::<Vec<_>>(),
            )
        };
        assert!(parse(&["--names"]).unwrap().names);
        assert_eq!(
            parse(&["--toolchain", "debian"]).unwrap().toolchain,
            Some(toolchain::Choice::Debian)
        );
        assert!(parse(&["--toolchain"]).is_err());
        assert!(parse(&["--toolchain", "gcc"]).is_err());
        assert!(parse(&["--fast"]).is_err());
    }
}
