//! `sam2 segment` as people run it.

#![allow(clippy::unwrap_used)] // helpers of tests, which fail by panicking

mod common;

use common::{Run, files, micro, micro_run, path, sam2, same};
use sam2_image::{DecodeLimits, Mask, Rle};
use std::fs;
use std::io::Write;
use std::process::Stdio;
use tempfile::tempdir;

#[test]
fn wrong_usage_is_one_line_and_status_2() {
    let folder = tempdir().unwrap();
    let wide = path("images/wide.png");
    for (args, what) in [
        (&["--point", "1,1"][..], "nowhere to put"),
        (&["--json"], "nothing is pointed at"),
        (&["--json", "--point", "1"], "X,Y"),
        (&["--json", "--point", "nan,1"], "not finite"),
        (&["--json", "--point", "1,1,7"], "label 7"),
        (&["--json", "--box", "9,9,5,20"], "is empty"),
        (&["--json", "--box", "9,9,9,20"], "is empty"),
        (&["--json", "--box", "1,2,3"], "X0,Y0,X1,Y1"),
        (
            &["--json", "--point", "1,1", "--prompts", "p.json"],
            "cannot be used with",
        ),
        (
            &["--json", "--point", "1,1", "--progress", "loud"],
            "invalid value",
        ),
        (&["--overlay", "--json", "--point", "1,1"], "--out"),
        // Known only once the picture is open.
        (
            &["--json", "--point", "200,10"],
            "outside the picture of 200 x 120",
        ),
        (&["--json", "--point", "-1,10"], "outside the picture"),
        (&["--json", "--box", "10,10,201,20"], "outside the picture"),
    ] {
        let mut all = vec![wide.as_str()];
        all.extend(args);
        let run = micro_run(folder.path(), "segment", &all);
        run.fails(2, what);
    }
    let two = [
        wide.as_str(),
        &path("images/tall.png"),
        "--point",
        "1,1",
        "--npz",
        "x.npz",
    ];
    micro_run(folder.path(), "segment", &two).fails(2, "one picture, and 2 were given");
    micro_run(folder.path(), "segment", &["--json", "--point", "1,1"]).fails(2, "INPUT");
    assert_eq!(files(folder.path()), [""; 0], "nothing was written");
}

#[test]
fn settings_and_models_are_checked_first() {
    let folder = tempdir().unwrap();
    let wide = path("images/wide.png");
    let args = [
        "segment", &wide, "--point", "1,1", "--json", "--device", "cpu", "-q",
    ];
    for (name, value, what) in [
        ("SAM2_PROT", "1", "SAM2_PROT is not a setting"),
        ("SAM2_THREADS", "0", "from 1 to 1024"),
        ("SAM2_MODEL_SIZE", "huge", "nano, tiny"),
    ] {
        Run::of(sam2(folder.path(), &args).env(name, value)).fails(2, what);
    }
    Run::of(sam2(folder.path(), &args).env("SAM2_MODEL_SIZE", "tiny"))
        .fails(1, "sam2 models fetch tiny");
    for (name, content, what) in [
        ("page.pt", "<!DOCTYPE html><html>", "web page"),
        ("short.safetensors", "\x10", "not a model file"),
        ("empty.pt", "", "empty"),
    ] {
        let file = folder.path().join(name);
        fs::write(&file, content).unwrap();
        let model = ["--model", name];
        let run = Run::of(sam2(folder.path(), &args).args(model));
        run.fails(1, name).fails(1, what);
    }
    let no_config = ["--model", &path("weights/seed4.safetensors")];
    Run::of(sam2(folder.path(), &args).args(no_config)).fails(1, "--config");
}

