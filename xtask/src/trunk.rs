//! The hook of Trunk.toml: what `trunk build` and `trunk serve` lack besides what Trunk builds.
//!
//! Trunk has compiled the crate and run wasm-bindgen when this is called; compiling again would
//! cost another quarter of an hour. So the list of the engine's files names Trunk's own ones.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::files;
use crate::workspace::Workspace;

/// Writes `pkg/assets.json` and `models/` into Trunk's staging folder.
pub fn hook(workspace: &Workspace) -> Result<()> {
    let staging = env::var_os("TRUNK_STAGING_DIR").map(PathBuf::from);
    let staging = staging.context("this is a hook of Trunk; run `trunk serve` or `trunk build`")?;
    name_assets(&staging)?;
    for file in files::walk(&workspace.models(), &|path| !path.is_dir())? {
        if let Some(name) = file.file_name() {
            files::copy(&file, &staging.join("models").join(name))?;
        }
    }
    Ok(())
}

fn name_assets(staging: &Path) -> Result<()> {
    let names = files::walk(staging, &|path| !path.is_dir())?;
    let name = |path: &PathBuf| Some(path.file_name()?.to_str()?.to_owned());
    let names: Vec<String> = names.iter().filter_map(name).collect();
    let found = names.iter().find_map(|wasm| {
        let js = format!("{}.js", wasm.strip_suffix("_bg.wasm")?);
        names.contains(&js).then(|| (js, wasm.clone()))
    });
    let Some((js, wasm)) = found else {
        bail!(
            "Trunk left no NAME.js with NAME_bg.wasm in {}",
            staging.display()
        );
    };
    let assets = json!({
        "schema": 1,
        "js": format!("../{js}"),
        "wasm": format!("../{wasm}"),
        "wasm_bytes": fs::metadata(staging.join(&wasm))?.len(),
    });
    let folder = staging.join("pkg");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    fs::write(folder.join("assets.json"), format!("{assets:#}\n"))
        .context("cannot write assets.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trunks_own_files_are_named() {
        let dir = tempfile::tempdir().unwrap();
        assert!(name_assets(dir.path()).is_err(), "nothing there");
        fs::write(
            dir.path().join("sam2-wasm-0123456789abcdef_bg.wasm"),
            "four",
        )
        .unwrap();
        fs::write(dir.path().join("other.js"), "").unwrap();
        assert!(
            name_assets(dir.path()).is_err(),
            "a module without its script"
        );
        fs::write(dir.path().join("sam2-wasm-0123456789abcdef.js"), "").unwrap();
        name_assets(dir.path()).unwrap();
        let text = fs::read_to_string(dir.path().join("pkg/assets.json")).unwrap();
        let assets: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(assets["js"], "../sam2-wasm-0123456789abcdef.js");
        assert_eq!(assets["wasm"], "../sam2-wasm-0123456789abcdef_bg.wasm");
        assert_eq!(assets["wasm_bytes"], 4);
    }
}
