//! `sam2 serve --api`: what is refused, and how.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests fail by panicking

mod common;
mod service;

use common::Run;
use serde_json::json;
use service::Service;
use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

#[cfg(unix)]
#[test]
fn no_path_leads_out_of_the_folder_of_videos() {
    let service = Service::start(&[]);
    let outside = service.folder.path().join("outside");
    service::clip(&outside, 2);
    std::os::unix::fs::symlink(&outside, service.media("link")).unwrap();
    std::fs::create_dir(service.media("leaky")).unwrap();
    std::os::unix::fs::symlink(outside.join("00000.png"), service.media("leaky/0.png")).unwrap();
    let whole = outside.display().to_string();
    for path in [
        "../outside",
        "clip/../../outside",
        "link",
        "leaky",
        "/etc/passwd",
        "/dev/zero",
        "",
        &whole,
    ] {
        for route in ["/initialize", "/api/v1/sessions"] {
            let detail = service
                .post(route, &json!({"video_path": path}))
                .problem(404, "not_found");
            assert!(detail.contains("no video"), "{path}: {detail}");
        }
    }
    let odd = "/api/v1/sessions/..%2f..%2fetc%2fpasswd";
    service.get(odd).problem(404, "not_found");
    service
        .post("/initialize", &json!({"video_path": "./clip/../clip"}))
        .is(200);
}

