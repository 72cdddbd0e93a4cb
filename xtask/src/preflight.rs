//! What the stages of `cargo xtask test` need beside Cargo, asked for before the first of them: a
//! browser that is found missing after an hour of building is an hour lost.

use std::process::Command;

use anyhow::Result;

use crate::command::{self, without_cargo_environment};
use crate::debian;
use crate::node;
use crate::vulkan;
use crate::wasm::{self, toolchain};
use crate::workspace::Workspace;

/// Something that has to be there.
struct Need {
    what: &'static str,
    found: fn(&Workspace) -> bool,
    /// What rustup is told to add it. It changes nothing but the person's own toolchain, so that this
    /// is tried without asking.
    rustup: &'static [&'static str],
    /// The packages that bring it, where rustup does not.
    packages: &'static [&'static str],
    /// A command after the packages.
    then: Option<fn() -> String>,
}

const RUST: [Need; 2] = [
    Need {
        what: "rustfmt",
        found: |workspace| has_tool(workspace, "fmt"),
        rustup: &["component", "add", "rustfmt"],
        packages: &[],
        then: None,
    },
    Need {
        what: "clippy",
        found: |workspace| has_tool(workspace, "clippy"),
        rustup: &["component", "add", "clippy"],
        packages: &[],
        then: None,
    },
];

const PAGE: [Need; 4] = [
    Need {
        what: "the wasm target",
        found: toolchain::is_ready,
        rustup: &["target", "add", wasm::TARGET],
        packages: &toolchain::DEBIAN_PACKAGES,
        then: None,
    },
    Need {
        what: node::WHAT,
        found: |_| node::is_ready(),
        rustup: &[],
        packages: &node::PACKAGES,
        then: Some(node::renew),
    },
    Need {
        what: node::CHROMIUM,
        found: |_| node::find_chromium().is_some(),
        rustup: &[],
        packages: &node::CHROMIUM_PACKAGES,
        then: None,
    },
    Need {
        what: vulkan::WHAT,
        found: |_| vulkan::is_ready(),
        rustup: &[],
        packages: &vulkan::PACKAGES,
        then: None,
    },
];

/// What `cargo xtask test` needs.
///
/// # Errors
/// One command with everything that is missing; under CI, where it is run, what it did not bring.
pub fn all(workspace: &Workspace) -> Result<()> {
    prepare(workspace, &RUST.iter().chain(&PAGE).collect::<Vec<_>>())
}

/// What `cargo xtask check` needs.
///
/// # Errors
/// As [`all`].
pub fn rust(workspace: &Workspace) -> Result<()> {
    prepare(workspace, &RUST.iter().collect::<Vec<_>>())
}

fn prepare(workspace: &Workspace, needs: &[&Need]) -> Result<()> {
    let missing = || -> Vec<&Need> {
        let all = needs.iter().copied();
        all.filter(|need| !(need.found)(workspace)).collect()
    };
    for need in missing().iter().filter(|need| !need.rustup.is_empty()) {
        let shown = need.rustup.join(" ");
        eprintln!("xtask: missing: {}; trying: rustup {shown}", need.what);
        // Where that fails, what to do is said below with the rest.
        command::rustup(need.rustup);
    }
    let left = missing();
    let names: Vec<&str> = left.iter().map(|need| need.what).collect();
    debian::require_by(&names.join(", "), &line(&left), || missing().is_empty())
}

/// One command for everything in `missing`.
fn line(missing: &[&Need]) -> String {
    let by_rustup = missing.iter().filter(|need| need.packages.is_empty());
    let mut parts: Vec<String> = by_rustup
        .map(|need| format!("rustup {}", need.rustup.join(" ")))
        .collect();
    let packages: Vec<&str> = missing
        .iter()
        .flat_map(|need| need.packages)
        .copied()
        .collect();
    if !packages.is_empty() {
        parts.push(debian::line(&packages));
    }
    parts.extend(
        missing
            .iter()
            .filter_map(|need| need.then.map(|then| then())),
    );
    parts.join(" && ")
}

fn has_tool(workspace: &Workspace, name: &str) -> bool {
    let mut cargo = Command::new(workspace.cargo());
    without_cargo_environment(&mut cargo);
    command::answer(cargo.args([name, "--version"])).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_missing_is_one_command() {
        let all: Vec<&Need> = RUST.iter().chain(&PAGE).collect();
        let command = line(&all);
        assert_eq!(command.lines().count(), 1);
        assert_eq!(command.matches("apt-get install").count(), 1, "{command}");
        for part in [
            "rustup component add rustfmt && rustup component add clippy && ",
            " rustc-web cargo-web rust-web-src rust-web-llvm lld-22 nodejs npm chromium libvulkan1 \
             mesa-vulkan-drivers && (node --version",
        ] {
            assert!(command.contains(part), "{part} in {command}");
        }
        // A shell understands it.
        let parsed = Command::new("sh").args(["-n", "-c", &command]).status();
        assert!(parsed.unwrap().success(), "{command}");
    }

    #[test]
    fn what_is_there_is_not_asked_for() {
        let workspace = Workspace::find();
        let there = Need {
            what: "nothing",
            found: |_| true,
            rustup: &["no", "such", "command"],
            packages: &["no-such-package"],
            then: None,
        };
        prepare(&workspace, &[&there]).unwrap();
        assert!(line(&[&PAGE[2]]).ends_with("--no-install-recommends chromium"));
    }

    #[test]
    fn an_old_node_is_replaced_and_a_new_one_kept() {
        for (version, replaced) in [("v18.20.4", true), ("v9.11.2", true), ("v20.20.2", false)] {
            let script = node::renew()
                .replace("node --version", &format!("echo {version}"))
                .replace(debian::sudo(), "")
                .replace("npm install", "echo replaced: npm install");
            let said = command::answer(Command::new("sh").args(["-c", &script])).unwrap();
            assert_eq!(said.contains("replaced"), replaced, "{version}: {said}");
        }
    }
}
