//! Which files `sam2 segment` writes, leaves alone and refuses to read.

#![allow(clippy::unwrap_used)] // helpers of tests, which fail by panicking

mod common;

use common::{Run, files, micro_run, path, sam2};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::tempdir;

#[test]
fn files_that_are_there_stay_unless_forced() {
    let folder = tempdir().unwrap();
    let wide = path("images/wide.png");
    let kept = folder.path().join("o/wide/0_0.png");
    fs::create_dir_all(kept.parent().unwrap()).unwrap();
    fs::write(&kept, b"mine").unwrap();
    let args = [wide.as_str(), "--point", "82,68", "--out", "o"];
    micro_run(folder.path(), "segment", &args).ok();
    assert_eq!(fs::read(&kept).unwrap(), b"mine");
    micro_run(
        folder.path(),
        "segment",
        &[&args[..], &["--force"]].concat(),
    )
    .ok();
    assert!(fs::read(&kept).unwrap().starts_with(b"\x89PNG"));

    fs::write(folder.path().join("x.npz"), b"mine").unwrap();
    let args = [wide.as_str(), "--point", "82,68", "--npz", "x.npz"];
    micro_run(folder.path(), "segment", &args).fails(2, "--force");
}

/// As [`micro_run`], with what is logged.
fn loud(folder: &Path, args: &[&str]) -> Run {
    let (weights, config) = (path("weights/seed4.safetensors"), path("micro.yaml"));
    let model = ["--model", &weights, "--config", &config, "--device", "cpu"];
    Run::of(sam2(folder, &["segment"]).args(args).args(model))
}

#[test]
fn a_second_run_says_what_it_leaves_and_adds_what_is_asked_for_besides() {
    let folder = tempdir().unwrap();
    let wide = path("images/wide.png");
    let left = format!("{wide}: already there, left as it is; --force replaces it");
    let first = [wide.as_str(), "--point", "82,68", "--out", "o"];
    let run = loud(folder.path(), &first).ok();
    assert!(!run.stderr.contains("already there"), "{}", run.stderr);
    let mask = folder.path().join("o/wide/0_0.png");
    let before = fs::read(&mask).unwrap();

    // Another prompt: what is there is no answer to it, and stays.
    let second = [wide.as_str(), "--point", "20,20", "--out", "o"];
    let run = loud(folder.path(), &second).ok();
    assert_eq!(run.stderr.matches(&left).count(), 1, "{}", run.stderr);
    assert_eq!(fs::read(&mask).unwrap(), before);

    // What was not asked for before is made; the mask stays, and that is said.
    for (more, name) in [
        ("--overlay", "wide/overlay.png"),
        ("--cutout", "wide/0_0_cutout.png"),
    ] {
        let out = folder.path().join("o");
        assert!(!files(&out).contains(&name.to_owned()), "{name}");
        let run = loud(folder.path(), &[&first[..], &[more]].concat()).ok();
        assert!(files(&out).contains(&name.to_owned()), "{name}");
        assert!(run.stderr.contains("1 files were there"), "{}", run.stderr);
        assert!(!run.stderr.contains(&left), "{}", run.stderr);
        let run = loud(folder.path(), &[&first[..], &[more]].concat()).ok();
        assert!(run.stderr.contains(&left), "{}", run.stderr);
    }
    assert_eq!(fs::read(&mask).unwrap(), before);

    let tall = path("images/tall.png");
    let run = loud(folder.path(), &[&[tall.as_str()], &first[..]].concat()).ok();
    assert!(run.stderr.contains(&left), "{}", run.stderr);
    let summary = "1 pictures done, 1 already there, 0 failed";
    assert!(run.stderr.contains(summary), "{}", run.stderr);
    let run = loud(folder.path(), &[&second[..], &["--force"]].concat()).ok();
    assert!(!run.stderr.contains("already there"), "{}", run.stderr);
    assert_ne!(fs::read(&mask).unwrap(), before);
}

