//! The server under load: many connections at once, slow readers, half a request, storms of ranges,
//! headers too large; every body is compared byte by byte, and a stop in the middle drops no answer.
//!
//! The short form runs by itself; the whole one writes tests/trust/LOAD.md:
//! `SAM2_LOAD_TABLE=1 cargo test --release -p sam2-server --test load -- --nocapture`.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests, which fail by panicking

mod common;

use common::{config, connect, write_site};
use sam2_server::Server;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

const MODEL: usize = 2 << 20;
const SERVE: &str = "SAM2_TEST_SERVE";

/// Bytes without a period that a shifted range could hide behind.
fn model() -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..MODEL).map(|_| next()).collect()
}

/// Not a test: the server of the tests below, in a process of its own, so that its memory is its own.
#[test]
fn serve_in_a_child() {
    let Some(folder) = std::env::var_os(SERVE) else {
        return;
    };
    let server = Server::bind(config(Path::new(&folder))).unwrap();
    println!("\naddress {}", server.address());
    sam2_server::actix_web::rt::System::new()
        .block_on(server.run(sam2_server::shutdown_signal()))
        .unwrap();
}

struct Served {
    child: Child,
    address: SocketAddr,
    model: Arc<Vec<u8>>,
    _folder: tempfile::TempDir,
}

impl Served {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        write_site(folder.path());
        let model = Arc::new(model());
        std::fs::write(folder.path().join("models/big.safetensors"), &*model).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "serve_in_a_child", "--nocapture"])
            .env(SERVE, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut lines = lines.map_while(Result::ok);
        let address = lines
            .find_map(|line| line.strip_prefix("address ")?.parse().ok())
            .unwrap();
        // Its pipe must not fill up.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            address,
            model,
            _folder: folder,
        }
    }

    fn peak_mb(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let text = status.unwrap_or_default();
        let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:"));
        line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok())
            .unwrap_or(0)
            / 1024
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A thread with a small stack: there are a thousand.
fn client<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    Builder::new().stack_size(128 << 10).spawn(work).unwrap()
}

