//! `sam2 models fetch` against servers that break off, stall, or are not those of the model.

#![allow(clippy::unwrap_used)] // helpers of tests, which fail by panicking

mod common;

use common::{Run, files, path, sam2};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use tempfile::{TempDir, tempdir};

/// What a server sends, and whether it holds the connection open then without a word.
struct Answer {
    bytes: Vec<u8>,
    hold: bool,
}

/// Answers `requests` at /m.bin with what `answer` makes of a request's number and its range; gives back
/// the ranges.
fn serve(
    requests: usize,
    answer: impl Fn(usize, &str) -> Answer + Send + 'static,
) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/m.bin", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        let mut ranges = Vec::new();
        for number in 0..requests {
            let (mut stream, _) = listener.accept().unwrap();
            let mut range = String::new();
            for line in BufReader::new(stream.try_clone().unwrap()).lines() {
                let line = line.unwrap();
                if line.is_empty() {
                    break;
                }
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("range: ") {
                    range = value.to_owned();
                }
            }
            let Answer { bytes, hold } = answer(number, &range);
            stream.write_all(&bytes).unwrap();
            if hold {
                // Until the client gives up.
                let _ = stream.read(&mut [0]);
            }
            ranges.push(range);
        }
        ranges
    });
    (url, thread)
}

fn head(status: &str, headers: &str, length: usize) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{headers}Connection: close\r\n\r\n")
        .into_bytes()
}

/// The file as a server with ranges sends it, cut after `cut` bytes.
fn file(body: &[u8], range: &str, cut: usize) -> Answer {
    let start = range.strip_prefix("bytes=");
    let start = start.and_then(|r| r.trim_end_matches('-').parse().ok());
    let (start, whole): (usize, _) = (start.unwrap_or(0), body.len());
    if start >= whole {
        let range = format!("Content-Range: bytes */{whole}\r\n");
        let bytes = head("416 Range Not Satisfiable", &range, 0);
        return Answer { bytes, hold: false };
    }
    let mut bytes = match start {
        0 => head("200 OK", "", whole),
        _ => {
            let range = format!("Content-Range: bytes {start}-{}/{whole}\r\n", whole - 1);
            head("206 Partial Content", &range, whole - start)
        }
    };
    let rest = &body[start..];
    bytes.extend_from_slice(&rest[..cut.min(rest.len())]);
    Answer { bytes, hold: false }
}

fn whole(body: &[u8]) -> Answer {
    file(body, "", usize::MAX)
}

/// No model of any kind.
static NOISE: [u8; 1000] = [7; 1000];

fn model() -> Vec<u8> {
    fs::read(path("weights/seed2.safetensors")).unwrap()
}

fn folder() -> (TempDir, PathBuf) {
    let folder = tempdir().unwrap();
    let models = folder.path().join("no-models");
    fs::create_dir(&models).unwrap();
    (folder, models)
}

fn fetch(folder: &Path, url: &str, more: &[&str]) -> Run {
    Run::of(sam2(folder, &["models", "fetch", "-q", url]).args(more))
}

#[test]
fn a_broken_download_goes_on_and_is_held_against_its_hash() {
    let (folder, models) = folder();
    let fetch = |url: &str, more: &[&str]| fetch(folder.path(), url, more);
    let body = model();
    let sent = body.clone();
    let (url, server) = serve(2, move |number, range| {
        let cut = if number == 0 { 500_000 } else { usize::MAX };
        file(&sent, range, cut)
    });
    fetch(&url, &[]).fails(1, "run it again");
    let run = fetch(&url, &[]).ok();
    assert!(run.stdout.contains("m.bin (sha256 "), "{}", run.stdout);
    let ranges = server.join().unwrap();
    assert_eq!(ranges[0], "");
    assert!(
        ranges[1].starts_with("bytes=") && ranges[1] != "bytes=0-",
        "{}",
        ranges[1]
    );
    assert_eq!(fs::read(models.join("m.bin")).unwrap(), body);
    let names = ["m.bin", "m.bin.sha256"];
    assert_eq!(files(&models), names, "the hash was pinned");

    // Other bytes under the same name are refused, and nothing of them is kept.
    let (url, server) = serve(1, |_, _| whole(&[7; 1000]));
    fetch(&url, &["--force"]).fails(1, "not kept");
    server.join().unwrap();
    assert_eq!(fs::read(models.join("m.bin")).unwrap(), body);
    let (url, server) = serve(1, |_, _| whole(&[8; 1000]));
    fetch(&url, &["--force", "--sha256", &"0".repeat(64)]).fails(1, "promised");
    server.join().unwrap();
    assert_eq!(files(&models), names);

    fetch("nothing", &[]).fails(1, "the list has nano, tiny");
    fetch("nano", &[]).fails(2, "built in");
    fetch("tiny", &["--sha256", "12"]).fails(2, "64 hexadecimal");
    fetch("tiny", &["--timeout", "0"]).fails(2, "--timeout");
}

