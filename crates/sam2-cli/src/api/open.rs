//! Sessions begin: with a video of the service's machine, or with an upload.

use super::Api;
use super::body::{Body, announced};
use super::error::ApiError;
use super::lock;
use super::registry::{Registry, Slot, short};
use super::session::{VideoSession, predictor};
use sam2::video::open_video;
use sam2_server::actix_web::{HttpRequest, web};
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tempfile::{NamedTempFile, TempPath};

/// Bytes that are written at a time, on a thread for blocking work.
const WRITE: usize = 1 << 20;

/// Opens a session on a video below SAM2_MEDIA_DIR.
///
/// # Errors
/// [`ApiError::Busy`], [`ApiError::NotFound`], [`ApiError::Engine`] for a video that cannot be read.
pub async fn from_media(
    api: &web::Data<Api>,
    video_path: String,
) -> Result<Arc<VideoSession>, ApiError> {
    let slot = api.registry.reserve()?;
    let shared = web::Data::clone(api);
    let name = video_path.clone();
    let path = blocking(move || shared.media.resolve(&name)).await?;
    open(api, path, video_path, None, slot).await
}

/// Opens a session on a request's body: one video file of any kind that can be read.
///
/// # Errors
/// As [`from_media`], and [`ApiError::TooLarge`], [`ApiError::Timeout`], [`ApiError::Storage`].
pub async fn from_upload(
    api: &web::Data<Api>,
    request: &HttpRequest,
    body: web::Payload,
) -> Result<Arc<VideoSession>, ApiError> {
    announced(request, api.limits.upload)?;
    let slot = api.registry.reserve()?;
    let upload = store(api, body).await?;
    open(
        api,
        upload.to_path_buf(),
        "the upload".to_owned(),
        Some(upload),
        slot,
    )
    .await
}

/// Writes a body to a temporary file.
async fn store(api: &Api, body: web::Payload) -> Result<TempPath, ApiError> {
    let mut body = Body::new(body, api.limits.upload);
    let file = blocking(|| {
        let mut builder = tempfile::Builder::new();
        builder
            .prefix("sam2-upload-")
            .tempfile()
            .map_err(ApiError::Storage)
    });
    let file = Arc::new(Mutex::new(file.await?));
    let mut chunk = Vec::new();
    loop {
        let part = body.next(&api.limits).await?;
        let ended = part.is_none();
        chunk.extend_from_slice(&part.unwrap_or_default());
        if chunk.len() >= WRITE || (ended && !chunk.is_empty()) {
            let (bytes, file) = (std::mem::take(&mut chunk), Arc::clone(&file));
            blocking(move || {
                lock::<NamedTempFile>(&file)
                    .write_all(&bytes)
                    .map_err(ApiError::Storage)
            })
            .await?;
        }
        if ended {
            break;
        }
    }
    let file = Arc::into_inner(file)
        .ok_or_else(|| ApiError::Internal("the upload is still written".into()))?;
    Ok(file
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .into_temp_path())
}

async fn open(
    api: &web::Data<Api>,
    path: PathBuf,
    shown: String,
    upload: Option<TempPath>,
    slot: Slot,
) -> Result<Arc<VideoSession>, ApiError> {
    let id = Registry::new_id()?;
    let shared = web::Data::clone(api);
    // Reading headers, asking ffmpeg, decoding the first frame: nothing for an HTTP thread.
    let session = blocking(move || {
        let hidden = path.display().to_string();
        // Where files lie on this machine is nobody's business.
        let renamed = |error| match error {
            sam2::Error::Video(text) => sam2::Error::Video(text.replace(&hidden, &shown)),
            other => other,
        };
        let opened = open_video(&path, shared.limits.video).map_err(renamed)?;
        let model = Arc::clone(&shared.model);
        let opened = predictor(model, opened, shared.limits.caches)?;
        let (frames, size) = (opened.0.num_frames(), opened.0.size());
        tracing::info!(
            "session {}... begins: {frames} frames of {} x {}",
            short(&id),
            size.width,
            size.height
        );
        Ok(Arc::new(VideoSession::new(id, opened, upload, slot)))
    });
    let session = session.await?;
    api.registry.add(Arc::clone(&session));
    Ok(session)
}

/// Runs work that blocks on a thread for it.
///
/// # Errors
/// What the work reports.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let result = web::block(work).await;
    result.unwrap_or_else(|_| Err(ApiError::Internal("a thread ended early".to_owned())))
}
