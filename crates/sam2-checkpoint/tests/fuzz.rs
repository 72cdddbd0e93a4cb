//! Hostile weights, configurations and manifests (tests/trust/FUZZ.md).

#![allow(clippy::unwrap_used)] // tests fail by panicking

#[path = "../../../tests/src/fuzz.rs"]
mod fuzz;

use fuzz::{Fuzz, ending};
use sam2_checkpoint::{Checkpoint, CheckpointError, Manifest, ModelConfig};
use std::path::Path;
use std::sync::Arc;

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default()).join(name))
        .unwrap()
}

/// One line, not a page, with a code.
fn shown(error: &CheckpointError) -> u64 {
    let text = error.to_string();
    assert!(text.lines().count() <= 1 && text.len() < 2000, "{text}");
    assert!(!error.code().is_empty());
    ending(&text)
}

#[test]
fn weights() {
    let files = [
        "plain.pt",
        "views.pt",
        "extras.pt",
        "protocol4.pt",
        "no_crc.pt",
        "plain.safetensors",
    ];
    Fuzz {
        name: "weights",
        seeds: files
            .iter()
            .map(|f| fixture(&format!("fixtures/{f}")))
            .collect(),
        words: &[
            b"PK\x03\x04",
            b"PK\x01\x02",
            b"\x80\x02}q\0",
            b"ctorch._utils\n_rebuild_tensor_v2\n",
            b"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
        ],
        cases: 5_000,
        most_mb: 256,
        most_bytes: 64 << 10,
    }
    .run(|bytes| {
        let size = bytes.len();
        let checkpoint = match Checkpoint::open(Arc::new(bytes.to_vec())) {
            Ok(checkpoint) => checkpoint,
            Err(error) => return shown(&error),
        };
        let mut kinds = 1;
        for (name, info) in checkpoint.tensors() {
            assert!(info.num_elements() <= size, "more values than bytes");
            match checkpoint.read_f32(name) {
                Ok(values) => assert_eq!(values.len(), info.num_elements()),
                Err(error) => kinds ^= shown(&error),
            }
        }
        if let Err(error) = checkpoint.verify_data_sha256(|_, _| {}) {
            kinds ^= shown(&error);
        }
        kinds
    });
}

#[test]
fn configurations() {
    Fuzz {
        name: "configurations",
        seeds: vec![
            fixture("../../tests/fixtures/micro/micro.yaml"),
            fixture("../../models/nano/sam2-nano.yaml"),
        ],
        words: &[
            b"image_size: ",
            b"&a [*a, *a]",
            b"[1, 2, 7, 2]",
            b"1024",
            b"_target_: ",
            b"- ",
            b"\n  ",
            b"!!python/object",
        ],
        cases: 2_000,
        most_mb: 256,
        most_bytes: 32 << 10,
    }
    .run(|bytes| {
        let text = String::from_utf8_lossy(bytes);
        match ModelConfig::from_yaml(&text) {
            // What is accepted can be asked everything.
            Ok(config) => {
                sam2_checkpoint::expected_tensors(&config);
                config.num_parameters() % 7
            }
            Err(error) => ending(&error.to_string()),
        }
    });
}

#[test]
fn manifests() {
    Fuzz {
        name: "manifests",
        seeds: vec![fixture("../../models/manifest.json")],
        words: &[
            b"../",
            b"https://",
            b"\"sha256\"",
            b"\"url\":",
            b"null",
            b"\\u0000",
            b"[[[[[[",
        ],
        cases: 5_000,
        most_mb: 128,
        most_bytes: 32 << 10,
    }
    .run(|bytes| {
        let text = String::from_utf8_lossy(bytes);
        match Manifest::parse(&text) {
            Ok(_) => 1,
            Err(error) => shown(&error),
        }
    });
}