#[test]
fn the_json_is_the_png_and_says_what_was_done() {
    let folder = tempdir().unwrap();
    let wide = path("images/wide.png");
    let args = [
        &wide,
        "--point",
        "82,68.4",
        "--point",
        "10,10,0",
        "--multimask",
        "--json",
    ];
    let out = ["--out", "o", "--overlay", "--cutout"];
    let run = micro_run(folder.path(), "segment", &[&args[..], &out].concat()).ok();
    let lines = run.json();
    assert_eq!(lines.len(), 1);
    let line = lines[0].as_object().unwrap();
    let keys: Vec<&str> = line.keys().map(String::as_str).collect();
    let mut expected = [
        "schema",
        "file",
        "image",
        "device",
        "model",
        "timings_ms",
        "masks",
    ];
    expected.sort_unstable();
    let mut sorted = keys.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, expected);
    assert_eq!(line["schema"], 1);
    assert_eq!(line["file"], wide.as_str());
    assert_eq!(
        (&line["image"]["width"], &line["image"]["height"]),
        (&200.into(), &120.into())
    );
    assert_eq!(
        (&line["device"], &line["model"]),
        (&"cpu".into(), &"seed4".into())
    );
    let masks = line["masks"].as_array().unwrap();
    assert_eq!(masks.len(), 3);
    for (number, mask) in masks.iter().enumerate() {
        let png = fs::read(folder.path().join(format!("o/wide/0_{number}.png"))).unwrap();
        let png = Mask::from_png(&png, &DecodeLimits::default()).unwrap();
        assert_eq!(mask["segmentation"]["size"], serde_json::json!([120, 200]));
        let counts = mask["segmentation"]["counts"].as_str().unwrap();
        assert_eq!(Rle::from_string(120, 200, counts).unwrap().to_mask(), png);
        assert_eq!(mask["area"], png.area());
        assert_eq!(mask["bbox"], serde_json::json!(png.bbox_xywh()));
        assert_eq!(mask["prompt"], 0);
        assert!(mask["iou"].is_number());
    }
    let names = [
        "0_0.png",
        "0_0_cutout.png",
        "0_1.png",
        "0_1_cutout.png",
        "0_2.png",
    ];
    let mut names: Vec<String> = names.iter().map(|n| format!("wide/{n}")).collect();
    names.extend(["wide/0_2_cutout.png".into(), "wide/overlay.png".into()]);
    assert_eq!(
        files(&folder.path().join("o")),
        names,
        "and no temporary file"
    );
}

