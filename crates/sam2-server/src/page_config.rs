//! `/config.json`: what the page needs to know of the settings, and which models are here.

use std::path::Path;
use std::sync::Arc;

use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::{HttpResponse, web};
use serde_json::{Value, json};

use crate::error::{RequestError, ServerError};
use crate::resolve::Roots;
use crate::settings::Settings;

/// What the handlers of this module share.
pub struct PageConfig {
    pub settings: Settings,
    pub threads: usize,
}

/// Answers `/config.json`.
pub async fn config(
    config: web::Data<Arc<PageConfig>>,
    roots: web::Data<Arc<Roots>>,
) -> Result<HttpResponse, RequestError> {
    let roots = Arc::clone(&roots);
    // Read each time: a model may be added while the server runs.
    let models = web::block(move || models(&roots))
        .await
        .map_err(|_| RequestError::Internal)?;
    let models = models.map_err(|error| {
        tracing::error!("{error}");
        RequestError::Manifest
    })?;
    let settings = &config.settings;
    let body = json!({
        "schema": 1,
        "version": env!("CARGO_PKG_VERSION"),
        "models": models,
        "model_size": settings.model_size.map(|size| size.as_str()),
        "quantize": settings.quantize,
        "threads": config.threads,
        "max_video_frames": settings.max_video_frames,
        "max_frame_dimension": settings.max_frame_dimension,
    });
    Ok(json_response(&body))
}

/// Answers `/healthz`.
pub async fn health() -> HttpResponse {
    json_response(&json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") }))
}

fn json_response(body: &Value) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .insert_header((CACHE_CONTROL, HeaderValue::from_static("no-store")))
        .body(body.to_string())
}

/// The entries of the manifest, each with `available`: whether its file is on this server. What
/// an entry says besides is the page's business and goes through unread.
pub fn models(roots: &Roots) -> Result<Vec<Value>, ServerError> {
    let Some(path) = roots.manifest() else {
        return Ok(Vec::new());
    };
    let bad = |why: String| ServerError::Manifest {
        path: path.clone(),
        why,
    };
    let text = std::fs::read_to_string(&path).map_err(|error| bad(error.to_string()))?;
    let manifest: Value = serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
    let entries = manifest.get("models").unwrap_or(&manifest).as_array();
    let entries = entries.ok_or_else(|| bad("it has no list called \"models\"".to_owned()))?;
    entries
        .iter()
        .map(|entry| {
            let mut entry = entry.clone();
            let fields = entry.as_object_mut();
            let fields = fields.ok_or_else(|| bad("a model is not an object".to_owned()))?;
            let available = local_name(fields.get("file").or_else(|| fields.get("url")))
                .is_some_and(|name| roots.has_model(&name));
            fields.insert("available".to_owned(), Value::Bool(available));
            Ok(entry)
        })
        .collect()
}

/// The name of a file beside the manifest; `None` for the address of another place.
fn local_name(file: Option<&Value>) -> Option<String> {
    let file = file?.as_str()?;
    if file.contains("://") {
        return None;
    }
    Path::new(file)
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn read(manifest: &str) -> Result<Vec<Value>, ServerError> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("index.html"), "").unwrap();
        let models_dir = dir.path().join("m");
        fs::create_dir(&models_dir).unwrap();
        fs::write(models_dir.join("here.safetensors"), "x").unwrap();
        fs::write(models_dir.join("manifest.json"), manifest).unwrap();
        models(&Roots::new(dir.path(), &models_dir, true).unwrap())
    }

    #[test]
    fn entries_go_through_with_whether_their_file_is_here() {
        let models = read(
            r#"{"models": [
                {"name": "a", "file": "here.safetensors", "extra": [1]},
                {"name": "b", "file": "missing.safetensors"},
                {"name": "c", "url": "https://example.org/here.safetensors"},
                {"name": "d", "file": "../m/.hidden"}]}"#,
        )
        .unwrap();
        let available: Vec<_> = models
            .iter()
            .map(|model| model["available"] == true)
            .collect();
        assert_eq!(available, [true, false, false, false]);
        assert_eq!(models[0]["extra"], json!([1]));
    }

    #[test]
    fn what_is_not_a_list_of_models_is_named() {
        for manifest in ["{", "{}", "3", r#"{"models": {}}"#, r#"["a"]"#] {
            let error = read(manifest).unwrap_err();
            assert_eq!(error.code(), "bad_model");
            assert!(error.to_string().contains("manifest.json"), "{error}");
        }
        assert!(read("[]").unwrap().is_empty());
    }
}
