use std::io::Cursor;
use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::{Checkpoint, Format, expected_tensors};

const MICRO: &str = include_str!("../../fixtures/micro.yaml");

/// Values that differ from tensor to tensor and element to element.
fn values(name: &str, count: usize) -> Vec<f32> {
    let seed = name.bytes().map(u32::from).sum::<u32>();
    (0..count as u32)
        .map(|i| ((seed + i * 7) % 1000) as f32 / 512.0 - 1.0)
        .collect()
}

fn written(precision: Precision, metadata: &Metadata) -> Vec<u8> {
    let config = ModelConfig::from_yaml(MICRO).unwrap();
    let shapes = expected_tensors(&config);
    let mut out = Cursor::new(Vec::new());
    let read = |name: &str| {
        let shape = &shapes.iter().find(|(key, _)| key == name).unwrap().1;
        Ok(values(name, shape.iter().product()))
    };
    write_sam2(
        &mut out,
        &shapes,
        read,
        precision,
        &config,
        metadata,
        |_, _| {},
    )
    .unwrap();
    out.into_inner()
}

#[test]
fn what_is_written_is_read_back() {
    let metadata = Metadata {
        name: Some("micro".into()),
        licence: Some("Apache-2.0".into()),
        producer: Some("test \"quoted\"".into()),
        probe: Some(json!({ "logits": [0.1, -2.5] })),
    };
    for precision in [Precision::F32, Precision::F16] {
        let bytes = written(precision, &metadata);
        assert_eq!(
            bytes,
            written(precision, &metadata),
            "the same input gives the same bytes"
        );
        let checkpoint = Checkpoint::open(Arc::new(bytes)).unwrap();
        assert_eq!(checkpoint.format(), Format::Sam2);
        assert_eq!(checkpoint.metadata(), &metadata);
        assert_eq!(checkpoint.probe().unwrap()["logits"][1], -2.5);
        let config = checkpoint.require_config().unwrap();
        assert_eq!(config, &ModelConfig::from_yaml(MICRO).unwrap());
        checkpoint.check_against(&expected_tensors(config)).unwrap();
        // Multiples of 1/512 below 1 are exact in f16.
        for name in ["no_mem_embed", "obj_ptr_proj.layers.1.weight"] {
            let read = checkpoint.read_f32(name).unwrap();
            assert_eq!(read, values(name, read.len()));
        }
        let mut seen = (0, 0);
        assert!(
            checkpoint
                .verify_data_sha256(|done, total| seen = (done, total))
                .unwrap()
        );
        assert_eq!(seen.0, seen.1);
        assert_eq!(seen.1, 958_442 * precision.bytes());
    }
}

#[test]
fn a_changed_byte_and_a_later_format_are_refused() {
    let clean = written(Precision::F16, &Metadata::default());
    let mut changed = clean.clone();
    *changed.last_mut().unwrap() ^= 1;
    let checkpoint = Checkpoint::open(Arc::new(changed)).unwrap();
    assert_eq!(
        checkpoint.verify_data_sha256(|_, _| {}).unwrap_err().code(),
        "checksum"
    );

    let at = clean
        .windows(6)
        .position(|window| window == b"sam2/1")
        .unwrap();
    let mut later = clean.clone();
    later[at + 5] = b'2';
    let error = Checkpoint::open(Arc::new(later)).err().unwrap();
    assert!(error.to_string().contains("`sam2/2`"), "{error}");
    // A damaged configuration is not silently replaced by a guess.
    let at = clean
        .windows(11)
        .position(|window| window == b"num_maskmem")
        .unwrap();
    let mut damaged = clean;
    damaged[at] = b'x';
    let error = Checkpoint::open(Arc::new(damaged)).err().unwrap();
    assert!(matches!(error, CheckpointError::Config(_)), "{error}");
}

#[test]
fn plain_files_have_the_official_layout() {
    let shapes = [("b".to_owned(), vec![2]), ("a".to_owned(), vec![1, 3])];
    let mut out = Vec::new();
    let read = |name: &str| Ok(values(name, if name == "a" { 3 } else { 2 }));
    write_safetensors(&mut out, &shapes, read, Precision::F32, |_, _| {}).unwrap();
    assert_eq!(u64::from_le_bytes(out[..8].try_into().unwrap()) % 8, 0);
    let checkpoint = Checkpoint::open(Arc::new(out)).unwrap();
    assert_eq!(checkpoint.format(), Format::Safetensors);
    assert_eq!(checkpoint.read_f32("a").unwrap(), values("a", 3));
    assert_eq!(checkpoint.read_f32("b").unwrap(), values("b", 2));
}

#[test]
fn values_that_would_be_lost_are_refused() {
    let shapes = [("a".to_owned(), vec![2])];
    let write = |values: Vec<f32>, precision| {
        write_safetensors(
            &mut Vec::new(),
            &shapes,
            |_| Ok(values.clone()),
            precision,
            |_, _| {},
        )
    };
    assert!(write(vec![1.0, 65_504.0], Precision::F16).is_ok());
    assert!(write(vec![1.0, -70_000.0], Precision::F32).is_ok());
    let error = write(vec![1.0, -70_000.0], Precision::F16)
        .unwrap_err()
        .to_string();
    assert!(error.contains("`a`") && error.contains("-70000"), "{error}");
    let error = write(vec![1.0], Precision::F32).unwrap_err().to_string();
    assert!(error.contains("1 elements"), "{error}");
}
