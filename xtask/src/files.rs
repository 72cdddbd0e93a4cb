//! Copying, hashing and walking folders.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// Every regular file under `folder`, sorted, so that hashes over them do not depend on the file
/// system; names beginning with a dot and those that `keep` refuses are left out, whole folders
/// included.
pub fn walk(folder: &Path, keep: &dyn Fn(&Path) -> bool) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries =
            fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            let hidden = path
                .file_name()
                .is_none_or(|name| name.to_string_lossy().starts_with('.'));
            if hidden || !keep(&path) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.is_file() {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// The SHA-256 of a file in lower-case hexadecimal, read in pieces.
pub fn sha256(path: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    feed(&mut hash, path)?;
    Ok(hex(&hash.finalize()))
}

/// The SHA-256 over names (relative to `root`) and contents of `files`.
pub fn sha256_of_all(root: &Path, files: &[PathBuf]) -> Result<String> {
    let mut hash = Sha256::new();
    for file in files {
        let name = file
            .strip_prefix(root)
            .unwrap_or(file)
            .to_string_lossy()
            .into_owned();
        // Lengths go in too, or "ab" + "c" would equal "a" + "bc".
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name.as_bytes());
        let size = fs::metadata(file)
            .with_context(|| format!("cannot read {}", file.display()))?
            .len();
        hash.update(size.to_le_bytes());
        feed(&mut hash, file)?;
    }
    Ok(hex(&hash.finalize()))
}

fn feed(hash: &mut Sha256, path: &Path) -> Result<()> {
    let mut file =
        fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut buffer = vec![0_u8; 1 << 16];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        hash.update(&buffer[..read]);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Puts `from` at `to` as a hard link, or as a copy where links are not possible; the target is
/// replaced, its folder created.
pub fn place(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
    }
    remove_file(to)?;
    if fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    copy(from, to)
}

/// Copies `from` to `to`, replacing it, with its folder created.
///
/// The old file is removed first: it may be a hard link to something that must not change.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
    }
    remove_file(to)?;
    fs::copy(from, to)
        .map(|_| ())
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}

/// Removes a file that may not be there.
pub fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Removes a folder that may not be there.
pub fn remove_folder(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_sees_names_order_and_contents() {
        let dir = tempfile::tempdir().unwrap();
        let all = |dir: &Path| {
            let files = walk(dir, &|path| path.file_name().unwrap() != "skipped").unwrap();
            sha256_of_all(dir, &files).unwrap()
        };
        fs::create_dir(dir.path().join("b")).unwrap();
        fs::write(dir.path().join("b/two"), "2").unwrap();
        fs::write(dir.path().join("one"), "1").unwrap();
        let before = all(dir.path());
        fs::write(dir.path().join(".hidden"), "x").unwrap();
        fs::write(dir.path().join("skipped"), "x").unwrap();
        assert_eq!(all(dir.path()), before);
        fs::rename(dir.path().join("one"), dir.path().join("uno")).unwrap();
        assert_ne!(all(dir.path()), before);
    }

    #[test]
    fn sha256_is_the_published_one() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("abc");
        fs::write(&file, "abc").unwrap();
        assert_eq!(
            sha256(&file).unwrap(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn a_copy_over_a_link_leaves_the_original_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b, link) = (
            dir.path().join("a"),
            dir.path().join("b"),
            dir.path().join("sub/c"),
        );
        fs::write(&a, "a").unwrap();
        fs::write(&b, "b").unwrap();
        place(&a, &link).unwrap();
        copy(&b, &link).unwrap();
        assert_eq!(fs::read_to_string(&a).unwrap(), "a");
        assert_eq!(fs::read_to_string(&link).unwrap(), "b");
    }
}
