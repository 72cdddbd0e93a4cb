//! The server as a program: headers of every answer, limits, start and stop.

mod common;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Answer, Running, config, write_site};
use sam2_server::actix_web::{HttpResponse, web};
use sam2_server::{Server, ServerError, Settings};

#[test]
fn every_answer_isolates_the_page_and_forbids_inline_code() {
    let server = Running::start();
    for (path, status) in [
        ("/", 200),
        ("/healthz", 200),
        ("/none", 404),
        ("/app/sub", 308),
    ] {
        let answer = server.get(path);
        assert_eq!(answer.status, status);
        assert_eq!(
            answer.header("cross-origin-opener-policy"),
            Some("same-origin"),
            "{path}"
        );
        assert_eq!(
            answer.header("cross-origin-embedder-policy"),
            Some("require-corp")
        );
        assert_eq!(
            answer.header("cross-origin-resource-policy"),
            Some("same-origin")
        );
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        let policy = answer.header("content-security-policy").unwrap();
        assert!(
            policy.contains("script-src 'self' 'wasm-unsafe-eval';"),
            "{policy}"
        );
        assert!(policy.starts_with("default-src 'none';"), "{policy}");
        assert!(!policy.contains("unsafe-inline") && !policy.contains("'unsafe-eval'"));
    }
    let refused = server.request("POST", "/", &[("Content-Length", "0")]);
    assert_eq!(
        refused.header("cross-origin-embedder-policy"),
        Some("require-corp")
    );
}

#[test]
fn the_list_of_models_says_whose_server_it_is() {
    let server = Running::start();
    let list = server.get("/models/manifest.json");
    assert_eq!(
        (list.status, list.header("x-sam2-server")),
        (200, Some("1"))
    );
    let etag = list.header("etag").unwrap();
    let again = server.get_with("/models/manifest.json", &[("If-None-Match", etag)]);
    assert_eq!(
        (again.status, again.header("x-sam2-server")),
        (304, Some("1"))
    );
    let head = server.request("HEAD", "/models/manifest.json", &[]);
    assert_eq!(head.header("x-sam2-server"), Some("1"));
    for path in ["/", "/config.json", "/models/nano.safetensors"] {
        assert_eq!(server.get(path).header("x-sam2-server"), None, "{path}");
    }
}

#[test]
fn large_heads_are_refused() {
    let server = Running::start();
    server
        .get(&format!("/{}", "a".repeat(9000)))
        .assert_problem(414, "request_too_large");
    let long = "b".repeat(17 * 1024);
    server
        .get_with("/", &[("X-Long", &long)])
        .assert_problem(431, "request_too_large");
    assert_eq!(
        server.get_with("/", &[("X-Long", &long[..8000])]).status,
        200
    );
}

#[test]
fn a_client_that_never_ends_its_head_is_let_go() {
    let server = Running::start_with(|config| {
        config.limits.header_timeout = Duration::from_millis(500);
    });
    let mut stream = server.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n").unwrap();
    let began = Instant::now();
    assert_eq!(Answer::read(&mut stream).status, 408);
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn an_idle_connection_is_closed_and_a_busy_one_is_kept() {
    let server = Running::start_with(|config| {
        config.limits.keep_alive = Duration::from_millis(700);
    });
    let mut stream = server.connect();
    for _ in 0..3 {
        stream
            .write_all(b"GET /app/empty.txt HTTP/1.1\r\nHost: a\r\n\r\n")
            .unwrap();
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        assert_eq!(Answer::parse(&head).status, 200);
    }
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "closed by the server");
}

#[test]
fn a_taken_port_is_named_with_its_setting() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    write_site(folder.path());
    let mut config = config(folder.path());
    config.settings.port = port;
    let error = Server::bind(config).err().expect("the port is taken");
    assert!(
        matches!(error, ServerError::PortTaken { port: p, .. } if p == port),
        "{error}"
    );
    assert_eq!(error.code(), "port_taken");
    let text = error.to_string();
    assert!(
        text.contains(&port.to_string()) && text.contains("SAM2_PORT"),
        "{text}"
    );
}

#[test]
fn what_cannot_be_served_is_said_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    write_site(folder.path());
    let code = |change: &dyn Fn(&mut sam2_server::ServerConfig)| {
        let mut config = config(folder.path());
        change(&mut config);
        Server::bind(config).err().map(|error| error.code())
    };
    assert_eq!(code(&|_| {}), None);
    assert_eq!(
        code(&|config| config.web_root = folder.path().join("models")),
        Some("not_found")
    );
    assert_eq!(
        code(&|config| config.settings.host = "192.0.2.1".into()),
        Some("bad_setting")
    );
    let missing = folder.path().join("none");
    assert_eq!(
        code(&|config| config.models_dir = missing.clone()),
        None,
        "the page brings its own"
    );
    let named = |config: &mut sam2_server::ServerConfig| {
        let settings = Settings {
            models_dir: Some(missing.clone()),
            port: 0,
            ..Settings::default()
        };
        *config = sam2_server::ServerConfig::new(settings, config.web_root.clone(), "models");
    };
    assert_eq!(code(&named), Some("bad_setting"));
    std::fs::write(folder.path().join("models/manifest.json"), "not JSON").unwrap();
    assert_eq!(code(&|_| {}), Some("bad_model"));
}

#[test]
fn a_caller_adds_routes_of_its_own() {
    let server = Running::start_with(|config| {
        config.extra = Some(Arc::new(|services| {
            services.route(
                "/api/ping",
                web::get().to(|| async { HttpResponse::Ok().body("pong") }),
            );
        }));
    });
    let answer = server.get("/api/ping");
    assert_eq!(
        (answer.status, answer.body.as_slice()),
        (200, b"pong".as_slice())
    );
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(server.get("/index.html").status, 200);
}

#[test]
fn connections_beyond_the_limit_wait() {
    let server = Running::start_with(|config| {
        // Rounded up to one per worker, so at most four.
        config.limits.connections = 1;
        config.limits.keep_alive = Duration::from_millis(1500);
        config.limits.header_timeout = Duration::from_millis(1500);
    });
    let held: Vec<TcpStream> = (0..16).map(|_| server.connect()).collect();
    std::thread::sleep(Duration::from_millis(200));
    let mut late = server.connect();
    late.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .unwrap();
    late.set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    assert!(
        late.read(&mut [0]).is_err(),
        "answered although the limit is reached"
    );
    drop(held);
    late.set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    assert_eq!(Answer::read(&mut late).status, 200);
}
