//! A device, a model, and the pictures encoded with it.

use crate::error::{coded, to_js};
use crate::log;
use crate::picture::DecodedImage;
use crate::prediction::Prediction;
use crate::video::Video;
use sam2::image::{ImageSize, RgbImage, preprocess};
use sam2::{
    Checkpoint, CleanUp, DeviceChoice, DeviceKind, Error, ImageEmbedding, ImagePredictor,
    LowResMask, Model, ModelOptions, Prompt, Runtime, SharedModel,
};
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::Arc;
use wasm_bindgen::prelude::*;
use web_time::Instant;

/// One per worker: the GPU's runtime starts once.
#[wasm_bindgen]
pub struct Engine {
    runtime: Runtime,
    predictor: Option<ImagePredictor>,
    /// The predictor's model, for videos.
    model: Option<SharedModel>,
    images: HashMap<u32, ImageEmbedding>,
    /// Low-resolution logits of answers, which a later prompt may name.
    masks: HashMap<u32, LowResMask>,
    /// The picture each of `masks` belongs to.
    owners: HashMap<u32, u32>,
    pub(crate) videos: HashMap<u32, Video>,
    next_id: u32,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct LoadOptions {
    config_yaml: Option<String>,
    image_size: Option<usize>,
    name: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct PromptJson {
    points: Vec<[f32; 2]>,
    labels: Vec<i32>,
    #[serde(rename = "box")]
    bounding_box: Option<[f32; 4]>,
    mask_id: Option<u32>,
    multimask: bool,
    snap: bool,
    fill_holes: usize,
    remove_islands: usize,
}

pub(crate) fn bad_call(error: &serde_json::Error) -> JsValue {
    coded(
        "bad_prompt",
        &format!("the call is not understood: {error}"),
    )
}

#[wasm_bindgen]
impl Engine {
    /// Opens `"auto"`, `"cpu"` or `"webgpu"`.
    ///
    /// # Errors
    /// `no_webgpu` where WebGPU was asked for and does not answer rightly.
    pub async fn create(device: String, on_log: js_sys::Function) -> Result<Engine, JsValue> {
        log::install(on_log);
        let choice = match device.as_str() {
            "auto" => DeviceChoice::Auto,
            "cpu" => DeviceChoice::Cpu,
            "webgpu" | "gpu" => DeviceChoice::Gpu,
            other => {
                let text = format!("the device {other:?} is unknown: use auto, cpu or webgpu");
                return Err(coded("bad_setting", &text));
            }
        };
        let runtime = Runtime::open(choice).await.map_err(|e| to_js(&e))?;
        Ok(Self {
            runtime,
            predictor: None,
            model: None,
            images: HashMap::new(),
            masks: HashMap::new(),
            owners: HashMap::new(),
            videos: HashMap::new(),
            next_id: 1,
        })
    }

    fn current(&self) -> &Runtime {
        match &self.predictor {
            Some(p) => p.model().runtime(),
            None => &self.runtime,
        }
    }

    /// `"webgpu"` or `"cpu"`: the device that works now.
    pub fn device(&self) -> String {
        self.current().kind.name().to_owned()
    }

    /// JSON: device, why, adapter, threads, simd, trust, memory_bytes (of wasm, which never shrinks: the
    /// most it took; without what lies on a GPU).
    pub fn device_info(&self) -> String {
        let runtime = self.current();
        serde_json::json!({
            "device": runtime.kind.name(),
            "why": runtime.why,
            "adapter": runtime.adapter,
            "threads": runtime.threads,
            "simd": sam2::device::simd_name(),
            "memory_bytes": Some(crate::memory_bytes()).filter(|bytes| *bytes > 0.0),
            "trust": self.predictor.as_ref().map(|p| p.model().trust()),
        })
        .to_string()
    }

    /// Loads a model file from its bytes and warms it up; `on_progress(stage, done, total)`.
    /// Returns JSON: name, image_size, parameters, precision.
    ///
    /// # Errors
    /// `bad_model`, `model_mismatch`, `checksum`, `out_of_memory`. The model before stays loaded.
    pub async fn load_model(
        &mut self,
        bytes: Vec<u8>,
        options: String,
        on_progress: js_sys::Function,
    ) -> Result<String, JsValue> {
        let options: LoadOptions = serde_json::from_str(&options).map_err(|e| bad_call(&e))?;
        let progress = |stage: &str, done: u64, total: u64| {
            // A page whose progress function throws is not told; the load goes on.
            let _ = on_progress.call3(
                &JsValue::NULL,
                &stage.into(),
                &(done as f64).into(),
                &(total as f64).into(),
            );
        };
        let loaded = async {
            let config = options.config_yaml.as_deref();
            let config = config.map(sam2::ModelConfig::from_yaml).transpose()?;
            let options = ModelOptions {
                config,
                image_size: options.image_size,
                name: options.name,
            };
            let checkpoint = Checkpoint::open(Arc::new(bytes))?;
            checkpoint.verify_data_sha256(&mut |done, total| progress("checking", done, total))?;
            let model = Model::load(checkpoint, options, self.runtime.clone(), &progress).await?;
            let model = Arc::new(model);
            let predictor = ImagePredictor::new(Arc::clone(&model));
            warm_up(&predictor, &progress).await?;
            Ok::<_, Error>((predictor, model))
        };
        let (predictor, shared) = loaded.await.map_err(|e| to_js(&e))?;
        let model = predictor.model();
        let info = serde_json::json!({
            "name": model.name(),
            "image_size": model.config().image_size,
            "parameters": model.config().num_parameters(),
            "precision": model.checkpoint().precision(),
            "encode_gflop": sam2::flops::encode(model.config()) / 1e9,
            "trust": model.trust(),
        })
        .to_string();
        self.images.clear();
        self.masks.clear();
        self.owners.clear();
        self.videos.clear();
        self.predictor = Some(predictor);
        self.model = Some(shared);
        Ok(info)
    }

    fn predictor(&self) -> Result<&ImagePredictor, JsValue> {
        let missing = || coded("bad_model", "no model is loaded: load one first");
        self.predictor.as_ref().ok_or_else(missing)
    }

    /// Encodes a picture of `width` x `height` RGBA pixels (alpha is dropped, as the official code
    /// does). Returns JSON: id, encode_ms, width, height.
    ///
    /// # Errors
    /// `bad_image`, `device_lost`.
    pub async fn set_image(
        &mut self,
        rgba: Vec<u8>,
        width: u32,
        height: u32,
        on_progress: js_sys::Function,
    ) -> Result<String, JsValue> {
        let image = RgbImage::from_rgba(width as usize, height as usize, &rgba);
        drop(rgba);
        let image = image.map_err(|e| to_js(&e.into()))?;
        self.encode(image, &on_progress).await
    }

    /// As `set_image`, with a picture that this module has decoded; it is used up.
    ///
    /// # Errors
    /// As `set_image`.
    pub async fn set_decoded(
        &mut self,
        image: DecodedImage,
        on_progress: js_sys::Function,
    ) -> Result<String, JsValue> {
        self.encode(image.into_rgb(), &on_progress).await
    }

    /// Masks for a prompt (JSON: points, labels, box, mask_id, multimask, snap, fill_holes,
    /// remove_islands) on the picture `id`.
    ///
    /// # Errors
    /// `bad_prompt`, `bad_image` for an unknown id, `mask_fault`, `device_lost`.
    pub async fn predict(&mut self, id: u32, prompt: String) -> Result<Prediction, JsValue> {
        let start = Instant::now();
        let json: PromptJson = serde_json::from_str(&prompt).map_err(|e| bad_call(&e))?;
        let mask_input = match json.mask_id {
            None => None,
            Some(mask) => {
                let known = self.owners.get(&mask) == Some(&id);
                let found = self.masks.get(&mask).filter(|_| known).cloned();
                let missing = || coded("bad_prompt", "the mask to refine is of another picture");
                Some(found.ok_or_else(missing)?)
            }
        };
        let prompt = Prompt {
            points: json.points,
            labels: json.labels,
            bounding_box: json.bounding_box,
            mask_input,
            multimask: json.multimask,
        };
        let clean_up = CleanUp {
            snap: json.snap,
            fill_holes: json.fill_holes,
            remove_islands: json.remove_islands,
        };
        let unknown = || {
            coded(
                "bad_image",
                &format!("picture {id} is not open: open it again"),
            )
        };
        let embedding = self.images.get(&id).ok_or_else(unknown)?;
        let answer = self
            .predictor()?
            .predict(embedding, &prompt, clean_up)
            .await;
        let answer = answer.map_err(|e| to_js(&e))?;
        let mut ids = Vec::with_capacity(answer.masks.len());
        for mask in &answer.masks {
            let mask_id = self.take_id();
            self.masks.insert(mask_id, mask.low_res.clone());
            self.owners.insert(mask_id, id);
            ids.push(mask_id);
        }
        self.forget_old_masks(id);
        Ok(Prediction::new(
            answer,
            ids,
            start.elapsed().as_secs_f64() * 1e3,
        ))
    }

    /// Keeps the last answers of a picture: undo goes back some steps, a day of clicks must not pile up.
    fn forget_old_masks(&mut self, id: u32) {
        const KEPT: usize = 192;
        let mut own: Vec<u32> = self
            .owners
            .iter()
            .filter(|(_, owner)| **owner == id)
            .map(|(m, _)| *m)
            .collect();
        if own.len() > KEPT {
            own.sort_unstable();
            for mask in &own[..own.len() - KEPT] {
                self.masks.remove(mask);
                self.owners.remove(mask);
            }
        }
    }

    /// Forgets a picture and its answers.
    pub fn drop_image(&mut self, id: u32) {
        self.images.remove(&id);
        self.owners.retain(|mask, owner| {
            let keep = *owner != id;
            if !keep {
                self.masks.remove(mask);
            }
            keep
        });
        self.cleanup();
    }

    /// How many times the image encoder has run, for tests: a click must not raise it.
    pub fn encodes(&self) -> f64 {
        self.predictor.as_ref().map_or(0.0, |p| p.encodes() as f64)
    }
}

impl Engine {
    async fn encode(
        &mut self,
        image: RgbImage,
        on_progress: &js_sys::Function,
    ) -> Result<String, JsValue> {
        let start = Instant::now();
        let step = |done: usize, total: usize| {
            let (done, total) = (done as f64, total as f64);
            // As in load_model.
            let _ = on_progress.call3(
                &JsValue::NULL,
                &"encoding".into(),
                &done.into(),
                &total.into(),
            );
        };
        step(0, 1);
        let predictor = self.predictor()?;
        let (width, height) = (image.width(), image.height());
        let input = preprocess(&image, predictor.model().config().image_size);
        // A large picture is larger than all that the encoder takes: it goes first.
        drop(image);
        let embedding = predictor
            .set_input_telling(input, ImageSize { width, height }, &step)
            .await
            .map_err(|e| to_js(&e))?;
        let id = self.take_id();
        self.images.insert(id, embedding);
        Ok(serde_json::json!({
            "id": id,
            "encode_ms": start.elapsed().as_secs_f64() * 1e3,
            "width": width,
            "height": height,
        })
        .to_string())
    }

    pub(crate) fn take_id(&mut self) -> u32 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    pub(crate) fn shared_model(&self) -> Result<SharedModel, JsValue> {
        let missing = || coded("bad_model", "no model is loaded: load one first");
        self.model.clone().ok_or_else(missing)
    }

    /// Gives back what the device keeps for later.
    pub(crate) fn cleanup(&self) {
        self.current().cleanup();
    }
}

/// One encode and two decodes on a blank picture: shaders are compiled and memory is there before the
/// first click, which may then cost no more than the next.
async fn warm_up(
    predictor: &ImagePredictor,
    progress: &dyn Fn(&str, u64, u64),
) -> Result<(), Error> {
    // Without shaders to compile there is little to gain, and a large model takes seconds to gain it.
    let large = predictor.model().config().image_size > 512;
    if large && predictor.model().runtime().kind == DeviceKind::Cpu {
        return Ok(());
    }
    progress("warming up", 0, 3);
    let blank = RgbImage::from_rgb(64, 64, vec![127; 64 * 64 * 3])?;
    let embedding = predictor.set_image(&blank).await?;
    progress("warming up", 1, 3);
    for multimask in [true, false] {
        let prompt = Prompt {
            multimask,
            ..Prompt::click(32.0, 32.0)
        };
        match predictor
            .predict(&embedding, &prompt, CleanUp::default())
            .await
        {
            // A blank picture may give a constant answer, which the mask check refuses.
            Ok(_) | Err(Error::Fault(_)) => {}
            Err(error) => return Err(error),
        }
    }
    progress("warming up", 3, 3);
    Ok(())
}
