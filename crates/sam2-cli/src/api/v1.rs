//! The clean form, under /api/v1. `openapi.json` says the same for clients; a test compares them.

use super::error::ApiError;
use super::forms::{
    EventQuery, FrameView, MaskPage, MaskQuery, MaskView, Open, OpenForm, PromptForm,
    PropagateForm, SessionView,
};
use super::open::{blocking, from_media, from_upload};
use super::prompt::Prompt;
use super::propagation::Propagation;
use super::session::VideoSession;
use super::{Api, at, events, live, track};
use sam2::video::ObjectId;
use sam2_server::actix_web::http::header::{CACHE_CONTROL, LOCATION};
use sam2_server::actix_web::web::{self, Data, Json, Path, Payload, Query};
use sam2_server::actix_web::{HttpRequest, HttpResponse, Scope};
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;

type Answer = Result<HttpResponse, ApiError>;

const OPENAPI: &str = include_str!("openapi.json");
/// Frames in one answer with masks.
const PAGE: usize = 100;

/// The routes.
pub fn scope() -> Scope {
    use web::{delete, get, post};
    let session = |path: &str, allow| at(&format!("/sessions/{{id}}{path}"), allow);
    web::scope("/api/v1")
        .service(at("", "GET").route(get().to(service)))
        .service(at("/openapi.json", "GET").route(get().to(openapi)))
        .service(at("/uploads", "POST").route(post().to(upload)))
        .service(at("/sessions", "POST").route(post().to(create)))
        .service(
            session("", "GET, DELETE")
                .route(get().to(show))
                .route(delete().to(close)),
        )
        .service(session("/frames", "POST").route(post().to(push)))
        .service(session("/prompts", "POST").route(post().to(prompt)))
        .service(session("/objects/{object}", "DELETE").route(delete().to(remove_object)))
        .service(
            session("/objects/{object}/prompts/{frame}", "DELETE")
                .route(delete().to(clear_prompts)),
        )
        .service(session("/reset", "POST").route(post().to(reset)))
        .service(
            session("/propagation", "POST, GET, DELETE")
                .route(post().to(propagate))
                .route(get().to(progress))
                .route(delete().to(cancel)),
        )
        .service(session("/propagation/events", "GET").route(get().to(listen)))
        .service(session("/masks", "GET").route(get().to(masks)))
        .service(session("/masks/{frame}/{object}.png", "GET").route(get().to(mask_png)))
        .default_service(web::to(nothing))
}

async fn nothing() -> Answer {
    let text = "there is nothing at this address; GET /api/v1/openapi.json lists what there is";
    Err(ApiError::NotFound(text.to_owned()))
}

/// What runs here, and what a client may take of it.
async fn service(api: Data<Api>) -> Answer {
    let (model, limits) = (&api.model, &api.limits);
    ok(&json!({
        "version": env!("CARGO_PKG_VERSION"),
        "model": model.name(),
        "image_size": model.config().image_size,
        "device": model.runtime().kind.name(),
        "sessions": api.registry.len(),
        "queue": api.engine.tasks(),
        "limits": {
            "sessions": limits.sessions,
            "queue": limits.queue,
            "objects": limits.objects,
            "points": limits.points,
            "upload_bytes": limits.upload,
            "body_bytes": limits.body,
            "frame_bytes": limits.frame,
            "frames": limits.video.max_frames,
            "frame_dimension": limits.video.max_dimension,
            "idle_seconds": limits.idle.as_secs(),
        },
    }))
}

async fn openapi() -> Answer {
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .body(OPENAPI))
}

async fn create(api: Data<Api>, form: Json<OpenForm>) -> Answer {
    let session = match form.into_inner().what()? {
        Open::Media(video_path) => from_media(&api, video_path).await?,
        Open::Live => live::open(&api)?,
    };
    Ok(created(&session))
}

async fn upload(api: Data<Api>, request: HttpRequest, body: Payload) -> Answer {
    let session = from_upload(&api, &request, body).await?;
    Ok(created(&session))
}

async fn show(api: Data<Api>, id: Path<String>) -> Answer {
    ok(&SessionView::from(&*api.registry.get(&id)?))
}

async fn close(api: Data<Api>, id: Path<String>) -> Answer {
    api.registry.remove(&id)?;
    Ok(HttpResponse::NoContent().finish())
}

async fn push(api: Data<Api>, id: Path<String>, request: HttpRequest, body: Payload) -> Answer {
    let session = api.registry.get(&id)?;
    let (frame, masks) = live::push(&api, &session, &request, body).await?;
    ok(&FrameView::new(frame, &masks))
}

async fn prompt(api: Data<Api>, id: Path<String>, form: Json<PromptForm>) -> Answer {
    let session = api.registry.get(&id)?;
    let prompt = Prompt::from(form.into_inner()).check(&session, &api.limits)?;
    let shared = Data::clone(&api);
    let masks = api.engine.call(&session, move |video, session| {
        prompt.apply(video, session, &shared.limits)?;
        Ok((prompt.frame, session.masks_on(prompt.frame)))
    });
    let (frame, masks) = masks.await?;
    ok(&FrameView::new(frame, &masks))
}

