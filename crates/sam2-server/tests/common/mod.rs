//! A server on a free port and a client that sends exactly what a test writes.

// Each test program uses a part; and clippy takes helpers outside of #[test] for shipped code.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use sam2_server::{Limits, Server, ServerConfig, ServerError, Settings};

/// A page, its models, and a server over them; stopped when dropped.
pub struct Running {
    pub folder: tempfile::TempDir,
    pub address: SocketAddr,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), ServerError>>>,
}

/// 1 000 bytes that all differ from their neighbours.
pub fn model_bytes() -> Vec<u8> {
    (0..1000_u32).map(|index| (index % 251) as u8).collect()
}

pub fn write_site(root: &Path) {
    let write = |name: &str, bytes: &[u8]| {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    write("web/index.html", b"<!doctype html><title>page</title>");
    write("web/app/main.js", b"console.log('plain');");
    write("web/app/main.js.br", b"brotli bytes");
    write("web/app/main.js.gz", b"gzip bytes!");
    write("web/app/sub/index.html", b"sub");
    write("web/app/.hidden", b"no");
    write("web/app/empty.txt", b"");
    write("web/pkg/sam2_wasm_bg.0123456789abcdef.wasm", b"\0asm");
    write("web/models/own.safetensors", b"the page's own");
    write("models/nano.safetensors", &model_bytes());
    write(
        "models/manifest.json",
        br#"{"models": [{"name": "nano", "file": "nano.safetensors"}, {"name": "x", "file": "x"}]}"#,
    );
    write("secret.txt", b"outside");
}

pub fn config(root: &Path) -> ServerConfig {
    let settings = Settings {
        port: 0,
        ..Settings::default()
    };
    ServerConfig::new(settings, root.join("web"), root.join("models"))
}

impl Running {
    pub fn start() -> Self {
        Self::start_with(|_| {})
    }

    pub fn start_with(change: impl FnOnce(&mut ServerConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write_site(folder.path());
        let mut config = config(folder.path());
        config.limits = Limits {
            shutdown: Duration::from_secs(1),
            ..Limits::default()
        };
        change(&mut config);
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let (ready, address) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let server = Server::bind(config)?;
            ready.send(server.address()).unwrap();
            sam2_server::actix_web::rt::System::new().block_on(server.run(async move {
                let _ = stopped.await;
            }))
        });
        let address = address
            .recv_timeout(Duration::from_secs(20))
            .expect("the server started");
        Self {
            folder,
            address,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub fn connect(&self) -> TcpStream {
        connect(self.address)
    }

    /// Sends one request with the given header lines and reads the whole answer.
    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("Connection: close\r\n\r\n");
        let mut stream = self.connect();
        stream.write_all(text.as_bytes()).unwrap();
        Answer::read(&mut stream)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &[])
    }

    pub fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.request("GET", path, headers)
    }

    pub fn signal_stop(&mut self) {
        drop(self.stop.take());
    }

    pub fn wait(&mut self) -> Result<(), ServerError> {
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signal_stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream
}

/// A parsed answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// Reads until the server closes.
    pub fn read(stream: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        stream
            .read_to_end(&mut bytes)
            .expect("an answer and the end of the connection");
        Self::parse(&bytes)
    }

    pub fn parse(bytes: &[u8]) -> Self {
        let split = bytes
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .expect("a head");
        let head = std::str::from_utf8(&bytes[..split]).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines
            .next()
            .unwrap()
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        let headers = lines
            .map(|line| line.split_once(':').unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Self {
            status,
            headers,
            body: bytes[split + 4..].to_vec(),
        }
    }

    /// A header that occurs exactly once, or `None`.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(other, _)| other == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} twice");
        value
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// Asserts a problem+json body with this status and code.
    pub fn assert_problem(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json")
        );
        let problem = self.json();
        assert_eq!(
            (&problem["status"], &problem["code"]),
            (&status.into(), &code.into())
        );
        assert!(
            problem["detail"]
                .as_str()
                .is_some_and(|detail| !detail.is_empty())
        );
    }
}
