//! Every recipe of the project: `cargo xtask RECIPE`.
//!
//! People and CI run the same ones; nothing here is needed to use the crates.

mod children;
mod command;
mod debian;
#[cfg(test)]
#[allow(clippy::unwrap_used)] // helpers of tests, which fail by panicking
mod docker;
mod files;
mod node;
mod package;
mod preflight;
mod python;
mod serve;
mod site;
mod tally;
mod test;
mod trunk;
mod vulkan;
mod wasm;
mod workspace;

use std::process::ExitCode;

use anyhow::{Result, bail};

use workspace::Workspace;

const USAGE: &str = "\
usage: cargo xtask RECIPE

  serve    build what is missing and serve the page (SAM2_PORT, SAM2_HOST, SAM2_MODELS_DIR, ...)
  test     format, lints, native tests, wasm build, tests in Node and in the browser
  check    format and lints alone
  prepare  what test needs beside Cargo: installed under CI, else named in one command
  wasm     build the engine for the page into web/dist/pkg  [--names] [--toolchain rustup|debian]
  page     as wasm, and the rest of web/dist
  package  web/dist as it is put on a server: wasm-opt, brotli, gzip
  parity   all configurations against the official code     [arguments of tests/parity/sweep.py]
  bench    beside PyTorch and onnxruntime-web               [arguments of benches/peers.py]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[String]) -> Result<()> {
    let workspace = Workspace::find();
    let Some((recipe, rest)) = arguments.split_first() else {
        bail!("no recipe named\n\n{USAGE}");
    };
    children::listen();
    match recipe.as_str() {
        "serve" => serve::serve(&workspace, rest),
        "test" => test::test(&workspace),
        "check" => test::check(&workspace),
        "prepare" => preflight::all(&workspace),
        "page" => {
            wasm::build(&workspace, wasm::Options::parse(rest)?)?;
            site::lay_out(&workspace)
        }
        "trunk-hook" => trunk::hook(&workspace),
        "package" => package::package(&workspace, rest),
        "parity" => python::parity(&workspace, rest),
        "bench" => python::bench(&workspace, rest),
        "wasm" => wasm::build(&workspace, wasm::Options::parse(rest)?).map(|_| ()),
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            Ok(())
        }
        other => bail!("no recipe called {other}\n\n{USAGE}"),
    }
}
