//! Too little memory: one clear line and an exit status, never an abort, and what was written stays.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests, which fail by panicking

mod common;

use common::{Run, files, path, sam2};
use std::process::Command;
use tempfile::tempdir;

/// The command under `ulimit -v`, in MB of address space.
fn limited(command: &Command, most_mb: u64) -> Command {
    let mut shell = Command::new("sh");
    let script = format!("ulimit -v {} && exec \"$0\" \"$@\"", most_mb * 1024);
    shell
        .arg("-c")
        .arg(script)
        .arg(command.get_program())
        .args(command.get_args());
    shell.current_dir(command.get_current_dir().unwrap());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
}

#[test]
fn under_any_limit_it_works_or_says_why_not() {
    let folder = tempdir().unwrap();
    let (small, large) = (path("images/tiny.png"), path("images/large.png"));
    let (mut worked, mut refused) = (0, 0);
    for most_mb in [120, 150, 180, 220, 260, 300, 360, 500, 700, 1000, 4000] {
        let out = format!("at{most_mb}");
        // The embedded model at a size that needs some hundreds of megabytes.
        let args = [
            "segment",
            &small,
            &large,
            "--point",
            "5,5",
            "--out",
            &out,
            "--image-size",
            "1024",
        ];
        let more = ["--device", "cpu", "--threads", "1", "-q"];
        let run = Run::of(&mut limited(
            &sam2(folder.path(), &[&args[..], &more].concat()),
            most_mb,
        ));
        match run.status {
            0 => worked += 1,
            1 => {
                refused += 1;
                assert!(
                    run.stderr.contains("MB") && run.stderr.contains("use"),
                    "{most_mb} MB: {}",
                    run.stderr
                );
            }
            // The loader of the system itself had no room: nothing of ours has run.
            127 => {}
            other => panic!("{most_mb} MB: status {other}: {}", run.stderr),
        }
        // Whatever was written is whole.
        let place = folder.path().join(&out);
        let written = if place.is_dir() {
            files(&place)
        } else {
            Vec::new()
        };
        for name in written {
            let bytes = std::fs::read(place.join(&name)).unwrap();
            assert!(
                sam2_image::decode(&bytes, &Default::default()).is_ok(),
                "{most_mb} MB: {name}"
            );
        }
    }
    assert!(
        worked >= 2 && refused >= 2,
        "{worked} worked, {refused} were refused"
    );
}

#[test]
fn a_model_that_cannot_fit_is_refused_with_both_figures() {
    let folder = tempdir().unwrap();
    let picture = path("images/tiny.png");
    let args = [
        "segment",
        &picture,
        "--point",
        "5,5",
        "--out",
        "o",
        "--image-size",
        "4096",
        "--device",
        "cpu",
    ];
    let run = Run::of(&mut limited(&sam2(folder.path(), &args), 600));
    let run = run.fails(1, "MB");
    let line = run.errors()[0].to_owned();
    assert!(
        line.contains("needs about") && line.contains("are there") && line.contains("--image-size"),
        "{line}"
    );
}
