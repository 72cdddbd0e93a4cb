//! Bodies that come from files.

use std::convert::Infallible;
use std::fs::File;
use std::future::Future;
use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, MessageBody};
use actix_web::web::{self, Bytes};

/// Bytes read and sent at a time: large enough that the hand-over between threads does not count,
/// small enough for a thousand connections.
const CHUNK: u64 = 128 * 1024;

type Reading = Pin<Box<dyn Future<Output = io::Result<(File, Bytes)>>>>;

/// A part of a file, read in chunks on the threads for blocking work.
pub struct FileBody {
    size: u64,
    remaining: u64,
    file: Option<File>,
    reading: Option<Reading>,
}

impl FileBody {
    /// `size` bytes of `file` from where it stands.
    pub fn new(file: File, size: u64) -> Self {
        Self {
            size,
            remaining: size,
            file: Some(file),
            reading: None,
        }
    }
}

impl MessageBody for FileBody {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.size)
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, io::Error>>> {
        if self.reading.is_none() {
            let wanted = self.remaining.min(CHUNK);
            let Some(file) = self.file.take().filter(|_| wanted > 0) else {
                return Poll::Ready(None);
            };
            self.reading = Some(Box::pin(async move {
                web::block(move || read(file, wanted))
                    .await
                    .map_err(io::Error::other)?
            }));
        }
        let Some(reading) = self.reading.as_mut() else {
            return Poll::Ready(None);
        };
        let result = ready!(reading.as_mut().poll(cx));
        self.reading = None;
        Poll::Ready(Some(result.map(|(file, bytes)| {
            self.remaining -= bytes.len() as u64;
            self.file = Some(file);
            bytes
        })))
    }
}

/// Exactly `wanted` bytes: a file cut short meanwhile is an error, which breaks the connection,
/// for the length was already promised.
fn read(mut file: File, wanted: u64) -> io::Result<(File, Bytes)> {
    let mut bytes = Vec::with_capacity(wanted as usize);
    (&mut file).take(wanted).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != wanted {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok((file, Bytes::from(bytes)))
}

/// The answer to HEAD: a length and no bytes.
pub struct HeadBody(pub u64);

impl MessageBody for HeadBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.0)
    }

    fn poll_next(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        Poll::Ready(None)
    }
}
