//! A writer that reports one failure, for libraries that print what fails in their destructors.

use std::io::{self, Seek, SeekFrom, Write};

/// A file whose first failure is the last one that is reported. The archive is given up then; but the zip
/// writer ends it when it is dropped, and prints what fails there as well.
pub struct FailsOnce<W> {
    inner: W,
    /// Where the next byte goes, or would.
    at: u64,
    failed: bool,
}

impl<W> FailsOnce<W> {
    pub fn new(inner: W) -> Self {
        Self {
            inner,
            at: 0,
            failed: false,
        }
    }

    /// Whether anything was lost.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    fn attempt<T>(
        &mut self,
        otherwise: T,
        work: impl FnOnce(&mut W) -> io::Result<T>,
    ) -> io::Result<T> {
        if self.failed {
            return Ok(otherwise);
        }
        let done = work(&mut self.inner);
        // An interrupted write is tried again by whoever asked for it.
        self.failed = matches!(&done, Err(e) if e.kind() != io::ErrorKind::Interrupted);
        done
    }
}

impl<W: Write> Write for FailsOnce<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.attempt(bytes.len(), |inner| inner.write(bytes))?;
        self.at += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.attempt((), W::flush)
    }
}

impl<W: Seek> Seek for FailsOnce<W> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let otherwise = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::Current(_) | SeekFrom::End(_) => self.at,
        };
        self.at = self.attempt(otherwise, |inner| inner.seek(to))?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_once() {
        /// Takes so many writes, the first of which is interrupted.
        struct Full(usize);
        impl Write for Full {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0 += 1;
                match self.0 {
                    1 => Err(io::ErrorKind::Interrupted.into()),
                    2 => Ok(bytes.len()),
                    _ => Err(io::ErrorKind::StorageFull.into()),
                }
            }
            fn flush(&mut self) -> io::Result<()> {
                Err(io::ErrorKind::StorageFull.into())
            }
        }
        impl Seek for Full {
            fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
                Ok(3)
            }
        }
        let mut file = FailsOnce::new(Full(0));
        file.write_all(b"one").unwrap();
        assert_eq!((file.stream_position().unwrap(), file.failed), (3, false));
        let error = file.write_all(b"two").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        // Given up: the rest is taken, and goes nowhere.
        file.write_all(b"three").unwrap();
        file.flush().unwrap();
        assert_eq!((file.stream_position().unwrap(), file.failed), (8, true));
        assert_eq!(
            (file.seek(SeekFrom::Start(1)).unwrap(), file.inner.0),
            (1, 3)
        );
    }
}
