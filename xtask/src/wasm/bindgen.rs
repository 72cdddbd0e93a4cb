//! From Cargo's module to what a page imports.
//!
//! Uses wasm-bindgen's own library, so that its version is held by Cargo.lock and nothing has to
//! be installed. The output for the web also runs in Node: `init({ module_or_path: bytes })`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use wasm_bindgen_cli_support::Bindgen;

use super::Assets;
use crate::files;

const NAME: &str = "sam2_wasm";
pub const PLAIN_JS: &str = "sam2_wasm.js";
pub const PLAIN_WASM: &str = "sam2_wasm_bg.wasm";

/// Digits of the hash in a file name: 64 bits, and enough for the server's rule of eight.
const HASH_DIGITS: usize = 16;

/// Counts the changes of this file that change its output, so that an older one is not kept.
const RECIPE: u32 = 2;

/// Writes `dist/pkg` from `module`, or leaves it alone when it came from the very same module.
pub fn generate(module: &Path, dist: &Path, names: bool, source: &str) -> Result<Assets> {
    let folder = dist.join("pkg");
    let input = format!(
        "{RECIPE}-{}{}",
        files::sha256(module)?,
        if names { "+names" } else { "" }
    );
    if let Some(mut assets) = Assets::read(&folder)
        && assets.module == input
    {
        if assets.source != source {
            source.clone_into(&mut assets.source);
            assets.write(&folder)?;
        }
        return Ok(assets);
    }

    // Written beside and moved into place, so that a page never sees half of it.
    let fresh = dist.join(".pkg-new");
    files::remove_folder(&fresh)?;
    fs::create_dir_all(&fresh).with_context(|| format!("cannot create {}", fresh.display()))?;
    let mut bindgen = Bindgen::new();
    bindgen
        .input_path(module)
        .out_name(NAME)
        .typescript(true)
        .remove_name_section(!names);
    // So that `init()` finds the module without being told, as with wasm-pack.
    bindgen.omit_default_module_path(false);
    bindgen
        .web(true)
        .context("wasm-bindgen has no web output")?;
    bindgen
        .generate(&fresh)
        .with_context(|| format!("wasm-bindgen cannot process {}", module.display()))?;
    let assets = name_by_contents(&fresh, input, source)?;
    files::remove_folder(&folder)?;
    fs::rename(&fresh, &folder)
        .with_context(|| format!("cannot move {} into place", fresh.display()))?;
    Ok(assets)
}

/// Replaces the module in `folder` by what `change` writes, and names everything anew.
///
/// The record of where it came from is marked, so that `cargo xtask wasm` writes its own again and
/// a second call changes nothing.
pub fn replace_module(
    folder: &Path,
    change: impl FnOnce(&Path, &Path) -> Result<()>,
) -> Result<Assets> {
    const MARK: &str = "+changed";
    let old = Assets::read(folder).context("web/dist/pkg is incomplete")?;
    if old.module.ends_with(MARK) {
        return Ok(old);
    }
    let plain = folder.join(PLAIN_WASM);
    let changed = folder.join(".changed.wasm");
    change(&plain, &changed)?;
    for name in [&old.js, &old.wasm] {
        files::remove_file(&folder.join(name))?;
    }
    fs::rename(&changed, &plain).context("the changed module is not there")?;
    name_by_contents(folder, format!("{}{MARK}", old.module), &old.source)
}

/// Adds the names with hashes and `assets.json`.
pub fn name_by_contents(folder: &Path, module: String, source: &str) -> Result<Assets> {
    let plain_wasm = folder.join(PLAIN_WASM);
    let hash = files::sha256(&plain_wasm)?;
    let wasm = format!("{NAME}_bg.{}.wasm", &hash[..HASH_DIGITS]);
    files::place(&plain_wasm, &folder.join(&wasm))?;

    // The glue fetches the module by name when it is given none, so it names the hashed one.
    let glue = fs::read_to_string(folder.join(PLAIN_JS)).context("wasm-bindgen wrote no glue")?;
    let renamed = folder.join(".glue.js");
    fs::write(&renamed, glue.replace(PLAIN_WASM, &wasm))?;
    let hash = files::sha256(&renamed)?;
    let js = format!("{NAME}.{}.js", &hash[..HASH_DIGITS]);
    fs::rename(&renamed, folder.join(&js))?;

    let assets = Assets {
        js,
        wasm,
        wasm_bytes: fs::metadata(&plain_wasm)?.len(),
        source: source.to_owned(),
        module,
    };
    assets.write(folder)?;
    Ok(assets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;

    #[test]
    fn hashed_names_point_at_each_other() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(PLAIN_WASM), b"\0asm").unwrap();
        let glue = "module_or_path = new URL('sam2_wasm_bg.wasm', import.meta.url);";
        fs::write(dir.path().join(PLAIN_JS), glue).unwrap();
        let assets = name_by_contents(dir.path(), "m".into(), "s").unwrap();
        let js = fs::read_to_string(dir.path().join(&assets.js)).unwrap();
        assert!(js.contains(&format!("'{}'", assets.wasm)), "{js}");
        assert_eq!(fs::read(dir.path().join(&assets.wasm)).unwrap(), b"\0asm");
        assert_eq!(fs::read_to_string(dir.path().join(PLAIN_JS)).unwrap(), glue);
    }

    #[test]
    fn a_changed_module_gets_new_names_once() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(PLAIN_WASM), b"\0asm").unwrap();
        fs::write(dir.path().join(PLAIN_JS), "'sam2_wasm_bg.wasm'").unwrap();
        let before = name_by_contents(dir.path(), "m".into(), "s").unwrap();
        let smaller = |_: &Path, to: &Path| Ok(fs::write(to, b"small")?);
        let after = replace_module(dir.path(), smaller).unwrap();
        assert_ne!(after.wasm, before.wasm);
        assert_ne!(after.js, before.js);
        assert!(!dir.path().join(&before.wasm).exists());
        assert_eq!(fs::read(dir.path().join(&after.wasm)).unwrap(), b"small");
        assert_eq!(fs::read(dir.path().join(PLAIN_WASM)).unwrap(), b"small");
        let again = replace_module(dir.path(), |_, _| bail!("called again")).unwrap();
        assert_eq!(again, after);
    }
}
