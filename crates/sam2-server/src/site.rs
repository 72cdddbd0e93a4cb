//! The page and the models: every address that no other route takes.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::sync::Arc;
use std::time::SystemTime;

use actix_web::http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE,
    ETAG, HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, LAST_MODIFIED, LOCATION, RANGE, VARY,
};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};

use crate::body::{FileBody, HeadBody};
use crate::conditional::{Conditions, Validators, Verdict};
use crate::encoding::{self, Encoding};
use crate::error::RequestError;
use crate::media_type;
use crate::range::{self, Ranged};
use crate::resolve::{Found, Roots, Target, open_file};

/// One representation of a file, ready to be sent.
struct Representation {
    file: File,
    size: u64,
    modified: Option<SystemTime>,
    encoding: Option<Encoding>,
    /// Whether other requests to the same address may get other bytes.
    varies: bool,
    name: String,
}

/// Answers GET and HEAD with a file.
pub async fn serve(
    request: HttpRequest,
    roots: web::Data<Arc<Roots>>,
) -> Result<HttpResponse, RequestError> {
    let head = request.method() == Method::HEAD;
    if !head && request.method() != Method::GET {
        return Err(RequestError::MethodNotAllowed);
    }
    let headers = request.headers();
    // RFC 9110 (14.2) defines Range for GET alone.
    let wanted = text(headers, RANGE).filter(|_| !head).map(str::to_owned);
    let accept = text(headers, ACCEPT_ENCODING).map(str::to_owned);
    let path = request.path().to_owned();
    let roots = Arc::clone(&roots);
    let conditions = conditions(headers);
    let if_range = conditions.if_range.map(str::to_owned);

    let opened = web::block(move || -> Result<_, RequestError> {
        let found = match roots.open(&path)? {
            Target::File(found) => found,
            Target::Folder => return Ok(None),
        };
        // A part is always one of the plain file: parts of different encodings do not fit
        // together, and only the plain one is the model file whose hash a client knows.
        let plain = Validators::new(found.size, found.modified, None);
        let if_range = Conditions {
            if_range: if_range.as_deref(),
            ..Conditions::default()
        };
        let range = match wanted {
            Some(header) if if_range.range_applies(&plain) => range::parse(&header, found.size),
            _ => Ranged::Whole,
        };
        let accept = accept.as_deref().filter(|_| range == Ranged::Whole);
        let mut chosen = choose(found, accept)?;
        if let Ranged::Part { start, .. } = range {
            chosen
                .file
                .seek(SeekFrom::Start(start))
                .map_err(|_| RequestError::Internal)?;
        }
        Ok(Some((chosen, range)))
    });
    let opened = opened.await.map_err(|_| RequestError::Internal)??;
    let Some((chosen, range)) = opened else {
        return Ok(redirect(&request));
    };

    let validators = Validators::new(chosen.size, chosen.modified, chosen.encoding);
    match conditions.evaluate(&validators) {
        Verdict::Send => {}
        Verdict::PreconditionFailed => return Err(RequestError::PreconditionFailed),
        Verdict::NotModified => {
            let mut response = HttpResponse::build(StatusCode::NOT_MODIFIED);
            describe(&mut response, &chosen, &validators);
            return Ok(response.finish());
        }
    }
    let (status, length) = match range {
        Ranged::Whole => (StatusCode::OK, chosen.size),
        Ranged::Part { length, .. } => (StatusCode::PARTIAL_CONTENT, length),
        Ranged::Unsatisfiable => {
            return Err(RequestError::RangeNotSatisfiable { size: chosen.size });
        }
    };
    let mut response = HttpResponse::build(status);
    describe(&mut response, &chosen, &validators);
    response.insert_header((CONTENT_TYPE, media_type::content_type(&chosen.name)));
    response.insert_header((ACCEPT_RANGES, "bytes"));
    if let Ranged::Part { start, length } = range {
        let last = start + length - 1;
        response.insert_header((
            CONTENT_RANGE,
            format!("bytes {start}-{last}/{}", chosen.size),
        ));
    }
    if let Some(encoding) = chosen.encoding {
        response.insert_header((CONTENT_ENCODING, encoding.token()));
    }
    Ok(if head {
        response.body(HeadBody(length))
    } else {
        response.body(FileBody::new(chosen.file, length))
    })
}

/// The file itself or, where the client takes it, a compressed one beside it.
fn choose(found: Found, accept: Option<&str>) -> Result<Representation, RequestError> {
    let offered: Vec<_> = found
        .compressed
        .iter()
        .map(|(encoding, _)| *encoding)
        .collect();
    let varies = !offered.is_empty();
    let encoding = encoding::choose(accept, &offered);
    let path = found
        .compressed
        .iter()
        .find(|(one, _)| Some(*one) == encoding);
    let (file, size, modified) = match path {
        Some((_, path)) => open_file(path)?,
        None => (found.file, found.size, found.modified),
    };
    Ok(Representation {
        file,
        size,
        modified,
        encoding,
        varies,
        name: found.name,
    })
}

/// The headers that a 200, a 206 and a 304 share.
fn describe(response: &mut HttpResponseBuilder, file: &Representation, validators: &Validators) {
    response.insert_header((ETAG, validators.etag.as_str()));
    if let Some(modified) = validators.modified {
        response.insert_header((LAST_MODIFIED, httpdate::fmt_http_date(modified)));
    }
    let caching = if media_type::named_by_contents(&file.name) {
        "public, max-age=31536000, immutable"
    } else {
        // Kept, but asked about: a 304 costs one exchange and no bytes.
        "no-cache"
    };
    response.insert_header((CACHE_CONTROL, HeaderValue::from_static(caching)));
    if file.varies {
        response.insert_header((VARY, HeaderValue::from_static("Accept-Encoding")));
    }
}

/// Relative, so that it holds behind a proxy that serves the page under a sub-path, and cannot
/// lead to another host.
fn redirect(request: &HttpRequest) -> HttpResponse {
    let last = request.path().rsplit('/').next().unwrap_or_default();
    let query = request
        .uri()
        .query()
        .map_or_else(String::new, |query| format!("?{query}"));
    HttpResponse::build(StatusCode::PERMANENT_REDIRECT)
        .insert_header((LOCATION, format!("./{last}/{query}")))
        .insert_header((CACHE_CONTROL, HeaderValue::from_static("no-cache")))
        .finish()
}

fn conditions(headers: &HeaderMap) -> Conditions<'_> {
    Conditions {
        if_match: text(headers, IF_MATCH),
        if_none_match: text(headers, IF_NONE_MATCH),
        if_modified_since: text(headers, IF_MODIFIED_SINCE),
        if_unmodified_since: text(headers, IF_UNMODIFIED_SINCE),
        if_range: text(headers, IF_RANGE),
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
