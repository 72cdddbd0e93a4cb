//! What every answer carries and every request is held to, and the access log.

use std::time::Instant;

use actix_web::Error;
use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::middleware::Next;

use crate::error::RequestError;

/// No address of the page comes near; beyond it a log line stops being one.
const MAX_URI: usize = 8 * 1024;
/// Browsers send one or two KiB. actix itself stops at 128 KiB and 96 headers.
const MAX_HEADERS: usize = 16 * 1024;

/// Headers of every answer.
///
/// - The three `cross-origin` ones make the page `crossOriginIsolated`, without which a browser
///   gives no shared memory and so no threads.
/// - The policy allows scripts, workers and styles of this origin alone, and nothing inline.
///   `wasm-unsafe-eval` compiles wasm and does not allow `eval`. `connect-src https:` is there
///   because a person may name the address of a model; the page asks before it goes there.
const HEADERS: [(HeaderName, &str); 7] = [
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-embedder-policy"),
        "require-corp",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; \
         font-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; worker-src 'self'; \
         connect-src 'self' https:; manifest-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'self'",
    ),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(self), microphone=(), geolocation=()",
    ),
];

/// The list of models, which the page asks for on every server.
const LIST: &str = "/models/manifest.json";
/// On the answer for [`LIST`] it tells the page that `/config.json` is here too: on other servers that
/// request would fail, and a browser logs every failure.
const MARK: HeaderName = HeaderName::from_static("x-sam2-server");

/// The middleware around all routes.
pub async fn apply(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let began = Instant::now();
    let mut response = match too_large(&request) {
        Some(error) => request.error_response(error).map_into_right_body(),
        // Handlers turn their errors into answers themselves, so those pass here too.
        None => next.call(request).await?.map_into_left_body(),
    };
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    if response.request().path() == LIST {
        response
            .headers_mut()
            .insert(MARK, HeaderValue::from_static("1"));
    }
    log(&response, began);
    Ok(response)
}

fn too_large(request: &ServiceRequest) -> Option<RequestError> {
    let uri = request
        .uri()
        .path_and_query()
        .map_or(0, |uri| uri.as_str().len());
    if uri > MAX_URI {
        return Some(RequestError::UriTooLong { limit: MAX_URI });
    }
    let headers: usize = request
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    (headers > MAX_HEADERS).then_some(RequestError::HeadersTooLarge { limit: MAX_HEADERS })
}

/// A path whose long hexadecimal parts are cut: enough to tell sessions apart, too little to use one.
fn without_numbers(path: &str) -> String {
    let is_number =
        |part: &str| part.len() >= 16 && part.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    let short = |part: &str| match is_number(part) {
        true => format!("{}...", &part[..6]),
        false => part.to_owned(),
    };
    path.split('/').map(short).collect::<Vec<_>>().join("/")
}

/// One line per answer, written when its head is ready. The query is left out: it may hold the
/// address of somebody's model; of a session's number, which is all that its owner shows, a part.
fn log(response: &ServiceResponse<impl MessageBody>, began: Instant) {
    let request = response.request();
    let bytes = match response.response().body().size() {
        BodySize::Sized(bytes) => bytes,
        BodySize::None | BodySize::Stream => 0,
    };
    let peer = request
        .peer_addr()
        .map_or_else(|| "-".to_owned(), |peer| peer.ip().to_string());
    let path: String = without_numbers(request.path()).chars().take(200).collect();
    tracing::info!(
        target: "sam2_server::access",
        "{peer} {} {path} {} {bytes} {:.1} ms",
        request.method(),
        response.status().as_u16(),
        began.elapsed().as_secs_f64() * 1e3,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_does_not_give_sessions_away() {
        let path = "/api/v1/sessions/0123456789abcdef0123456789abcdef/masks/12";
        assert_eq!(without_numbers(path), "/api/v1/sessions/012345.../masks/12");
        let uuid = "/api/v1/sessions/01234567-89ab-cdef-0123-456789abcdef";
        assert_eq!(without_numbers(uuid), "/api/v1/sessions/012345...");
        for path in [
            "/",
            "",
            "/pkg/sam2_wasm_bg.wasm",
            "/models/sam2-nano.safetensors",
            "/deadbeef",
        ] {
            assert_eq!(without_numbers(path), path);
        }
    }
}
