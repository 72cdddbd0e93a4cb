//! Hostile arrays and prompts files (tests/trust/FUZZ.md).

#[path = "../../../tests/src/fuzz.rs"]
mod harness;

use crate::npz::read_npy;
use crate::segment::{mask_input::MaskInput, prompts};
use crate::track;
use harness::{Fuzz, ending};
use std::io::Write;
use std::path::Path;

fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default())
        .join("../../tests/fixtures/micro");
    std::fs::read(folder.join(name)).unwrap()
}

/// A .npy of float32.
fn npy(shape: &str, values: usize) -> Vec<u8> {
    let dict = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}\n");
    let mut bytes = b"\x93NUMPY\x01\0".to_vec();
    bytes.extend((dict.len() as u16).to_le_bytes());
    bytes.extend(dict.as_bytes());
    (0..values).for_each(|i| bytes.extend((i as f32).to_le_bytes()));
    bytes
}

fn npz(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in arrays {
        zip.start_file(*name, zip::write::SimpleFileOptions::default())
            .unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn arrays() {
    Fuzz {
        name: "npy arrays",
        seeds: vec![npy("4, 4", 16), npy("1, 4, 4", 16), npy("", 1)],
        words: &[
            b"'<f8'",
            b"'>f4'",
            b"(,)",
            b"99999999999",
            b"True",
            b"\x93NUMPY",
        ],
        cases: 10_000,
        most_mb: 256,
        most_bytes: 8 << 10,
    }
    .run(|bytes| match read_npy(bytes) {
        Ok(array) => {
            assert_eq!(array.values.len(), array.shape.iter().product::<usize>());
            array.shape.len() as u64
        }
        Err(error) => ending(&error),
    });
}

/// Mask inputs and prompts files as they are read: through the file system.
fn through_a_file(fuzz: Fuzz<'_>, ending_of_name: &str, read: impl Fn(&Path) -> u64) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("input.{ending_of_name}"));
    fuzz.run(|bytes| {
        std::fs::write(&path, bytes).unwrap();
        read(&path)
    });
}

#[test]
fn packs_of_arrays() {
    let first = npz(&[
        ("masks_0.npy", npy("3, 8, 8", 192)),
        ("low_res_0.npy", npy("3, 4, 4", 48)),
        ("iou_0.npy", npy("3", 3)),
    ]);
    let fuzz = Fuzz {
        name: "npz packs",
        seeds: vec![
            first,
            npz(&[
                ("low_res_12.npy", npy("1, 4, 4", 16)),
                ("iou_12.npy", npy("1", 1)),
            ]),
        ],
        words: &[
            b"PK\x03\x04",
            b"PK\x05\x06",
            b"low_res_",
            b"iou_",
            b".npy",
            b"\xff\xff\xff\xff",
        ],
        cases: 4_000,
        most_mb: 512,
        most_bytes: 16 << 10,
    };
    through_a_file(fuzz, "npz", |path| match MaskInput::read(path) {
        Ok(mask) => mask.for_model(32).side as u64,
        Err(error) => ending(&error.to_string().replace(&path.display().to_string(), "")),
    });
}

#[test]
fn prompts_of_pictures() {
    let fuzz = Fuzz {
        name: "prompts of pictures",
        seeds: ["tiny", "wide", "tall"]
            .map(|n| fixture(&format!("prompts/{n}.json")))
            .to_vec(),
        words: &[
            b"1e400",
            b"null",
            b"NaN",
            b"-0.0",
            b"[[",
            b"\"refine\": true",
            b"\"box\":",
            b"\\ud800",
        ],
        cases: 5_000,
        most_mb: 256,
        most_bytes: 16 << 10,
    };
    through_a_file(fuzz, "json", |path| match prompts::read(path) {
        Ok(steps) => steps.len() as u64,
        Err(error) => ending(&error.to_string()),
    });
}

#[test]
fn prompts_of_videos() {
    let fuzz = Fuzz {
        name: "prompts of videos",
        seeds: ["tracks.json", "tracks_late.json"].map(fixture).to_vec(),
        words: &[
            b"\"mask\": \"../../etc/passwd\"",
            b"null",
            b"-1",
            b"4294967296",
            b"\"object\":",
            b"\"frame\":",
        ],
        cases: 5_000,
        most_mb: 256,
        most_bytes: 16 << 10,
    };
    through_a_file(fuzz, "json", |path| match track::prompts::read(path) {
        Ok(steps) => steps.len() as u64,
        Err(error) => ending(&error.to_string()),
    });
}
