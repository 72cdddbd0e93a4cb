//! Files, written whole or not at all.

use crate::CliError;
use sam2::image::{DecodeLimits, ImageError, Mask, RgbImage, decode};
use std::fs::File;
use std::io::{Read, Write};
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

/// Refuses what is no regular file: a pipe may never end or never begin, a device has no length.
///
/// # Errors
/// [`CliError::Io`] with what it is instead.
pub fn check_regular(path: &Path) -> Result<std::fs::Metadata, CliError> {
    let metadata = std::fs::metadata(path).map_err(CliError::io(path))?;
    let what = match (metadata.is_dir(), metadata.is_file()) {
        (true, _) => "it is a folder",
        (_, false) => "it is a pipe or a device: give a file",
        _ => return Ok(metadata),
    };
    Err(CliError::io(path)(std::io::Error::other(what)))
}

/// Reads the file of a picture, of no more bytes than `limits` say, whatever its length says.
///
/// # Errors
/// [`CliError::Io`], as [`check_regular`]; [`CliError::Engine`] for a file that is too large.
pub fn read_picture(path: &Path, limits: &DecodeLimits) -> Result<Vec<u8>, CliError> {
    let max_bytes = limits.max_bytes;
    check_regular(path)?;
    read_up_to(path, max_bytes, |bytes| {
        sam2::Error::from(ImageError::FileTooLarge { bytes, max_bytes }).into()
    })
}

/// Reads and decodes a picture.
///
/// # Errors
/// As [`read_picture`]; the engine's are [`CliError::Picture`] with the path.
pub fn picture(path: &Path) -> Result<RgbImage, CliError> {
    decoded(path, decode)
}

/// Reads and decodes a mask, a black and white picture.
///
/// # Errors
/// As [`picture`].
pub fn mask(path: &Path) -> Result<Mask, CliError> {
    decoded(path, Mask::from_png)
}

fn decoded<T>(
    path: &Path,
    decode: impl FnOnce(&[u8], &DecodeLimits) -> Result<T, ImageError>,
) -> Result<T, CliError> {
    let limits = DecodeLimits::default();
    let bytes = read_picture(path, &limits);
    let decoded = bytes.and_then(|bytes| Ok(decode(&bytes, &limits).map_err(sam2::Error::from)?));
    decoded.map_err(|error| match error {
        CliError::Engine(source) => CliError::Picture {
            path: path.to_owned(),
            source,
        },
        other => other,
    })
}

/// Reads a text of at most `max_bytes`. It may come from a pipe (`--prompts <(...)`).
///
/// # Errors
/// [`CliError::Io`]; [`CliError::TooLarge`]; [`CliError::BadFile`] for what is no UTF-8.
pub fn read_text(path: &Path, max_bytes: u64) -> Result<String, CliError> {
    let bytes = read_up_to(path, max_bytes, |bytes| CliError::TooLarge {
        path: path.to_owned(),
        bytes,
        max_bytes,
    })?;
    String::from_utf8(bytes).map_err(|_| CliError::BadFile {
        path: path.to_owned(),
        reason: "it is no text in UTF-8".to_owned(),
    })
}

/// Reads no more bytes than `max_bytes`, whatever the file's length says.
fn read_up_to(
    path: &Path,
    max_bytes: u64,
    too_large: impl Fn(u64) -> CliError,
) -> Result<Vec<u8>, CliError> {
    let file = File::open(path).map_err(CliError::io(path))?;
    // Before a byte is read: a disk image is not read into memory.
    let length = file.metadata().map_err(CliError::io(path))?.len();
    if length > max_bytes {
        return Err(too_large(length));
    }
    let mut bytes = Vec::new();
    let no_room = |_| ImageError::OutOfMemory {
        what: "the file",
        bytes: length,
    };
    let room = bytes.try_reserve_exact(length as usize).map_err(no_room);
    room.map_err(sam2::Error::from)?;
    // The kernel's own files and pipes have no length, and others may grow.
    let read = file
        .take(max_bytes.saturating_add(1))
        .read_to_end(&mut bytes);
    read.map_err(CliError::io(path))?;
    if bytes.len() as u64 > max_bytes {
        return Err(too_large(bytes.len() as u64));
    }
    Ok(bytes)
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

    #[test]
    fn a_picture_is_read_up_to_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.png");
        write(&path, b"12345").unwrap();
        let read = |path: &Path, max_bytes| {
            let limits = DecodeLimits {
                max_bytes,
                ..DecodeLimits::default()
            };
            read_picture(path, &limits)
        };
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        assert_eq!(read(&path, 4).unwrap_err().code(), "image_too_large");
        let error = read(folder.path(), 5).unwrap_err();
        assert!(error.to_string().ends_with("it is a folder"), "{error}");
    }

    #[test]
    fn a_text_is_read_up_to_the_limit_which_the_error_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.json");
        write(&path, b"[1, 2]").unwrap();
        assert_eq!(read_text(&path, 6).unwrap(), "[1, 2]");
        let error = read_text(&path, 5).unwrap_err();
        assert!(matches!(
            error,
            CliError::TooLarge {
                bytes: 6,
                max_bytes: 5,
                ..
            }
        ));
        assert_eq!((error.code(), error.status()), ("bad_setting", 2));
        let text = error.to_string();
        assert!(text.contains("6 bytes") && text.contains("5 are"), "{text}");
        write(&path, b"\xff\xfe").unwrap();
        let error = read_text(&path, 5).unwrap_err();
        assert!(error.to_string().ends_with("UTF-8"), "{error}");
        assert!(read_text(folder.path(), 5).is_err());
    }

    #[test]
    fn what_is_wrong_with_a_picture_or_mask_names_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.png");
        write(&path, b"no picture").unwrap();
        for error in [picture(&path).unwrap_err(), mask(&path).unwrap_err()] {
            assert_eq!((error.code(), error.status()), ("bad_image", 1));
            assert!(error.to_string().contains("x.png: this is not"), "{error}");
        }
        // Nothing of it is on the disk, and nothing of it is read.
        let limit = DecodeLimits::default().max_bytes;
        File::create(&path).unwrap().set_len(limit + 1).unwrap();
        for error in [picture(&path).unwrap_err(), mask(&path).unwrap_err()] {
            assert_eq!(error.code(), "image_too_large");
            assert!(error.to_string().contains("x.png: the file has"), "{error}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_without_a_length_is_read_up_to_the_limit_and_a_device_not_at_all() {
        let limits = DecodeLimits {
            max_bytes: 100,
            ..DecodeLimits::default()
        };
        // Its metadata says 0.
        let error = read_picture(Path::new("/proc/cpuinfo"), &limits).unwrap_err();
        assert_eq!(error.code(), "image_too_large");
        let error = read_picture(Path::new("/dev/zero"), &limits).unwrap_err();
        assert!(error.to_string().contains("a device"), "{error}");
        // A text may come from a pipe; one that never ends is left at the limit.
        let error = read_text(Path::new("/dev/zero"), 100).unwrap_err();
        assert!(matches!(error, CliError::TooLarge { bytes: 101, .. }));
    }
}
