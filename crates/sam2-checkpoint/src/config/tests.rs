use super::*;

const MICRO: &str = include_str!("../../fixtures/micro.yaml");
/// The official yaml files, dumped as JSON by the official loader (fixtures/generate.py).
const OFFICIAL: &str = include_str!("../../fixtures/configs.json");

fn micro_with(from: &str, to: &str) -> Result<ModelConfig, ConfigError> {
    assert!(MICRO.contains(from), "micro.yaml no longer has `{from}`");
    ModelConfig::from_yaml(&MICRO.replacen(from, to, 1))
}

fn refusal(from: &str, to: &str) -> String {
    micro_with(from, to).expect_err(to).to_string()
}

#[test]
fn the_official_configurations_are_those_of_the_official_files() {
    let files: serde_json::Map<String, serde_json::Value> = serde_json::from_str(OFFICIAL).unwrap();
    assert_eq!(files.len(), 8);
    for version in Version::ALL {
        for size in Size::ALL {
            // Every JSON text is a yaml text, so this goes through the yaml reader.
            let text = files[&format!("{version}_{size}")].to_string();
            assert_eq!(
                ModelConfig::from_yaml(&text).unwrap(),
                ModelConfig::official(size, version)
            );
        }
    }
}

#[test]
fn micro_is_read_with_defaults_and_postprocessing() {
    let config = ModelConfig::from_yaml(MICRO).unwrap();
    assert_eq!(config.image_encoder.trunk.stages, [1, 2, 3, 1]);
    assert_eq!(config.image_encoder.trunk.window_spec, [8, 4, 14, 7]);
    assert_eq!(
        config.memory_encoder.fuser.layer.layer_scale_init_value,
        1e-6
    );
    assert_eq!(
        config.memory_attention.layer.cross_attention.kv_in_dim,
        Some(16)
    );
    assert_eq!(config.max_cond_frames_in_attn, -1);
    assert_eq!((config.hidden_dim(), config.mem_dim()), (32, 16));
    assert!(
        config
            .sam_mask_decoder_extra_args
            .dynamic_multimask_via_stability
    );
    assert!(config.binarize_mask_from_pts_for_mem_enc);
    assert_eq!(config.fill_hole_area, 8);

    let plain = ModelConfig::from_yaml_without_postprocessing(MICRO).unwrap();
    assert!(
        !plain
            .sam_mask_decoder_extra_args
            .dynamic_multimask_via_stability
    );
    assert_eq!(plain.fill_hole_area, 0);
}

#[test]
fn json_round_trip_keeps_every_value() {
    let mut config = ModelConfig::from_yaml(MICRO).unwrap();
    config.sigmoid_scale_for_mem_enc = 0.1 + 0.2;
    config.image_encoder.neck.position_encoding.scale = Some(std::f64::consts::PI);
    let text = config.to_json();
    assert!(!text.contains('\n'));
    assert_eq!(ModelConfig::from_json(&text).unwrap(), config);
    assert_eq!(ModelConfig::from_json(&text).unwrap().to_json(), text);
}

#[test]
fn unknown_and_missing_keys_are_named() {
    let error = refusal("embed_dim: 16", "embed_dim: 16\n      sparkle: 3");
    assert!(
        error.contains("model.image_encoder.trunk") && error.contains("`sparkle`"),
        "{error}"
    );
    let error = refusal("num_maskmem: 7", "num_maskmen: 7");
    assert!(error.contains("num_maskmen"), "{error}");
    let error = refusal("      dim_feedforward: 64\n", "");
    assert!(
        error.contains("`dim_feedforward`") && error.contains("memory_attention.layer"),
        "{error}"
    );
    let error = refusal("model:", "extra: 1\nmodel:");
    assert!(error.contains("`extra`"), "{error}");
}

#[test]
fn wrong_types_and_classes_are_named() {
    let error = refusal("num_heads: 1", "num_heads: one");
    assert!(error.contains("num_heads"), "{error}");
    let error = refusal("hieradet.Hiera", "resnet.ResNet");
    assert!(
        error.contains("resnet.ResNet") && error.contains("hieradet.Hiera"),
        "{error}"
    );
    let error = refusal("activation: relu", "activation: glu");
    assert!(
        error.contains("activation") && error.contains("glu"),
        "{error}"
    );
}

