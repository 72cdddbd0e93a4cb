use std::sync::Arc;

use super::*;

fn open(bytes: &[u8]) -> Result<Checkpoint, CheckpointError> {
    Checkpoint::open(Arc::new(bytes.to_vec()))
}

fn refusal(bytes: &[u8]) -> String {
    match open(bytes) {
        Ok(_) => panic!("was accepted"),
        Err(error) => {
            let text = error.to_string();
            assert_eq!(text.lines().count(), 1, "{text}");
            assert_eq!(error.code(), "bad_model");
            text
        }
    }
}

/// The values of `fixtures/generate.py`: i/8 - 1, exact in every type.
fn ramp(count: usize) -> Vec<f32> {
    (0..count).map(|i| i as f32 / 8.0 - 1.0).collect()
}

fn safetensors(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

#[test]
fn safetensors_of_every_float_type() {
    let checkpoint = open(include_bytes!("../../fixtures/plain.safetensors")).unwrap();
    assert_eq!(checkpoint.format(), Format::Safetensors);
    assert_eq!(checkpoint.read_f32("a.weight").unwrap(), ramp(6));
    assert_eq!(checkpoint.read_f32("half").unwrap(), ramp(6));
    assert_eq!(checkpoint.read_f32("brain").unwrap(), ramp(6));
    assert_eq!(checkpoint.read_f32("double").unwrap(), ramp(4));
    assert_eq!(checkpoint.read_f32("empty").unwrap(), ramp(0));
    assert_eq!(checkpoint.index().shape("a.weight"), Some(&[3, 2][..]));
    assert_eq!(checkpoint.num_parameters(), 6 + 3 + 6 + 6 + 4);
    assert!(checkpoint.config().is_none());
    assert!(matches!(
        checkpoint.require_config(),
        Err(CheckpointError::NoConfig)
    ));
    assert!(matches!(
        checkpoint.read_f32("b"),
        Err(CheckpointError::NoTensor { .. })
    ));
    assert!(!checkpoint.verify_data_sha256(|_, _| {}).unwrap());
}

#[test]
fn other_files_are_named_for_what_they_are() {
    for (bytes, says) in [
        (&b""[..], "an empty file"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
            "git lfs pull",
        ),
        (b"\n <!DOCTYPE html><html>", "web page"),
        (b"<HTML>404", "web page"),
        (b"PK\x05\x06\0\0", "empty zip"),
        (b"\x80\x02}q\0.", "1.6"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"# @package _global_\nmodel:", "--config"),
        (b"{\"error\": \"not found\"}", "JSON"),
        (&[0; 600], "zeros"),
        (b"hello", "something else"),
    ] {
        let error = refusal(bytes);
        assert!(error.contains(says), "{error}");
    }
    let mut tar = vec![b'x'; 512];
    tar[257..262].copy_from_slice(b"ustar");
    assert!(refusal(&tar).contains("tar"));
    assert!(refusal(include_bytes!("../../fixtures/legacy.pt")).contains("1.6"));
}

#[test]
fn lying_safetensors_headers_are_refused() {
    let one = r#"{"x":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}"#;
    assert!(open(&safetensors(one, 24)).is_ok());
    let two = |a: &str, b: &str| {
        format!(
            r#"{{"x":{{"dtype":"F32","shape":[2],"data_offsets":{a}}},"y":{{"dtype":"F32","shape":[2],"data_offsets":{b}}}}}"#
        )
    };
    assert!(open(&safetensors(&two("[0,8]", "[8,16]"), 16)).is_ok());
    for (header, data, says) in [
        (one.to_owned(), 23, "cut short"),
        (one.to_owned(), 25, "follow the last tensor"),
        (one.replace("[2,3]", "[2,4]"), 24, "claims bytes"),
        (one.replace("[0,24]", "[24,0]"), 24, "claims bytes"),
        (
            one.replace("[2,3]", "[4294967296,4294967296]"),
            24,
            "claims bytes",
        ),
        (one.replace("[2,3]", "[-2,3]"), 24, "damaged"),
        (
            one.replace("[2,3]", "[1,1,1,1,1,1,1,2,3]"),
            24,
            "9 dimensions",
        ),
        (one.replace("F32", "F33"), 24, "F33"),
        (one.replace("dtype", "type"), 24, "type"),
        (one.replace('}', ""), 24, "damaged"),
        (two("[0,8]", "[4,12]"), 12, "overlap"),
        (two("[0,8]", "[12,20]"), 20, "gap"),
        (
            two("[0,8]", "[8,16]").replace("\"y\"", "\"x\""),
            16,
            "stands twice",
        ),
    ] {
        let error = refusal(&safetensors(&header, data));
        assert!(error.contains(says), "{header}: {error}");
    }
    let mut long = safetensors(one, 24);
    long[..8].copy_from_slice(&(100u64 << 20).to_le_bytes());
    assert!(refusal(&long).contains("accepted"));
    long[..8].copy_from_slice(&(10u64 << 20).to_le_bytes());
    assert!(refusal(&long).contains("cut short"));
}

#[test]
fn whole_numbers_are_listed_but_are_not_weights() {
    let header = r#"{"x":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}"#;
    let checkpoint = open(&safetensors(header, 8)).unwrap();
    let error = checkpoint.read_f32("x").unwrap_err().to_string();
    assert!(error.contains("`x`") && error.contains("I64"), "{error}");
    let error = checkpoint
        .check_against(&[("x".into(), vec![1])])
        .unwrap_err();
    assert_eq!(error.code(), "model_mismatch");
    assert!(
        error
            .to_string()
            .contains("1 not floating-point (x is I64)"),
        "{error}"
    );
}
