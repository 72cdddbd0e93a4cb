//! Errors as JavaScript sees them: `Error` objects with a stable `code` and, where there is one, a hint.

use js_sys::Reflect;
use sam2::Error;
use wasm_bindgen::JsValue;

/// An `Error` with `code` and `hint`.
pub fn to_js(error: &Error) -> JsValue {
    coded(error.code(), &error.to_string())
}

/// As [`to_js`], for faults of the call itself. What is wrong stands before the first `": "` of the
/// message's last part, what to do after it; the page shows both.
pub fn coded(code: &str, message: &str) -> JsValue {
    let (what, hint) = match message
        .rsplit_once(": ")
        .or_else(|| message.rsplit_once("; "))
    {
        Some((what, hint)) => (what, hint),
        None => (message, ""),
    };
    let error = js_sys::Error::new(what);
    for (key, value) in [("code", code), ("hint", hint)] {
        // Setting a property of a fresh object cannot fail.
        let _ = Reflect::set(&error, &key.into(), &value.into());
    }
    error.into()
}