#[test]
fn values_that_do_not_fit_are_refused() {
    for (from, to, says) in [
        ("embed_dim: 16", "embed_dim: 0", "embed_dim"),
        ("embed_dim: 16", "embed_dim: 1000000000", "embed_dim"),
        ("stages: [1, 2, 3, 1]", "stages: [1, 2, 3]", "window_spec"),
        ("stages: [1, 2, 3, 1]", "stages: [1, 0, 3, 1]", "stages"),
        (
            "stages: [1, 2, 3, 1]",
            "stages: [1, 2, 300000, 1]",
            "stages",
        ),
        (
            "stages: [1, 2, 3, 1]",
            "stages: [1, 2, 3, 1]\n      q_pool: 4",
            "q_pool",
        ),
        (
            "stages: [1, 2, 3, 1]",
            "stages: [1, 2, 3, 1]\n      dim_mul: .inf",
            "non-finite",
        ),
        (
            "stages: [1, 2, 3, 1]",
            "stages: [1, 2, 3, 1]\n      window_spec: [8, 4, 13, 7]",
            "window_spec",
        ),
        (
            "global_att_blocks: [4, 5]",
            "global_att_blocks: [7]",
            "global_att_blocks",
        ),
        ("num_heads: 1", "num_heads: 3", "num_heads"),
        ("d_model: 32", "d_model: 40", "d_model"),
        (
            "[128, 64, 32, 16]",
            "[128, 64, 32, 17]",
            "backbone_channel_list",
        ),
        (
            "fpn_top_down_levels: [2, 3]",
            "fpn_top_down_levels: [2, 4]",
            "fpn_top_down_levels",
        ),
        ("scalp: 1", "scalp: 2", "scalp"),
        ("scalp: 1", "scalp: 0", "scalp"),
        ("image_size: 128", "image_size: 120", "multiple of 32"),
        ("image_size: 128", "image_size: 1000000000", "image_size"),
        ("image_size: 128", "image_size: -128", "image_size"),
        ("kv_in_dim: 16", "kv_in_dim: 32", "cross_attention"),
        ("out_dim: 16", "out_dim: 12", "out_dim"),
        ("stride: 2", "stride: 3", "stride"),
        ("      padding: 1", "      padding: 5", "padding"),
        ("num_maskmem: 7", "num_maskmem: 0", "num_maskmem"),
        (
            "num_maskmem: 7",
            "num_maskmem: 7\n  max_cond_frames_in_attn: 1",
            "max_cond_frames_in_attn",
        ),
        (
            "  add_tpos_enc_to_obj_ptrs: true",
            "  add_tpos_enc_to_obj_ptrs: false",
            "proj_tpos",
        ),
        (
            "pred_obj_scores: true",
            "pred_obj_scores: false",
            "fixed_no_obj_ptr",
        ),
        (
            "sigmoid_bias_for_mem_enc: -10.0",
            "sigmoid_bias_for_mem_enc: .nan",
            "non-finite",
        ),
    ] {
        let error = refusal(from, to);
        assert!(error.contains(says), "`{to}` gave: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn a_hostile_configuration_costs_little() {
    // Each value is allowed, the product is not: ~77 G parameters, refused from the list alone.
    let mut config = ModelConfig::official(Size::Large, Version::V2_1);
    config.image_encoder.trunk.stages = vec![256, 256, 256, 256];
    config.image_encoder.trunk.embed_dim = 2048;
    config.image_encoder.neck.backbone_channel_list = vec![16384, 8192, 4096, 2048];
    assert!(matches!(
        config.validate(),
        Err(ConfigError::TooManyParameters { .. })
    ));

    let laughs = (0..30).fold(String::from("a0: &a0 [x, x]\n"), |text, i| {
        format!("{text}a{0}: &a{0} [*a{1}, *a{1}, *a{1}]\n", i + 1, i)
    });
    assert!(matches!(
        ModelConfig::from_yaml(&laughs),
        Err(ConfigError::Syntax { .. })
    ));
    let deep = "[".repeat(200_000);
    assert!(ModelConfig::from_yaml(&deep).is_err());
    assert!(ModelConfig::from_json(&deep).is_err());
    assert!(matches!(
        ModelConfig::from_yaml(&" ".repeat((1 << 20) + 1)),
        Err(ConfigError::TooLong { .. })
    ));
    for text in [
        "",
        "model:",
        "model: 3",
        "- model",
        "\0",
        "model: [",
        "just text",
    ] {
        assert!(ModelConfig::from_yaml(text).is_err(), "{text:?}");
    }
}

#[test]
fn the_trunk_is_laid_out_as_hieradet_does() {
    let config = ModelConfig::official(Size::Tiny, Version::V2_1);
    let trunk = &config.image_encoder.trunk;
    assert_eq!(trunk.stage_ends(), [0, 2, 9, 11]);
    assert_eq!(trunk.channel_list(), [768, 384, 192, 96]);
    let blocks = trunk.blocks();
    // (dim, dim_out, heads, window, pooled), read off the official model.
    let seen: Vec<_> = blocks
        .iter()
        .map(|b| (b.dim, b.dim_out, b.num_heads, b.window_size, b.q_pool))
        .collect();
    assert_eq!(
        seen,
        [
            (96, 96, 1, 8, false),
            (96, 192, 2, 8, true),
            (192, 192, 2, 4, false),
            (192, 384, 4, 4, true),
            (384, 384, 4, 14, false),
            (384, 384, 4, 0, false),
            (384, 384, 4, 14, false),
            (384, 384, 4, 0, false),
            (384, 384, 4, 14, false),
            (384, 384, 4, 0, false),
            (384, 768, 8, 14, true),
            (768, 768, 8, 7, false),
        ]
    );
    assert_eq!(blocks[10].mlp_dim(), 3072);
}

#[test]
fn feature_sizes_follow_the_image_size() {
    let config = ModelConfig::official(Size::Large, Version::V2_0);
    assert_eq!(config.trunk_feature_sizes(1024), [256, 128, 64, 32]);
    assert_eq!(config.backbone_feature_sizes(1024), [256, 128, 64]);
    assert_eq!(config.backbone_feature_sizes(512), [128, 64, 32]);
    assert_eq!(
        (config.image_embedding_size(), config.low_res_size()),
        (64, 256)
    );
    assert_eq!(config.image_size_multiple(), 32);
    assert_eq!(
        config.with_image_size(576).unwrap().image_embedding_size(),
        36
    );
    assert!(
        config
            .with_image_size(1000)
            .unwrap_err()
            .to_string()
            .contains("multiple of 32")
    );
    assert!(config.is_top_down_level(2) && !config.is_top_down_level(1));
}
