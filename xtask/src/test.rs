//! `cargo xtask test` and `cargo xtask check`: everything that must hold, cheapest first.

use std::process::Command;
use std::time::Instant;

use anyhow::Result;

use crate::command::{run, run_seeing, without_cargo_environment};
use crate::node;
use crate::preflight;
use crate::site;
use crate::tally::Tally;
use crate::wasm;
use crate::workspace::Workspace;

type Stage = (&'static str, fn(&Workspace, &mut Tally) -> Result<()>);

const CHECK: [Stage; 3] = [
    ("tools", |workspace, _| preflight::rust(workspace)),
    ("format", format),
    ("clippy", clippy),
];

const TEST: [Stage; 8] = [
    // What is missing is found before an hour of building, and all of it at once.
    ("tools", |workspace, _| preflight::all(workspace)),
    ("format", format),
    ("clippy", clippy),
    ("native tests", native),
    ("wasm build", build_page),
    ("type check of the page", type_check),
    ("node tests", node_tests),
    ("browser tests", browser_tests),
];

/// Formatting and lints.
pub fn check(workspace: &Workspace) -> Result<()> {
    go_through(workspace, &CHECK).0
}

/// All stages, until one fails; the last line printed is `N passed, N failed`.
pub fn test(workspace: &Workspace) -> Result<()> {
    let (result, mut tally) = go_through(workspace, &TEST);
    // A stage without counts, such as a build, fails as one.
    if result.is_err() && tally.failed == 0 {
        tally.failed = 1;
    }
    if let Err(error) = &result {
        eprintln!("xtask: {error:#}");
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
    if tally.failed > 0 {
        // Said above; the count stays the last line.
        std::process::exit(1);
    }
    Ok(())
}

fn go_through(workspace: &Workspace, stages: &[Stage]) -> (Result<()>, Tally) {
    let mut tally = Tally::default();
    let mut table = String::new();
    let mut result = Ok(());
    for (name, stage) in stages {
        println!("== {name}");
        let began = Instant::now();
        result = stage(workspace, &mut tally);
        let minutes = began.elapsed().as_secs_f64() / 60.0;
        let end = if result.is_ok() { "" } else { "  failed" };
        println!("== {name}: {minutes:.1} min{end}");
        table.push_str(&format!("{minutes:7.1} min  {name}{end}\n"));
        if result.is_err() {
            break;
        }
    }
    println!("\n{table}");
    (result, tally)
}

fn cargo(workspace: &Workspace, arguments: &[&str]) -> Command {
    let mut command = Command::new(workspace.cargo());
    without_cargo_environment(&mut command);
    command.current_dir(workspace.root()).args(arguments);
    command
}

fn format(workspace: &Workspace, _: &mut Tally) -> Result<()> {
    run(&mut cargo(workspace, &["fmt", "--all", "--check"]))
}

/// In the release profile, which is the only one: build scripts and macros are then the tests'.
/// The wasm crate and its tests are left to their own build: checking Burn for a second target takes
/// minutes.
fn clippy(workspace: &Workspace, _: &mut Tally) -> Result<()> {
    let native = [
        "clippy",
        "--release",
        "--workspace",
        "--all-targets",
        "--exclude",
        "sam2-wasm",
    ];
    run(cargo(workspace, &native).args(["--", "-D", "warnings"]))
}

fn native(workspace: &Workspace, tally: &mut Tally) -> Result<()> {
    let arguments = [
        "test",
        "--release",
        "--workspace",
        "--exclude",
        "sam2-wasm",
        "--no-fail-fast",
    ];
    run_seeing(&mut cargo(workspace, &arguments), |line| tally.read(line))
}

fn build_page(workspace: &Workspace, _: &mut Tally) -> Result<()> {
    wasm::build(workspace, wasm::Options::default())?;
    wasm::build_tests(workspace)?;
    site::lay_out(workspace)
}

fn type_check(workspace: &Workspace, _: &mut Tally) -> Result<()> {
    node::prepare(&workspace.web())?;
    run(&mut node::script(&workspace.web(), "typecheck"))
}

fn node_tests(workspace: &Workspace, tally: &mut Tally) -> Result<()> {
    let mut command = node::script(&workspace.web(), "test");
    // Without the module these tests skip themselves; here it was just built.
    command.env("SAM2_REQUIRE_WASM", "1");
    run_seeing(&mut command, |line| tally.read(line))
}

fn browser_tests(workspace: &Workspace, tally: &mut Tally) -> Result<()> {
    let chromium = node::chromium()?;
    let mut command = node::script(&workspace.web(), "test:browser");
    command
        .env("SAM2_REQUIRE_WASM", "1")
        .env("CHROMIUM", chromium);
    run_seeing(&mut command, |line| tally.read(line))
}
