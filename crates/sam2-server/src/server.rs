//! Starting, running and stopping.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig};
use actix_web::{App, HttpServer};

use crate::cores::{self, Machine};
use crate::error::ServerError;
use crate::headers;
use crate::page_config::{self, PageConfig};
use crate::resolve::Roots;
use crate::settings::Settings;
use crate::site;

/// Adds routes of the caller's; called once per worker, so what they share is made before.
pub type Extra = Arc<dyn Fn(&mut ServiceConfig) + Send + Sync>;

/// What one client, and all of them, may hold.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Open connections; more wait to be accepted.
    pub connections: usize,
    /// Time for a request's head to arrive; afterwards 408 and the end of the connection.
    pub header_timeout: Duration,
    /// Time that an idle connection is kept.
    pub keep_alive: Duration,
    /// Time that running answers get after the signal to stop, in whole seconds.
    pub shutdown: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            header_timeout: Duration::from_secs(10),
            keep_alive: Duration::from_secs(15),
            shutdown: Duration::from_secs(30),
        }
    }
}

/// What to serve and how.
#[derive(Clone)]
pub struct ServerConfig {
    pub settings: Settings,
    /// The built page: a folder with an index.html.
    pub web_root: PathBuf,
    /// Models, served under `/models/` before those of the page. It may be missing unless the
    /// settings name it.
    pub models_dir: PathBuf,
    pub limits: Limits,
    /// Facts for the start line that only the caller knows, such as device, model and precision.
    pub engine: Option<String>,
    pub extra: Option<Extra>,
    /// Drop an answer under way when its client closes its side of the connection. Right where answers
    /// are expensive; it ends those who close their half only and still listen, too.
    pub drop_on_hangup: bool,
}

impl ServerConfig {
    /// A configuration with the usual limits; `SAM2_MODELS_DIR` wins over `models_dir`.
    pub fn new(
        settings: Settings,
        web_root: impl Into<PathBuf>,
        models_dir: impl Into<PathBuf>,
    ) -> Self {
        let models_dir = settings
            .models_dir
            .clone()
            .unwrap_or_else(|| models_dir.into());
        Self {
            settings,
            web_root: web_root.into(),
            models_dir,
            limits: Limits::default(),
            engine: None,
            extra: None,
            drop_on_hangup: false,
        }
    }
}

/// A server that listens and does not answer yet.
pub struct Server {
    config: ServerConfig,
    roots: Arc<Roots>,
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Checks the folders and takes the port.
    ///
    /// # Errors
    /// No page or no models in the folders, a manifest that is not one, a port that is taken, an
    /// address that is not this machine's.
    pub fn bind(config: ServerConfig) -> Result<Self, ServerError> {
        let required = config.settings.models_dir.is_some();
        let roots = Roots::new(&config.web_root, &config.models_dir, required)?;
        page_config::models(&roots)?;
        let (host, port) = (config.settings.host.clone(), config.settings.port);
        let bound = TcpListener::bind((host.as_str(), port))
            .and_then(|listener| listener.local_addr().map(|address| (listener, address)));
        let (listener, address) = bound.map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => ServerError::PortTaken { host, port },
            _ => ServerError::Listen { host, port, source },
        })?;
        Ok(Self {
            config,
            roots: Arc::new(roots),
            listener,
            address,
        })
    }

    /// The address taken, with the port that was found when the setting is 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address to open in a browser.
    pub fn url(&self) -> String {
        let ip = self.address.ip();
        // "Any address" is no address to go to.
        let host = match self.address {
            _ if ip.is_unspecified() => "localhost".to_owned(),
            SocketAddr::V4(_) => ip.to_string(),
            SocketAddr::V6(_) => format!("[{ip}]"),
        };
        format!("http://{host}:{}/", self.address.port())
    }

    /// Answers until `shutdown` resolves; then takes no more connections, and gives running
    /// answers the time of [`Limits::shutdown`].
    ///
    /// # Errors
    /// Fails when the listening socket does.
    pub async fn run(
        self,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), ServerError> {
        let machine = Machine::detect();
        let url = self.url();
        let Self {
            config,
            roots,
            listener,
            ..
        } = self;
        let ServerConfig {
            settings,
            limits,
            engine,
            extra,
            drop_on_hangup,
            ..
        } = config;
        let threads = settings.threads.unwrap_or_else(|| machine.threads());
        tracing::info!(
            "sam2 {} at {url}: {machine}, threads {threads}, SIMD {}{}",
            env!("CARGO_PKG_VERSION"),
            cores::simd(),
            engine.map_or_else(String::new, |facts| format!(", {facts}")),
        );
        // Files are read on other threads: workers only move bytes.
        let workers = machine.threads().min(4);
        let page = Arc::new(PageConfig { settings, threads });
        let app = move || {
            let extra = extra.clone();
            App::new()
                .app_data(web::Data::new(Arc::clone(&page)))
                .app_data(web::Data::new(Arc::clone(&roots)))
                .wrap(from_fn(headers::apply))
                .configure(move |services| {
                    if let Some(extra) = extra {
                        extra(services);
                    }
                })
                .configure(routes)
        };
        HttpServer::new(app)
            .workers(workers)
            .max_connections(limits.connections.div_ceil(workers))
            .client_request_timeout(limits.header_timeout)
            .h1_allow_half_closed(!drop_on_hangup)
            .client_disconnect_timeout(Duration::from_secs(5))
            .keep_alive(limits.keep_alive)
            .shutdown_timeout(limits.shutdown.as_secs())
            .shutdown_signal(shutdown)
            .listen(listener)
            .map_err(ServerError::Stopped)?
            .run()
            .await
            .map_err(ServerError::Stopped)
    }
}

fn routes(services: &mut ServiceConfig) {
    // HEAD and GET only; anything else at these addresses falls to `site`, which says 405.
    services
        .route("/healthz", web::get().to(page_config::health))
        .route("/healthz", web::head().to(page_config::health))
        .route("/config.json", web::get().to(page_config::config))
        .route("/config.json", web::head().to(page_config::config))
        .default_service(web::to(site::serve));
}

/// Serves `config` until `shutdown` resolves; needs an actix system around it.
///
/// # Errors
/// Those of [`Server::bind`] and [`Server::run`].
pub async fn run(
    config: ServerConfig,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServerError> {
    Server::bind(config)?.run(shutdown).await
}

/// Serves `config` on this thread until SIGTERM or SIGINT.
///
/// # Errors
/// Those of [`Server::bind`] and [`Server::run`].
pub fn serve_blocking(config: ServerConfig) -> Result<(), ServerError> {
    let server = Server::bind(config)?;
    actix_web::rt::System::new().block_on(server.run(shutdown_signal()))
}

/// Resolves on SIGTERM or SIGINT (Ctrl-C); a second one ends the process at once.
pub async fn shutdown_signal() {
    wait_for_signal().await;
    tracing::info!("stopping: running answers are finished first; once more ends at once");
    tokio::spawn(async {
        wait_for_signal().await;
        std::process::exit(130);
    });
}

#[cfg(unix)]
async fn wait_for_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        }
        // Without a handler the signal keeps its own effect, which ends the process.
        Err(_) => std::future::pending().await,
    }
}

#[cfg(not(unix))]
async fn wait_for_signal() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
