//! `pkg/assets.json`: which file names the built module has.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// The parts of `web/dist/pkg`.
///
/// The plain names `sam2_wasm.js` and `sam2_wasm_bg.wasm` are there too, for Node and for servers
/// without caching rules; the named ones carry a hash of their contents and may be cached for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assets {
    /// The JavaScript of wasm-bindgen, `sam2_wasm.<hash>.js`.
    pub js: String,
    /// The module, `sam2_wasm_bg.<hash>.wasm`.
    pub wasm: String,
    pub wasm_bytes: u64,
    /// Hash over the sources the module was built from.
    pub source: String,
    /// Hash of the compiled module before wasm-bindgen, with the choice about names.
    pub module: String,
}

impl Assets {
    /// Reads `folder/assets.json`; `None` when it, or a file that it names, is missing.
    pub fn read(folder: &Path) -> Option<Self> {
        let text = fs::read_to_string(folder.join("assets.json")).ok()?;
        let value: Value = serde_json::from_str(&text).ok()?;
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let assets = Self {
            js: text("js")?,
            wasm: text("wasm")?,
            wasm_bytes: value.get("wasm_bytes").and_then(Value::as_u64)?,
            source: text("source")?,
            module: text("module")?,
        };
        let complete = [
            assets.js.as_str(),
            assets.wasm.as_str(),
            super::bindgen::PLAIN_WASM,
        ]
        .iter()
        .all(|name| folder.join(name).is_file());
        complete.then_some(assets)
    }

    pub fn write(&self, folder: &Path) -> Result<()> {
        let value = json!({
            "schema": 1,
            "js": self.js,
            "wasm": self.wasm,
            "wasm_bytes": self.wasm_bytes,
            "source": self.source,
            "module": self.module,
        });
        let path = folder.join("assets.json");
        fs::write(&path, format!("{value:#}\n"))
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_while_the_files_are_there() {
        let dir = tempfile::tempdir().unwrap();
        let assets = Assets {
            js: "sam2_wasm.0123.js".into(),
            wasm: "sam2_wasm_bg.4567.wasm".into(),
            wasm_bytes: 3,
            source: "s".into(),
            module: "m".into(),
        };
        assets.write(dir.path()).unwrap();
        assert_eq!(Assets::read(dir.path()), None, "files are missing");
        for name in [&assets.js, &assets.wasm, super::super::bindgen::PLAIN_WASM] {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        assert_eq!(Assets::read(dir.path()), Some(assets));
    }
}
