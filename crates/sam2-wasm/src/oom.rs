//! Memory that runs out in spite of all estimates. Rust then traps, and the page sees no more than
//! "unreachable"; the size that was refused says what it was.

use wasm_bindgen::prelude::*;

#[cfg(target_family = "wasm")]
#[global_allocator]
static ALLOCATOR: sam2::memory::Remembering = sam2::memory::Remembering;

/// Bytes of the last allocation that could not be had since the last call, 0 where all could. May be called
/// after the module has trapped: it only takes one number.
#[wasm_bindgen]
pub fn take_refused_bytes() -> f64 {
    sam2::memory::take_refused() as f64
}

/// Bytes of this module's memory, which never shrinks; 0 outside of wasm.
#[wasm_bindgen]
pub fn memory_bytes() -> f64 {
    #[cfg(target_family = "wasm")]
    {
        core::arch::wasm32::memory_size(0) as f64 * 65_536.0
    }
    #[cfg(not(target_family = "wasm"))]
    0.0
}