#[cfg(target_os = "linux")]
#[test]
fn pipes_and_devices_are_refused_before_a_byte_is_read() {
    let folder = tempdir().unwrap();
    let pipe = folder.path().join("pipe.png").display().to_string();
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let wide = path("images/wide.png");
    for what in [pipe.as_str(), "/dev/zero"] {
        let args = [what, "--point", "1,1", "--json"];
        let run = micro_run(folder.path(), "segment", &args).fails(1, "a pipe or a device");
        assert_eq!(run.json()[0]["error"]["code"], "bad_image");
        // One of two: the other is answered.
        let run = micro_run(
            folder.path(),
            "segment",
            &[what, &wide, "--point", "9,9", "--json"],
        );
        assert_eq!((run.status, run.json().len()), (1, 2), "{}", run.stderr);
        let args = [&wide, "--point", "9,9", "--json", "--mask-input", what];
        micro_run(folder.path(), "segment", &args).fails(1, "a pipe or a device");
    }
    for ending in ["npy", "npz"] {
        let link = folder.path().join(format!("x.{ending}"));
        std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
        let link = link.display().to_string();
        let args = [&wide, "--point", "9,9", "--json", "--mask-input", &link];
        micro_run(folder.path(), "segment", &args).fails(1, "a pipe or a device");
    }
}

#[test]
fn prompts_and_configurations_are_read_up_to_their_limits() {
    let folder = tempdir().unwrap();
    let wide = path("images/wide.png");
    // Of no size on the disk.
    let sparse = |name: &str, bytes: u64| {
        let file = fs::File::create(folder.path().join(name)).unwrap();
        file.set_len(bytes).unwrap();
    };
    sparse("p.json", (64 << 20) + 1);
    let args = [wide.as_str(), "--prompts", "p.json", "--json"];
    let run = micro_run(folder.path(), "segment", &args).fails(2, "p.json: it has 67108865 bytes");
    assert!(run.stderr.contains("no more than 67108864 are read"));
    sparse("c.yaml", (1 << 20) + 1);
    let weights = path("weights/seed4.safetensors");
    let args = ["--model", &weights, "--config", "c.yaml", "--point", "9,9"];
    let args = [&["segment", &wide, "--json"], &args[..]].concat();
    let run = Run::of(&mut sam2(folder.path(), &args)).fails(2, "c.yaml: it has 1048577 bytes");
    assert!(run.stderr.contains("no more than 1048576 are read"));
}

#[cfg(unix)]
#[test]
fn prompts_may_come_from_a_pipe() {
    let folder = tempdir().unwrap();
    let wide = path("images/wide.png");
    let (weights, config) = (path("weights/seed4.safetensors"), path("micro.yaml"));
    let args = ["segment", &wide, "--model", &weights, "--config", &config];
    let more = ["--device", "cpu", "--json", "--prompts", "/dev/stdin"];
    let mut command = sam2(folder.path(), &[&args[..], &more].concat());
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let prompts = br#"[{"points": [[82, 68]], "labels": [1]}]"#;
    let mut input = child.stdin.take().unwrap();
    input.write_all(prompts).unwrap();
    drop(input);
    let run = Run::from(child.wait_with_output().unwrap()).ok();
    assert_eq!(run.json()[0]["masks"].as_array().unwrap().len(), 3);
}

#[test]
fn a_model_s_file_is_found_among_the_models_by_its_name() {
    let folder = tempdir().unwrap();
    let models = folder.path().join("no-models");
    fs::create_dir(&models).unwrap();
    fs::copy(
        path("weights/seed4.safetensors"),
        models.join("own.safetensors"),
    )
    .unwrap();
    let (wide, config) = (path("images/wide.png"), path("micro.yaml"));
    let with = |model: &str| {
        let args = [
            "segment", &wide, "--point", "82,68", "--json", "--device", "cpu",
        ];
        let more = ["-q", "--config", &config, "--model", model];
        Run::of(sam2(folder.path(), &args).args(more))
    };
    assert_eq!(with("own.safetensors").ok().json()[0]["model"], "own");
    with("sam2.1_hiera_tiny.pt").fails(1, "sam2 models fetch tiny");
    with("other.pt").fails(1, "sam2 models fetch");
    // A path is meant as it is written.
    with("./own.safetensors").fails(1, "./own.safetensors");
}