/// One answer on a connection that stays open: status and body.
fn ask(
    stream: &mut BufReader<TcpStream>,
    path: &str,
    range: Option<(usize, usize)>,
) -> (u16, Vec<u8>) {
    let range = range.map_or(String::new(), |(from, to)| {
        format!("Range: bytes={from}-{to}\r\n")
    });
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{range}\r\n");
    stream.get_mut().write_all(request.as_bytes()).unwrap();
    let (mut status, mut length, mut line) = (0, 0, String::new());
    loop {
        line.clear();
        assert!(
            stream.read_line(&mut line).unwrap() > 0,
            "{path}: the connection ended"
        );
        let text = line.trim_end();
        if text.is_empty() {
            break;
        }
        if let Some(rest) = text.strip_prefix("HTTP/1.1 ") {
            status = rest[..3].parse().unwrap();
        } else if let Some((name, value)) = text.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    (status, body)
}

/// What the fetching clients saw.
#[derive(Default)]
struct Seen {
    answers: AtomicU64,
    wrong: AtomicU64,
}

fn fetch(
    address: SocketAddr,
    model: &[u8],
    seen: &Seen,
    number: usize,
    requests: usize,
) -> Vec<f64> {
    let stream = connect(address);
    stream
        .set_read_timeout(Some(Duration::from_secs(120)))
        .unwrap();
    let mut stream = BufReader::new(stream);
    let mut times = Vec::with_capacity(requests);
    for i in 0..requests {
        let start = Instant::now();
        let kind = (number + i) % 16;
        let from = number * 7919 % (MODEL - 20_000);
        let (right, got) = match kind {
            0 => (
                (200, model),
                ask(&mut stream, "/models/big.safetensors", None),
            ),
            1..=8 => {
                let to = from + 100 * kind + i;
                (
                    (206, &model[from..=to]),
                    ask(&mut stream, "/models/big.safetensors", Some((from, to))),
                )
            }
            9 => ((404, &[][..]), ask(&mut stream, "/nothing/here.js", None)),
            _ => (
                (200, &b"<!doctype html><title>page</title>"[..]),
                ask(&mut stream, "/index.html", None),
            ),
        };
        if kind != 0 {
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        let same = right.0 == got.0 && (right.0 == 404 || right.1 == got.1);
        seen.answers.fetch_add(1, Ordering::Relaxed);
        seen.wrong.fetch_add(u64::from(!same), Ordering::Relaxed);
    }
    times
}

/// Reads a whole model in small bites.
fn read_slowly(address: SocketAddr, model: &[u8], pause: Duration) -> bool {
    let mut stream = connect(address);
    stream
        .write_all(b"GET /models/big.safetensors HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .unwrap();
    let (mut bytes, mut bite) = (Vec::with_capacity(MODEL + 1024), vec![0; 32 << 10]);
    while let Ok(n) = stream.read(&mut bite) {
        if n == 0 {
            break;
        }
        bytes.extend_from_slice(&bite[..n]);
        std::thread::sleep(pause);
    }
    bytes.ends_with(model) && bytes.starts_with(b"HTTP/1.1 200")
}

/// Half a request, then nothing: the server must let go of it by itself.
fn half_open(address: SocketAddr) -> bool {
    let mut stream = connect(address);
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    let _ = stream.write_all(b"GET /index.html HTTP/1.1\r\nHo");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).is_ok()
        && (answer.is_empty() || answer.starts_with(b"HTTP/1.1 408"))
}

/// A thousand ranges in one header, and an answer that is left lying half-way.
fn range_storm(address: SocketAddr, model: &[u8]) -> bool {
    let list: Vec<String> = (0..200).map(|i| format!("{}-", i * 3)).collect();
    let mut stream = BufReader::new(connect(address));
    let request = format!(
        "GET /models/big.safetensors HTTP/1.1\r\nHost: a\r\nRange: bytes={}\r\nConnection: close\r\n\r\n",
        list.join(",")
    );
    if stream.get_mut().write_all(request.as_bytes()).is_err() {
        return false;
    }
    // One answer of the whole file, never two hundred of parts.
    let mut bytes = Vec::new();
    let whole = stream.read_to_end(&mut bytes).is_ok()
        && bytes.len() < MODEL + 4096
        && bytes.ends_with(model);
    let mut left = connect(address);
    let _ = left.write_all(b"GET /models/big.safetensors HTTP/1.1\r\nHost: a\r\n\r\n");
    let _ = left.read(&mut [0; 100]);
    whole
}

/// A header of a megabyte is refused, not kept.
fn oversize(address: SocketAddr) -> bool {
    let mut stream = connect(address);
    let mut request = b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: ".to_vec();
    request.resize(1 << 20, b'a');
    // The server may close before it has all of it.
    let _ = stream.write_all(&request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let refused = [&b"HTTP/1.1 431"[..], b"HTTP/1.1 400", b"HTTP/1.1 413"];
    answer.is_empty() || refused.iter().any(|start| answer.starts_with(start))
}

fn percentile(times: &mut [f64], part: f64) -> f64 {
    times.sort_by(f64::total_cmp);
    times[((times.len() - 1) as f64 * part) as usize]
}

#[test]
fn nothing_wrong_is_served_under_load() {
    if std::env::var_os(SERVE).is_some() {
        return;
    }
    let full = std::env::var_os("SAM2_LOAD_TABLE").is_some();
    let (clients, requests, others) = if full { (1000, 16, 50) } else { (100, 8, 8) };
    let served = Served::start();
    let address = served.address;
    let idle = served.peak_mb();
    let seen = Arc::new(Seen::default());
    let start = Instant::now();
    let fetchers: Vec<_> = (0..clients)
        .map(|number| {
            let (model, seen) = (served.model.clone(), seen.clone());
            client(move || fetch(address, &model, &seen, number, requests))
        })
        .collect();
    let with_model = |work: fn(SocketAddr, &[u8]) -> bool| -> Vec<JoinHandle<bool>> {
        let one = |_| {
            let model = served.model.clone();
            client(move || work(address, &model))
        };
        (0..others).map(one).collect()
    };
    let slow = with_model(|address, model| read_slowly(address, model, Duration::from_millis(40)));
    let storms = with_model(range_storm);
    let halves = with_model(|address, _| half_open(address));
    let large = with_model(|address, _| oversize(address));
    let mut times: Vec<f64> = fetchers
        .into_iter()
        .flat_map(|c| c.join().unwrap())
        .collect();
    let seconds = start.elapsed().as_secs_f64();
    let good = |list: Vec<JoinHandle<bool>>| {
        list.into_iter()
            .filter_map(|c| c.join().ok())
            .filter(|g| *g)
            .count()
    };
    let (slow, storms, halves, large) = (good(slow), good(storms), good(halves), good(large));
    let (answers, wrong) = (
        seen.answers.load(Ordering::Relaxed),
        seen.wrong.load(Ordering::Relaxed),
    );
    let peak = served.peak_mb();
    let [p50, p99] = [0.5, 0.99].map(|part| percentile(&mut times, part));
    println!(
        "{clients} clients: {answers} answers in {seconds:.1} s, {wrong} wrong, p50 {p50:.1} ms, p99 {p99:.1} ms, \
         {idle} to {peak} MB; {slow} slow, {storms} storms, {halves} half-open, {large} oversize of {others}"
    );
    assert_eq!((answers, wrong), ((clients * requests) as u64, 0));
    assert_eq!([slow, storms, halves, large], [others; 4]);
    assert!(peak < idle + 200, "{idle} MB idle, {peak} MB under load");
    let restarted = stop_in_the_middle(served, if full { 40 } else { 8 });
    if full {
        let mut text = String::from(HEAD);
        let mut row = |what: &str, value: String| {
            let _ = writeln!(text, "| {what} | {value} |");
        };
        row("connections that fetch, at once", clients.to_string());
        row(
            "beside them: slow readers, half-open, range storms, oversize headers",
            format!("{others} each"),
        );
        row("answers, every body compared", answers.to_string());
        row("**wrong**", format!("**{wrong}**"));
        row("seconds", format!("{seconds:.1}"));
        row("p50 of pages and ranges", format!("{p50:.1} ms"));
        row("p99 of pages and ranges", format!("{p99:.1} ms"));
        row(
            "resident memory of the server, idle and at its peak",
            format!("{idle} MB, {peak} MB"),
        );
        row(
            "slow readers with the whole right file",
            format!("{slow} of {others}"),
        );
        row(
            "range storms answered once, with the whole file",
            format!("{storms} of {others}"),
        );
        row(
            "half-open connections let go",
            format!("{halves} of {others}"),
        );
        row("oversize headers refused", format!("{large} of {others}"));
        row(
            "downloads running when SIGTERM came, finished right",
            restarted,
        );
        let here = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        std::fs::write(Path::new(&here).join("../../tests/trust/LOAD.md"), text).unwrap();
    }
}

const HEAD: &str = "\
# The server under load

Written by

    SAM2_LOAD_TABLE=1 cargo test --release -p sam2-server --test load -- --nocapture

Clients and server on one machine over loopback, each client a thread, the server a process of its own
with its standard limits (512 connections open at once; more wait). Pages, ranges and whole files of a
2 MiB model over connections that stay open.

| | |
|---|---|
";

/// SIGTERM while downloads run: each ends whole, new connections are refused, the server ends by itself.
fn stop_in_the_middle(mut served: Served, downloads: usize) -> String {
    let address = served.address;
    let running: Vec<_> = (0..downloads)
        .map(|_| {
            let model = served.model.clone();
            client(move || read_slowly(address, &model, Duration::from_millis(30)))
        })
        .collect();
    std::thread::sleep(Duration::from_millis(700));
    let pid = served.child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
    let whole = running
        .into_iter()
        .filter_map(|c| c.join().ok())
        .filter(|good| *good)
        .count();
    let ended = served.child.wait().unwrap();
    assert!(ended.success(), "{ended}");
    assert_eq!(whole, downloads, "downloads were dropped by the stop");
    assert!(TcpStream::connect(address).is_err(), "it still listens");
    format!("{whole} of {downloads}")
}
