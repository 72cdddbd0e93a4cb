//! From the path of a request to a file, and to no other file than one of the page or a model.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::encoding::Encoding;
use crate::error::{RequestError, ServerError};

/// How much older than its plain file a compressed one may be. Copying a folder writes them in
/// any order; a compressed file older than that was made from something else.
const COPYING: Duration = Duration::from_secs(10);

/// The folders that files are served from.
#[derive(Debug, Clone)]
pub struct Roots {
    web: PathBuf,
    models: Option<PathBuf>,
}

/// What lies at a path.
#[derive(Debug)]
pub enum Target {
    File(Found),
    /// A folder with a page in it, named without the slash that relative links need.
    Folder,
}

/// An open file.
#[derive(Debug)]
pub struct Found {
    pub file: File,
    pub size: u64,
    pub modified: Option<SystemTime>,
    /// Its name, for type and caching.
    pub name: String,
    /// The compressed files beside it, best first.
    pub compressed: Vec<(Encoding, PathBuf)>,
}

impl Roots {
    /// `models` may be missing unless `models_required`: the page brings its own.
    pub fn new(web: &Path, models: &Path, models_required: bool) -> Result<Self, ServerError> {
        let root = web
            .canonicalize()
            .map_err(|_| ServerError::NoPage(web.to_path_buf()))?;
        if !root.join("index.html").is_file() {
            return Err(ServerError::NoPage(web.to_path_buf()));
        }
        let models = match fs::read_dir(models).and_then(|_| models.canonicalize()) {
            Ok(folder) => Some(folder),
            Err(source) if models_required => {
                return Err(ServerError::NoModels {
                    path: models.to_path_buf(),
                    source,
                });
            }
            Err(_) => None,
        };
        Ok(Self { web: root, models })
    }

    /// Opens what `path`, still percent-encoded, names. Blocks.
    ///
    /// Below `/models/` the models folder comes before the page's own.
    ///
    /// SECURITY: each segment is decoded once and must be one plain name; the result is then
    /// resolved by the operating system and must still lie in the folder, so that no link leads
    /// out. Names beginning with a dot do not exist.
    pub fn open(&self, path: &str) -> Result<Target, RequestError> {
        let (segments, folder) = segments(path)?;
        if let (Some(models), Some((first, rest))) = (&self.models, segments.split_first())
            && first == "models"
            && !rest.is_empty()
        {
            match open_in(models, rest, folder) {
                Err(RequestError::NotFound) => {}
                other => return other,
            }
        }
        open_in(&self.web, &segments, folder)
    }

    /// The list of models: that of the models folder, or else the page's own.
    pub fn manifest(&self) -> Option<PathBuf> {
        let own = self
            .models
            .iter()
            .map(|folder| folder.join("manifest.json"));
        let page = self.web.join("models/manifest.json");
        own.chain([page]).find(|path| path.is_file())
    }

    /// Whether the model file called `name` is here.
    pub fn has_model(&self, name: &str) -> bool {
        let plain = !name.starts_with('.') && !name.contains(['/', '\\']);
        let mut folders = self.models.iter().cloned().chain([self.web.join("models")]);
        plain && folders.any(|folder| folder.join(name).is_file())
    }
}

/// The decoded segments of a path, and whether it ends in a slash.
fn segments(path: &str) -> Result<(Vec<String>, bool), RequestError> {
    let path = path.strip_prefix('/').ok_or(RequestError::BadPath)?;
    let (path, folder) = match path.strip_suffix('/') {
        Some(path) => (path, true),
        None => (path, path.is_empty()),
    };
    if path.is_empty() {
        return if folder {
            Ok((Vec::new(), true))
        } else {
            Err(RequestError::NotFound)
        };
    }
    let segments = path.split('/').map(segment).collect::<Result<_, _>>()?;
    Ok((segments, folder))
}

fn segment(encoded: &str) -> Result<String, RequestError> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte != b'%' {
            bytes.push(byte);
            rest = after;
            continue;
        }
        let digits = after
            .get(..2)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let value = digits
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
            .ok_or(RequestError::BadPath)?;
        bytes.push(value);
        rest = &after[2..];
    }
    let name = String::from_utf8(bytes).map_err(|_| RequestError::BadPath)?;
    if name.chars().any(char::is_control) {
        return Err(RequestError::BadPath);
    }
    // Separators and drive letters of any system: a name is a name.
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', ':']) {
        return Err(RequestError::NotFound);
    }
    Ok(name)
}

