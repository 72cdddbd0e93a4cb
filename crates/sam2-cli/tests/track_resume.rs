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
use tempfile::{TempDir, tempdir};

/// A folder with `clip` in it, of so many frames, those of the fixtures over and over.
fn with_clip(frames: usize) -> TempDir {
    let folder = tempdir().unwrap();
    write_clip(folder.path(), frames);
    folder
}

/// The same with a frame that cannot be read.
fn with_broken_clip(frames: usize, broken: usize) -> TempDir {
    let folder = with_clip(frames);
    let path = folder.path().join(format!("clip/{broken:05}.png"));
    fs::write(path, b"\x89PNG\r\n\x1a\nno").unwrap();
    folder
}

fn write_clip(folder: &Path, frames: usize) {
    let clip = folder.join("clip");
    fs::create_dir_all(&clip).unwrap();
    for frame in 0..frames {
        let from = micro().join(format!("frames/{:05}.png", frame % 12));
        fs::copy(from, clip.join(format!("{frame:05}.png"))).unwrap();
    }
}

/// The clip and a point of its disc.
const CLICK: &str = "clip --point 52,54";

/// Every file that a whole run wrote is the same where it was run in parts.
#[track_caller]
fn same_files(folder: &TempDir) {
    for name in files(&folder.path().join("whole")) {
        let read = |out: &str| fs::read(folder.path().join(out).join(&name)).unwrap();
        assert!(read("whole") == read("part"), "{name}");
    }
}

/// Runs `sam2 track` with the tiny model, without what it logs; arguments as they are typed.
fn run(folder: &TempDir, args: &str) -> Run {
    let args: Vec<&str> = args.split(' ').collect();
    micro_run(folder.path(), "track", &args)
}

/// The command, which says what it logs.
fn track(folder: &TempDir, args: &str) -> Command {
    track_with(folder, &path("weights/seed4.safetensors"), args)
}

fn track_with(folder: &TempDir, weights: &str, args: &str) -> Command {
    let config = path("micro.yaml");
    let mut command = sam2(folder.path(), &["track", "--model", weights]);
    command.args(["--config", &config, "--device", "cpu"]);
    command.args(args.split(' '));
    command
}

/// Starts a command; what it prints, line by line.
fn start(command: &mut Command) -> (Child, impl Iterator<Item = String> + use<>) {
    let command = command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines.map(Result::unwrap))
}

#[test]
fn a_stopped_run_goes_on_as_if_it_had_not_been_stopped() {
    let folder = with_clip(40);
    let args = format!("{CLICK} --frame 9 --both-ways --json --out");
    let whole = run(&folder, &format!("{args} whole")).ok();
    let (mut child, mut lines) = start(&mut track(&folder, &format!("{args} part")));
    let mut stopped: Vec<String> = lines.by_ref().take(5).collect();
    signal(&child, "INT");
    stopped.extend(lines);
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(stopped.len() < 41 && folder.path().join("part/resume.sam2").is_file());

    // Another run's state is refused, and what differs is named.
    for (other, what) in [
        ("clip --point 60,54 --frame 9 --both-ways", "prompts"),
        ("clip --point 52,54 --frame 9", "directions"),
        (
            "clip --point 52,54 --frame 9 --both-ways --max-frames 30",
            "40 frames",
        ),
    ] {
        run(&folder, &format!("{other} --out part --resume")).fails(2, what);
    }
    let args = format!("{args} part --resume");
    let rest = run(&folder, &args).ok();
    let lines = format!("{}\n{}", stopped.join("\n"), rest.stdout);
    assert_eq!(lines, whole.stdout, "not a pixel and not a digit differs");
    same_files(&folder);
    assert!(
        !folder.path().join("part/resume.sam2").exists(),
        "it is done"
    );
    // Without a state it begins at the beginning; a damaged one is named.
    run(&folder, &format!("{args} --max-frames 12")).ok();
    fs::write(folder.path().join("part/resume.sam2"), b"PK no zip").unwrap();
    run(&folder, &args).fails(1, "resume.sam2");
}

#[test]
fn a_repaired_frame_lets_the_run_go_on() {
    let folder = with_broken_clip(6, 4);
    let args = format!("{CLICK} --out o --resume --json");
    let broken = run(&folder, &args).fails(1, "frame 4");
    assert_eq!(broken.json().len(), 4);
    write_clip(folder.path(), 6);
    let rest = run(&folder, &args).ok();
    assert_eq!(rest.json()[0]["frame"], 4);
    assert_eq!(rest.json().len(), 2);
}

#[test]
fn a_killed_run_goes_on_from_its_last_state() {
    let folder = with_clip(40);
    let args = format!("{CLICK} --json --save-every 0 --out");
    let whole = run(&folder, &format!("{args} whole")).ok();
    let (mut child, mut lines) = start(&mut track(&folder, &format!("{args} part")));
    assert_eq!(lines.by_ref().take(6).count(), 6);
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());
    let rest = run(&folder, &format!("{args} part --resume")).ok();
    let tracked = rest.json().len();
    // The state of the fifth frame at least: the sixth line came after it.
    assert!((1..=35).contains(&tracked), "{tracked} frames");
    assert!(whole.stdout.ends_with(&rest.stdout), "{}", rest.stdout);
    same_files(&folder);
}

