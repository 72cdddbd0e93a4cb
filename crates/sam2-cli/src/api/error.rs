//! What a request of the API can end with, as problem+json (RFC 9457).

use super::propagation::Failure;
use sam2_server::actix_web::http::StatusCode;
use sam2_server::actix_web::http::header::{
    ALLOW, CACHE_CONTROL, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use sam2_server::actix_web::{HttpResponse, ResponseError};

#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The engine refused: a prompt, a video, memory, a device.
    #[error(transparent)]
    Engine(#[from] sam2::Error),
    /// The same, of a propagation that ended so.
    #[error("{}", .0.detail)]
    Failed(Failure),
    /// The body or the address is not what the route takes.
    #[error("{0}")]
    BadRequest(String),
    /// A session, object, frame or address that is not there.
    #[error("{0}")]
    NotFound(String),
    #[error("only {allow} is answered here")]
    MethodNotAllowed { allow: &'static str },
    #[error("the request is larger than {limit} bytes")]
    TooLarge { limit: u64 },
    #[error("{0}")]
    UnsupportedMediaType(&'static str),
    #[error("the Host header is none of this service's names; --allow-host adds one")]
    ForeignHost,
    #[error("requests of pages from other origins are not answered")]
    ForeignOrigin,
    #[error("send the secret of SAM2_API_TOKEN: Authorization: Bearer ...")]
    Unauthorized,
    /// What is asked for does not go together with what is under way.
    #[error("{0}")]
    Conflict(String),
    /// A limit is reached that passes.
    #[error("{what}; try again in {seconds} s")]
    Busy { what: String, seconds: u64 },
    /// The client stopped sending.
    #[error("nothing was sent for {seconds} s, the upload is given up")]
    Timeout { seconds: u64 },
    #[error(
        "no room to store the upload ({0}); delete sessions, or set TMPDIR to a folder with room"
    )]
    Storage(std::io::Error),
    /// A bug.
    #[error("internal error: {0}; please report it")]
    Internal(String),
}

impl ApiError {
    /// A session that is not there, or not any more.
    pub fn no_session() -> Self {
        Self::NotFound(
            "there is no such session: it was deleted, or nobody asked for it too long".into(),
        )
    }

    /// A session in which a step of the network broke: what its predictor knows cannot be trusted.
    pub fn broken_session() -> Self {
        Self::Conflict(
            "an internal error broke this session: its masks can be read, but nothing more is done in \
             it; open another one"
                .into(),
        )
    }

    /// The stable code of this error (the table in ARCHITECTURE.md).
    pub fn code(&self) -> &'static str {
        match self {
            Self::Engine(error) => error.code(),
            Self::Failed(failure) => failure.code,
            Self::BadRequest(_) | Self::UnsupportedMediaType(_) => "bad_request",
            Self::NotFound(_) => "not_found",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::TooLarge { .. } => "request_too_large",
            Self::ForeignHost | Self::ForeignOrigin => "forbidden",
            Self::Unauthorized => "unauthorized",
            Self::Conflict(_) => "conflict",
            Self::Busy { .. } => "busy",
            Self::Timeout { .. } => "timeout",
            Self::Storage(_) => "storage_full",
            Self::Internal(_) => "internal",
        }
    }
}

/// The status of an error of the engine, by its code.
fn engine_status(code: &str) -> StatusCode {
    match code {
        // The request is well formed; what it says about the video cannot be done.
        "bad_prompt" | "bad_image" | "unsupported_video" | "bad_setting" => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        "image_too_large" => StatusCode::PAYLOAD_TOO_LARGE,
        "cancelled" => StatusCode::CONFLICT,
        "out_of_memory" => StatusCode::SERVICE_UNAVAILABLE,
        "storage_full" => StatusCode::INSUFFICIENT_STORAGE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Engine(_) | Self::Failed(_) => engine_status(self.code()),
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::ForeignHost | Self::ForeignOrigin => StatusCode::FORBIDDEN,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Busy { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Timeout { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::Storage(_) => StatusCode::INSUFFICIENT_STORAGE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
        if status.is_server_error() {
            tracing::warn!(code = self.code(), "{self}");
        }
        let mut response = HttpResponse::build(status);
        response.content_type("application/problem+json");
        response.insert_header((CACHE_CONTROL, HeaderValue::from_static("no-store")));
        match self {
            Self::Busy { seconds, .. } => {
                response.insert_header((RETRY_AFTER, seconds.to_string()));
            }
            Self::MethodNotAllowed { allow } => {
                response.insert_header((ALLOW, *allow));
            }
            Self::Unauthorized => {
                response.insert_header((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
            }
            _ => {}
        }
        let problem = serde_json::json!({
            "type": "about:blank",
            "title": status.canonical_reason().unwrap_or("Error"),
            "status": status.as_u16(),
            "code": self.code(),
            "detail": self.to_string(),
        });
        response.body(problem.to_string())
    }
}
