//! `sam2 serve` as people run it, without the session API.

#![cfg(unix)]
#![allow(clippy::unwrap_used)] // helpers of tests, which fail by panicking

mod common;

use common::{Run, sam2};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::tempdir;

const PAGE: &str = "<!doctype html><title>page</title>";

fn free_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port().to_string()
}

fn start(command: &mut Command) -> Child {
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Asks for `path` as soon as somebody answers.
fn get(port: &str, path: &str) -> String {
    let mut answer = String::new();
    for _ in 0..300 {
        std::thread::sleep(Duration::from_millis(100));
        if let Ok(mut stream) = TcpStream::connect(format!("127.0.0.1:{port}")) {
            let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).unwrap();
            stream.read_to_string(&mut answer).unwrap();
            break;
        }
    }
    answer
}

/// SIGTERM through the shell's own kill: no unsafe code, no crate for it.
fn stop(child: Child) -> Run {
    let kill = format!("kill -TERM {}", child.id());
    assert!(
        Command::new("sh")
            .args(["-c", &kill])
            .status()
            .unwrap()
            .success()
    );
    Run::from(child.wait_with_output().unwrap())
}

#[test]
fn the_page_is_served_until_a_signal_comes() {
    let folder = tempdir().unwrap();
    Run::of(&mut sam2(folder.path(), &["serve", "-q"])).fails(1, "index.html");
    fs::write(folder.path().join("index.html"), PAGE).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    fs::create_dir(folder.path().join("no-models")).unwrap();
    let args = ["serve", "--web", ".", "--port", &port];
    Run::of(sam2(folder.path(), &args).arg("-q")).fails(1, &port);
    drop(listener);
    let child = start(&mut sam2(folder.path(), &args));
    let answer = get(&port, "/healthz");
    stop(child).ok();
    assert!(answer.contains("\"status\":\"ok\""), "{answer}");
}

#[test]
fn a_setting_without_effect_is_said_once() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("index.html"), PAGE).unwrap();
    fs::create_dir(folder.path().join("no-models")).unwrap();
    let port = free_port();
    let args = ["serve", "--web", ".", "--port", &port];
    let child = start(sam2(folder.path(), &args).env("SAM2_QUANTIZE", "true"));
    get(&port, "/healthz");
    let run = stop(child).ok();
    assert_eq!(
        run.stderr.matches("SAM2_QUANTIZE").count(),
        1,
        "{}",
        run.stderr
    );
}

#[test]
fn what_was_fetched_is_offered() {
    let folder = tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("web/index.html", PAGE);
    let list =
        r#"{"models": [{"name": "tiny", "file": "tiny.pt"}, {"name": "nano", "file": "nano.pt"}]}"#;
    write("web/models/manifest.json", list);
    write("web/models/nano.pt", "the page's own");
    let offered = |folder: &Path| {
        let port = free_port();
        let mut command = sam2(folder, &["serve", "--web", "web", "--port", &port]);
        // Nobody chose a folder: it is the one that `sam2 models fetch` takes then.
        command.env_remove("SAM2_MODELS_DIR");
        command.env("XDG_DATA_HOME", folder.join("data"));
        let child = start(&mut command);
        let (config, tiny) = (get(&port, "/config.json"), get(&port, "/models/tiny.pt"));
        stop(child).ok();
        let body = config.split("\r\n\r\n").nth(1).unwrap().to_owned();
        let config: serde_json::Value = serde_json::from_str(&body).unwrap();
        let here = |i: usize| config["models"][i]["available"] == true;
        ((here(0), here(1)), tiny.contains("what was fetched"))
    };
    assert_eq!(offered(folder.path()), ((false, true), false));
    write("data/sam2/models/tiny.pt", "what was fetched");
    assert_eq!(offered(folder.path()), ((true, true), true));
}

#[test]
fn a_variable_that_is_no_text_stops_nobody() {
    use std::os::unix::ffi::OsStringExt;
    let odd = std::ffi::OsString::from_vec(b"caf\xe9".to_vec());
    let folder = tempdir().unwrap();
    let list = |name: &str| {
        let mut command = sam2(folder.path(), &["models", "list"]);
        Run::of(command.env(name, &odd))
    };
    list("TITLE").ok();
    list("SAM2_MODEL_SIZE").fails(2, "UTF-8");
}
