//! The routes of the Python service that this project replaces, so that its scripts run unchanged:
//! POST /initialize, /add-object, /refine and /propagate; masks as base64 PNG.

use super::error::ApiError;
use super::known::KnownMask;
use super::open::{blocking, from_media};
use super::prompt::Prompt;
use super::propagation::{Propagation, State};
use super::session::VideoSession;
use super::{Api, at, track};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::Stream;
use futures_util::stream::unfold;
use sam2::video::{ObjectId, PassOptions};
use sam2_server::actix_web::web::{self, Bytes, Data, Json};
use sam2_server::actix_web::{HttpResponse, Resource};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

type Answer = Result<HttpResponse, ApiError>;

/// The routes.
pub fn resources() -> [Resource; 4] {
    [
        at("/initialize", "POST").route(web::post().to(initialize)),
        at("/add-object", "POST").route(web::post().to(add_object)),
        at("/refine", "POST").route(web::post().to(refine)),
        at("/propagate", "POST").route(web::post().to(propagate)),
    ]
}

#[derive(Debug, Deserialize)]
struct Initialize {
    video_path: String,
}

/// Body of /add-object and /refine. What is unknown is left alone: old scripts may send more.
#[derive(Debug, Deserialize)]
struct Clicks {
    session_id: String,
    frame_idx: usize,
    #[serde(alias = "obj_id")]
    object_id: ObjectId,
    #[serde(default)]
    points: Option<Vec<[f32; 2]>>,
    #[serde(default)]
    labels: Option<Vec<i32>>,
    #[serde(default, rename = "box")]
    bounding_box: Option<[f32; 4]>,
}

#[derive(Debug, Deserialize)]
struct Propagate {
    session_id: String,
    #[serde(default)]
    start_frame_idx: Option<usize>,
    #[serde(default)]
    max_frame_num_to_track: Option<usize>,
    #[serde(default)]
    reverse: bool,
}

async fn initialize(api: Data<Api>, form: Json<Initialize>) -> Answer {
    let session = from_media(&api, form.into_inner().video_path).await?;
    let size = session.size();
    Ok(HttpResponse::Ok().json(json!({
        "session_id": session.id,
        "num_frames": session.frames(),
        "width": size.map(|size| size.width),
        "height": size.map(|size| size.height),
        "fps": session.fps,
    })))
}

async fn add_object(api: Data<Api>, form: Json<Clicks>) -> Answer {
    clicked(&api, form.into_inner(), false).await
}

/// Clicks that go together with those before them on the frame. A box comes before all clicks, so with
/// one they are taken as a new prompt; the mask found before goes in with it in both cases.
async fn refine(api: Data<Api>, form: Json<Clicks>) -> Answer {
    let form = form.into_inner();
    let session = api.registry.get(&form.session_id)?;
    if !session
        .objects()
        .iter()
        .any(|known| known.object == form.object_id)
    {
        let text = format!(
            "there is no object {} to refine: add it first",
            form.object_id
        );
        return Err(ApiError::NotFound(text));
    }
    let keep = form.bounding_box.is_none();
    clicked(&api, form, keep).await
}

async fn clicked(api: &Data<Api>, form: Clicks, keep_old_points: bool) -> Answer {
    let session = api.registry.get(&form.session_id)?;
    let (frame, object) = (form.frame_idx, form.object_id);
    let prompt = Prompt {
        frame,
        object,
        points: form.points.unwrap_or_default(),
        labels: form.labels.unwrap_or_default(),
        bounding_box: form.bounding_box,
        mask: None,
        keep_old_points,
    };
    let prompt = prompt.check(&session, &api.limits)?;
    let shared = Data::clone(api);
    let prompted = api.engine.call(&session, move |video, session| {
        prompt.apply(video, session, &shared.limits)
    });
    prompted.await?;
    let of_object = session.mask(frame, object);
    let of_object =
        of_object.ok_or_else(|| ApiError::Internal("a prompt has no mask".to_owned()))?;
    let (id, shared) = (session.id.clone(), Arc::clone(&session));
    let masks = blocking(move || frame_masks(&shared, frame)).await?;
    Ok(HttpResponse::Ok().json(json!({
        "session_id": id,
        "frame_idx": frame,
        "object_id": object,
        "score": of_object.score,
        "iou": of_object.iou,
        "mask": masks.get(&object.to_string()),
        "masks": masks,
    })))
}

async fn propagate(api: Data<Api>, form: Json<Propagate>) -> Answer {
    let session = api.registry.get(&form.session_id)?;
    let pass = PassOptions {
        start_frame_idx: form.start_frame_idx,
        max_frame_num_to_track: form.max_frame_num_to_track,
        reverse: form.reverse,
    };
    let propagation = track::propagate(&api, &session, vec![pass])?;
    let waited_for = CancelOnDrop(&propagation);
    let progress = propagation.over().await;
    drop(waited_for); // what is over cannot be cancelled
    if progress.state == State::Cancelled {
        return Err(ApiError::Conflict(
            "the propagation was cancelled".to_owned(),
        ));
    }
    if let Some(failure) = progress.error {
        return Err(ApiError::Failed(failure));
    }
    let frames: BTreeSet<usize> = propagation
        .frames_after(0, usize::MAX)
        .into_iter()
        .collect();
    let body = HttpResponse::Ok()
        .content_type("application/json")
        .streaming(tracked(session, frames));
    Ok(body)
}

/// The server drops a request whose client hung up: then nobody waits for the rest of the clip. What was
/// tracked stays in the session.
struct CancelOnDrop<'a>(&'a Propagation);

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        if !self.0.progress().state.is_over() {
            tracing::info!("a client hung up: its propagation ends");
            self.0.cancel();
        }
    }
}

/// `{"session_id", "num_frames", "masks": {frame: {object: PNG}}}`, a frame at a time: all pictures of a
/// clip need not be in memory at once.
fn tracked(
    session: Arc<VideoSession>,
    frames: BTreeSet<usize>,
) -> impl Stream<Item = Result<Bytes, ApiError>> {
    let head = format!(
        "{{\"session_id\": {}, \"num_frames\": {}, \"masks\": {{",
        json!(session.id),
        frames.len()
    );
    let parts = Some((Some(head), frames.into_iter(), true));
    unfold((session, parts), |(session, parts)| async move {
        let (head, mut frames, first) = parts?;
        if let Some(head) = head {
            return Some((Ok(Bytes::from(head)), (session, Some((None, frames, true)))));
        }
        let Some(frame) = frames.next() else {
            return Some((Ok(Bytes::from_static(b"}}")), (session, None)));
        };
        let shared = Arc::clone(&session);
        let part = blocking(move || {
            let masks = Value::Object(frame_masks(&shared, frame)?);
            let comma = if first { "" } else { ", " };
            Ok(Bytes::from(format!("{comma}\"{frame}\": {masks}")))
        });
        let part = part.await;
        Some((part, (session, Some((None, frames, false)))))
    })
}

/// The masks of a frame, as base64 PNG by object. Blocks.
fn frame_masks(session: &VideoSession, frame: usize) -> Result<Map<String, Value>, ApiError> {
    let masks = session.masks_on(frame).into_iter();
    let written =
        masks.map(|((_, object), mask)| Ok((object.to_string(), Value::String(png(&mask)?))));
    written.collect()
}

fn png(mask: &KnownMask) -> Result<String, ApiError> {
    let png = mask.rle.to_mask().to_png().map_err(sam2::Error::from)?;
    Ok(STANDARD.encode(png))
}
