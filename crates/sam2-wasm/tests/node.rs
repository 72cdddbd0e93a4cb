//! The crate as others use it: `wasm-pack test --node --release crates/sam2-wasm`.
//!
//! What the engine answers is held to the last figure through `web/sam2` (`web/sam2/test`); this is the
//! same module reached from Rust, with the official code's masks of one picture by their areas.

#![cfg(target_family = "wasm")]

use js_sys::{Function, Reflect};
use sam2_wasm::{Engine, decode_image};
use wasm_bindgen::JsValue;
use wasm_bindgen_test::wasm_bindgen_test;

const WEIGHTS: &[u8] = include_bytes!("../../../tests/fixtures/micro/weights/seed4.safetensors");
const YAML: &str = include_str!("../../../tests/fixtures/micro/micro.yaml");
/// 90 x 171
const TALL: &[u8] = include_bytes!("../../../tests/fixtures/micro/images/tall.png");
const SILENT: &str = "";

fn ignore() -> Function {
    Function::new_no_args(SILENT)
}

fn code_of(error: &JsValue) -> Option<String> {
    Reflect::get(error, &"code".into()).ok()?.as_string()
}

async fn engine() -> Result<Engine, JsValue> {
    let mut engine = Engine::create("cpu".to_owned(), ignore()).await?;
    let options = serde_json::json!({ "config_yaml": YAML }).to_string();
    engine
        .load_model(WEIGHTS.to_vec(), options, ignore())
        .await?;
    Ok(engine)
}

#[wasm_bindgen_test]
async fn the_official_masks_of_a_picture() -> Result<(), JsValue> {
    let mut engine = engine().await?;
    let image = decode_image(TALL)?;
    assert_eq!((image.width(), image.height()), (90, 171));
    let encoded = engine.set_decoded(image, ignore()).await?;
    let id: serde_json::Value = serde_json::from_str(&encoded).map_err(|e| e.to_string())?;
    let id = id["id"].as_u64().and_then(|id| u32::try_from(id).ok());
    let id = id.ok_or_else(|| JsValue::from(format!("no id in {encoded}")))?;
    // The prompts and sums of tests/fixtures/micro/{prompts/tall.json,image/seed4_tall.npz}.
    for (prompt, areas) in [
        (
            r#"{"points": [[36.9, 97.47]], "labels": [1], "multimask": true}"#,
            &[12648.0, 364.0, 659.0][..],
        ),
        (
            r#"{"box": [16.2, 46.17, 59.4, 138.51], "multimask": false}"#,
            &[731.0],
        ),
    ] {
        let answer = engine.predict(id, prompt.to_owned()).await?;
        assert_eq!(answer.count(), areas.len());
        for (i, area) in areas.iter().enumerate() {
            let ours = answer.area(i)?;
            assert!((ours - area).abs() <= 2.0, "mask {i}: {ours}, not {area}");
        }
    }
    Ok(())
}

#[wasm_bindgen_test]
async fn what_cannot_be_done_has_a_code() -> Result<(), JsValue> {
    let refused = decode_image(b"<!doctype html>").err();
    assert_eq!(
        refused.as_ref().and_then(code_of).as_deref(),
        Some("bad_image")
    );
    let mut engine = Engine::create("cpu".to_owned(), ignore()).await?;
    let refused = engine
        .load_model(WEIGHTS[..9000].to_vec(), "{}".to_owned(), ignore())
        .await
        .err();
    assert_eq!(
        refused.as_ref().and_then(code_of).as_deref(),
        Some("bad_model")
    );
    Ok(())
}
