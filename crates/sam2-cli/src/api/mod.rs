//! `sam2 serve --api`: video sessions over HTTP, for clients without WebGPU and for scripts.
//!
//! HTTP threads check and answer; what the network has to do waits in one bounded queue for one
//! inference thread ([`engine`]). What it found lies in the session ([`session`]) for everybody to read
//! without waiting. Two forms over the same sessions: the clean one under /api/v1 ([`v1`], described by
//! `openapi.json`), and that of the Python service this project replaces ([`compat`]).

mod access;
mod args;
mod body;
mod compat;
mod engine;
mod error;
mod events;
mod forms;
mod known;
mod live;
mod media;
mod open;
mod prompt;
mod propagation;
mod registry;
mod session;
mod track;
mod v1;

pub use args::{ApiArgs, ApiConfig};

use crate::CliError;
use access::{Access, guard};
use args::Limits;
use engine::Engine;
use error::ApiError;
use media::MediaDir;
use registry::Registry;
use sam2::SharedModel;
use sam2_server::Extra;
use sam2_server::actix_web::error::JsonPayloadError;
use sam2_server::actix_web::middleware::from_fn;
use sam2_server::actix_web::web::{self, ServiceConfig};
use sam2_server::actix_web::{HttpResponse, Resource};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// All that the routes share.
pub struct Api {
    model: SharedModel,
    limits: Limits,
    access: Access,
    media: MediaDir,
    registry: Arc<Registry>,
    engine: Engine,
}

impl Api {
    /// Starts the inference thread.
    ///
    /// # Errors
    /// [`CliError::Io`] where the system gives no thread.
    pub fn start(config: ApiConfig, model: SharedModel) -> Result<Self, CliError> {
        let ApiConfig {
            limits,
            access,
            media,
        } = config;
        let registry = Arc::new(Registry::new(limits.sessions, limits.idle));
        let engine = Engine::start(limits.queue, Arc::clone(&registry))?;
        Ok(Self {
            model,
            limits,
            access,
            media,
            registry,
            engine,
        })
    }

    /// Ends all sessions, so that answers which wait for the network end too.
    pub fn stop(&self) {
        self.engine.stop();
        self.registry.close_all();
    }
}

/// The routes, for [`sam2_server::ServerConfig::extra`].
pub fn routes(api: web::Data<Api>) -> Extra {
    Arc::new(move |services: &mut ServiceConfig| {
        let json = web::JsonConfig::default()
            .limit(api.limits.body)
            // Scripts often send JSON without saying so; who may send at all is the guard's business.
            .content_type_required(false)
            .content_type(|_| true)
            .error_handler({
                let limit = api.limits.body as u64;
                move |error, _| bad_json(&error, limit).into()
            });
        let query = web::QueryConfig::default()
            .error_handler(|error, _| ApiError::BadRequest(error.to_string()).into());
        // A number that is none, a name that is too long: nothing can be there.
        let path = web::PathConfig::default().error_handler(|_, _| {
            ApiError::NotFound("there is nothing at this address".to_owned()).into()
        });
        services
            .app_data(web::Data::clone(&api))
            .app_data(json)
            .app_data(query)
            .app_data(path)
            .service(v1::scope().wrap(from_fn(guard)));
        for resource in compat::resources() {
            services.service(resource.wrap(from_fn(guard)));
        }
    })
}

fn bad_json(error: &JsonPayloadError, limit: u64) -> ApiError {
    match error {
        JsonPayloadError::Overflow { .. } | JsonPayloadError::OverflowKnownLength { .. } => {
            ApiError::TooLarge { limit }
        }
        other => ApiError::BadRequest(other.to_string()),
    }
}

/// An address that answers the methods in `allow`, and others with 405.
fn at(path: &str, allow: &'static str) -> Resource {
    let refuse =
        move || async move { Err::<HttpResponse, _>(ApiError::MethodNotAllowed { allow }) };
    web::resource(path.to_owned()).default_service(web::to(refuse))
}

/// A panic while a lock is held is a bug of one request; the next ones go on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
