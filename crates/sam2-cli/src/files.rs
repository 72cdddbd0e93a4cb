//! Files, written whole or not at all.

use crate::CliError;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A file under a temporary name beside its place, renamed by [`AtomicFile::keep`] and removed when it
/// is dropped before: whoever looks sees the old file or the whole new one.
pub struct AtomicFile {
    file: Option<File>,
    temporary: PathBuf,
    path: PathBuf,
}

impl AtomicFile {
    /// Creates the folder where it is missing, and the temporary file in it.
    ///
    /// # Errors
    /// [`CliError::Io`] with the path.
    pub fn create(path: &Path) -> Result<Self, CliError> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let Some(name) = path.file_name() else {
            return Err(CliError::Usage(format!(
                "{} is no file name",
                path.display()
            )));
        };
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
        if let Some(folder) = folder {
            std::fs::create_dir_all(folder).map_err(CliError::io(folder))?;
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}-{number}.part", std::process::id()));
        let temporary = path.with_file_name(hidden);
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(true);
        let file = options.open(&temporary).map_err(CliError::io(&temporary))?;
        Ok(Self {
            file: Some(file),
            temporary,
            path: path.to_owned(),
        })
    }

    /// The temporary file's name, for readers that open it again before it is kept.
    pub fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// The open file.
    ///
    /// # Errors
    /// [`CliError::Io`] where it was kept already.
    pub fn file(&mut self) -> Result<&mut File, CliError> {
        let gone = || CliError::io(&self.path)(std::io::Error::other("the file was closed"));
        self.file.as_mut().ok_or_else(gone)
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// [`CliError::Io`]; the temporary file is removed then.
    pub fn keep(mut self) -> Result<(), CliError> {
        if let Some(mut file) = self.file.take() {
            file.flush().map_err(CliError::io(&self.path))?;
        }
        std::fs::rename(&self.temporary, &self.path).map_err(CliError::io(&self.path))?;
        self.temporary = PathBuf::new();
        Ok(())
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if !self.temporary.as_os_str().is_empty() {
            self.file = None;
            // Nothing is lost when this fails: the name says what it is.
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

/// Writes `bytes` to `path`, whole or not at all.
///
/// # Errors
/// As [`AtomicFile`].
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    let mut file = AtomicFile::create(path)?;
    file.file()?.write_all(bytes).map_err(CliError::io(path))?;
    file.keep()
}

/// Refuses a file that a person named and that is there already.
///
/// # Errors
/// [`CliError::Usage`] naming `--force`.
pub fn refuse_existing(path: &Path, force: bool) -> Result<(), CliError> {
    if !force && path.exists() {
        let text = format!("{} is there already: --force replaces it", path.display());
        return Err(CliError::Usage(text));
    }
    Ok(())
}

/// Where masks go: at least one place, and no file there that is somebody's.
///
/// # Errors
/// [`CliError::Usage`].
pub fn check_outputs(
    out: Option<&Path>,
    npz: Option<&Path>,
    json: bool,
    force: bool,
) -> Result<(), CliError> {
    if out.is_none() && npz.is_none() && !json {
        let text = "there is nowhere to put the masks: give --out, --npz or --json";
        return Err(CliError::Usage(text.to_owned()));
    }
    npz.map_or(Ok(()), |npz| refuse_existing(npz, force))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/x.bin");
        let mut file = AtomicFile::create(&path).unwrap();
        file.file().unwrap().write_all(b"half").unwrap();
        assert!(!path.exists());
        drop(file);
        assert_eq!(
            std::fs::read_dir(path.parent().unwrap()).unwrap().count(),
            0
        );
        write(&path, b"whole").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"whole");
        assert_eq!(
            std::fs::read_dir(path.parent().unwrap()).unwrap().count(),
            1
        );
        assert_eq!(refuse_existing(&path, false).unwrap_err().status(), 2);
        assert!(refuse_existing(&path, true).is_ok());
    }
}
