//! `sam2 track` as people run it: the official code's answers, files, JSON and signals.

#![allow(clippy::unwrap_used)] // helpers of tests, which fail by panicking

mod common;

use common::{Gpu, Run, files, micro, micro_run, path};
use sam2_tests::compare::{Bounds, compare};
use std::fs;
use tempfile::tempdir;

/// cases.json, `bounds.video`.
const BOUNDS: Bounds = Bounds {
    embedding: 1e-4,
    logits: 2e-3,
    iou: 1e-3,
    mask: 0.999,
};

#[test]
fn the_arrays_are_those_of_the_official_code_both_ways() {
    let folder = tempdir().unwrap();
    for (prompts, reference, more) in [
        ("tracks.json", "seed4_tracks", &[][..]),
        (
            "tracks_late.json",
            "seed4_tracks_late_both",
            &["--both-ways"],
        ),
    ] {
        let (frames, prompts) = (path("frames"), path(prompts));
        let npz = format!("{reference}.npz");
        let mut args = vec![
            frames.as_str(),
            "--prompts",
            &prompts,
            "--npz",
            &npz,
            "--out",
            reference,
        ];
        args.extend(more);
        micro_run(folder.path(), "track", &args).ok();
        let reference = micro().join(format!("video/{npz}"));
        let report = compare(&reference, &folder.path().join(&npz), &BOUNDS).unwrap();
        println!("{npz}: {}", report.worst);
        assert!(report.failures.is_empty(), "{}", report.failures.join("\n"));
    }
    let names = files(&folder.path().join("seed4_tracks"));
    assert_eq!(names.len(), 3 * 12, "{names:?}");
    assert!(names.contains(&"7/00011.png".to_owned()));
}

#[test]
fn the_gpu_tracks_as_the_official_code() {
    let folder = tempdir().unwrap();
    let Some(gpu) = Gpu::find(folder.path()) else {
        return;
    };
    // All twelve frames: the clip's length is part of what the network is told.
    let [frames, prompts, weights, config] = [
        "frames",
        "tracks.json",
        "weights/seed4.safetensors",
        "micro.yaml",
    ]
    .map(path);
    let args = [
        "track",
        &frames,
        "--prompts",
        &prompts,
        "--model",
        &weights,
        "--config",
        &config,
        "--device",
        "gpu",
        "--npz",
        "x.npz",
        "-q",
    ];
    Run::of(gpu.choose(&mut common::sam2(folder.path(), &args))).ok();
    let reference = micro().join("video/seed4_tracks.npz");
    let report = compare(&reference, &folder.path().join("x.npz"), &BOUNDS).unwrap();
    println!("seed4_tracks on gpu: {}", report.worst);
    assert!(report.failures.is_empty(), "{}", report.failures.join("\n"));
}

#[test]
fn lines_come_while_it_runs_and_overlays_at_the_end() {
    let folder = tempdir().unwrap();
    let frames = path("frames");
    let args = [
        frames.as_str(),
        "--point",
        "52,54",
        "--object",
        "4",
        "--max-frames",
        "5",
    ];
    let out = ["--json", "--overlay", "--out", "o"];
    let run = micro_run(folder.path(), "track", &[&args[..], &out].concat()).ok();
    let lines = run.json();
    let numbers: Vec<_> = lines.iter().map(|l| l["frame"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4]);
    let object = &lines[2]["objects"][0];
    assert_eq!(object["object"], 4);
    assert_eq!(
        object["segmentation"]["size"],
        serde_json::json!([176, 240])
    );
    let names = files(&folder.path().join("o"));
    assert_eq!(
        names.iter().filter(|n| n.starts_with("overlay/")).count(),
        5
    );
    assert_eq!(names.iter().filter(|n| n.starts_with("4/")).count(), 5);
}

#[test]
fn wrong_prompts_and_broken_frames_are_named() {
    let folder = tempdir().unwrap();
    let frames = path("frames");
    for (args, status, what) in [
        (&["--point", "52,54"][..], 2, "nowhere to put"),
        (&["--json"], 2, "nothing is pointed at"),
        (&["--json", "--point", "52,54", "--frame", "12"], 2, "12"),
        (&["--json", "--point", "240,54"], 2, "outside"),
    ] {
        let run = micro_run(
            folder.path(),
            "track",
            &[&[frames.as_str()][..], args].concat(),
        );
        run.fails(status, what);
    }
    let clip = folder.path().join("clip");
    fs::create_dir(&clip).unwrap();
    for frame in 0..5 {
        let name = format!("{frame:05}.png");
        fs::copy(micro().join("frames").join(&name), clip.join(&name)).unwrap();
    }
    fs::write(clip.join("00003.png"), b"\x89PNG\r\n\x1a\nno").unwrap();
    let run = micro_run(
        folder.path(),
        "track",
        &["clip", "--point", "52,54", "--out", "o"],
    );
    run.fails(1, "frame 3");
    let names = files(&folder.path().join("o"));
    assert_eq!(
        names,
        ["1/00000.png", "1/00001.png", "1/00002.png", "resume.sam2"],
        "what came before is kept"
    );
}

#[cfg(unix)]
#[test]
fn a_signal_ends_it_with_what_was_done() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;
    let folder = tempdir().unwrap();
    let (weights, config, frames) = (
        path("weights/seed4.safetensors"),
        path("micro.yaml"),
        path("frames"),
    );
    let args = [
        "track", &frames, "--model", &weights, "--config", &config, "--device", "cpu",
    ];
    let mut command = common::sam2(folder.path(), &args);
    command.args([
        "--point", "52,54", "--json", "--out", "o", "--npz", "x.npz", "-q",
    ]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    common::signal(&child, "INT");
    let rest = lines.count();
    let status = child.wait().unwrap();
    // Either it was stopped, or the clip was through before the signal came.
    let done = rest + 1;
    assert_eq!(
        status.code(),
        Some(if done == 12 { 0 } else { 1 }),
        "{done} frames"
    );
    assert_eq!(files(&folder.path().join("o/1")).len(), done);
    assert!(folder.path().join("x.npz").is_file());
}

#[test]
fn overlays_become_a_video() {
    let folder = tempdir().unwrap();
    let frames = path("frames");
    let track = |name: &str| {
        let args = [
            &frames,
            "--point",
            "52,54",
            "--max-frames",
            "5",
            "--out",
            "o",
            "--force",
        ];
        let args = [&args[..], &["--overlay-video", name]].concat();
        micro_run(folder.path(), "track", &args)
    };
    track("seen.avi").fails(2, ".mp4");
    let ffmpeg = std::process::Command::new("ffmpeg")
        .arg("-version")
        .output();
    if ffmpeg.is_err() {
        track("seen.mp4").fails(2, "ffmpeg program");
        return;
    }
    for name in ["seen.mp4", "seen.gif"] {
        track(name).ok();
        let path = folder.path().join(name);
        let video = sam2::video::open_video(&path, Default::default()).unwrap();
        assert_eq!(video.source.len(), 5, "{name}");
        let size = video.source.size();
        assert_eq!((size.width, size.height), (240, 176));
    }
    assert_eq!(
        files(folder.path())
            .iter()
            .filter(|n| n.contains(".part"))
            .count(),
        0
    );
}