#[test]
fn a_web_page_is_not_taken_for_a_model() {
    let (folder, models) = folder();
    let page = b"<!DOCTYPE html><title>Sign in</title>";
    for kind in [
        "text/html",
        "Text/HTML; charset=utf-8",
        "application/xhtml+xml",
    ] {
        let (url, server) = serve(1, move |_, _| {
            let mut bytes = head("200 OK", &format!("Content-Type: {kind}\r\n"), page.len());
            bytes.extend_from_slice(page);
            Answer { bytes, hold: false }
        });
        fetch(folder.path(), &url, &[]).fails(1, "web page");
        server.join().unwrap();
        assert!(files(&models).is_empty(), "{:?}", files(&models));
    }
    // What came before it is still good.
    fs::write(models.join("m.bin.part"), b"the begin").unwrap();
    let (url, server) = serve(1, |_, _| Answer {
        bytes: head("200 OK", "Content-Type: text/html\r\n", 0),
        hold: false,
    });
    fetch(folder.path(), &url, &[]).fails(1, "web page");
    server.join().unwrap();
    assert_eq!(files(&models), ["m.bin.part"]);
    fs::remove_file(models.join("m.bin.part")).unwrap();

    // Under another name, or anything else that is no model: no hash of it is pinned.
    let bodies: [(&'static [u8], &str); 2] = [(page, "web page"), (&NOISE, "not a model file")];
    for (body, what) in bodies {
        let (url, server) = serve(1, move |_, _| whole(body));
        let run = fetch(folder.path(), &url, &[]).fails(1, what);
        assert!(run.errors()[0].contains("m.bin: "), "{}", run.stderr);
        server.join().unwrap();
        assert!(files(&models).is_empty(), "{:?}", files(&models));
    }
}

#[test]
fn a_server_that_falls_silent_is_given_up() {
    let (folder, models) = folder();
    let body = model();
    let sent = body.clone();
    let (url, server) = serve(2, move |number, range| match number {
        0 => Answer {
            hold: true,
            ..file(&sent, range, 300_000)
        },
        _ => file(&sent, range, usize::MAX),
    });
    let began = std::time::Instant::now();
    let run = fetch(folder.path(), &url, &["--timeout", "1"]).fails(1, "nothing came for 1 s");
    assert!(
        run.errors()[0].contains("go on from 300000"),
        "{}",
        run.stderr
    );
    // The default is a minute.
    assert!(began.elapsed().as_secs() < 30, "{:?}", began.elapsed());
    fetch(folder.path(), &url, &["--timeout", "20"]).ok();
    assert_eq!(server.join().unwrap()[1], "bytes=300000-");
    assert_eq!(fs::read(models.join("m.bin")).unwrap(), body);
}

#[test]
fn a_part_is_whole_only_where_the_server_says_its_length() {
    let (folder, models) = folder();
    let body = model();
    let part = models.join("m.bin.part");
    let long = [&body[..], b"of another file"].concat();
    for (there, requests) in [(&body, 1), (&long, 2)] {
        fs::write(&part, there).unwrap();
        let sent = body.clone();
        let (url, server) = serve(requests, move |_, range| file(&sent, range, usize::MAX));
        fetch(folder.path(), &url, &["--force"]).ok();
        let ranges = server.join().unwrap();
        assert_eq!(ranges[0], format!("bytes={}-", there.len()));
        assert_eq!(ranges.get(1).map_or("", String::as_str), "");
        assert_eq!(fs::read(models.join("m.bin")).unwrap(), body);
    }
    // A server that gives no length proves nothing.
    fs::write(&part, &body[..body.len() / 2]).unwrap();
    let sent = body.clone();
    let (url, server) = serve(2, move |number, range| match number {
        0 => Answer {
            bytes: head("416 Range Not Satisfiable", "", 0),
            hold: false,
        },
        _ => file(&sent, range, usize::MAX),
    });
    fetch(folder.path(), &url, &["--force"]).ok();
    assert_eq!(server.join().unwrap()[1], "");
    assert_eq!(fs::read(models.join("m.bin")).unwrap(), body);
}
