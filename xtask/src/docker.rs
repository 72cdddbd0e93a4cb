//! What the image is built from reaches its build: `.dockerignore` lets nothing through that it does not
//! name, so that a file the recipes begin to read is easily forgotten there.

use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::files;
use crate::site;
use crate::workspace::Workspace;

/// The rules of `.dockerignore`, of the forms that this project's has.
struct Rules(Vec<(bool, String)>);

impl Rules {
    fn parse(text: &str) -> Self {
        let lines = text.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let rules = lines.map(|line| match line.strip_prefix('!') {
            Some(pattern) => (true, pattern.to_owned()),
            None => (false, line.to_owned()),
        });
        let rules: Vec<_> = rules.collect();
        for (_, pattern) in &rules {
            let plain = pattern.strip_prefix("**/").unwrap_or(pattern);
            let known = pattern == "*" || !plain.contains(['*', '?', '[']);
            assert!(known, "this test does not know the form of {pattern}");
        }
        Self(rules)
    }

    /// The last rule that fits a path, or a folder that it lies in, decides.
    fn lets_through(&self, path: &str) -> bool {
        let fits = |pattern: &str| match pattern.strip_prefix("**/") {
            Some(name) => path.split('/').any(|part| part == name),
            None => pattern == "*" || Path::new(path).starts_with(pattern),
        };
        let last = self.0.iter().rev().find(|(_, pattern)| fits(pattern));
        last.is_none_or(|(through, _)| *through)
    }
}

/// `folder/../name` as a path below the root, whatever of it exists.
fn plain(path: &Path, root: &Path) -> String {
    let mut names = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                names.pop();
            }
            other => names.push(other),
        }
    }
    let below = names.strip_prefix(root).unwrap();
    below.to_string_lossy().replace('\\', "/")
}

/// What a source file takes into the program: `include_str!` and `include_bytes!`.
fn included(file: &Path) -> Vec<PathBuf> {
    let text = fs::read_to_string(file).unwrap();
    let calls = text
        .split("include_str!(")
        .chain(text.split("include_bytes!("));
    let paths = calls.filter_map(|call| call.trim_start().strip_prefix('"')?.split('"').next());
    let folder = file.parent().unwrap();
    let named = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    let paths = paths.filter(|path| !path.is_empty() && path.chars().all(named));
    paths.map(|path| folder.join(path)).collect()
}

/// Everything that `cargo xtask package`, the build of the command line and the Dockerfile read.
fn read_from(root: &Path) -> Vec<String> {
    let mut read: Vec<String> = ["Cargo.toml", "Cargo.lock", ".cargo/config.toml"]
        .map(str::to_owned)
        .to_vec();
    read.extend(site::PAGES.map(str::to_owned));
    read.extend(site::PARTS.map(|part| format!("web/{part}")));
    let shown = |path: &PathBuf| plain(path, root);
    read.extend(
        files::walk(&root.join("models"), &|path| !path.is_dir())
            .unwrap()
            .iter()
            .map(shown),
    );
    // Cargo reads the manifest of every member before it builds one.
    let mut members = vec![root.join("tests"), root.join("xtask")];
    members.extend(
        fs::read_dir(root.join("crates"))
            .unwrap()
            .map(|entry| entry.unwrap().path()),
    );
    for member in members.iter().filter(|member| member.is_dir()) {
        read.push(shown(&member.join("Cargo.toml")));
        for file in files::walk(&member.join("src"), &|_| true).unwrap() {
            read.push(shown(&file));
            if file.extension().is_some_and(|ending| ending == "rs") {
                read.extend(included(&file).iter().map(shown));
            }
        }
    }
    let dockerfile = fs::read_to_string(root.join("Dockerfile")).unwrap();
    let copies = dockerfile
        .lines()
        .filter_map(|line| line.strip_prefix("COPY "));
    for copy in copies.filter(|copy| !copy.starts_with("--from")) {
        let words: Vec<&str> = copy.split_whitespace().collect();
        let (_, sources) = words.split_last().unwrap();
        read.extend(
            sources
                .iter()
                .filter(|source| **source != ".")
                .map(|s| (*s).to_owned()),
        );
    }
    read
}

#[test]
fn the_image_s_build_gets_all_that_it_reads() {
    let workspace = Workspace::find();
    let root = workspace.root();
    let rules = Rules::parse(&fs::read_to_string(root.join(".dockerignore")).unwrap());
    let read = read_from(root);
    for name in [
        "bench.html",
        "LICENSE-MIT",
        "models/manifest.json",
        "tests/src/lib.rs",
    ] {
        assert!(
            read.iter().any(|path| path == name),
            "{name} is not in the list"
        );
    }
    let kept_out: Vec<_> = read
        .iter()
        .filter(|path| !rules.lets_through(path))
        .collect();
    assert!(kept_out.is_empty(), "{kept_out:?}");
    let missing: Vec<_> = site::PAGES
        .iter()
        .filter(|page| !root.join(page).is_file())
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_last_rule_that_fits_decides() {
    let rules = Rules::parse("# why\n*\n!web/app\n!a.html\n**/target\n");
    for (path, through) in [
        ("a.html", true),
        ("b.html", false),
        ("web/app/x/y.js", true),
        ("web/apple.js", false),
        ("web/app/target/x", false),
        (".git/config", false),
    ] {
        assert_eq!(rules.lets_through(path), through, "{path}");
    }
}
