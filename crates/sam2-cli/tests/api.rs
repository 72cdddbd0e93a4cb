//! `sam2 serve --api` over HTTP: what clients do and get.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests fail by panicking

mod common;
mod service;

use sam2_image::{Mask, Rle};
use serde_json::{Value, json};
use service::Service;
use std::time::Duration;

/// The mask of a `segmentation`.
fn rle(mask: &Value) -> Rle {
    let size = [0, 1].map(|i| mask["segmentation"]["size"][i].as_u64().unwrap() as usize);
    Rle::from_string(
        size[0],
        size[1],
        mask["segmentation"]["counts"].as_str().unwrap(),
    )
    .unwrap()
}

/// The mask of a base64 PNG.
fn picture(text: &Value) -> Mask {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(text.as_str().unwrap())
        .unwrap();
    Mask::from_png(&bytes, &Default::default()).unwrap()
}

#[test]
fn a_script_of_the_replaced_service_runs_unchanged() {
    let service = Service::start(&[]);
    let whole = service.media("clip").display().to_string();
    let opened = service
        .post("/initialize", &json!({"video_path": whole}))
        .is(200);
    let id = opened["session_id"].as_str().unwrap();
    assert_eq!(
        (&opened["num_frames"], &opened["width"]),
        (&json!(12), &json!(240))
    );
    let clicked = service.post(
        "/add-object",
        &json!({"session_id": id, "frame_idx": 0, "object_id": 1, "points": [[52, 54]], "labels": [1]}),
    );
    let clicked = picture(&clicked.is(200)["mask"]);
    assert_eq!((clicked.width(), clicked.height()), (240, 176));
    assert!(clicked.area() > 0);
    let boxed = json!({"session_id": id, "frame_idx": 2, "object_id": 7, "box": [20, 20, 90, 80]});
    assert!(picture(&service.post("/add-object", &boxed).is(200)["masks"]["7"]).area() > 0);
    let refined = service.post(
        "/refine",
        &json!({"session_id": id, "frame_idx": 0, "object_id": 1, "points": [[80, 60]], "labels": [0]}),
    );
    assert_ne!(picture(&refined.is(200)["mask"]), clicked);
    let tracked = service
        .post("/propagate", &json!({"session_id": id}))
        .is(200);
    let masks = tracked["masks"].as_object().unwrap();
    assert_eq!((&tracked["num_frames"], masks.len()), (&json!(12), 12));
    // The same session in the clean form: the same masks.
    let page = service.get(&format!("/api/v1/sessions/{id}/masks")).is(200);
    let listed = page["masks"].as_array().unwrap();
    assert_eq!(listed.len(), 24);
    for mask in listed {
        let png = &masks[&mask["frame"].to_string()][mask["object"].to_string()];
        assert_eq!(picture(png), rle(mask).to_mask(), "{mask}");
    }
    assert!(
        service
            .log()
            .contains("Propagation progress: 12/12 frames ("),
        "{}",
        service.log()
    );
    // Backward, and what is wrong.
    let back = json!({"session_id": id, "start_frame_idx": 5, "reverse": true, "max_frame_num_to_track": 2});
    assert_eq!(service.post("/propagate", &back).is(200)["num_frames"], 3);
    service
        .post("/propagate", &json!({"session_id": "0"}))
        .problem(404, "not_found");
    let unknown = json!({"session_id": id, "frame_idx": 0, "object_id": 9, "points": [[5, 5]], "labels": [1]});
    service.post("/refine", &unknown).problem(404, "not_found");
    let outside = json!({"session_id": id, "frame_idx": 0, "object_id": 1, "points": [[240, 5]], "labels": [1]});
    service
        .post("/add-object", &outside)
        .problem(422, "bad_prompt");
    service
        .post("/initialize", &json!({"path": "clip"}))
        .problem(400, "bad_request");
    service.get("/propagate").problem(405, "method_not_allowed");
}

