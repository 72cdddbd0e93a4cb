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
fn a_closed_file_keeps_its_names_and_refuses_to_be_read() {
    let mut checkpoint = open(include_bytes!("../../fixtures/plain.safetensors")).unwrap();
    let (key, _) = checkpoint.tensors().next().unwrap();
    let key = key.to_owned();
    assert!(checkpoint.read_f32(&key).is_ok());
    assert!(checkpoint.precision().starts_with("f32"));
    checkpoint.close();
    let error = checkpoint.read_f32(&key).unwrap_err();
    assert!(error.to_string().contains("closed"), "{error}");
    assert!(checkpoint.index().shape(&key).is_some());
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
        (b"# @package _global_\nmodel:", "a yaml configuration"),
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

#[test]
fn pt_of_every_float_type() {
    for bytes in [
        &include_bytes!("../../fixtures/plain.pt")[..],
        include_bytes!("../../fixtures/bare.pt"),
        include_bytes!("../../fixtures/extras.pt"),
        include_bytes!("../../fixtures/protocol4.pt"),
        include_bytes!("../../fixtures/no_crc.pt"),
    ] {
        let checkpoint = open(bytes).unwrap();
        assert_eq!(checkpoint.format(), Format::Pt);
        assert_eq!(checkpoint.index().len(), 6);
        assert_eq!(checkpoint.index().shape("a.weight"), Some(&[3, 2][..]));
        assert_eq!(checkpoint.read_f32("a.weight").unwrap(), ramp(6));
        assert_eq!(checkpoint.read_f32("half").unwrap(), ramp(6));
        assert_eq!(checkpoint.read_f32("brain").unwrap(), ramp(6));
        assert_eq!(checkpoint.read_f32("double").unwrap(), ramp(4));
        assert_eq!(checkpoint.read_f32("empty").unwrap(), ramp(0));
    }
}

#[test]
fn views_share_a_storage_and_keep_their_strides() {
    let checkpoint = open(include_bytes!("../../fixtures/views.pt")).unwrap();
    let whole = ramp(20);
    let pick = |at: &[usize]| at.iter().map(|&i| whole[i]).collect::<Vec<_>>();
    // [5, 4]; rows 1..3; transposed; column 1; every second row and third column.
    assert_eq!(
        checkpoint.read_f32("column").unwrap(),
        pick(&[1, 5, 9, 13, 17])
    );
    assert_eq!(
        checkpoint.read_f32("steps").unwrap(),
        pick(&[0, 3, 8, 11, 16, 19])
    );
    assert_eq!(checkpoint.read_f32("rows").unwrap(), whole[4..12]);
    let turned: Vec<_> = (0..20).map(|i| (i % 5) * 4 + i / 5).collect();
    assert_eq!(checkpoint.index().shape("turned"), Some(&[4, 5][..]));
    assert_eq!(checkpoint.read_f32("turned").unwrap(), pick(&turned));
    assert_eq!(checkpoint.read_f32("whole").unwrap(), whole);
}

#[test]
fn modules_and_parameters() {
    let checkpoint = open(include_bytes!("../../fixtures/parameters.pt")).unwrap();
    assert_eq!(checkpoint.index().shape("0.weight"), Some(&[3, 2][..]));
    assert_eq!(checkpoint.read_f32("1.weight").unwrap(), [1.0; 3]);
    let checkpoint = open(include_bytes!("../../fixtures/module.pt")).unwrap();
    assert_eq!(checkpoint.read_f32("1.running_var").unwrap(), [1.0; 3]);
    assert_eq!(
        checkpoint.index().shape("1.num_batches_tracked"),
        Some(&[][..])
    );
    assert!(
        checkpoint
            .read_f32("1.num_batches_tracked")
            .unwrap_err()
            .to_string()
            .contains("I64")
    );
}

#[test]
fn pickles_that_want_more_are_refused_by_name() {
    let error = refusal(include_bytes!("../../fixtures/whole_module.pt"));
    assert!(
        error.contains("torch.nn.modules.container.Sequential"),
        "{error}"
    );
    let error = refusal(include_bytes!("../../fixtures/complex.pt"));
    assert!(error.contains("torch.ComplexFloatStorage"), "{error}");
    let error = refusal(include_bytes!("../../fixtures/compressed.pt"));
    assert!(
        error.contains("compressed") && error.contains("zip -0"),
        "{error}"
    );
    let error = refusal(include_bytes!("../../fixtures/other.zip"));
    assert!(error.contains("readme.txt"), "{error}");
    let error = refusal(include_bytes!("../../fixtures/expanded.pt"));
    assert!(
        error.contains("`x`") && error.contains("storage"),
        "{error}"
    );
    let error = refusal(include_bytes!("../../fixtures/no_tensors.pt"));
    assert!(error.contains("epoch"), "{error}");
}

#[test]
fn a_changed_byte_is_found_by_its_checksum() {
    let clean = include_bytes!("../../fixtures/plain.pt");
    assert!(open(clean).unwrap().verify_data_sha256(|_, _| {}).unwrap());
    let checkpoint = open(clean).unwrap();
    // -1.0, the first value of each tensor of f32.
    let first = (-1.0f32).to_le_bytes();
    let at = clean
        .windows(8)
        .position(|w| w[..4] == first && w[4..] == (-0.875f32).to_le_bytes())
        .unwrap();
    assert_eq!(checkpoint.read_f32("a.weight").unwrap()[0], -1.0);
    let mut changed = clean.to_vec();
    changed[at] ^= 1;
    let checkpoint = open(&changed).unwrap();
    for result in [
        checkpoint.read_f32("a.weight").map(drop),
        checkpoint.verify_data_sha256(|_, _| {}).map(drop),
    ] {
        assert_eq!(result.unwrap_err().code(), "checksum");
    }
    // In views.pt no tensor but one is its whole storage; the others are checked all the same.
    let mut changed = include_bytes!("../../fixtures/views.pt").to_vec();
    let at = changed
        .windows(8)
        .position(|w| w[..4] == first && w[4..] == (-0.875f32).to_le_bytes())
        .unwrap();
    changed[at] ^= 1;
    assert_eq!(
        open(&changed)
            .unwrap()
            .read_f32("steps")
            .unwrap_err()
            .code(),
        "checksum"
    );
}

#[test]
fn a_cut_archive_says_so() {
    let clean = include_bytes!("../../fixtures/plain.pt");
    for len in [4, 100, clean.len() / 2, clean.len() - 1] {
        let error = refusal(&clean[..len]);
        assert!(error.contains("cut short"), "{len}: {error}");
    }
}
