//! The short form of tests/trust/starve.py: stopped and continued in bursts, the command line gives the
//! same bits as when it is left alone. No clock decides anything.
#![cfg(unix)]
#![allow(clippy::unwrap_used)] // helpers of tests, which fail by panicking

mod common;

use common::{Run, path, sam2};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::tempdir;

fn track(folder: &Path, threads: &str) -> Command {
    let (weights, config) = (path("weights/seed41.safetensors"), path("micro.yaml"));
    let (frames, prompts) = (path("frames"), path("tracks.json"));
    let mut command = sam2(folder, &["track", &frames, "--prompts", &prompts, "--json"]);
    command.args([
        "--model",
        &weights,
        "--config",
        &config,
        "--device",
        "cpu",
        "--threads",
        threads,
    ]);
    command
}

#[test]
fn starved_in_bursts_it_gives_the_same_bits() {
    let folder = tempdir().unwrap();
    for threads in ["1", "3"] {
        let free = Run::of(&mut track(folder.path(), threads)).ok();
        let mut command = track(folder.path(), threads);
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = child.id().to_string();
        let beat = std::thread::spawn(move || {
            let signal = |name: &str| {
                Command::new("kill")
                    .args([name, &pid])
                    .stderr(Stdio::null())
                    .status()
            };
            // A fifth of the time first, a twentieth from the middle on; over when nobody is left to stop.
            for beat in 0.. {
                let share = if beat < 4 { 20 } else { 5 };
                std::thread::sleep(Duration::from_millis(share));
                if !signal("-STOP").is_ok_and(|s| s.success()) || beat > 200 {
                    break;
                }
                std::thread::sleep(Duration::from_millis(100 - share));
                let _ = signal("-CONT");
            }
            let _ = signal("-CONT");
        });
        let starved = Run::from(child.wait_with_output().unwrap()).ok();
        beat.join().unwrap();
        assert_eq!(starved.stdout, free.stdout, "with {threads} threads");
        assert!(!starved.stderr.contains("mask_fault"), "{}", starved.stderr);
    }
}
