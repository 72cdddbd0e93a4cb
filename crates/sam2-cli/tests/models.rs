//! `sam2 convert`, `models`, `devices`, `bench` and `eval` as people run them.

#![allow(clippy::unwrap_used)] // helpers of tests, which fail by panicking

mod common;

use common::{Run, files, micro, micro_run, path, sam2, same};
use std::fs;
use std::path::Path;
use tempfile::tempdir;

fn convert(folder: &Path, args: &[&str]) -> Run {
    Run::of(sam2(folder, &["convert", "-q"]).args(args))
}

#[test]
fn a_converted_model_is_whole_and_answers_the_same() {
    let folder = tempdir().unwrap();
    let (weights, config) = (path("weights/seed4.safetensors"), path("micro.yaml"));
    let own = [
        "--config",
        &config,
        "--name",
        "micro",
        "--licence",
        "MIT",
        "--precision",
    ];
    convert(
        folder.path(),
        &[&[&weights, "m32.safetensors"], &own[..], &["f32"]].concat(),
    )
    .ok();
    convert(
        folder.path(),
        &[&[&weights, "m16.safetensors"], &own[..], &["f16"]].concat(),
    )
    .ok();
    let size = |name: &str| fs::metadata(folder.path().join(name)).unwrap().len();
    assert!(size("m16.safetensors") * 19 < size("m32.safetensors") * 10);

    let info = Run::of(&mut sam2(
        folder.path(),
        &["models", "info", "m16.safetensors", "--json"],
    ));
    let info = &info.ok().json()[0];
    assert_eq!(
        (&info["name"], &info["licence"]),
        (&"micro".into(), &"MIT".into())
    );
    assert_eq!(
        (&info["parameters"], &info["image_size"]),
        (&958_442.into(), &128.into())
    );
    assert_eq!(info["probe_answers"], true);
    for name in ["m16.safetensors", "m32.safetensors"] {
        let run = Run::of(&mut sam2(
            folder.path(),
            &["models", "verify", name, "--device", "cpu", "-q"],
        ));
        let run = run.ok();
        assert!(
            run.stdout.contains("as recorded") && run.stdout.contains("reproduced"),
            "{}",
            run.stdout
        );
    }

    // The seed's weights fit into 16 bits: the same masks come out of all three.
    let wide = path("images/wide.png");
    let mut masks = Vec::new();
    for model in [weights.as_str(), "m32.safetensors", "m16.safetensors"] {
        let args = [
            "segment", &wide, "--model", model, "--config", &config, "--point", "82,68",
        ];
        let run =
            Run::of(sam2(folder.path(), &args).args(["--json", "--device", "cpu", "-q"])).ok();
        masks.push(run.json()[0]["masks"].clone());
    }
    assert!(
        same(&masks[0], &masks[1]) && same(&masks[0], &masks[2]),
        "{masks:?}"
    );

    // And back: the official layout needs its configuration beside it again.
    convert(
        folder.path(),
        &[
            "m32.safetensors",
            "plain.safetensors",
            "--to-official",
            "--precision",
            "f32",
        ],
    )
    .ok();
    let args = [
        "segment",
        &wide,
        "--model",
        "plain.safetensors",
        "--point",
        "82,68",
        "--json",
    ];
    Run::of(sam2(folder.path(), &args).args(["--device", "cpu", "-q"])).fails(1, "--config");
    let run =
        Run::of(sam2(folder.path(), &args).args(["--device", "cpu", "-q", "--config", &config]));
    assert!(same(&run.ok().json()[0]["masks"], &masks[0]));

    convert(folder.path(), &["m32.safetensors", "m16.safetensors"]).fails(2, "--force");
    let names = ["m16.safetensors", "m32.safetensors", "plain.safetensors"];
    assert_eq!(files(folder.path()), names, "no temporary file is left");
}

#[test]
fn a_flipped_bit_is_found() {
    let folder = tempdir().unwrap();
    let (weights, config) = (path("weights/seed4.safetensors"), path("micro.yaml"));
    convert(
        folder.path(),
        &[&weights, "m.safetensors", "--config", &config],
    )
    .ok();
    let file = folder.path().join("m.safetensors");
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    let args = ["models", "verify", "m.safetensors", "--device", "cpu", "-q"];
    Run::of(&mut sam2(folder.path(), &args)).fails(1, "checksum");
}

#[test]
fn a_model_of_another_kind_is_refused_with_counts_and_all_of_it_with_v() {
    let folder = tempdir().unwrap();
    let (weights, wide) = (path("weights/seed4.safetensors"), path("images/wide.png"));
    let nano = Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default())
        .join("../../models/nano/sam2-nano.yaml");
    let nano = nano.display().to_string();
    let args = [
        "segment", &wide, "--model", &weights, "--config", &nano, "--point", "9,9", "--json",
    ];
    let run = Run::of(sam2(folder.path(), &args).args(["--device", "cpu", "-q"]));
    let run = run.fails(1, "wrongly shaped");
    assert!(run.errors()[0].contains("seed4.safetensors") && run.errors()[0].len() < 1000);
    let long = Run::of(sam2(folder.path(), &args).args(["--device", "cpu", "-v"]));
    assert!(long.stderr.len() > 2 * run.stderr.len());
}

#[test]
fn the_list_and_the_devices_are_json_too() {
    let folder = tempdir().unwrap();
    let list = Run::of(&mut sam2(folder.path(), &["models", "list", "--json"])).ok();
    let list = list.json();
    assert_eq!(
        (&list[0]["name"], &list[0]["state"]),
        (&"nano".into(), &"built-in".into())
    );
    assert!(
        list.iter()
            .any(|m| m["name"] == "tiny" && m["state"] == "fetch")
    );

    let args = ["devices", "--device", "cpu", "--threads", "1", "--json"];
    let run = Run::of(&mut sam2(folder.path(), &args)).ok();
    let report = &run.json()[0];
    assert_eq!(report["cpu"]["threads"], 1);
    assert!(report["gpu"]["adapter"].is_null() && report["auto"].is_null());
}