async fn remove_object(api: Data<Api>, path: Path<(String, ObjectId)>) -> Answer {
    let (id, object) = path.into_inner();
    let session = api.registry.get(&id)?;
    known_object(&session, object)?;
    let removed = api
        .engine
        .call(&session, move |video, _| Ok(video.remove_object(object)?));
    removed.await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn clear_prompts(api: Data<Api>, path: Path<(String, ObjectId, usize)>) -> Answer {
    let (id, object, frame) = path.into_inner();
    let session = api.registry.get(&id)?;
    known_object(&session, object)?;
    let cleared = api.engine.call(&session, move |video, session| {
        session.keep(&video.clear_all_prompts_in_frame(frame, object)?);
        Ok(session.masks_on(frame))
    });
    ok(&FrameView::new(frame, &cleared.await?))
}

async fn reset(api: Data<Api>, id: Path<String>) -> Answer {
    let session = api.registry.get(&id)?;
    // Without objects there is nothing to propagate.
    if let Some(propagation) = session.propagation() {
        propagation.cancel();
    }
    let reset = api.engine.call(&session, |video, _| {
        video.reset_state();
        Ok(())
    });
    reset.await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn propagate(api: Data<Api>, id: Path<String>, body: web::Bytes) -> Answer {
    let session = api.registry.get(&id)?;
    // Without a body: forward from the earliest prompt.
    let form = match body.is_empty() {
        true => PropagateForm::default(),
        false => serde_json::from_slice(&body).map_err(|e| ApiError::BadRequest(e.to_string()))?,
    };
    let propagation = track::propagate(&api, &session, form.passes())?;
    let mut answer = HttpResponse::Accepted();
    answer.insert_header((
        LOCATION,
        format!("/api/v1/sessions/{}/propagation", session.id),
    ));
    Ok(answer.json(propagation.progress()))
}

async fn progress(api: Data<Api>, id: Path<String>) -> Answer {
    let session = api.registry.get(&id)?;
    ok(&latest(&session)?.progress())
}

/// Stops after the frame at hand and answers then; what was tracked stays.
async fn cancel(api: Data<Api>, id: Path<String>) -> Answer {
    let session = api.registry.get(&id)?;
    let propagation = latest(&session)?;
    propagation.cancel();
    ok(&propagation.over().await)
}

async fn listen(api: Data<Api>, id: Path<String>, query: Query<EventQuery>) -> Answer {
    let session = api.registry.get(&id)?;
    let propagation = latest(&session)?;
    let events = events::stream(session, propagation, query.masks);
    let mut answer = HttpResponse::Ok();
    answer.content_type("text/event-stream");
    answer.insert_header((CACHE_CONTROL, "no-store"));
    Ok(answer.streaming(events))
}

async fn masks(api: Data<Api>, id: Path<String>, query: Query<MaskQuery>) -> Answer {
    let session = api.registry.get(&id)?;
    let MaskQuery {
        from,
        object,
        frames,
    } = query.into_inner();
    // Of a live video nothing older is kept: no empty pages for it.
    let from = from.max(session.oldest_frame());
    let end = from.saturating_add(frames.unwrap_or(PAGE).clamp(1, PAGE));
    let found = session.masks(from..end);
    let wanted = found
        .iter()
        .filter(|((_, id), _)| object.is_none_or(|o| o == *id));
    ok(&MaskPage {
        masks: wanted.map(MaskView::from).collect(),
        next: (end < session.frames()).then_some(end),
    })
}

async fn mask_png(api: Data<Api>, path: Path<(String, usize, ObjectId)>) -> Answer {
    let (id, frame, object) = path.into_inner();
    let mask = api.registry.get(&id)?.mask(frame, object);
    let mask = mask.ok_or_else(|| {
        ApiError::NotFound(format!(
            "object {object} was not looked for on frame {frame} yet"
        ))
    })?;
    let png = blocking(move || Ok(mask.rle.to_mask().to_png().map_err(sam2::Error::from)?));
    Ok(HttpResponse::Ok()
        .content_type("image/png")
        .body(png.await?))
}

fn known_object(session: &VideoSession, object: ObjectId) -> Result<(), ApiError> {
    match session.objects().iter().any(|known| known.object == object) {
        true => Ok(()),
        false => Err(ApiError::NotFound(format!(
            "there is no object {object} in this session"
        ))),
    }
}

fn latest(session: &VideoSession) -> Result<Arc<Propagation>, ApiError> {
    let none = || ApiError::NotFound("this session was not propagated yet".to_owned());
    session.propagation().ok_or_else(none)
}

fn created(session: &VideoSession) -> HttpResponse {
    let mut answer = HttpResponse::Created();
    answer.insert_header((LOCATION, format!("/api/v1/sessions/{}", session.id)));
    answer.json(SessionView::from(session))
}

fn ok(value: &impl Serialize) -> Answer {
    let mut answer = HttpResponse::Ok();
    answer.insert_header((CACHE_CONTROL, "no-store"));
    Ok(answer.json(value))
}
