//! Runs the real binary.

#![allow(dead_code)] // each test file uses its own part

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The fixtures of the tiny model (tests/fixtures/make.py).
pub fn micro() -> PathBuf {
    Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default())
        .join("../../tests/fixtures/micro")
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

/// Puts an `ffmpeg` into `folder` that gives so many frames, those of the fixtures over and over, and then
/// fails or not; and an `ffprobe` that promises frames or knows nothing. The `PATH` under which they are
/// found first.
#[cfg(unix)]
pub fn fake_ffmpeg(folder: &Path, promised: Option<usize>, frames: usize, fails: bool) -> String {
    let mut pictures = Vec::new();
    for frame in 0..frames {
        let bytes = std::fs::read(micro().join(format!("frames/{:05}.png", frame % 12))).unwrap();
        let picture = sam2_image::decode(&bytes, &Default::default()).unwrap();
        let head = format!("P6\n{} {}\n255\n", picture.width(), picture.height());
        pictures.extend(head.into_bytes());
        pictures.extend(picture.data());
    }
    let path = folder.join("frames.ppm");
    std::fs::write(&path, pictures).unwrap();
    let end = match fails {
        true => "echo 'Invalid data found' >&2\nexit 1",
        false => "exit 0",
    };
    let decode = format!(
        "[ \"$1\" = -version ] && exit 0\ncat '{}'\n{end}",
        path.display()
    );
    let probe = match promised {
        Some(n) => format!("printf 'nb_read_packets={n}\\navg_frame_rate=10/1\\n'"),
        None => "exit 1".to_owned(),
    };
    script(folder, "ffmpeg", &decode);
    script(folder, "ffprobe", &probe)
}

/// Puts a program into `folder`. The `PATH` under which it is found first.
#[cfg(unix)]
pub fn script(folder: &Path, name: &str, text: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let others = std::env::var("PATH").unwrap();
    format!("{}:{others}", folder.display())
}

/// Sends a signal to a child.
#[cfg(unix)]
pub fn signal(child: &std::process::Child, name: &str) {
    let kill = format!("kill -{name} {}", child.id());
    let status = Command::new("sh").args(["-c", &kill]).status().unwrap();
    assert!(status.success());
}

/// A GPU to test on: the machine's own, or a software Vulkan.
pub struct Gpu {
    icd: Option<PathBuf>,
}

impl Gpu {
    /// `None`, with a line that says so, where none answers; CI has a software Vulkan.
    pub fn find(folder: &Path) -> Option<Self> {
        let gpu = Self {
            icd: software_vulkan(),
        };
        let mut devices = sam2(folder, &["devices", "--device", "gpu", "-q"]);
        let run = Run::of(gpu.choose(&mut devices));
        if run.status == 0 {
            return Some(gpu);
        }
        let error = run.stderr;
        assert!(
            std::env::var_os("CI").is_none(),
            "CI has a software Vulkan: {error}"
        );
        println!("skipped: no GPU and no software Vulkan answers: {error}");
        None
    }

    /// Makes a command use it.
    pub fn choose<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        if let Some(icd) = &self.icd {
            command
                .env("VK_ICD_FILENAMES", icd)
                .env("VK_DRIVER_FILES", icd);
        }
        command
    }
}

/// Mesa's lavapipe, or the SwiftShader that comes with Chromium; what the machine has where neither is
/// there or the person chose already.
fn software_vulkan() -> Option<PathBuf> {
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
    places.iter().map(PathBuf::from).find(|p| p.is_file())
}
