//! Videos that lie on the service's machine: SAM2_MEDIA_DIR and nothing beside it.

use super::error::ApiError;
use crate::CliError;
use std::path::{Path, PathBuf};

/// The folder whose videos clients may name.
#[derive(Debug)]
pub struct MediaDir(Option<PathBuf>);

impl MediaDir {
    /// # Errors
    /// [`CliError::Io`] where the folder cannot be read.
    pub fn open(path: Option<&Path>) -> Result<Self, CliError> {
        let open = |path: &Path| -> Result<PathBuf, CliError> {
            std::fs::read_dir(path).map_err(CliError::io(path))?;
            path.canonicalize().map_err(CliError::io(path))
        };
        path.map(open).transpose().map(Self)
    }

    /// A file, or a folder of frames, by its path below the folder or by its whole path. Blocks.
    ///
    /// SECURITY: links are followed first, and what they lead to must lie in the folder, each picture
    /// of a folder of frames too. One answer for what is missing and for what is outside: a client
    /// learns nothing from it about files that it may not have.
    ///
    /// # Errors
    /// [`ApiError::NotFound`].
    pub fn resolve(&self, video_path: &str) -> Result<PathBuf, ApiError> {
        let Some(root) = &self.0 else {
            let text = "this service has no folder of videos (SAM2_MEDIA_DIR): upload the video to /api/v1/uploads";
            return Err(ApiError::NotFound(text.to_owned()));
        };
        let missing = || {
            let text =
                format!("there is no video {video_path:?} in the service's folder of videos");
            ApiError::NotFound(text)
        };
        if video_path.trim().is_empty() || video_path.contains('\0') {
            return Err(missing());
        }
        // A whole path replaces the root here, and is then held to it all the same.
        let path = inside(root, &root.join(video_path)).ok_or_else(missing)?;
        if path.is_file() {
            return Ok(path);
        }
        // Neither pipes nor devices.
        let entries = std::fs::read_dir(&path).map_err(|_| missing())?;
        for entry in entries {
            let entry = entry.map_err(|_| missing())?;
            inside(root, &entry.path()).ok_or_else(missing)?;
        }
        Ok(path)
    }
}

/// The file behind a path, where it lies in `root`.
fn inside(root: &Path, path: &Path) -> Option<PathBuf> {
    let path = path.canonicalize().ok()?;
    path.starts_with(root).then_some(path)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn nothing_outside_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("media");
        fs::create_dir_all(root.join("clip")).unwrap();
        fs::create_dir_all(root.join("leaky")).unwrap();
        fs::write(root.join("a b.mp4"), b"x").unwrap();
        fs::write(root.join("clip/0.png"), b"x").unwrap();
        fs::write(folder.path().join("secret.png"), b"x").unwrap();
        fs::create_dir(folder.path().join("media2")).unwrap();
        fs::write(folder.path().join("media2/x.mp4"), b"x").unwrap();
        symlink(folder.path().join("secret.png"), root.join("leaky/0.png")).unwrap();
        symlink(folder.path().join("secret.png"), root.join("link.png")).unwrap();
        symlink(folder.path(), root.join("up")).unwrap();
        symlink(root.join("a b.mp4"), root.join("fine.mp4")).unwrap();
        let media = MediaDir::open(Some(&root)).unwrap();
        let whole = root.join("a b.mp4").display().to_string();
        for path in [
            "a b.mp4",
            "./a b.mp4",
            "clip",
            "clip/../a b.mp4",
            "fine.mp4",
            &whole,
        ] {
            assert!(media.resolve(path).is_ok(), "{path}");
        }
        let beside = folder.path().join("media2/x.mp4").display().to_string();
        for path in [
            "",
            ".mp4",
            "../secret.png",
            "clip/../../secret.png",
            "/etc/passwd",
            "link.png",
            "leaky",
            "up/secret.png",
            "up",
            "none.mp4",
            "a b.mp4\0",
            &beside,
            "..",
            "%2e%2e/secret.png",
        ] {
            let error = media.resolve(path).unwrap_err();
            assert_eq!(error.code(), "not_found", "{path}");
        }
        let none = MediaDir::open(None)
            .unwrap()
            .resolve("a b.mp4")
            .unwrap_err();
        assert!(none.to_string().contains("SAM2_MEDIA_DIR"));
        assert!(MediaDir::open(Some(&root.join("none"))).is_err());
    }
}
