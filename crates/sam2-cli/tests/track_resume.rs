//! `sam2 track --resume`: runs that were stopped, killed or broken off go on, and what cannot is refused.

#![cfg(unix)]
#![allow(clippy::unwrap_used)] // helpers of tests, which fail by panicking

mod common;

use common::{Run, fake_ffmpeg, files, micro, micro_run, path, sam2, script, signal};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::tempdir;

/// `folder/clip` with so many frames, those of the fixtures over and over.
fn clip(folder: &Path, frames: usize) {
    let clip = folder.join("clip");
    fs::create_dir_all(&clip).unwrap();
    for frame in 0..frames {
        let from = micro().join(format!("frames/{:05}.png", frame % 12));
        fs::copy(from, clip.join(format!("{frame:05}.png"))).unwrap();
    }
}

/// The same with a frame that cannot be read.
fn broken_clip(folder: &Path, frames: usize, broken: usize) {
    clip(folder, frames);
    let path = folder.join(format!("clip/{broken:05}.png"));
    fs::write(path, b"\x89PNG\r\n\x1a\nno").unwrap();
}

/// `sam2 track` with the tiny model, with what it logs.
fn track(folder: &Path, args: &[&str]) -> Command {
    let (weights, config) = (path("weights/seed4.safetensors"), path("micro.yaml"));
    let mut command = sam2(folder, &["track", "--model", &weights, "--config", &config]);
    command.args(["--device", "cpu"]).args(args);
    command
}

fn spawn(command: &mut Command) -> Child {
    let command = command.stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn().unwrap()
}

#[test]
fn a_stopped_run_goes_on_as_if_it_had_not_been_stopped() {
    let folder = tempdir().unwrap();
    clip(folder.path(), 40);
    let args = [
        "clip",
        "--point",
        "52,54",
        "--frame",
        "9",
        "--both-ways",
        "--json",
        "--out",
    ];
    let whole = micro_run(folder.path(), "track", &[&args[..], &["whole"]].concat()).ok();
    let mut child = spawn(&mut track(folder.path(), &[&args[..], &["part"]].concat()));
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut stopped: Vec<String> = lines.by_ref().take(5).map(Result::unwrap).collect();
    signal(&child, "INT");
    stopped.extend(lines.map(Result::unwrap));
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(stopped.len() < 41 && folder.path().join("part/resume.sam2").is_file());

    // Another run's state is refused, and what differs is named.
    for (other, what) in [
        (
            &["clip", "--point", "60,54", "--frame", "9", "--both-ways"][..],
            "prompts",
        ),
        (&["clip", "--point", "52,54", "--frame", "9"], "directions"),
        (
            &[
                "clip",
                "--point",
                "52,54",
                "--frame",
                "9",
                "--both-ways",
                "--max-frames",
                "30",
            ],
            "40 frames",
        ),
    ] {
        let args = [other, &["--out", "part", "--resume"]].concat();
        micro_run(folder.path(), "track", &args).fails(2, what);
    }
    let args = [&args[..], &["part", "--resume"]].concat();
    let rest = micro_run(folder.path(), "track", &args).ok();
    let lines = format!("{}\n{}", stopped.join("\n"), rest.stdout);
    assert_eq!(lines, whole.stdout, "not a pixel and not a digit differs");
    for name in files(&folder.path().join("whole")) {
        let read = |out: &str| fs::read(folder.path().join(out).join(&name)).unwrap();
        assert!(read("whole") == read("part"), "{name}");
    }
    assert!(
        !folder.path().join("part/resume.sam2").exists(),
        "it is done"
    );
    // Without a state it begins at the beginning; a damaged one is named.
    micro_run(
        folder.path(),
        "track",
        &[&args[..], &["--max-frames", "12"]].concat(),
    )
    .ok();
    fs::write(folder.path().join("part/resume.sam2"), b"PK no zip").unwrap();
    micro_run(folder.path(), "track", &args).fails(1, "resume.sam2");
}

#[test]
fn a_repaired_frame_lets_the_run_go_on() {
    let folder = tempdir().unwrap();
    broken_clip(folder.path(), 6, 4);
    let args = [
        "clip", "--point", "52,54", "--out", "o", "--resume", "--json",
    ];
    let run = micro_run(folder.path(), "track", &args).fails(1, "frame 4");
    assert_eq!(run.json().len(), 4);
    clip(folder.path(), 6);
    let run = micro_run(folder.path(), "track", &args).ok();
    assert_eq!(run.json()[0]["frame"], 4);
    assert_eq!(run.json().len(), 2);
}

#[test]
fn a_killed_run_goes_on_from_its_last_state() {
    let folder = tempdir().unwrap();
    clip(folder.path(), 40);
    let args = ["clip", "--point", "52,54", "--json", "--save-every", "0"];
    let with = |more: &[&'static str]| [&args[..], more].concat();
    let whole = micro_run(folder.path(), "track", &with(&["--out", "whole"])).ok();
    let mut child = spawn(&mut track(folder.path(), &with(&["--out", "part"])));
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.by_ref().take(6).filter(Result::is_ok).count(), 6);
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());
    let rest = micro_run(
        folder.path(),
        "track",
        &with(&["--out", "part", "--resume"]),
    )
    .ok();
    let tracked = rest.json().len();
    // The state of the fifth frame at least: the sixth line came after it.
    assert!((1..=35).contains(&tracked), "{tracked} frames");
    assert!(whole.stdout.ends_with(&rest.stdout), "{}", rest.stdout);
    for name in files(&folder.path().join("whole")) {
        let read = |out: &str| fs::read(folder.path().join(out).join(&name)).unwrap();
        assert!(read("whole") == read("part"), "{name}");
    }
}

