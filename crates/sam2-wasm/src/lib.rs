//! The wasm-bindgen surface of sam2.
