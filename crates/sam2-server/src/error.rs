//! What can go wrong, when the server starts and when it answers.

use std::io;
use std::path::PathBuf;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CACHE_CONTROL, CONTENT_RANGE, HeaderValue};
use actix_web::{HttpResponse, ResponseError};

use crate::settings::SettingsError;

/// Why the server could not start or keep running.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error(transparent)]
    Setting(#[from] SettingsError),
    #[error("port {port} of {host} is taken by another program; set SAM2_PORT to another one")]
    PortTaken { host: String, port: u16 },
    #[error("cannot listen on {host}, port {port} (SAM2_HOST, SAM2_PORT): {source}")]
    Listen {
        host: String,
        port: u16,
        source: io::Error,
    },
    #[error("no page in {}: it has no index.html; `cargo xtask serve` builds one", .0.display())]
    NoPage(PathBuf),
    #[error("SAM2_MODELS_DIR={} is not a folder that can be read: {source}", .path.display())]
    NoModels { path: PathBuf, source: io::Error },
    #[error("{} is not a list of models: {why}", .path.display())]
    Manifest { path: PathBuf, why: String },
    #[error("the server stopped: {0}")]
    Stopped(#[source] io::Error),
}

impl ServerError {
    /// The stable code of this error, shared by every surface of the project.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Setting(error) => error.code(),
            Self::PortTaken { .. } => "port_taken",
            Self::Listen { .. } | Self::NoModels { .. } => "bad_setting",
            Self::NoPage(_) => "not_found",
            Self::Manifest { .. } => "bad_model",
            Self::Stopped(_) => "internal",
        }
    }
}

/// Why a request gets no file. Sent as `application/problem+json` (RFC 9457).
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    #[error("the address is not well formed")]
    BadPath,
    // One answer for what is missing and for what is refused: a client learns nothing from it
    // about files that it may not have.
    #[error("there is nothing at this address")]
    NotFound,
    #[error("only GET and HEAD are answered here")]
    MethodNotAllowed,
    #[error("the file has {size} bytes, and none of them is in the range asked for")]
    RangeNotSatisfiable { size: u64 },
    #[error("the file is not the one that the request is about")]
    PreconditionFailed,
    #[error("the address is longer than {limit} bytes")]
    UriTooLong { limit: usize },
    #[error("the headers are larger than {limit} bytes")]
    HeadersTooLarge { limit: usize },
    #[error("the list of models cannot be read; the server's log says why")]
    Manifest,
    #[error("the file cannot be read; the server's log says why")]
    Internal,
}

impl RequestError {
    /// The stable code of this error, `code` in the body of the answer.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadPath => "bad_request",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::RangeNotSatisfiable { .. } => "range_not_satisfiable",
            Self::PreconditionFailed => "precondition_failed",
            Self::UriTooLong { .. } | Self::HeadersTooLarge { .. } => "request_too_large",
            Self::Manifest => "bad_model",
            Self::Internal => "internal",
        }
    }
}

impl ResponseError for RequestError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::BadPath => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::RangeNotSatisfiable { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::UriTooLong { .. } => StatusCode::URI_TOO_LONG,
            Self::HeadersTooLarge { .. } => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Manifest | Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
        let mut response = HttpResponse::build(status);
        response.content_type("application/problem+json");
        response.insert_header((CACHE_CONTROL, HeaderValue::from_static("no-store")));
        match self {
            Self::MethodNotAllowed => {
                response.insert_header((ALLOW, HeaderValue::from_static("GET, HEAD")));
            }
            Self::RangeNotSatisfiable { size } => {
                response.insert_header((CONTENT_RANGE, format!("bytes */{size}")));
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
