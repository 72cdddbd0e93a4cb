//! Every recipe of the project: `cargo xtask RECIPE`.
//!
//! People and CI run the same ones; nothing here is needed to use the crates.

mod command;
mod debian;
mod files;
mod wasm;
mod workspace;

use std::process::ExitCode;

use anyhow::{Result, bail};

use workspace::Workspace;

const USAGE: &str = "\
usage: cargo xtask RECIPE

  wasm     build the engine for the page into web/dist/pkg  [--names] [--toolchain rustup|debian]";

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
    match recipe.as_str() {
        "wasm" => wasm::build(&workspace, wasm::Options::parse(rest)?).map(|_| ()),
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            Ok(())
        }
        other => bail!("no recipe called {other}\n\n{USAGE}"),
    }
}
