//! Frames that JavaScript reads: a `<video>`, pictures, or whatever the page has.

use js_sys::{Function, Promise, Reflect, Uint8Array};
use sam2::Error;
use sam2::image::{ImageSize, RgbImage};
use sam2::video::FrameSource;
use sam2::video::frames::{FrameFuture, fit, same_size};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

/// A clip whose frames a function gives: `read(index)` returns `{ rgba, width, height }`, or a promise
/// of it.
pub struct JsFrames {
    len: usize,
    size: ImageSize,
    max_dimension: usize,
    read: Function,
}

impl JsFrames {
    pub fn new(len: usize, size: ImageSize, max_dimension: usize, read: Function) -> Self {
        Self {
            len,
            size,
            max_dimension,
            read,
        }
    }

    async fn ask(&self, index: usize) -> Result<RgbImage, Error> {
        let named = |reason: &str| {
            let text = format!("frame {index} cannot be read ({reason}): end the video before it");
            Error::Video(text)
        };
        let given = self.read.call1(&JsValue::NULL, &(index as f64).into());
        let given = given.map_err(|thrown| named(&message(&thrown)))?;
        let given = JsFuture::from(Promise::resolve(&given)).await;
        let given = given.map_err(|thrown| named(&message(&thrown)))?;
        let side = |name: &str| -> Option<usize> {
            let value = Reflect::get(&given, &name.into()).ok()?.as_f64()?;
            (value >= 1.0 && value <= f64::from(u32::MAX)).then_some(value as usize)
        };
        let rgba = Reflect::get(&given, &"rgba".into()).ok();
        let rgba = rgba.and_then(|rgba| rgba.dyn_into::<Uint8Array>().ok());
        let (Some(width), Some(height), Some(rgba)) = (side("width"), side("height"), rgba) else {
            return Err(named("it came without its pixels"));
        };
        same_size(
            &format!("frame {index}"),
            ImageSize { width, height },
            self.size,
        )?;
        let image = RgbImage::from_rgba(width, height, &rgba.to_vec())?;
        Ok(fit(image, self.max_dimension))
    }
}

impl FrameSource for JsFrames {
    fn len(&self) -> usize {
        self.len
    }

    fn size(&self) -> ImageSize {
        self.size
    }

    fn read(&mut self, index: usize) -> FrameFuture<'_> {
        Box::pin(async move { self.ask(index).await })
    }
}

/// What was thrown, in words.
fn message(thrown: &JsValue) -> String {
    let text = match thrown.dyn_ref::<js_sys::Error>() {
        Some(error) => String::from(error.message()),
        None => thrown
            .as_string()
            .unwrap_or_else(|| "it cannot be read".to_owned()),
    };
    text.trim_end_matches('.').to_owned()
}