#[test]
fn videos_that_are_none_are_refused_without_a_trace() {
    let service = Service::start(&["--max-upload", "1"]);
    let upload = |headers: &[(&str, &str)], body: &[u8]| {
        service.ask("POST", "/api/v1/uploads", headers, body)
    };
    let header = b"YUV4MPEG2 W64 H48 F10:1 C420jpeg\n";
    let huge = b"YUV4MPEG2 W60000 H60000 F10:1 C420jpeg\nFRAME\n";
    for body in [
        b"no video at all".as_slice(),
        header,
        huge,
        b"GIF89a",
        b"\xff\xd8\xff\xe0 cut",
        b"\x89PNG\r\n\x1a\n",
    ] {
        let answer = upload(&[], body);
        assert!([413, 422].contains(&answer.status), "{}", answer.text());
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(
            !detail.contains("sam2-upload"),
            "no paths of this machine: {detail}"
        );
    }
    upload(
        &[("content-type", "multipart/form-data; boundary=x")],
        b"--x",
    )
    .problem(415, "bad_request");
    service
        .send(&head(&service, "Content-Length: 0\r\n"), b"")
        .problem(400, "bad_request");
    // Too large, announced or not.
    service
        .send(&head(&service, "Content-Length: 1048577\r\n"), b"")
        .problem(413, "request_too_large");
    let mut body = format!("{:x}\r\n", (1 << 20) + 1).into_bytes();
    body.extend(vec![0; (1 << 20) + 1]);
    body.extend(b"\r\n0\r\n\r\n");
    service
        .send(&head(&service, "Transfer-Encoding: chunked\r\n"), &body)
        .problem(413, "request_too_large");
    assert_eq!(service.get("/api/v1").is(200)["sessions"], 0);
    assert_eq!(service.temporary(), Vec::<String>::new());
    // All of that took no place of a session.
    let opened: Vec<String> = (0..4).map(|_| service.open("clip")).collect();
    let full = service.post("/api/v1/sessions", &json!({"video_path": "clip"}));
    full.problem(503, "busy");
    assert!(full.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    service.delete(&opened[0]).is(204);
    service.open("clip");
}

fn head(service: &Service, more: &str) -> String {
    let address = service.address;
    format!("POST /api/v1/uploads HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{more}")
}

#[test]
fn prompts_that_cannot_be_meant_are_refused() {
    let service = Service::start(&["--max-objects", "2"]);
    let session = service.open("clip");
    let prompt = |body: serde_json::Value| service.post(&format!("{session}/prompts"), &body);
    let point = |frame: usize, object: u32| json!({"frame": frame, "object": object, "points": [[5, 5]], "labels": [1]});
    prompt(point(12, 1)).problem(422, "bad_prompt");
    prompt(json!({"frame": 0, "object": 1})).problem(422, "bad_prompt");
    prompt(json!({"frame": 0, "object": 1, "points": [[5, 5]]})).problem(422, "bad_prompt");
    prompt(json!({"frame": 0, "object": 1, "box": [9, 9, 3, 3]})).problem(422, "bad_prompt");
    let many = vec![[5, 5]; 257];
    prompt(json!({"frame": 0, "object": 1, "points": many, "labels": vec![1; 257]}))
        .problem(422, "bad_prompt");
    let mask =
        |size: [usize; 2]| json!({"frame": 0, "object": 1, "mask": {"size": size, "counts": "0"}});
    prompt(mask([65_535, 65_535])).problem(422, "bad_prompt");
    assert!(
        prompt(mask([176, 240])).status == 422,
        "runs that do not add up"
    );
    prompt(json!({"frame": 0, "object": 1, "pionts": [[5, 5]]})).problem(400, "bad_request");
    prompt(json!({"frame": -1, "object": 1})).problem(400, "bad_request");
    prompt(json!([1])).problem(400, "bad_request");
    prompt(json!({"frame": 0, "object": 1, "x": "y".repeat(3 << 20)}))
        .problem(413, "request_too_large");
    prompt(point(0, 1)).is(200);
    prompt(point(0, 2)).is(200);
    prompt(point(0, 3)).problem(409, "conflict");
    service
        .get(&format!("{session}/masks?form=1"))
        .problem(400, "bad_request");
    service
        .delete(&format!("{session}/objects/x"))
        .problem(404, "not_found");
    service.get("/api/v1/nothing").problem(404, "not_found");
    let wrong = service.ask("PUT", &session, &[], b"");
    wrong.problem(405, "method_not_allowed");
    assert_eq!(wrong.header("allow"), Some("GET, DELETE"));
}

#[test]
fn a_full_queue_says_when_to_come_back() {
    let service = Service::start(&["--max-queue", "1"]);
    service::clip(&service.media("long"), 240);
    let (long, other) = (service.open("long"), service.open("clip"));
    let prompt = json!({"frame": 0, "object": 1, "points": [[52, 54]], "labels": [1]});
    service.post(&format!("{long}/prompts"), &prompt).is(200);
    service
        .post(&format!("{long}/propagation"), &json!({}))
        .is(202);
    let busy = service.post(&format!("{other}/prompts"), &prompt);
    busy.problem(503, "busy");
    assert!(busy.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    // What waits for nobody's network is answered all the same.
    service.get(&other).is(200);
    service.delete(&long).is(204);
    let start = std::time::Instant::now();
    while service.post(&format!("{other}/prompts"), &prompt).status != 200 {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "the deleted session still works"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_session_that_nobody_asks_for_ends() {
    let service = Service::start(&["--session-idle", "1", "--max-sessions", "1"]);
    let session = service.open("clip");
    for _ in 0..6 {
        std::thread::sleep(Duration::from_millis(300));
        service.get(&session).is(200);
    }
    std::thread::sleep(Duration::from_millis(2000));
    service.get(&session).problem(404, "not_found");
    service.open("clip");
}

#[test]
fn strangers_are_refused() {
    let service = Service::start_with(&[], &[("SAM2_API_TOKEN", "0123456789abcdef")]);
    let own = service.address.to_string();
    let origin = format!("http://{own}");
    let right = ("authorization", "Bearer 0123456789abcdef");
    let ask = |headers: &[(&str, &str)]| service.ask("GET", "/api/v1", headers, b"");
    ask(&[right]).is(200);
    ask(&[right, ("origin", &origin)]).is(200);
    let without = ask(&[]);
    without.problem(401, "unauthorized");
    assert_eq!(without.header("www-authenticate"), Some("Bearer"));
    ask(&[("authorization", "Bearer 0123456789abcdee")]).problem(401, "unauthorized");
    ask(&[right, ("host", "evil.example")]).problem(403, "forbidden");
    ask(&[right, ("origin", "http://evil.example")]).problem(403, "forbidden");
    ask(&[right, ("sec-fetch-site", "cross-site")]).problem(403, "forbidden");
    for route in [
        "/initialize",
        "/add-object",
        "/refine",
        "/propagate",
        "/api/v1/uploads",
    ] {
        service.post(route, &json!({})).problem(401, "unauthorized");
    }
    // The page itself is for everybody.
    assert_eq!(service.get("/").status, 200);
    assert!(!service.log().contains("0123456789abcdef"));
}

#[test]
fn beyond_this_machine_a_token_is_needed_and_the_api_is_off_by_default() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("web")).unwrap();
    std::fs::write(folder.path().join("web/index.html"), "x").unwrap();
    let mut command = common::sam2(
        folder.path(),
        &["serve", "--api", "--web", "web", "--port", "0"],
    );
    Run::of(command.env("SAM2_HOST", "0.0.0.0")).fails(2, "SAM2_API_TOKEN");
    let mut command = common::sam2(
        folder.path(),
        &["serve", "--api", "--web", "web", "--port", "0"],
    );
    Run::of(command.env("SAM2_MEDIA_DIR", "nowhere")).fails(1, "nowhere");
    let args = ["serve", "--web", "web", "--max-sessions", "3"];
    Run::of(&mut common::sam2(folder.path(), &args)).fails(2, "--api");
}

#[cfg(unix)]
#[test]
fn frames_that_somebody_removed_are_a_fault_of_the_storage() {
    let programs = tempfile::tempdir().unwrap();
    let path = common::fake_ffmpeg(programs.path(), Some(6), 6, false);
    let service = Service::start_with(&[], &[("PATH", &path)]);
    let open = || {
        let opened = service.ask("POST", "/api/v1/uploads", &[], b"\0\0\0\x20ftypisom");
        opened.header("location").unwrap().to_owned()
    };
    let session = open();
    let temporary = service.folder.path().join("tmp");
    let frames = std::fs::read_dir(&temporary).unwrap();
    let frames = frames.map(|entry| entry.unwrap().path());
    let frames = frames.filter(|path| path.is_dir());
    frames.for_each(|path| std::fs::remove_dir_all(path).unwrap());
    // Frame 0 was stored, the others were to be.
    for (frame, what) in [
        (0, "the stored frame 0 cannot be read back"),
        (4, "frame 1 cannot be stored"),
        (0, "the stored frame 0 cannot be read back"),
    ] {
        let click = json!({"frame": frame, "object": 1, "points": [[52, 54]], "labels": [1]});
        let answer = service.post(&format!("{session}/prompts"), &click);
        let detail = answer.problem(507, "storage_full");
        assert!(detail.contains(what), "{detail}");
        assert!(detail.contains("open the video again"), "{detail}");
    }
    // That helps.
    let click = json!({"frame": 4, "object": 1, "points": [[52, 54]], "labels": [1]});
    service.post(&format!("{}/prompts", open()), &click).is(200);
}

#[test]
fn a_client_that_hangs_up_ends_its_propagation() {
    let service = Service::start(&[]);
    service::clip(&service.media("long"), 240);
    let opened = service.post("/initialize", &json!({"video_path": "long"}));
    let id = opened.is(200)["session_id"].as_str().unwrap().to_owned();
    let click = json!({"session_id": id, "frame_idx": 0, "object_id": 1, "points": [[52, 54]], "labels": [1]});
    service.post("/add-object", &click).is(200);
    let body = json!({"session_id": id}).to_string();
    let mut client = TcpStream::connect(service.address).unwrap();
    let head = format!(
        "POST /propagate HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n{body}",
        service.address,
        body.len()
    );
    client.write_all(head.as_bytes()).unwrap();
    let progress = format!("/api/v1/sessions/{id}/propagation");
    let start = Instant::now();
    loop {
        let answer = service.get(&progress);
        if answer.status == 200 && answer.json()["done"].as_u64().unwrap() > 1 {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "it never began");
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(client);
    let over = service.over(&format!("/api/v1/sessions/{id}"));
    assert_eq!(over["state"], "cancelled", "{over}");
    assert!(over["done"].as_u64().unwrap() < 240, "{over}");
    // What was tracked is there, and the session goes on.
    let again = json!({"session_id": id, "max_frame_num_to_track": 1});
    assert_eq!(service.post("/propagate", &again).is(200)["num_frames"], 2);
}
