//! Where things are: the repository, the target folder, the built page.

use std::env;
use std::path::{Path, PathBuf};

/// Paths of one checkout.
#[derive(Debug, Clone)]
pub struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// The checkout this binary was started from.
    ///
    /// `cargo run` names the manifest folder at run time, which wins over the one compiled in:
    /// two clones may share a target folder.
    pub fn find() -> Self {
        let manifest = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest
            .parent()
            .map_or_else(|| manifest.clone(), Path::to_path_buf);
        let target = env::var_os("CARGO_TARGET_DIR")
            .filter(|dir| !dir.is_empty())
            .map_or_else(|| root.join("target"), |dir| root.join(dir));
        Self { root, target }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of Cargo's outputs: `CARGO_TARGET_DIR`, or `target`.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// A target folder of its own for the wasm build, so that it never waits for the lock of a
    /// native build and neither evicts the other's standard library.
    pub fn wasm_target(&self) -> PathBuf {
        self.target.join("wasm")
    }

    pub fn web(&self) -> PathBuf {
        self.root.join("web")
    }

    /// The built page: what any static file server can serve.
    pub fn dist(&self) -> PathBuf {
        self.web().join("dist")
    }

    pub fn models(&self) -> PathBuf {
        self.root.join("models")
    }

    /// The Cargo that started this program, or the one on the path.
    pub fn cargo(&self) -> PathBuf {
        env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from)
    }
}

/// Whether nobody is at the keyboard: only then may a recipe install system packages.
pub fn unattended() -> bool {
    env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false" && value != "0")
}