#[test]
fn a_clip_shorter_than_promised_goes_on_both_ways() {
    let folder = tempdir().unwrap();
    let programs = fake_ffmpeg(folder.path(), Some(15), 13, false);
    fs::write(folder.path().join("clip.mp4"), b"\0\0\0\x20ftypisom").unwrap();
    let args = [
        "clip.mp4",
        "--point",
        "52,54",
        "--frame",
        "11",
        "--both-ways",
        "--json",
        "--save-every",
        "0",
        "--out",
    ];
    let command = |more: &[&'static str]| {
        let mut command = track(folder.path(), &[&args[..], more].concat());
        command.env("PATH", &programs);
        command
    };
    let whole = Run::of(&mut command(&["whole"])).ok();
    let said = whole.stderr.matches("promised 15 frames and 13 came");
    assert_eq!(said.count(), 1, "{}", whole.stderr);
    // Killed in the pass backward, when the end is known.
    let mut child = spawn(&mut command(&["part"]));
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let backward = lines.by_ref().map(Result::unwrap);
    let backward = backward.filter(|line| line.contains("backward"));
    assert_eq!(backward.take(3).count(), 3);
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());
    let rest = Run::of(&mut command(&["part", "--resume"])).ok();
    assert!(rest.json().iter().all(|line| line["pass"] == "backward"));
    assert!(!rest.stdout.is_empty() && whole.stdout.ends_with(&rest.stdout));
    assert!(!rest.stderr.contains("promised"), "{}", rest.stderr);
}

#[test]
fn other_weights_of_the_same_name_are_refused() {
    let folder = tempdir().unwrap();
    broken_clip(folder.path(), 6, 4);
    let config = path("micro.yaml");
    let run = |weights: &str, more: &[&str]| {
        let model = folder.path().join("own.safetensors");
        fs::copy(micro().join("weights").join(weights), model).unwrap();
        let args = [
            "track",
            "clip",
            "--model",
            "own.safetensors",
            "--config",
            &config,
            "--device",
            "cpu",
            "-q",
            "--point",
            "52,54",
            "--out",
            "o",
        ];
        Run::of(&mut sam2(folder.path(), &[&args[..], more].concat()))
    };
    run("seed4.safetensors", &[]).fails(1, "frame 4");
    run("seed41.safetensors", &["--resume"]).fails(2, "other weights");
    run("seed4.safetensors", &["--resume"]).fails(1, "frame 4");
}

#[test]
fn what_goes_wrong_later_does_not_hide_what_went_wrong_first() {
    let folder = tempdir().unwrap();
    broken_clip(folder.path(), 6, 3);
    // Neither the overlays nor the state can be written.
    fs::create_dir_all(folder.path().join("o/resume.sam2")).unwrap();
    fs::write(folder.path().join("o/overlay"), b"no folder").unwrap();
    let args = ["clip", "--point", "52,54", "--overlay", "--out", "o"];
    let run = Run::of(&mut track(folder.path(), &args)).fails(1, "frame 3");
    assert!(run.stderr.contains("resume.sam2") && run.stderr.contains("overlay"));
    assert!(!run.stderr.contains("--resume"), "{}", run.stderr);
    assert_eq!(files(&folder.path().join("o/1")).len(), 3);
}

#[test]
fn arrays_need_a_run_as_a_whole_and_nothing_else_is_advised() {
    let folder = tempdir().unwrap();
    broken_clip(folder.path(), 6, 3);
    let args = ["clip", "--point", "52,54", "--npz", "x.npz", "--out", "o"];
    let run = Run::of(&mut track(folder.path(), &args)).fails(1, "frame 3");
    assert!(!run.stderr.contains("--resume"), "{}", run.stderr);
    assert!(folder.path().join("x.npz").is_file());
    assert!(!folder.path().join("o/resume.sam2").exists());
    let args = [&args[..], &["--resume"]].concat();
    let run = Run::of(&mut track(folder.path(), &args));
    assert_eq!(run.status, 2, "{}", run.stderr);
}

#[test]
fn a_signal_ends_the_overlays_which_go_on_without_tracking() {
    let folder = tempdir().unwrap();
    clip(folder.path(), 8);
    // It takes nothing for two seconds: a frame is larger than a pipe.
    let slow = "[ \"$1\" = -version ] && exit 0\ntouch started\nsleep 2\ncat >/dev/null";
    let programs = script(folder.path(), "ffmpeg", slow);
    let args = [
        "clip",
        "--point",
        "52,54",
        "--json",
        "--out",
        "o",
        "--overlay-video",
        "seen.mp4",
    ];
    let command = |more: &[&str]| {
        let mut command = track(folder.path(), &[&args[..], more].concat());
        command.env("PATH", &programs);
        command
    };
    let mut child = spawn(&mut command(&[]));
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let start = Instant::now();
    while !folder.path().join("started").is_file() {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "no overlay is drawn"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    signal(&child, "INT");
    assert_eq!(child.wait().unwrap().code(), Some(1), "it was stopped");
    assert_eq!(lines.count(), 8, "all is tracked");
    assert!(!folder.path().join("seen.mp4").exists());
    let rest = Run::of(&mut command(&["--resume"])).ok();
    assert_eq!(rest.stdout, "", "nothing is tracked again");
    assert!(rest.stderr.contains("overlays"), "{}", rest.stderr);
    assert!(folder.path().join("seen.mp4").is_file());
    assert!(!folder.path().join("o/resume.sam2").exists());
}
