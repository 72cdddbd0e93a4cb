use super::*;
use crate::{Size, TensorIndex, Version, detect};

/// `key 1x2x3` a line, from the official code (fixtures/generate.py).
fn fixture(text: &str) -> Vec<(String, Vec<usize>)> {
    text.lines()
        .map(|line| {
            let (key, shape) = line.split_once(' ').unwrap();
            let dims = shape.split('x').map(|dim| dim.parse().unwrap());
            (key.to_owned(), dims.collect())
        })
        .collect()
}

const OFFICIAL: [(Size, Version, &str); 8] = [
    (
        Size::Tiny,
        Version::V2_0,
        include_str!("../../fixtures/state_dict/2.0_tiny.txt"),
    ),
    (
        Size::Small,
        Version::V2_0,
        include_str!("../../fixtures/state_dict/2.0_small.txt"),
    ),
    (
        Size::BasePlus,
        Version::V2_0,
        include_str!("../../fixtures/state_dict/2.0_base_plus.txt"),
    ),
    (
        Size::Large,
        Version::V2_0,
        include_str!("../../fixtures/state_dict/2.0_large.txt"),
    ),
    (
        Size::Tiny,
        Version::V2_1,
        include_str!("../../fixtures/state_dict/2.1_tiny.txt"),
    ),
    (
        Size::Small,
        Version::V2_1,
        include_str!("../../fixtures/state_dict/2.1_small.txt"),
    ),
    (
        Size::BasePlus,
        Version::V2_1,
        include_str!("../../fixtures/state_dict/2.1_base_plus.txt"),
    ),
    (
        Size::Large,
        Version::V2_1,
        include_str!("../../fixtures/state_dict/2.1_large.txt"),
    ),
];

#[test]
fn the_list_is_the_official_state_dict() {
    for (size, version, text) in OFFICIAL {
        let config = ModelConfig::official(size, version);
        assert_eq!(expected_tensors(&config), fixture(text), "{size} {version}");
    }
    let config = ModelConfig::from_yaml(include_str!("../../fixtures/micro.yaml")).unwrap();
    let expected = fixture(include_str!("../../fixtures/state_dict/micro.txt"));
    assert_eq!(expected_tensors(&config), expected);
    assert_eq!(config.num_parameters(), 958_442);
}

#[test]
fn published_models_are_recognised_and_others_are_not() {
    for (size, version, text) in OFFICIAL {
        let index = TensorIndex::from_shapes(fixture(text));
        assert_eq!(detect(&index), Some((size, version)));
    }
    let micro =
        TensorIndex::from_shapes(fixture(include_str!("../../fixtures/state_dict/micro.txt")));
    assert_eq!(detect(&micro), None);
    // Tiny's trunk with another neck is a relative, not tiny.
    let mut relative = fixture(OFFICIAL[4].2);
    for (name, shape) in &mut relative {
        if name.starts_with("image_encoder.neck") {
            shape[0] = 128;
        }
    }
    assert_eq!(detect(&TensorIndex::from_shapes(relative)), None);
}

#[test]
fn every_difference_counts_and_the_error_is_one_line() {
    let expected = fixture(OFFICIAL[4].2);
    let mut found = expected.clone();
    found.retain(|(name, _)| !name.starts_with("sam_mask_decoder.iou"));
    found.push(("module.stray\nline".into(), vec![1]));
    found
        .iter_mut()
        .find(|(name, _)| name == "no_mem_embed")
        .unwrap()
        .1 = vec![1, 256];
    let mismatch = TensorIndex::from_shapes(found)
        .check_against(&expected)
        .unwrap_err();
    assert_eq!(mismatch.missing.len(), 7);
    assert_eq!(mismatch.unexpected, ["module.stray\nline"]);
    assert_eq!(mismatch.wrongly_shaped.len(), 1);
    let line = mismatch.to_string();
    assert_eq!(line.lines().count(), 1);
    assert!(
        line.contains("7 missing (sam_mask_decoder.iou_prediction_head.layers.0.bias, "),
        "{line}"
    );
    assert!(
        line.contains("no_mem_embed is [1, 256], expected [1, 1, 256]"),
        "{line}"
    );
    // Three of the seven in the line, all of them in the long form.
    assert!(!line.contains("iou_token"));
    assert!(format!("{mismatch:#}").contains("iou_token"));
}

#[test]
fn options_that_no_published_model_uses_change_the_list() {
    let mut config = ModelConfig::from_yaml(include_str!("../../fixtures/micro.yaml")).unwrap();
    let block = &mut config.memory_encoder.fuser.layer;
    (block.use_dwconv, block.layer_scale_init_value) = (false, 0.0);
    config.memory_encoder.fuser.input_projection = true;
    config.memory_encoder.fuser.dim = Some(32);
    config.use_high_res_features_in_sam = false;
    config.pred_obj_scores_mlp = false;
    config.use_mlp_for_obj_ptr_proj = false;
    config.validate().unwrap();
    // From the official code with the same settings.
    let list = expected_tensors(&config);
    let shape = |key: &str| {
        list.iter()
            .find(|(name, _)| name == key)
            .map(|(_, shape)| shape.as_slice())
    };
    assert_eq!(list.len(), 347);
    assert_eq!(
        shape("memory_encoder.fuser.layers.0.dwconv.weight"),
        Some(&[32, 32, 7, 7][..])
    );
    assert_eq!(
        shape("memory_encoder.fuser.proj.weight"),
        Some(&[32, 32, 1, 1][..])
    );
    assert_eq!(
        shape("sam_mask_decoder.pred_obj_score_head.weight"),
        Some(&[1, 32][..])
    );
    assert_eq!(shape("obj_ptr_proj.bias"), Some(&[32][..]));
    assert_eq!(shape("memory_encoder.fuser.layers.0.gamma"), None);
    assert_eq!(shape("sam_mask_decoder.conv_s0.weight"), None);
}
