//! Which pictures, in which order, and where the masks of each go.

use crate::CliError;
use sam2::video::frames::natural_order;
use std::collections::{HashMap, HashSet};
use std::io::BufRead;
use std::path::{Component, Path, PathBuf};

/// Endings of pictures that are taken out of a folder.
const PICTURES: [&str; 7] = ["png", "jpg", "jpeg", "jpe", "webp", "gif", "bmp"];

/// A picture to work on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    pub path: PathBuf,
    /// Folder of its masks, below `--out`.
    pub folder: PathBuf,
}

/// A picture and its path below what the person named.
struct Found {
    path: PathBuf,
    relative: PathBuf,
}

/// Lists the pictures. Folders are searched whole, in natural order; `out` and hidden names are left
/// out, so that a second run does not take the first one's masks for pictures.
///
/// # Errors
/// [`CliError::Usage`] for a folder without pictures and for an empty list; [`CliError::Io`] for a
/// folder that cannot be read. A picture that does not exist is found out when it is read.
pub fn list(inputs: &[PathBuf], out: Option<&Path>) -> Result<Vec<Input>, CliError> {
    let mut found = Vec::new();
    for input in inputs {
        if input == Path::new("-") {
            for line in std::io::stdin().lock().lines() {
                let line = line.map_err(CliError::io("standard input"))?;
                let line = line.trim_end_matches('\r');
                if !line.is_empty() {
                    add(Path::new(line), out, &mut found)?;
                }
            }
        } else {
            add(input, out, &mut found)?;
        }
    }
    if found.is_empty() {
        return Err(CliError::Usage("the list names no pictures".to_owned()));
    }
    let mut seen = HashSet::new();
    found.retain(|f| seen.insert(f.path.clone()));
    Ok(named(found))
}

fn add(input: &Path, out: Option<&Path>, found: &mut Vec<Found>) -> Result<(), CliError> {
    if !input.is_dir() {
        let relative = input
            .file_name()
            .map_or_else(|| input.to_owned(), PathBuf::from);
        found.push(Found {
            path: input.to_owned(),
            relative,
        });
        return Ok(());
    }
    let before = found.len();
    let out = out.and_then(|o| o.canonicalize().ok());
    walk(input, Path::new(""), out.as_deref(), found)?;
    if found.len() == before {
        let endings = PICTURES.join(", ");
        let text = format!("{} holds no pictures ({endings})", input.display());
        return Err(CliError::Usage(text));
    }
    Ok(())
}

fn walk(
    folder: &Path,
    relative: &Path,
    out: Option<&Path>,
    found: &mut Vec<Found>,
) -> Result<(), CliError> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(CliError::io(folder))? {
        let entry = entry.map_err(CliError::io(folder))?;
        names.push((entry.file_name().to_string_lossy().into_owned(), entry));
    }
    names.sort_by(|(a, _), (b, _)| natural_order(a, b));
    for (name, entry) in names {
        let (path, below) = (entry.path(), relative.join(entry.file_name()));
        // Links to folders are not followed: they may lead in circles. Links to pictures are.
        let is_folder = entry.file_type().map_err(CliError::io(&path))?.is_dir();
        if name.starts_with('.') {
            continue;
        }
        if is_folder {
            if out.is_some() && path.canonicalize().ok().as_deref() == out {
                continue;
            }
            walk(&path, &below, out, found)?;
        } else if is_picture(&path) && path.is_file() {
            found.push(Found {
                path,
                relative: below,
            });
        }
    }
    Ok(())
}

fn is_picture(path: &Path) -> bool {
    let ending = path
        .extension()
        .map(|e| e.to_string_lossy().to_ascii_lowercase());
    ending.is_some_and(|e| PICTURES.contains(&e.as_str()))
}

/// Gives every picture a folder of its own: its relative path without the ending; with the ending
/// where two would share one (`a.png`, `a.jpg`); else its whole path.
fn named(found: Vec<Found>) -> Vec<Input> {
    let short: Vec<PathBuf> = found
        .iter()
        .map(|f| f.relative.with_extension(""))
        .collect();
    let long: Vec<PathBuf> = found.iter().map(|f| f.relative.clone()).collect();
    let whole: Vec<PathBuf> = found.iter().map(|f| plain(&f.path)).collect();
    let count = |names: &[PathBuf]| {
        let mut counts = HashMap::new();
        names
            .iter()
            .for_each(|n| *counts.entry(n.clone()).or_insert(0_usize) += 1);
        counts
    };
    let (shorts, longs) = (count(&short), count(&long));
    let names = short
        .into_iter()
        .zip(long)
        .zip(whole)
        .map(|((short, long), whole)| {
            if shorts.get(&short) == Some(&1) {
                short
            } else if longs.get(&long) == Some(&1) {
                long
            } else {
                whole
            }
        });
    found
        .iter()
        .map(|f| f.path.clone())
        .zip(names)
        .map(|(path, folder)| Input { path, folder })
        .collect()
}

/// A path as names only: nothing in it leads out of the folder it is joined to.
fn plain(path: &Path) -> PathBuf {
    let names = path.components().filter_map(|c| match c {
        Component::Normal(name) => Some(name),
        _ => None,
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(path: &Path) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, b"").unwrap();
    }

    fn folders(inputs: &[Input]) -> Vec<String> {
        inputs
            .iter()
            .map(|i| i.folder.to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn a_folder_is_searched_whole_in_natural_order() {
        let root = tempfile::tempdir().unwrap();
        for name in [
            "10.png",
            "9.JPG",
            "sub/2.webp",
            "notes.txt",
            ".hidden.png",
            "out/9/0_0.png",
        ] {
            touch(&root.path().join(name));
        }
        let out = root.path().join("out");
        let inputs = list(&[root.path().to_owned()], Some(&out)).unwrap();
        assert_eq!(folders(&inputs), ["9", "10", "sub/2"]);
        let empty = root.path().join("sub/none");
        std::fs::create_dir(&empty).unwrap();
        assert_eq!(list(&[empty], None).unwrap_err().status(), 2);
    }

    #[test]
    fn no_two_pictures_share_a_folder() {
        let inputs = [
            "x/a.png",
            "x/a.jpg",
            "y/a.png",
            "z/b.png",
            "z/b.png",
            "../c.tar.png",
        ];
        let inputs: Vec<PathBuf> = inputs.iter().map(PathBuf::from).collect();
        let names = folders(&list(&inputs, None).unwrap());
        assert_eq!(names, ["x/a.png", "a.jpg", "y/a.png", "b", "c.tar"]);
    }
}
