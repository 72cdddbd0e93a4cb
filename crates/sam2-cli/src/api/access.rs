//! Who may call: the Host header, the Origin and the token.
//!
//! SECURITY: a page that a person visits can send requests to services of the person's machine.
//! - Its requests carry its origin (or `Sec-Fetch-Site`), which must be the service's own.
//! - A page whose own name was made to resolve to 127.0.0.1 (DNS rebinding) sends that name as Host:
//!   only localhost, IP addresses and names that were given at the start are answered.

use super::Api;
use super::error::ApiError;
use sam2_server::actix_web::body::MessageBody;
use sam2_server::actix_web::dev::{ServiceRequest, ServiceResponse};
use sam2_server::actix_web::http::header::{AUTHORIZATION, HOST, HeaderMap, ORIGIN};
use sam2_server::actix_web::middleware::Next;
use sam2_server::actix_web::{Error, web};
use sha2::{Digest, Sha256};
use std::net::IpAddr;

/// What a request must show.
#[derive(Debug)]
pub struct Access {
    /// Digest of the token: comparing digests takes no time that tells of the token.
    token: Option<[u8; 32]>,
    /// In lower case.
    names: Vec<String>,
}

impl Access {
    pub fn new(token: Option<&str>, names: Vec<String>) -> Self {
        Self {
            token: token.map(digest),
            names: names.iter().map(|name| name.to_lowercase()).collect(),
        }
    }

    /// # Errors
    /// [`ApiError::ForeignHost`], [`ApiError::ForeignOrigin`], [`ApiError::Unauthorized`].
    pub fn check(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let host = text(HOST).unwrap_or_default().to_lowercase();
        if !self.knows(name_of(&host)) {
            return Err(ApiError::ForeignHost);
        }
        let fetched_from = headers.get("sec-fetch-site").map(|value| value.as_bytes());
        if !matches!(fetched_from, None | Some(b"same-origin" | b"none")) {
            return Err(ApiError::ForeignOrigin);
        }
        // An origin that is no text is none of ours.
        if headers.contains_key(ORIGIN) {
            let origin = text(ORIGIN).unwrap_or_default().to_lowercase();
            let own = origin
                .strip_prefix("http://")
                .or_else(|| origin.strip_prefix("https://"));
            if own != Some(host.as_str()) {
                return Err(ApiError::ForeignOrigin);
            }
        }
        if let Some(expected) = self.token {
            let given = text(AUTHORIZATION).and_then(|value| {
                let (scheme, token) = value.split_once(' ')?;
                scheme
                    .eq_ignore_ascii_case("bearer")
                    .then_some(token.trim())
            });
            if given.map(digest) != Some(expected) {
                return Err(ApiError::Unauthorized);
            }
        }
        Ok(())
    }

    fn knows(&self, name: &str) -> bool {
        name == "localhost"
            || name.parse::<IpAddr>().is_ok()
            || self.names.iter().any(|known| known == name)
    }
}

/// A Host header without its port and brackets.
fn name_of(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    host.split(':').next().unwrap_or_default()
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// The middleware around every route of the API.
///
/// # Errors
/// None of its own: a refusal is an answer.
pub async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let verdict = match request.app_data::<web::Data<Api>>() {
        Some(api) => api.access.check(request.headers()),
        None => Err(ApiError::Internal("the API was not set up".to_owned())),
    };
    match verdict {
        Ok(()) => Ok(next.call(request).await?.map_into_left_body()),
        Err(error) => Ok(request.error_response(error).map_into_right_body()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sam2_server::actix_web::http::header::{HeaderName, HeaderValue};

    fn check(access: &Access, headers: &[(&'static str, &'static str)]) -> Option<&'static str> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::from_static(name);
            map.append(name, HeaderValue::from_static(value));
        }
        access.check(&map).err().map(|error| error.code())
    }

    #[test]
    fn names_that_are_not_ours_are_refused() {
        let access = Access::new(None, vec!["Box.lan".to_owned()]);
        for host in [
            "localhost:8080",
            "127.0.0.1",
            "[::1]:80",
            "BOX.lan:9",
            "10.0.0.7:1",
        ] {
            assert_eq!(check(&access, &[("host", host)]), None, "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "",
            "box.lan.evil:80",
        ] {
            assert_eq!(
                check(&access, &[("host", host)]),
                Some("forbidden"),
                "{host}"
            );
        }
        assert_eq!(check(&access, &[]), Some("forbidden"), "no Host at all");
    }

    #[test]
    fn pages_of_other_origins_are_refused() {
        let access = Access::new(None, Vec::new());
        let from = |origin| check(&access, &[("host", "localhost:8080"), ("origin", origin)]);
        assert_eq!(from("http://localhost:8080"), None);
        assert_eq!(
            from("https://localhost:8080"),
            None,
            "behind a proxy with TLS"
        );
        for origin in [
            "null",
            "http://localhost:8081",
            "http://evil.example",
            "localhost:8080",
        ] {
            assert_eq!(from(origin), Some("forbidden"), "{origin}");
        }
        let site = |site| check(&access, &[("host", "localhost"), ("sec-fetch-site", site)]);
        assert_eq!((site("same-origin"), site("none")), (None, None));
        assert_eq!(site("cross-site"), Some("forbidden"));
        assert_eq!(site("same-site"), Some("forbidden"));
    }

    #[test]
    fn the_token_is_asked_for_where_there_is_one() {
        let access = Access::new(Some("s3cret"), Vec::new());
        let with = |value| check(&access, &[("host", "localhost"), ("authorization", value)]);
        assert_eq!(with("Bearer s3cret"), None);
        assert_eq!(with("bearer s3cret"), None);
        for value in [
            "Bearer s3cre",
            "Bearer s3cret1",
            "Basic s3cret",
            "s3cret",
            "Bearer ",
        ] {
            assert_eq!(with(value), Some("unauthorized"), "{value}");
        }
        assert_eq!(
            check(&access, &[("host", "localhost")]),
            Some("unauthorized")
        );
    }
}
