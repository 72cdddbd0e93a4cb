//! The real binary against the official code: every picture, prompt and seed of the micro fixtures, on
//! the CPU, and on a GPU where one answers (software Vulkan in CI).

#![allow(clippy::unwrap_used)] // helpers of tests, which fail by panicking

mod common;

use common::{Run, micro, path, sam2};
use sam2_tests::compare::{Bounds, compare};
use serde::Deserialize;
use std::path::Path;
use tempfile::tempdir;

#[derive(Deserialize)]
struct Cases {
    bounds: AllBounds,
    images: Vec<Case>,
}

#[derive(Deserialize)]
struct AllBounds {
    image: Bounds,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    weights: String,
    image: String,
    prompts: String,
    reference: String,
}

fn cases() -> Cases {
    let text = std::fs::read_to_string(micro().join("cases.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Runs one case as the check of the issue does, and gives back what is beyond its bound.
fn failures(case: &Case, bounds: &Bounds, device: &str, icd: Option<&Path>) -> Vec<String> {
    let folder = tempdir().unwrap();
    let [image, weights, prompts] = [&case.image, &case.weights, &case.prompts].map(|p| path(p));
    let mut args = vec![
        "segment",
        &image,
        "--model",
        &weights,
        "--prompts",
        &prompts,
    ];
    let config = path("micro.yaml");
    args.extend([
        "--config", &config, "--npz", "out.npz", "--out", "d", "--device", device, "-q",
    ]);
    let mut command = sam2(folder.path(), &args);
    if let Some(icd) = icd {
        command
            .env("VK_ICD_FILENAMES", icd)
            .env("VK_DRIVER_FILES", icd);
    }
    Run::of(&mut command).ok();
    let report = compare(
        &micro().join(&case.reference),
        &folder.path().join("out.npz"),
        bounds,
    );
    let report = report.unwrap();
    println!("{} on {device}: {}", case.name, report.worst);
    report
        .failures
        .iter()
        .map(|f| format!("{}: {f}", case.name))
        .collect()
}

#[test]
fn the_cpu_answers_as_the_official_code() {
    let cases = cases();
    assert!(cases.images.len() >= 12);
    let each = cases
        .images
        .iter()
        .flat_map(|c| failures(c, &cases.bounds.image, "cpu", None));
    let failed: Vec<String> = each.collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn the_gpu_answers_as_the_official_code() {
    let folder = tempdir().unwrap();
    let icd = software_vulkan();
    let mut devices = sam2(folder.path(), &["devices", "--device", "gpu", "-q"]);
    if let Some(icd) = &icd {
        devices
            .env("VK_ICD_FILENAMES", icd)
            .env("VK_DRIVER_FILES", icd);
    }
    let run = Run::of(&mut devices);
    if run.status != 0 {
        assert!(
            std::env::var_os("CI").is_none(),
            "CI has a software Vulkan: {}",
            run.stderr
        );
        println!(
            "skipped: no GPU and no software Vulkan answers: {}",
            run.stderr
        );
        return;
    }
    // One case: software Vulkan compiles every shader anew in each process, 20 s of two cores.
    let cases = cases();
    let chosen: Vec<&Case> = cases
        .images
        .iter()
        .filter(|c| c.name == "seed4_wide")
        .collect();
    assert_eq!(chosen.len(), 1);
    let each = chosen
        .iter()
        .flat_map(|c| failures(c, &cases.bounds.image, "gpu", icd.as_deref()));
    let failed: Vec<String> = each.collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Mesa's lavapipe, or the SwiftShader that comes with Chromium; what the machine has where neither is
/// there or the person chose already.
fn software_vulkan() -> Option<std::path::PathBuf> {
    if std::env::var_os("VK_ICD_FILENAMES")
        .or_else(|| std::env::var_os("VK_DRIVER_FILES"))
        .is_some()
    {
        return None;
    }
    let places = [
        "/usr/share/vulkan/icd.d/lvp_icd.x86_64.json",
        "/usr/share/vulkan/icd.d/lvp_icd.json",
        "/usr/lib/chromium/vk_swiftshader_icd.json",
    ];
    places
        .iter()
        .map(std::path::PathBuf::from)
        .find(|p| p.is_file())
}
