//! Errors as JavaScript sees them: `Error` objects with a stable `code` and, where there is one, a hint.

use js_sys::Reflect;
use sam2::Error;
use wasm_bindgen::JsValue;

/// An `Error` with `code` and `hint`.
pub fn to_js(error: &Error) -> JsValue {
    thrown(error.code(), &error.message(), &error.hint())
}

/// As [`to_js`], for faults of the call itself. What is wrong stands before the last `": "`, what to do
/// after it; the page shows both.
pub fn coded(code: &str, text: &str) -> JsValue {
    let (what, hint) = text.rsplit_once(": ").unwrap_or((text, ""));
    thrown(code, what, hint)
}

fn thrown(code: &str, message: &str, hint: &str) -> JsValue {
    let error = js_sys::Error::new(message);
    for (key, value) in [("code", code), ("hint", hint)] {
        // Setting a property of a fresh object cannot fail.
        let _ = Reflect::set(&error, &key.into(), &value.into());
    }
    error.into()
}