#[test]
fn the_clean_form_from_upload_to_deletion() {
    let service = Service::start(&[]);
    let video = y4m(&[40, 60, 80, 100, 120, 140]);
    let opened = service.ask(
        "POST",
        "/api/v1/uploads",
        &[("content-type", "video/x-yuv4mpeg")],
        &video,
    );
    let location = opened.header("location").unwrap().to_owned();
    let opened = opened.is(201);
    assert_eq!(
        (&opened["frames"], &opened["width"], &opened["fps"]),
        (&json!(6), &json!(64), &json!(10.0))
    );
    assert_eq!(
        location,
        format!("/api/v1/sessions/{}", opened["id"].as_str().unwrap())
    );
    assert_eq!(service.temporary().len(), 1, "the upload");
    let at = |rest: &str| format!("{location}{rest}");
    service.get(&at("/propagation")).problem(404, "not_found");
    service.post(&at("/propagation"), &json!({})).is(202);
    assert_eq!(
        service.over(&location)["error"]["code"],
        "bad_prompt",
        "nothing to track"
    );

    let frame = service
        .post(
            &at("/prompts"),
            &json!({"frame": 1, "object": 3, "box": [8, 8, 40, 40]}),
        )
        .is(200);
    assert_eq!(
        (&frame["masks"][0]["object"], &frame["masks"][0]["prompted"]),
        (&json!(3), &json!(true))
    );
    let bits = (0..64 * 48).map(|i| u8::from(i % 64 < 20)).collect();
    let mask = Mask::from_bytes(64, 48, bits).unwrap();
    let counts = mask.to_rle().counts_string();
    let prompt = json!({"frame": 0, "object": 4, "mask": {"size": [48, 64], "counts": counts}});
    let frame = service.post(&at("/prompts"), &prompt).is(200);
    // The mask goes through the network's own resolution and back.
    let given = frame["masks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|m| m["object"] == 4)
        .unwrap();
    assert!(rle(given).iou(&mask.to_rle()).unwrap() > 0.9);

    service
        .post(&at("/propagation"), &json!({"direction": "both"}))
        .is(202);
    let events = service.get(&at("/propagation/events?masks=true"));
    assert_eq!(events.header("content-type"), Some("text/event-stream"));
    let events = events.text();
    let names: Vec<&str> = events
        .lines()
        .filter_map(|l| l.strip_prefix("event: "))
        .collect();
    assert_eq!(
        names.iter().filter(|name| **name == "frame").count(),
        6,
        "backward from 0 is nothing: {events}"
    );
    assert_eq!(names.last(), Some(&"done"));
    let data: Vec<Value> = events
        .lines()
        .filter_map(|l| serde_json::from_str(l.strip_prefix("data: ")?).ok())
        .collect();
    assert_eq!(
        (&data[2]["frame"], &data[2]["done"], &data[2]["total"]),
        (&json!(2), &json!(3), &json!(6))
    );
    assert_eq!(data[2]["masks"].as_array().unwrap().len(), 2);

    let png = service.get(&at("/masks/5/3.png"));
    assert_eq!(
        (png.status, png.header("content-type")),
        (200, Some("image/png"))
    );
    let page = service.get(&at("/masks?from=5&object=3")).is(200);
    assert_eq!(page["masks"].as_array().unwrap().len(), 1);
    let decoded = Mask::from_png(&png.body, &Default::default()).unwrap();
    assert_eq!(decoded, rle(&page["masks"][0]).to_mask());
    assert_eq!(service.get(&at("/masks?frames=2")).is(200)["next"], 2);

    service.delete(&at("/objects/4/prompts/0")).is(200);
    service.delete(&at("/objects/3")).is(204);
    service.delete(&at("/objects/3")).problem(404, "not_found");
    service.get(&at("/masks/5/3.png")).problem(404, "not_found");
    assert_eq!(
        service.get(&location).is(200)["objects"],
        json!([{"object": 4, "prompted_frames": []}])
    );
    service.post(&at("/reset"), &json!({})).is(204);
    assert_eq!(service.get(&at("/masks")).is(200)["masks"], json!([]));
    service.delete(&location).is(204);
    service.get(&location).problem(404, "not_found");
    assert_eq!(
        service.temporary(),
        Vec::<String>::new(),
        "the upload went with the session"
    );
}

#[test]
fn two_clients_at_once_get_what_each_gets_alone() {
    let service = Service::start(&[]);
    service::clip(&service.media("long"), 240);
    let prompt = json!({"frame": 0, "object": 1, "points": [[52, 54]], "labels": [1]});
    let masks = |session: &str| {
        service.post(&format!("{session}/prompts"), &prompt).is(200);
        service
            .post(&format!("{session}/propagation"), &json!({}))
            .is(202);
        assert_eq!(service.over(session)["state"], "done");
        service.get(&format!("{session}/masks")).is(200)["masks"].clone()
    };
    let alone = masks(&service.open("clip"));
    let (long, short) = (service.open("long"), service.open("clip"));
    service.post(&format!("{long}/prompts"), &prompt).is(200);
    service
        .post(&format!("{long}/propagation"), &json!({}))
        .is(202);
    service
        .post(&format!("{long}/propagation"), &json!({}))
        .problem(409, "conflict");
    let beside = masks(&short);
    let other = service.get(&format!("{long}/propagation")).is(200);
    assert_eq!(
        other["state"], "running",
        "twelve frames did not wait for 240: {other}"
    );
    assert!(common::same(&alone, &beside));
    // Cancelled, it keeps what it has and can go on.
    let cancelled = service.delete(&format!("{long}/propagation")).is(200);
    let done = cancelled["done"].as_u64().unwrap();
    assert!(
        cancelled["state"] == "cancelled" && done > 0 && done < 240,
        "{cancelled}"
    );
    let kept = service.get(&format!("{long}/masks/{}/1.png", done - 1));
    assert_eq!(kept.status, 200);
    let rest = json!({"start_frame": done, "max_frames": 2});
    service.post(&format!("{long}/propagation"), &rest).is(202);
    assert_eq!(service.over(&long)["done"], 3);
}

#[test]
fn a_broken_frame_ends_a_propagation_and_keeps_what_came_before() {
    let service = Service::start(&[]);
    std::fs::write(service.media("clip/00003.png"), b"\x89PNG\r\n\x1a\nno").unwrap();
    let session = service.open("clip");
    let prompt = json!({"frame": 0, "object": 1, "points": [[52, 54]], "labels": [1]});
    service.post(&format!("{session}/prompts"), &prompt).is(200);
    service
        .post(&format!("{session}/propagation"), &json!({}))
        .is(202);
    let failed = service.over(&session);
    assert_eq!(
        (&failed["state"], &failed["done"]),
        (&json!("failed"), &json!(3))
    );
    assert_eq!(failed["error"]["code"], "unsupported_video");
    assert!(
        failed["error"]["detail"]
            .as_str()
            .unwrap()
            .contains("frame 3"),
        "{failed}"
    );
    assert_eq!(service.get(&format!("{session}/masks/2/1.png")).status, 200);
    let id = session.rsplit('/').next().unwrap();
    let old = service.post("/propagate", &json!({"session_id": id}));
    assert!(old.problem(422, "unsupported_video").contains("frame 3"));
}

#[test]
fn a_correction_stands_when_it_is_propagated_from_its_own_frame() {
    let service = Service::start(&[]);
    let session = service.open("clip");
    let prompt = |body: Value| service.post(&format!("{session}/prompts"), &body).is(200);
    let propagate = |body: Value| {
        service
            .post(&format!("{session}/propagation"), &body)
            .is(202);
        assert_eq!(service.over(&session)["state"], "done");
        let page = service.get(&format!("{session}/masks")).is(200);
        let masks = page["masks"].as_array().unwrap().iter();
        masks.map(rle).collect::<Vec<Rle>>()
    };
    prompt(json!({"frame": 0, "object": 1, "points": [[52, 54]], "labels": [1]}));
    let before = propagate(json!({}));
    let answer = prompt(json!({"frame": 5, "object": 1, "box": [110, 60, 190, 130]}));
    let answer = rle(&answer["masks"][0]);
    assert_ne!(answer, before[5], "this tests nothing");
    let after = propagate(json!({"start_frame": 5}));
    assert_eq!(after[5], answer);
    assert_eq!(after[..5], before[..5]);
    assert_ne!(after[6], before[6]);
}

/// The first error of a decoder is its end, and not that of the clip.
#[cfg(unix)]
#[test]
fn a_broken_frame_stays_broken() {
    let programs = tempfile::tempdir().unwrap();
    let path = common::fake_ffmpeg(programs.path(), Some(9), 4, true);
    let service = Service::start_with(&[], &[("PATH", path.as_str())]);
    std::fs::write(service.media("clip.mp4"), b"\0\0\0\x20ftypisom").unwrap();
    let opened = service.post("/initialize", &json!({"video_path": "clip.mp4"}));
    let opened = opened.is(200);
    let id = opened["session_id"].as_str().unwrap();
    assert_eq!(opened["num_frames"], 9);
    let click = json!({"session_id": id, "frame_idx": 0, "object_id": 1, "points": [[52, 54]], "labels": [1]});
    service.post("/add-object", &click).is(200);
    for _ in 0..2 {
        let answer = service.post("/propagate", &json!({"session_id": id}));
        let detail = answer.problem(422, "unsupported_video");
        assert!(detail.contains("frame 4"), "{detail}");
    }
    let session = service.get(&format!("/api/v1/sessions/{id}")).is(200);
    assert_eq!(session["frames"], 9);
    let kept = service.get(&format!("/api/v1/sessions/{id}/masks/3/1.png"));
    assert_eq!(kept.status, 200);
}

#[test]
fn a_refused_mask_is_told_as_such_in_the_old_form_too() {
    // Reads of the prompt and of frames 1 to 3 are left alone.
    let plan = "kind=swapped halves,skip=4";
    let service = Service::start_with(&[], &[("FAULT_INJECTION", plan)]);
    let opened = service.post("/initialize", &json!({"video_path": "clip"}));
    let opened = opened.is(200);
    let id = opened["session_id"].as_str().unwrap();
    let click = json!({"session_id": id, "frame_idx": 0, "object_id": 1, "points": [[52, 54]], "labels": [1]});
    service.post("/add-object", &click).is(200);
    let answer = service.post("/propagate", &json!({"session_id": id}));
    let detail = answer.problem(500, "mask_fault");
    assert!(detail.contains("frame 4"), "{detail}");
}

#[cfg(unix)]
#[test]
fn it_ends_on_a_signal_with_a_propagation_under_way() {
    let mut service = Service::start(&[]);
    service::clip(&service.media("long"), 240);
    let session = service.open("long");
    let prompt = json!({"frame": 0, "object": 1, "points": [[52, 54]], "labels": [1]});
    service.post(&format!("{session}/prompts"), &prompt).is(200);
    service
        .post(&format!("{session}/propagation"), &json!({}))
        .is(202);
    let listening = std::thread::scope(|scope| {
        let events = scope.spawn(|| service.get(&format!("{session}/propagation/events")).text());
        std::thread::sleep(Duration::from_millis(300));
        service.signal("TERM");
        events.join().unwrap()
    });
    assert!(listening.contains("event: cancelled"), "{listening}");
    assert_eq!(service.wait(), 0);
}

/// A Y4M clip of 64 x 48 with a bright square that moves, one frame per grey of the background.
fn y4m(greys: &[u8]) -> Vec<u8> {
    let mut bytes = b"YUV4MPEG2 W64 H48 F10:1 Ip C420jpeg\n".to_vec();
    for (frame, grey) in greys.iter().enumerate() {
        bytes.extend(b"FRAME\n");
        let square =
            |x: usize, y: usize| (10 + frame..30 + frame).contains(&x) && (10..30).contains(&y);
        let luma = (0..48 * 64).map(|i| if square(i % 64, i / 64) { 230 } else { *grey });
        bytes.extend(luma);
        bytes.extend([128; 2 * 32 * 24]);
    }
    bytes
}
