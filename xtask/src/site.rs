//! The built page, `web/dist`: what any static file server can serve, under any sub-path.
//!
//!     index.html   bench.html   web/app/   web/sam2/   pkg/   models/
//!
//! `pkg` is written by [`crate::wasm`]; this lays out the rest.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::files;
use crate::workspace::Workspace;

/// The parts of `web` that are shipped.
pub const PARTS: [&str; 2] = ["app", "sam2"];

/// The app and its benchmark.
pub const PAGES: [&str; 2] = ["index.html", "bench.html"];

/// Writes everything of `web/dist` except `pkg`.
pub fn lay_out(workspace: &Workspace) -> Result<()> {
    let dist = workspace.dist();
    // What was there may be of an older page, or compressed from one.
    for stale in ["web", "models"] {
        files::remove_folder(&dist.join(stale))?;
    }
    for page in PAGES {
        for suffix in ["", ".br", ".gz"] {
            files::remove_file(&dist.join(format!("{page}{suffix}")))?;
        }
    }
    for part in PARTS {
        copy_folder(&workspace.web().join(part), &dist.join("web").join(part))?;
    }
    let models = workspace.models();
    for file in files::walk(&models, &|path| !path.is_dir())? {
        if let Some(name) = file.file_name() {
            files::place(&file, &dist.join("models").join(name))?;
        }
    }
    for page in PAGES {
        let path = workspace.root().join(page);
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let out = dist.join(page);
        fs::write(&out, without_trunk(&text))
            .with_context(|| format!("cannot write {}", out.display()))?;
    }
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    let shipped = |path: &Path| {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let name = name.unwrap_or_default();
        let development = ["test", "node_modules", "pkg"].contains(&name.as_str())
            || name.starts_with("tsconfig");
        !development
    };
    for file in files::walk(from, &shipped)? {
        let name = file.strip_prefix(from).unwrap_or(&file);
        files::copy(&file, &to.join(name))?;
    }
    Ok(())
}

/// The page without the links that only Trunk reads.
fn without_trunk(page: &str) -> String {
    page.lines()
        .filter(|line| {
            let line = line.trim_start();
            !line.starts_with("<link data-trunk") && !line.starts_with("<!-- For trunk")
        })
        .flat_map(|line| [line, "\n"])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_for_trunk_are_left_out() {
        let page = "<head>\n  <!-- For trunk alone -->\n  <link data-trunk rel=\"rust\">\n  \
                    <link rel=\"icon\" href=\"i\">\n</head>\n";
        assert_eq!(
            without_trunk(page),
            "<head>\n  <link rel=\"icon\" href=\"i\">\n</head>\n"
        );
    }

    #[test]
    fn tests_and_settings_of_tools_are_not_shipped() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        for name in [
            "a.js",
            "sub/b.css",
            "test/c.mjs",
            "tsconfig.json",
            "tsconfig.worker.json",
        ] {
            let path = from.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        }
        copy_folder(&from, &to).unwrap();
        let copied = files::walk(&to, &|_| true).unwrap();
        assert_eq!(copied, [to.join("a.js"), to.join("sub/b.css")]);
    }
}