fn open_in(root: &Path, segments: &[String], folder: bool) -> Result<Target, RequestError> {
    let mut path: PathBuf = [root]
        .into_iter()
        .chain(segments.iter().map(Path::new))
        .collect();
    if folder {
        path.push("index.html");
    }
    let Some(path) = inside(root, &path) else {
        return Err(RequestError::NotFound);
    };
    if path.is_dir() {
        let page = inside(root, &path.join("index.html")).is_some_and(|page| page.is_file());
        return if page {
            Ok(Target::Folder)
        } else {
            Err(RequestError::NotFound)
        };
    }
    let (file, size, modified) = open_file(&path)?;
    let name = segments.last().filter(|_| !folder).cloned();
    let compressed = Encoding::ALL
        .into_iter()
        .filter_map(|encoding| {
            let beside = beside(&path, encoding);
            // A link out of the folder is refused here as well.
            let beside = inside(root, &beside)?;
            let metadata = fs::metadata(&beside).ok().filter(fs::Metadata::is_file)?;
            let fresh = match (metadata.modified().ok(), modified) {
                (Some(compressed), Some(plain)) => compressed + COPYING >= plain,
                _ => true,
            };
            fresh.then_some((encoding, beside))
        })
        .collect();
    let name = name.unwrap_or_else(|| "index.html".to_owned());
    Ok(Target::File(Found {
        file,
        size,
        modified,
        name,
        compressed,
    }))
}

/// Opens a regular file; its size and time are those of the opened file, not of the name.
pub fn open_file(path: &Path) -> Result<(File, u64, Option<SystemTime>), RequestError> {
    // Opening a pipe would wait for a writer, so the kind is asked first.
    let opened = fs::metadata(path).and_then(|metadata| {
        if metadata.is_file() {
            File::open(path)
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    });
    let file = opened.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => RequestError::NotFound,
        kind => {
            tracing::warn!(path = %path.display(), %kind, "cannot open a file that is there");
            RequestError::Internal
        }
    })?;
    let metadata = file.metadata().map_err(|_| RequestError::Internal)?;
    Ok((file, metadata.len(), metadata.modified().ok()))
}

/// The real place of `path` when it exists and lies in `root` (which is canonical).
fn inside(root: &Path, path: &Path) -> Option<PathBuf> {
    let real = path.canonicalize().ok()?;
    let below = real.strip_prefix(root).ok()?;
    // A link inside the folder may still point at a hidden file.
    let hidden = below
        .components()
        .any(|part| part.as_os_str().to_string_lossy().starts_with('.'));
    (!hidden).then_some(real)
}

fn beside(path: &Path, encoding: Encoding) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(encoding.extension());
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_decoded_once_and_checked() {
        let names = |path| segments(path).map(|(names, folder)| (names.join("|"), folder));
        assert_eq!(names("/").unwrap(), (String::new(), true));
        assert_eq!(
            names("/a/b%20c.js").unwrap(),
            ("a|b c.js".to_owned(), false)
        );
        assert_eq!(names("/a/").unwrap(), ("a".to_owned(), true));
        assert_eq!(names("/100%25").unwrap(), ("100%".to_owned(), false));
        for path in [
            "/..",
            "/a/../b",
            "/%2e%2e/b",
            "/.git/config",
            "/a/%2eenv",
            "//a",
            "/a//b",
        ] {
            assert!(matches!(names(path), Err(RequestError::NotFound)), "{path}");
        }
        for path in [
            "/a%2fb",
            "/a%5Cb",
            "/c:",
            "/%2e%2e%2fetc%2fpasswd",
            "/..%5c..%5cx",
        ] {
            assert!(matches!(names(path), Err(RequestError::NotFound)), "{path}");
        }
        for path in [
            "", "*", "a", "/%", "/%4", "/%zz", "/%+1", "/a%00.js", "/%ff", "/a%0a",
        ] {
            assert!(matches!(names(path), Err(RequestError::BadPath)), "{path}");
        }
    }

    #[test]
    fn a_compressed_file_older_than_its_plain_one_is_not_offered() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["index.html", "a.js", "a.js.br", "a.js.gz"] {
            fs::write(dir.path().join(name), name).unwrap();
        }
        let old = SystemTime::now() - Duration::from_secs(60);
        File::options()
            .write(true)
            .open(dir.path().join("a.js.br"))
            .unwrap()
            .set_modified(old)
            .unwrap();
        let roots = Roots::new(dir.path(), &dir.path().join("none"), false).unwrap();
        let Target::File(found) = roots.open("/a.js").unwrap() else {
            panic!("a folder")
        };
        let offered: Vec<_> = found
            .compressed
            .iter()
            .map(|(encoding, _)| *encoding)
            .collect();
        assert_eq!(offered, [Encoding::Gzip]);
    }

    #[test]
    fn a_folder_without_a_page_is_no_root() {
        let dir = tempfile::tempdir().unwrap();
        let error = Roots::new(dir.path(), dir.path(), false).unwrap_err();
        assert!(matches!(error, ServerError::NoPage(_)), "{error}");
        fs::write(dir.path().join("index.html"), "").unwrap();
        let missing = dir.path().join("none");
        assert!(Roots::new(dir.path(), &missing, false).is_ok());
        let error = Roots::new(dir.path(), &missing, true).unwrap_err();
        assert!(error.to_string().contains("SAM2_MODELS_DIR"), "{error}");
    }
}
