//! The real binary against the official code: every picture, prompt and seed of the micro fixtures, on
//! the CPU, and on a GPU where one answers (software Vulkan in CI).

#![allow(clippy::unwrap_used)] // helpers of tests, which fail by panicking

mod common;

use common::{Gpu, Run, micro, path, sam2};
use sam2_tests::compare::{Bounds, compare};
use serde::Deserialize;
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
fn failures(case: &Case, bounds: &Bounds, gpu: Option<&Gpu>) -> Vec<String> {
    let device = gpu.map_or("cpu", |_| "gpu");
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
    if let Some(gpu) = gpu {
        gpu.choose(&mut command);
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
        .flat_map(|c| failures(c, &cases.bounds.image, None));
    let failed: Vec<String> = each.collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn the_gpu_answers_as_the_official_code() {
    let folder = tempdir().unwrap();
    let Some(gpu) = Gpu::find(folder.path()) else {
        return;
    };
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
        .flat_map(|c| failures(c, &cases.bounds.image, Some(&gpu)));
    let failed: Vec<String> = each.collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
