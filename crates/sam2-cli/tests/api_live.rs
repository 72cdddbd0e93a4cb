//! `sam2 serve --api`: live sessions, whose frames are pushed one by one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests fail by panicking

mod common;
mod service;

use sam2::image::{Mask, RgbImage};
use sam2::video::{FrameMasks, VideoOptions, VideoPredictor, VideoPrompt};
use sam2::{Checkpoint, FileSource, Model, ModelConfig, ModelOptions, Runtime, block_on};
use serde_json::{Value, json};
use service::{Service, picture};
use std::sync::Arc;

const CLICK: [f32; 2] = [52.0, 54.0];

fn click(frame: usize, object: u32) -> Value {
    json!({"frame": frame, "object": object, "points": [CLICK], "labels": [1]})
}

/// The engine's own live video, with the service's model.
fn engine() -> VideoPredictor {
    let config = std::fs::read_to_string(common::path("micro.yaml")).unwrap();
    let options = ModelOptions {
        config: Some(ModelConfig::from_yaml(&config).unwrap()),
        ..ModelOptions::default()
    };
    let file = FileSource::open(common::path("weights/seed4.safetensors")).unwrap();
    let checkpoint = Checkpoint::open(Arc::new(file)).unwrap();
    let cpu = Runtime::cpu("a test");
    let model = block_on(Model::load(checkpoint, options, cpu, &|_, _, _| {})).unwrap();
    let first = decoded(0);
    let size = sam2::image::ImageSize {
        width: first.width(),
        height: first.height(),
    };
    let options = VideoOptions {
        add_all_frames_to_correct_as_cond: true,
        ..VideoOptions::default()
    };
    VideoPredictor::live(Arc::new(model), size, options).unwrap()
}

fn decoded(frame: usize) -> RgbImage {
    sam2::image::decode(&picture(frame), &Default::default()).unwrap()
}

/// The service's `masks` are what the engine gives, but for the last digits.
#[track_caller]
fn same(answer: &Value, expected: &FrameMasks) {
    assert_eq!(answer["frame"], expected.frame);
    let masks = expected.objects.iter().map(|object| {
        let rle = object.mask.to_rle();
        json!({
            "iou": object.iou,
            "segmentation": {"size": rle.size(), "counts": rle.counts_string()},
        })
    });
    let masks = Value::Array(masks.collect());
    assert!(common::same(&answer["masks"], &masks), "{answer}");
    let answers = answer["masks"].as_array().unwrap();
    for (mask, object) in answers.iter().zip(&expected.objects) {
        assert_eq!(mask["object"], object.id);
        assert_eq!(mask["visible"], object.visible());
        assert_eq!(mask["prompted"], object.prompted);
        assert_eq!(mask["area"], object.mask.area());
    }
}

#[test]
fn pushed_frames_get_the_masks_that_the_engine_gives() {
    let service = Service::start(&[]);
    let mut engine = engine();
    let session = service.open_live();
    let view = service.get(&session).is(200);
    assert_eq!(view["live"], true);
    assert_eq!((&view["frames"], &view["width"]), (&json!(0), &Value::Null));
    let prompts = format!("{session}/prompts");
    for frame in 0..24 {
        let pushed = service.push(&session, frame).is(200);
        let expected = block_on(engine.push_frame(decoded(frame))).unwrap();
        same(&pushed, &expected);
        // A click on the first frame, a box on one that is three back, a mask as a correction.
        let (answer, expected) = match frame {
            0 => {
                let prompt = VideoPrompt::click(CLICK[0], CLICK[1]);
                let expected = engine.add_new_points_or_box(0, 1, &prompt);
                (click(0, 1), block_on(expected))
            }
            6 => {
                let prompt = VideoPrompt::boxed(110.0, 60.0, 190.0, 130.0);
                let expected = engine.add_new_points_or_box(3, 7, &prompt);
                let body = json!({"frame": 3, "object": 7, "box": [110, 60, 190, 130]});
                (body, block_on(expected))
            }
            12 => {
                let bits = (0..240 * 176).map(|i| u8::from(i % 240 < 80)).collect();
                let mask = Mask::from_bytes(240, 176, bits).unwrap();
                let rle = mask.to_rle();
                let rle = json!({"size": rle.size(), "counts": rle.counts_string()});
                let body = json!({"frame": 12, "object": 1, "mask": rle});
                (body, block_on(engine.add_new_mask(12, 1, &mask)))
            }
            _ => continue,
        };
        let mut expected = expected.unwrap();
        // The service leaves out objects that were never looked for on the frame.
        expected.objects.retain(|object| object.score.is_some());
        same(&service.post(&prompts, &answer).is(200), &expected);
    }
    let view = service.get(&session).is(200);
    assert_eq!(
        (&view["frames"], &view["width"], &view["height"]),
        (&json!(24), &json!(240), &json!(176))
    );
    assert_eq!(
        view["objects"],
        json!([{"object": 1, "prompted_frames": [0, 12]}, {"object": 7, "prompted_frames": [3]}])
    );
}

