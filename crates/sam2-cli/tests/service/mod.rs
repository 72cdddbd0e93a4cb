//! `sam2 serve --api` as a child process, and a client.

#![allow(dead_code)] // each test file uses its own part

use crate::common::{micro, path, sam2};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A running service with the tiny model; killed when dropped.
pub struct Service {
    pub folder: TempDir,
    pub url: String,
    pub address: SocketAddr,
    child: Child,
    log: Arc<Mutex<String>>,
}

/// An answer.
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// An answer of this status, as JSON.
    #[track_caller]
    pub fn is(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        if self.body.is_empty() {
            Value::Null
        } else {
            self.json()
        }
    }

    /// A problem of this status and code.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> String {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{}",
            self.text()
        );
        let problem = self.is(status);
        assert_eq!(
            (&problem["status"], &problem["code"]),
            (&status.into(), &code.into())
        );
        problem["detail"].as_str().unwrap().to_owned()
    }
}

impl Service {
    /// With the fixtures' clip as `media/clip`, and `more` flags.
    pub fn start(more: &[&str]) -> Self {
        Self::start_with(more, &[])
    }

    pub fn start_with(more: &[&str], variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(&path).unwrap();
            path
        };
        std::fs::write(
            make("web").join("index.html"),
            "<!doctype html><title>page</title>",
        )
        .unwrap();
        let (media, temporary) = (make("media"), make("tmp"));
        clip(&make("media/clip"), 12);
        let (weights, config) = (path("weights/seed4.safetensors"), path("micro.yaml"));
        let args = [
            "serve", "--api", "--web", "web", "--model", &weights, "--config", &config,
        ];
        let mut command = sam2(folder.path(), &args);
        command.args(["--device", "cpu", "--port", "0"]).args(more);
        command
            .env("SAM2_MEDIA_DIR", media)
            .env("TMPDIR", temporary);
        command.env_remove("SAM2_MODELS_DIR");
        command.envs(variables.iter().copied());
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let log = Arc::new(Mutex::new(String::new()));
        let address = loop {
            let mut line = String::new();
            assert!(
                lines.read_line(&mut line).unwrap() > 0,
                "it ended: {}",
                log.lock().unwrap()
            );
            log.lock().unwrap().push_str(&line);
            if let Some((_, rest)) = line.split_once(" at http://") {
                break rest
                    .split('/')
                    .next()
                    .unwrap()
                    .replace("localhost", "127.0.0.1");
            }
        };
        let copy = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                copy.lock().unwrap().push_str(&format!("{line}\n"));
            }
        });
        Self {
            folder,
            url: format!("http://{address}"),
            address: address.parse().unwrap(),
            child,
            log,
        }
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn media(&self, name: &str) -> PathBuf {
        self.folder.path().join("media").join(name)
    }

    /// Files in the service's folder for temporary ones.
    pub fn temporary(&self) -> Vec<String> {
        crate::common::files(&self.folder.path().join("tmp"))
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], b"")
    }

    pub fn delete(&self, path: &str) -> Answer {
        self.ask("DELETE", path, &[], b"")
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        let json = ("content-type", "application/json");
        self.ask("POST", path, &[json], body.to_string().as_bytes())
    }

    /// One request over a connection of its own.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut text = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("host"))
        {
            text.push_str(&format!("Host: {}\r\n", self.address));
        }
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            text.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        self.send(&text, body)
    }

    /// Request and header lines as they are, and a body.
    pub fn send(&self, head: &str, body: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        stream.write_all(format!("{head}\r\n").as_bytes()).unwrap();
        // A refusal may come, and the connection end, before all is sent.
        let _ = stream.write_all(body);
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        parse(&bytes)
    }

    /// A session on `media/clip`.
    pub fn open(&self, name: &str) -> String {
        let session = self.post("/api/v1/sessions", &serde_json::json!({"video_path": name}));
        format!(
            "/api/v1/sessions/{}",
            session.is(201)["id"].as_str().unwrap()
        )
    }

    /// A live session.
    pub fn open_live(&self) -> String {
        let session = self.post("/api/v1/sessions", &serde_json::json!({"live": true}));
        let id = session.is(201)["id"].as_str().unwrap().to_owned();
        format!("/api/v1/sessions/{id}")
    }

    /// Pushes a frame of the fixtures to a live session.
    pub fn push(&self, session: &str, frame: usize) -> Answer {
        let png = ("content-type", "image/png");
        let path = format!("{session}/frames");
        self.ask("POST", &path, &[png], &picture(frame))
    }

    /// Waits until a propagation is over.
    pub fn over(&self, session: &str) -> Value {
        let start = Instant::now();
        loop {
            let progress = self.get(&format!("{session}/propagation")).is(200);
            if !["queued", "running"].contains(&progress["state"].as_str().unwrap()) {
                return progress;
            }
            assert!(start.elapsed() < Duration::from_secs(120), "{progress}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        std::process::Command::new("sh")
            .args(["-c", &kill])
            .status()
            .unwrap();
    }

    pub fn wait(&mut self) -> i32 {
        self.child.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder of frames, those of the fixtures over and over.
pub fn clip(folder: &Path, frames: usize) {
    std::fs::create_dir_all(folder).unwrap();
    for frame in 0..frames {
        std::fs::write(folder.join(format!("{frame:05}.png")), picture(frame)).unwrap();
    }
}

/// A frame of the fixtures, which are taken over and over.
pub fn picture(frame: usize) -> Vec<u8> {
    std::fs::read(micro().join(format!("frames/{:05}.png", frame % 12))).unwrap()
}

fn parse(bytes: &[u8]) -> Answer {
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
    let headers: Vec<_> = lines
        .map(|line| line.split_once(':').unwrap())
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let chunked = headers.contains(&("transfer-encoding".to_owned(), "chunked".to_owned()));
    let rest = &bytes[split + 4..];
    let body = if chunked {
        unchunk(rest)
    } else {
        rest.to_vec()
    };
    Answer {
        status,
        headers,
        body,
    }
}

fn unchunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let line = bytes
            .windows(2)
            .position(|two| two == b"\r\n")
            .expect("a chunk's length");
        let length =
            usize::from_str_radix(std::str::from_utf8(&bytes[..line]).unwrap(), 16).unwrap();
        if length == 0 {
            return body;
        }
        body.extend(&bytes[line + 2..line + 2 + length]);
        bytes = &bytes[line + 2 + length + 2..];
    }
}