#[test]
fn a_clip_shorter_than_promised_goes_on_both_ways() {
    let folder = tempdir().unwrap();
    let programs = fake_ffmpeg(folder.path(), Some(15), 13, false);
    fs::write(folder.path().join("clip.mp4"), b"\0\0\0\x20ftypisom").unwrap();
    let command = |out: &str| {
        let args = "clip.mp4 --point 52,54 --frame 11 --both-ways --json --save-every 0 --out";
        let mut command = track(&folder, &format!("{args} {out}"));
        command.env("PATH", &programs);
        command
    };
    let whole = Run::of(&mut command("whole")).ok();
    let said = whole.stderr.matches("promised 15 frames and 13 came");
    assert_eq!(said.count(), 1, "{}", whole.stderr);
    // Killed in the pass backward, when the end is known.
    let (mut child, mut lines) = start(&mut command("part"));
    let backward = lines.by_ref().filter(|line| line.contains("backward"));
    assert_eq!(backward.take(3).count(), 3);
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());
    let rest = Run::of(&mut command("part --resume")).ok();
    assert!(rest.json().iter().all(|line| line["pass"] == "backward"));
    assert!(!rest.stdout.is_empty() && whole.stdout.ends_with(&rest.stdout));
    assert!(!rest.stderr.contains("promised"), "{}", rest.stderr);
}

#[test]
fn other_weights_of_the_same_name_are_refused() {
    let folder = with_broken_clip(6, 4);
    let run = |weights: &str, more: &str| {
        let model = folder.path().join("own.safetensors");
        fs::copy(micro().join("weights").join(weights), model).unwrap();
        let args = format!("{CLICK} -q --out o{more}");
        Run::of(&mut track_with(&folder, "own.safetensors", &args))
    };
    run("seed4.safetensors", "").fails(1, "frame 4");
    run("seed41.safetensors", " --resume").fails(2, "other weights");
    run("seed4.safetensors", " --resume").fails(1, "frame 4");
}

#[test]
fn what_goes_wrong_later_does_not_hide_what_went_wrong_first() {
    let folder = with_broken_clip(6, 3);
    // Neither the overlays nor the state can be written.
    fs::create_dir_all(folder.path().join("o/resume.sam2")).unwrap();
    fs::write(folder.path().join("o/overlay"), b"no folder").unwrap();
    let args = format!("{CLICK} --overlay --out o");
    let run = Run::of(&mut track(&folder, &args)).fails(1, "frame 3");
    assert!(run.stderr.contains("resume.sam2") && run.stderr.contains("overlay"));
    assert!(!run.stderr.contains("--resume"), "{}", run.stderr);
    assert_eq!(files(&folder.path().join("o/1")).len(), 3);
}

#[test]
fn arrays_need_a_run_as_a_whole_and_nothing_else_is_advised() {
    let folder = with_broken_clip(6, 3);
    let args = format!("{CLICK} --npz x.npz --out o");
    let run = Run::of(&mut track(&folder, &args)).fails(1, "frame 3");
    assert!(!run.stderr.contains("--resume"), "{}", run.stderr);
    assert!(folder.path().join("x.npz").is_file());
    assert!(!folder.path().join("o/resume.sam2").exists());
    let run = Run::of(&mut track(&folder, &format!("{args} --resume")));
    assert_eq!(run.status, 2, "{}", run.stderr);
}

#[test]
fn a_signal_ends_the_overlays_which_go_on_without_tracking() {
    let folder = with_clip(8);
    // It takes nothing for two seconds: a frame is larger than a pipe.
    let slow = "[ \"$1\" = -version ] && exit 0\ntouch started\nsleep 2\ncat >/dev/null";
    let programs = script(folder.path(), "ffmpeg", slow);
    let command = |more: &str| {
        let args = format!("{CLICK} --json --out o --overlay-video seen.mp4{more}");
        let mut command = track(&folder, &args);
        command.env("PATH", &programs);
        command
    };
    let (mut child, lines) = start(&mut command(""));
    let begun = Instant::now();
    while !folder.path().join("started").is_file() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "no overlay is drawn"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    signal(&child, "INT");
    assert_eq!(child.wait().unwrap().code(), Some(1), "it was stopped");
    assert_eq!(lines.count(), 8, "all is tracked");
    assert!(!folder.path().join("seen.mp4").exists());
    let rest = Run::of(&mut command(" --resume")).ok();
    assert_eq!(rest.stdout, "", "nothing is tracked again");
    assert!(rest.stderr.contains("overlays"), "{}", rest.stderr);
    assert!(folder.path().join("seen.mp4").is_file());
    assert!(!folder.path().join("o/resume.sam2").exists());
}