#[test]
fn the_bench_has_the_agreed_keys() {
    let folder = tempdir().unwrap();
    let run = micro_run(
        folder.path(),
        "bench",
        &["--runs", "2", "--json", "--threads", "1"],
    )
    .ok();
    let json = run.json()[0].clone();
    let mut keys: Vec<&String> = json.as_object().unwrap().keys().collect();
    keys.sort();
    let expected = [
        "decode_ms",
        "device",
        "encode_ms",
        "load_ms",
        "model",
        "peak_rss_mb",
        "threads",
    ];
    assert_eq!(keys, expected);
    assert_eq!(
        (&json["threads"], &json["device"]),
        (&1.into(), &"cpu".into())
    );
    for key in ["load_ms", "encode_ms", "decode_ms", "peak_rss_mb"] {
        assert!(json[key].as_f64().unwrap() > 0.0, "{key}");
    }
    let run = micro_run(folder.path(), "bench", &["--runs", "1"]).ok();
    assert!(run.stdout.contains("GFLOP/s"), "{}", run.stdout);
    let run = micro_run(folder.path(), "bench", &["--runs", "1", "--checks"]).ok();
    assert!(run.stdout.contains("for the mask check"), "{}", run.stdout);
}

#[test]
fn the_video_bench_encodes_each_frame_once_whatever_the_objects() {
    let folder = tempdir().unwrap();
    let frames = micro().join("frames").display().to_string();
    let args = [
        "--video",
        "--clip",
        &frames,
        "--frames",
        "4",
        "--objects",
        "3,1",
        "--json",
    ];
    let run = micro_run(folder.path(), "bench", &args).ok();
    let runs = run.json()[0]["runs"].as_array().unwrap().clone();
    assert_eq!(runs.len(), 2);
    for (run, objects) in runs.iter().zip([3, 1]) {
        assert_eq!(
            (&run["objects"], &run["encodes"]),
            (&objects.into(), &4.into())
        );
        for key in [
            "prompt_ms",
            "frame_ms",
            "encode_ms",
            "memory_attention_ms",
            "decode_ms",
        ] {
            assert!(run[key].as_f64().unwrap() > 0.0, "{key}");
        }
    }
    // The second pass finds every frame's features.
    assert_eq!(runs[1]["second_pass_encodes"], 0);
    assert!(runs[0].get("second_pass_ms").is_none());
}

#[test]
fn eval_measures_pictures_and_clips_by_source() {
    let folder = tempdir().unwrap();
    let clip = folder.path().join("clip");
    fs::create_dir(&clip).unwrap();
    let disc = micro().join("sessions/disc.png");
    // Pictures are read by content, so that a PNG may be called .jpg.
    for frame in 0..3 {
        let from = micro().join(format!("frames/{frame:05}.png"));
        fs::copy(from, clip.join(format!("{frame:05}.jpg"))).unwrap();
        fs::copy(&disc, clip.join(format!("{frame:05}.png"))).unwrap();
    }
    let manifest = r#"{"images": [
        {"image": "clip/00000.jpg", "mask": "clip/00000.png", "single_object": true},
        {"image": "clip/00001.jpg", "mask": "clip/00001.png", "single_object": true}],
        "videos": [{"dir": "clip", "frames": 3}]}"#;
    fs::write(folder.path().join("manifest.json"), manifest).unwrap();
    let run = micro_run(
        folder.path(),
        "eval",
        &["--data", ".", "--json", "--rows", "rows"],
    )
    .ok();
    let json = &run.json()[0];
    let overall = json["overall"].as_object().unwrap();
    for key in ["click1", "click3", "click5", "box", "video_j"] {
        assert!(
            (0.0..=1.0).contains(&overall[key].as_f64().unwrap()),
            "{key}"
        );
    }
    assert_eq!(overall["n"], 2);
    assert_eq!(json["by_source"]["00000"]["n"], 1);
    assert_eq!(
        fs::read_to_string(folder.path().join("rows"))
            .unwrap()
            .lines()
            .count(),
        2
    );
    fs::remove_file(clip.join("00001.png")).unwrap();
    micro_run(folder.path(), "eval", &["--data", "."]).fails(1, "00001.png");
    // Pictures are read as `segment` reads them: a disk image, of no size on the disk, is not.
    for (name, only) in [("00000.png", "--json"), ("00000.jpg", "--no-video")] {
        let huge = fs::File::create(clip.join(name)).unwrap();
        huge.set_len(2 << 30).unwrap();
        let run = micro_run(folder.path(), "eval", &["--data", ".", only]);
        run.fails(
            1,
            &format!("{name}: the file has 2147483648 bytes, more than"),
        );
        fs::copy(&disc, clip.join("00000.png")).unwrap();
    }
}

#[test]
fn the_official_pictures_are_read_as_segment_reads_them() {
    let folder = tempdir().unwrap();
    let huge = fs::File::create(folder.path().join("truck.jpg")).unwrap();
    huge.set_len(2 << 30).unwrap();
    let (weights, config) = (path("weights/seed4.safetensors"), path("micro.yaml"));
    let args = ["models", "verify", &weights, "--config", &config];
    let args = [&args[..], &["--official-inputs", ".", "--device", "cpu"]].concat();
    let run = Run::of(&mut sam2(folder.path(), &args));
    run.fails(1, "truck.jpg: the file has 2147483648 bytes, more than");
}