#[test]
fn masks_of_the_frames_that_are_held_can_be_read_again() {
    let service = Service::start(&[]);
    let session = service.open_live();
    let mut answers = Vec::new();
    for frame in 0..20 {
        answers.push(service.push(&session, frame).is(200));
        if frame == 0 {
            service
                .post(&format!("{session}/prompts"), &click(0, 1))
                .is(200);
        }
    }
    let page = service.get(&format!("{session}/masks")).is(200);
    let masks = page["masks"].as_array().unwrap();
    assert_eq!((masks.len(), &page["next"]), (16, &Value::Null));
    for (mask, answer) in masks.iter().zip(&answers[4..]) {
        assert_eq!(*mask, answer["masks"][0]);
    }
    let png = service.get(&format!("{session}/masks/19/1.png"));
    let png = Mask::from_png(&png.body, &Default::default()).unwrap();
    assert_eq!(
        png.area(),
        answers[19]["masks"][0]["area"].as_u64().unwrap() as usize
    );
    service
        .get(&format!("{session}/masks/3/1.png"))
        .problem(404, "not_found");
    // The old form prompts it too.
    let id = session.rsplit('/').next().unwrap();
    let old = json!({"session_id": id, "frame_idx": 19, "object_id": 2, "points": [CLICK], "labels": [1]});
    service.post("/add-object", &old).is(200);
    service
        .post("/propagate", &json!({"session_id": id}))
        .problem(409, "conflict");
    // What was tracked with a prompt goes with it, and an object with all its masks.
    service
        .delete(&format!("{session}/objects/2/prompts/19"))
        .is(200);
    service
        .get(&format!("{session}/masks/19/2.png"))
        .problem(404, "not_found");
    service
        .delete(&format!("{session}/objects/1/prompts/0"))
        .is(200);
    assert_eq!(
        service.get(&format!("{session}/masks")).is(200)["masks"],
        json!([])
    );
    // Objects without a prompt: the frame is refused, and the next one has its number.
    let refused = service.push(&session, 20).problem(422, "bad_prompt");
    assert!(refused.contains("object 1 has no prompt"), "{refused}");
    service
        .post(&format!("{session}/reset"), &json!({}))
        .is(204);
    let pushed = service.push(&session, 20).is(200);
    assert_eq!(pushed, json!({"frame": 20, "masks": []}));
}

#[test]
fn what_is_held_does_not_grow() {
    let service = Service::start(&[]);
    let session = service.open_live();
    let mut held = None;
    for frame in 0..160 {
        let pushed = service.push(&session, frame).is(200);
        assert_eq!(pushed["frame"], frame);
        if frame < 2 {
            let object = frame as u32 + 1;
            service
                .post(&format!("{session}/prompts"), &click(frame, object))
                .is(200);
        }
        if frame < 40 {
            continue;
        }
        let view = service.get(&session).is(200);
        assert_eq!(view["oldest_frame"], frame - 15);
        let bytes = view["memory_bytes"].as_u64().unwrap();
        assert!(
            bytes > 16 * 240 * 176 * 3,
            "pictures alone take more: {bytes}"
        );
        assert_eq!(*held.get_or_insert(bytes), bytes, "frame {frame}");
        if frame % 40 == 0 {
            let page = service.get(&format!("{session}/masks")).is(200);
            assert_eq!(page["masks"].as_array().unwrap().len(), 32);
        }
    }
}
