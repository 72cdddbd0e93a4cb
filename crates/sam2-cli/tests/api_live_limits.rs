//! `sam2 serve --api`: what a live session refuses, and its limits.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests fail by panicking

mod common;
mod service;

use sam2::image::RgbImage;
use serde_json::{Value, json};
use service::{Answer, Service, picture};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

fn click(frame: usize, object: u32) -> Value {
    json!({"frame": frame, "object": object, "points": [[52, 54]], "labels": [1]})
}

#[test]
fn a_session_with_little_memory_holds_one_frame_and_so_many_prompts() {
    let service = Service::start(&["--session-memory", "1", "--max-sessions", "1"]);
    let session = service.open_live();
    let prompts = format!("{session}/prompts");
    let mut taken = 0;
    let refused = loop {
        service.push(&session, taken).is(200);
        assert_eq!(service.get(&session).is(200)["oldest_frame"], taken);
        let answer = service.post(&prompts, &click(taken, 1));
        if answer.status != 200 {
            break answer.problem(409, "conflict");
        }
        taken += 1;
        assert!(taken < 500, "prompts without end");
    };
    assert!(
        taken > 4 && refused.contains("clear prompts"),
        "{taken}: {refused}"
    );
    service
        .delete(&format!("{session}/objects/1/prompts/0"))
        .is(200);
    service
        .delete(&format!("{session}/objects/1/prompts/1"))
        .is(200);
    service.post(&prompts, &click(taken, 1)).is(200);
    service.push(&session, taken + 1).is(200);
}

#[test]
fn what_does_not_go_with_a_live_session_is_refused() {
    let service = Service::start(&[]);
    for body in [
        json!({}),
        json!({"live": false}),
        json!({"live": true, "video_path": "clip"}),
    ] {
        service
            .post("/api/v1/sessions", &body)
            .problem(400, "bad_request");
    }
    let session = service.open_live();
    let at = |rest: &str| format!("{session}{rest}");
    let prompt = |body: &Value| service.post(&at("/prompts"), body);
    let push =
        |headers: &[(&str, &str)], body: &[u8]| service.ask("POST", &at("/frames"), headers, body);
    let early = prompt(&click(0, 1)).problem(422, "bad_prompt");
    assert!(early.contains("push one first"), "{early}");
    push(&[], b"no picture").problem(422, "bad_image");
    push(&[], &picture(0)[..500]).problem(422, "bad_image");
    push(
        &[("content-type", "application/x-www-form-urlencoded")],
        &picture(0),
    )
    .problem(415, "bad_request");
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: ",
        at("/frames"),
        service.address
    );
    service
        .send(&format!("{head}0\r\n"), b"")
        .problem(400, "bad_request");
    service
        .send(&format!("{head}33554433\r\n"), b"")
        .problem(413, "request_too_large");
    // None of it took the first number, nor the size.
    let small = RgbImage::from_rgb(4, 2, vec![0; 24])
        .unwrap()
        .to_png()
        .unwrap();
    assert_eq!(service.push(&session, 0).is(200)["frame"], 0);
    let other = push(&[], &small).problem(422, "unsupported_video");
    assert!(
        other.contains("4 x 2") && other.contains("240 x 176"),
        "{other}"
    );
    for frame in 1..18 {
        assert_eq!(service.push(&session, frame).is(200)["frame"], frame);
    }
    let gone = prompt(&click(1, 1)).problem(422, "bad_prompt");
    assert!(
        gone.contains("gone") && gone.contains("from 2 on"),
        "{gone}"
    );
    prompt(&click(18, 1)).problem(422, "bad_prompt");
    prompt(&click(2, 1)).is(200);
    let propagated = service.post(&at("/propagation"), &json!({}));
    assert!(propagated.problem(409, "conflict").contains("every frame"));
    service.get(&at("/propagation")).problem(404, "not_found");
    // A session on a file takes no frames.
    let clip = service.open("clip");
    let refused = service.push(&clip, 0).problem(409, "conflict");
    assert!(refused.contains("live"), "{refused}");
    service.delete(&session).is(204);
    service.push(&session, 0).problem(404, "not_found");
}

#[test]
fn frames_come_one_after_the_other_and_a_full_queue_says_when() {
    let service = Service::start(&["--max-queue", "1"]);
    let session = service.open_live();
    // A frame that never comes whole.
    let stream = half_sent(&service, &session, 9);
    // It has its end with the connection, and was none.
    drop(stream);
    let first = until(|| service.push(&session, 0), 200);
    let next = first.is(200)["frame"].as_u64().unwrap() as usize + 1;
    service::clip(&service.media("long"), 240);
    let long = service.open("long");
    service
        .post(&format!("{long}/prompts"), &click(0, 1))
        .is(200);
    service
        .post(&format!("{long}/propagation"), &json!({}))
        .is(202);
    let busy = service.push(&session, next);
    busy.problem(503, "busy");
    assert!(busy.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    service.delete(&long).is(204);
    assert_eq!(
        until(|| service.push(&session, next), 200).is(200)["frame"],
        next
    );
}

/// A frame of so many bytes on its way, of which none has come; another one is refused meanwhile.
fn half_sent(service: &Service, session: &str, bytes: usize) -> TcpStream {
    let start = Instant::now();
    loop {
        let mut stream = TcpStream::connect(service.address).unwrap();
        let head = format!(
            "POST {session}/frames HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {bytes}\r\n\r\n",
            service.address
        );
        stream.write_all(head.as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        let second = service.push(session, 0);
        if second.status == 409 {
            second.problem(409, "conflict");
            return stream;
        }
        // On a busy machine the second one was first.
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "{}",
            second.text()
        );
    }
}

/// Asks until the answer is of this status.
fn until(ask: impl Fn() -> Answer, status: u16) -> Answer {
    let start = Instant::now();
    loop {
        let answer = ask();
        if answer.status == status {
            return answer;
        }
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "{}",
            answer.text()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn pushing_keeps_a_session_alive_and_silence_ends_it() {
    let service = Service::start(&["--session-idle", "1", "--max-sessions", "1"]);
    let session = service.open_live();
    for frame in 0..6 {
        std::thread::sleep(Duration::from_millis(300));
        service.push(&session, frame).is(200);
    }
    service
        .post("/api/v1/sessions", &json!({"live": true}))
        .problem(503, "busy");
    std::thread::sleep(Duration::from_millis(2000));
    service.push(&session, 6).problem(404, "not_found");
    service.open_live();
}

#[test]
fn a_session_that_is_deleted_while_a_frame_waits_answers_that_it_is_gone() {
    let service = Service::start(&[]);
    let session = service.open_live();
    service.push(&session, 0).is(200);
    let body = picture(1);
    let mut stream = half_sent(&service, &session, body.len());
    service.delete(&session).is(204);
    stream.write_all(&body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 404") && answer.contains("not_found"),
        "{answer}"
    );
}
