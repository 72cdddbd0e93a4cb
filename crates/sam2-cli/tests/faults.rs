//! The command line when reads go wrong (feature `fault-injection` of the engine, on in tests): a mask
//! that failed the check is never written, a device that goes away costs nothing but time.

#![allow(clippy::unwrap_used)] // helpers of tests, which fail by panicking

mod common;

use common::{Run, files, path, sam2};
use std::path::Path;
use tempfile::tempdir;

fn under(plan: &str, folder: &Path, args: &[&str], device: &str) -> Run {
    let (weights, config) = (path("weights/seed4.safetensors"), path("micro.yaml"));
    let model = ["--model", &weights, "--config", &config, "--device", device];
    let mut command = sam2(folder, &[args, &model[..]].concat());
    if !plan.is_empty() {
        command.env("FAULT_INJECTION", plan);
    }
    Run::of(&mut command)
}

#[test]
fn a_refused_mask_is_never_written_and_logged_once() {
    let folder = tempdir().unwrap();
    let picture = path("images/wide.png");
    let args = [
        "segment", &picture, "--point", "80,60", "--out", "masks", "--json",
    ];
    for kind in [
        "nan",
        "infinite",
        "zeros",
        "truncated",
        "swapped halves",
        "64 bits",
    ] {
        for place in ["read", "embedding", "cached embedding"] {
            let plan = format!("kind={kind},where={place}");
            let run = under(&plan, folder.path(), &args, "cpu").fails(1, "mask check");
            let written = folder.path().join("masks");
            assert!(!written.is_dir() || files(&written).is_empty(), "{plan}");
            let lines = run.json();
            assert_eq!(lines.len(), 1, "{plan}");
            assert_eq!(lines[0]["error"]["code"], "mask_fault", "{plan}");
            assert!(lines[0].get("masks").is_none(), "{plan}");
            let logged = run.stderr.lines().filter(|l| l.contains("mask_fault"));
            let logged: Vec<_> = logged.collect();
            assert_eq!(logged.len(), 1, "{plan}: {}", run.stderr);
            assert!(
                logged[0].contains("cpu") && logged[0].contains("given up"),
                "{}",
                logged[0]
            );
        }
    }
    // The same call, undisturbed: the test above did not fail for another reason.
    under("", folder.path(), &args, "cpu").ok();
    assert!(!files(&folder.path().join("masks")).is_empty());
}

#[test]
fn one_bad_read_is_read_again_and_nobody_notices() {
    let folder = tempdir().unwrap();
    let picture = path("images/wide.png");
    let args = ["segment", &picture, "--point", "80,60", "--json"];
    let right = under("", folder.path(), &args, "cpu").ok().json();
    for kind in ["nan", "zeros", "truncated", "swapped halves", "one bit"] {
        let plan = format!("kind={kind},most=1");
        let run = under(&plan, folder.path(), &args, "cpu").ok();
        assert!(run.stderr.contains("read again"), "{plan}: {}", run.stderr);
        assert_eq!(run.json()[0]["masks"], right[0]["masks"], "{plan}");
    }
}

#[test]
fn a_track_keeps_what_came_before_the_fault_and_names_its_frame() {
    let folder = tempdir().unwrap();
    let frames = path("frames");
    let args = [
        "track", &frames, "--point", "52,54", "--object", "4", "--out", "o",
    ];
    // Reads of the prompt and of frames 1 to 3 are left alone.
    let plan = "kind=swapped halves,skip=4";
    let run = under(plan, folder.path(), &args, "cpu").fails(1, "frame 4");
    let mut written = files(&folder.path().join("o"));
    written.retain(|name| name.ends_with(".png"));
    let kept = ["4/00000.png", "4/00001.png", "4/00002.png", "4/00003.png"];
    assert_eq!(written, kept, "{}", run.stderr);
    assert!(run.stderr.contains("object 4 on frame 4"), "{}", run.stderr);
}

#[test]
fn a_gpu_that_goes_away_at_any_step_costs_nothing_but_time() {
    let folder = tempdir().unwrap();
    let picture = path("images/wide.png");
    let args = ["segment", &picture, "--point", "80,60", "--json"];
    let right = under("", folder.path(), &args, "cpu").ok().json();
    let free = under("", folder.path(), &args, "gpu");
    if free.status != 0 {
        println!("not tested, there is no GPU: {}", free.stderr);
        return;
    }
    let mut lost = 0;
    // The first reads are those of the model's probe, then the picture's seal, then the answer.
    for skip in 0..6 {
        let plan = format!("kind=lost,device=gpu,most=1,skip={skip}");
        let run = under(&plan, folder.path(), &args, "gpu").ok();
        let found = run.json();
        assert!(
            common::same(&found[0]["masks"], &right[0]["masks"]),
            "{plan}: {}",
            run.stderr
        );
        lost += u32::from(
            run.stderr.contains("moving to the CPU") || run.stderr.contains("not trusted"),
        );
    }
    assert!(lost >= 3, "the GPU was taken away {lost} times only");
}