#[test]
fn one_bad_picture_is_one_line_and_not_the_end() {
    let folder = tempdir().unwrap();
    let pictures = folder.path().join("in/sub");
    fs::create_dir_all(&pictures).unwrap();
    fs::copy(micro().join("images/wide.png"), pictures.join("10.png")).unwrap();
    fs::copy(micro().join("images/tall.png"), pictures.join("9.png")).unwrap();
    fs::write(folder.path().join("in/broken.png"), b"\x89PNG\r\n\x1a\nno").unwrap();
    let args = ["in", "--point", "20,20", "--json", "--out", "o"];
    let run = micro_run(folder.path(), "segment", &args);
    assert_eq!(run.status, 1, "{}", run.stderr);
    let errors = run.errors();
    assert_eq!(errors.len(), 2, "{}", run.stderr);
    assert!(errors[0].contains("in/broken.png") && errors[1].contains("1 of 3 pictures failed"));
    let lines = run.json();
    let names: Vec<_> = lines.iter().map(|l| l["file"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        ["in/broken.png", "in/sub/9.png", "in/sub/10.png"],
        "natural order"
    );
    assert_eq!(lines[0].as_object().unwrap().len(), 2);
    assert_eq!(lines[0]["error"]["code"], "bad_image");
    assert_eq!(
        files(&folder.path().join("o")),
        ["sub/10/0_0.png", "sub/9/0_0.png"]
    );

    // A point that is inside one of the pictures only: that one fails, the work goes on.
    let args = ["in/sub", "--point", "150,20", "--json"];
    let run = micro_run(folder.path(), "segment", &args);
    assert_eq!(run.status, 1, "{}", run.stderr);
    assert_eq!(run.json()[0]["error"]["code"], "bad_prompt");
    assert!(run.json()[1]["masks"].is_array());
    // Inside none: wrong usage.
    let run = micro_run(
        folder.path(),
        "segment",
        &["in/sub", "--point", "500,500", "--json"],
    );
    assert_eq!(run.status, 2, "{}", run.stderr);
}

#[test]
fn a_list_comes_from_stdin_and_a_closed_stdout_ends_quietly() {
    let folder = tempdir().unwrap();
    let (weights, config) = (path("weights/seed4.safetensors"), path("micro.yaml"));
    let args = [
        "segment", "-", "--point", "9,9", "--json", "--device", "cpu", "-q",
    ];
    let mut command = sam2(folder.path(), &args);
    command.args(["--model", &weights, "--config", &config]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let list = format!(
        "{}\n\n{}\r\n",
        path("images/wide.png"),
        path("images/tiny.png")
    );
    child
        .stdin
        .take()
        .unwrap()
        .write_all(list.as_bytes())
        .unwrap();
    let run = Run::from(child.wait_with_output().unwrap()).ok();
    assert_eq!(run.json().len(), 2);

    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    child
        .stdin
        .take()
        .unwrap()
        .write_all(list.as_bytes())
        .unwrap();
    let run = Run::from(child.wait_with_output().unwrap());
    assert_eq!((run.status, run.errors().len()), (1, 0), "{}", run.stderr);
}

#[test]
fn a_second_run_goes_on_from_the_first_as_refine_does() {
    let folder = tempdir().unwrap();
    let wide = path("images/wide.png");
    let prompts = r#"[{"points": [[82, 68]], "labels": [1], "multimask": true},
                      {"points": [[150, 80]], "labels": [0], "multimask": false, "refine": true}]"#;
    fs::write(folder.path().join("p.json"), prompts).unwrap();
    let together = [wide.as_str(), "--prompts", "p.json", "--json"];
    let together = micro_run(folder.path(), "segment", &together).ok().json()[0]["masks"].clone();
    let together = together.as_array().unwrap();
    assert_eq!(together.len(), 3 + 1);
    let first = [
        wide.as_str(),
        "--point",
        "82,68",
        "--multimask",
        "--npz",
        "a.npz",
    ];
    micro_run(folder.path(), "segment", &first).ok();
    let second = [
        wide.as_str(),
        "--point",
        "150,80,0",
        "--mask-input",
        "a.npz",
        "--json",
    ];
    let apart = micro_run(folder.path(), "segment", &second).ok().json()[0]["masks"].clone();
    assert!(same(&together[3..].into(), &apart));
    let alone = [wide.as_str(), "--point", "150,80,0", "--json"];
    let alone = micro_run(folder.path(), "segment", &alone).ok().json()[0]["masks"].clone();
    assert!(!same(&alone, &apart), "the mask input counts");
    // Another model's logits.
    let size = ["--image-size", "192"];
    micro_run(
        folder.path(),
        "segment",
        &[&second[..], &size, &["--force"]].concat(),
    )
    .fails(2, "32 x 32");
}

#[test]
fn coordinates_and_sizes_are_of_the_oriented_picture() {
    let folder = tempdir().unwrap();
    // 22 x 37 as a person sees it; stored as 37 x 22 with an EXIF orientation.
    let fixtures =
        std::path::PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default())
            .join("../sam2-image/tests/fixtures");
    let turned = fixtures.join("turned7.jpg").display().to_string();
    let args = [turned.as_str(), "--point", "11,30", "--json"];
    let run = micro_run(folder.path(), "segment", &args).ok();
    let image = &run.json()[0]["image"];
    assert_eq!(
        (&image["width"], &image["height"]),
        (&22.into(), &37.into())
    );
    let args = [turned.as_str(), "--point", "30,11", "--json"];
    micro_run(folder.path(), "segment", &args).fails(2, "outside the picture of 22 x 37");
}

#[test]
fn the_built_in_model_needs_nothing() {
    let folder = tempdir().unwrap();
    let wide = path("images/wide.png");
    let args = [
        "segment",
        &wide,
        "--box",
        "36,32,132,97",
        "--json",
        "--device",
        "cpu",
    ];
    let run = Run::of(&mut sam2(folder.path(), &args)).ok();
    assert_eq!(run.json()[0]["model"], "sam2-nano");
    let start = run.stderr.lines().next().unwrap();
    for what in [
        "cores",
        "quota",
        "threads",
        "SIMD",
        "device cpu",
        "sam2-nano",
        "precision",
        "memory limit",
    ] {
        assert!(start.contains(what), "{what} in {start}");
    }
}
