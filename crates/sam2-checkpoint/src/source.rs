//! Where a checkpoint's bytes come from.

use std::io;
use std::sync::Arc;

/// `Send + Sync` on native targets, nothing on wasm, where a source may hold JavaScript objects.
#[cfg(not(target_family = "wasm"))]
pub trait MaybeSync: Send + Sync {}
#[cfg(not(target_family = "wasm"))]
impl<T: Send + Sync + ?Sized> MaybeSync for T {}

/// `Send + Sync` on native targets, nothing on wasm, where a source may hold JavaScript objects.
#[cfg(target_family = "wasm")]
pub trait MaybeSync {}
#[cfg(target_family = "wasm")]
impl<T: ?Sized> MaybeSync for T {}

/// Random access to bytes that do not change while they are read.
pub trait ReadAt: MaybeSync {
    /// Total number of bytes.
    fn len(&self) -> u64;

    /// Whether there are no bytes at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills all of `buf` from `offset`.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] when fewer bytes are left, or what the medium reports.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;
}

impl ReadAt for [u8] {
    fn len(&self) -> u64 {
        <[u8]>::len(self) as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let bytes = usize::try_from(offset)
            .ok()
            .and_then(|start| self.get(start..start.checked_add(buf.len())?))
            .ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        buf.copy_from_slice(bytes);
        Ok(())
    }
}

macro_rules! bytes_source {
    ($($type:ty),*) => {$(
        impl ReadAt for $type {
            fn len(&self) -> u64 {
                ReadAt::len(&self[..])
            }

            fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
                self[..].read_at(offset, buf)
            }
        }
    )*};
}
bytes_source!(Vec<u8>, Arc<[u8]>, &'static [u8]);

/// A file, read without a cursor, so that threads can share it.
#[cfg(not(target_family = "wasm"))]
#[derive(Debug)]
pub struct FileSource {
    file: std::fs::File,
    len: u64,
}

#[cfg(not(target_family = "wasm"))]
impl FileSource {
    /// Opens `path` for reading.
    ///
    /// # Errors
    /// What the system reports, with the path; a folder is refused as such.
    pub fn open(path: impl AsRef<std::path::Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let file = std::fs::File::open(path).map_err(named)?;
        let metadata = file.metadata().map_err(named)?;
        if metadata.is_dir() {
            return Err(named(io::Error::other("is a folder, not a model file")));
        }
        Ok(Self {
            file,
            len: metadata.len(),
        })
    }
}

#[cfg(not(target_family = "wasm"))]
impl ReadAt for FileSource {
    fn len(&self) -> u64 {
        self.len
    }

    #[cfg(unix)]
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.file, buf, offset)
    }

    #[cfg(windows)]
    fn read_at(&self, mut offset: u64, mut buf: &mut [u8]) -> io::Result<()> {
        while !buf.is_empty() {
            match std::os::windows::fs::FileExt::seek_read(&self.file, buf, offset)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => {
                    offset += read as u64;
                    buf = &mut buf[read..];
                }
            }
        }
        Ok(())
    }
}
