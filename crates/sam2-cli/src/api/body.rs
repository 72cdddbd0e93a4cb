//! Bodies that are files: what a request says of one, and reading it.

use super::args::Limits;
use super::error::ApiError;
use futures_util::StreamExt;
use sam2_server::actix_web::HttpRequest;
use sam2_server::actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use sam2_server::actix_web::rt::time::timeout;
use sam2_server::actix_web::web::{Bytes, Payload};

/// Refuses what can be refused before any of the body is read: a form, and a length beyond the limit.
///
/// # Errors
/// [`ApiError::UnsupportedMediaType`], [`ApiError::TooLarge`].
pub fn announced(request: &HttpRequest, limit: u64) -> Result<(), ApiError> {
    let text = |name| {
        let value = request.headers().get(name);
        value.and_then(|value| value.to_str().ok())
    };
    let kind = text(CONTENT_TYPE).unwrap_or_default().to_ascii_lowercase();
    if kind.starts_with("multipart/") || kind.starts_with("application/x-www-form-urlencoded") {
        return Err(ApiError::UnsupportedMediaType(
            "send the file itself as the body, not a form, and its type as Content-Type (curl \
             --data-binary @FILE -H 'Content-Type: application/octet-stream')",
        ));
    }
    let promised = text(CONTENT_LENGTH).and_then(|value| value.parse::<u64>().ok());
    match promised.is_some_and(|bytes| bytes > limit) {
        true => Err(ApiError::TooLarge { limit }),
        false => Ok(()),
    }
}

/// A body, part by part, up to a limit.
pub struct Body {
    payload: Payload,
    limit: u64,
    received: u64,
}

impl Body {
    pub fn new(payload: Payload, limit: u64) -> Self {
        Self {
            payload,
            limit,
            received: 0,
        }
    }

    /// The next part; `None` at the end.
    ///
    /// # Errors
    /// [`ApiError::Timeout`] for a client that stopped sending, [`ApiError::TooLarge`],
    /// [`ApiError::BadRequest`] for a connection that broke, and for a body without bytes.
    pub async fn next(&mut self, limits: &Limits) -> Result<Option<Bytes>, ApiError> {
        let pause = limits.upload_pause;
        let seconds = pause.as_secs();
        let part = timeout(pause, self.payload.next()).await;
        let Some(part) = part.map_err(|_| ApiError::Timeout { seconds })? else {
            return match self.received {
                0 => Err(ApiError::BadRequest(
                    "the body is empty: send a file".to_owned(),
                )),
                _ => Ok(None),
            };
        };
        let part = part.map_err(|e| ApiError::BadRequest(format!("the upload broke off: {e}")))?;
        self.received += part.len() as u64;
        match self.received > self.limit {
            true => Err(ApiError::TooLarge { limit: self.limit }),
            false => Ok(Some(part)),
        }
    }

    /// All of it, in memory.
    ///
    /// # Errors
    /// As [`Body::next`].
    pub async fn whole(mut self, limits: &Limits) -> Result<Vec<u8>, ApiError> {
        let mut bytes = Vec::new();
        while let Some(part) = self.next(limits).await? {
            bytes.extend_from_slice(&part);
        }
        Ok(bytes)
    }
}
