//! Runs the real binary.

#![allow(dead_code)] // each test file uses its own part

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The fixtures of the tiny model (tests/fixtures/make.py).
pub fn micro() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/micro")
}

pub fn path(text: &str) -> String {
    micro().join(text).display().to_string()
}

/// The binary in `folder`, with nothing of this machine's settings.
pub fn sam2(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sam2"));
    command.current_dir(folder).args(args).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("SAM2_") || name.starts_with("MAX_") || name == "RUST_LOG" {
            command.env_remove(&name);
        }
    }
    command.env("SAM2_MODELS_DIR", folder.join("no-models"));
    command
}

/// What a run gave back.
pub struct Run {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    pub fn of(command: &mut Command) -> Self {
        Self::from(command.output().unwrap())
    }

    /// Lines on stderr that are not logs.
    pub fn errors(&self) -> Vec<&str> {
        self.stderr
            .lines()
            .filter(|l| l.starts_with("sam2: "))
            .collect()
    }

    pub fn json(&self) -> Vec<serde_json::Value> {
        self.stdout
            .lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect()
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.status, 0, "{}", self.stderr);
        self
    }

    /// Fails with this status and one error line that says `what`.
    #[track_caller]
    pub fn fails(self, status: i32, what: &str) -> Self {
        assert_eq!(self.status, status, "{}", self.stderr);
        let errors = self.errors();
        assert_eq!(errors.len(), 1, "{}", self.stderr);
        assert!(errors[0].contains(what), "{}", errors[0]);
        self
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Runs with the tiny model on the CPU.
pub fn micro_run(folder: &Path, command: &str, args: &[&str]) -> Run {
    let (weights, config) = (path("weights/seed4.safetensors"), path("micro.yaml"));
    let mut all = vec![
        command, "--model", &weights, "--config", &config, "--device", "cpu", "-q",
    ];
    all.extend(args);
    Run::of(&mut sam2(folder, &all))
}

/// Whether two `masks` of `--json` are the same but for the last digits: sums over threads may round
/// in another order, and a pixel on the threshold flips.
pub fn same(a: &serde_json::Value, b: &serde_json::Value) -> bool {
    let mask = |v: &serde_json::Value| {
        let size = [0, 1].map(|i| v["segmentation"]["size"][i].as_u64().unwrap() as usize);
        let counts = v["segmentation"]["counts"].as_str().unwrap().to_owned();
        sam2_image::Rle::from_string(size[0], size[1], &counts).unwrap()
    };
    let (a, b) = (a.as_array().unwrap(), b.as_array().unwrap());
    let iou = |v: &serde_json::Value| v["iou"].as_f64().unwrap();
    let pairs = a.iter().zip(b);
    a.len() == b.len()
        && pairs
            .into_iter()
            .all(|(a, b)| (iou(a) - iou(b)).abs() < 1e-4 && mask(a).iou(&mask(b)).unwrap() >= 0.999)
}

/// Every file below a folder, sorted, with `/` between names.
pub fn files(folder: &Path) -> Vec<String> {
    fn walk(folder: &Path, below: &str, out: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{below}{}", entry.file_name().to_string_lossy());
            match entry.path().is_dir() {
                true => walk(&entry.path(), &format!("{name}/"), out),
                false => out.push(name),
            }
        }
    }
    let mut out = Vec::new();
    walk(folder, "", &mut out);
    out.sort();
    out
}
