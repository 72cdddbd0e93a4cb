//! Memory that runs out in spite of all estimates. Rust then traps, and the page sees no more than
//! "unreachable"; the size that was refused says what it was.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use wasm_bindgen::prelude::*;

/// Size of the last allocation that was refused.
static REFUSED: AtomicUsize = AtomicUsize::new(0);

#[cfg(target_family = "wasm")]
#[global_allocator]
static ALLOCATOR: Remembering = Remembering;

/// The usual allocator, which remembers what it refused.
#[cfg_attr(not(target_family = "wasm"), allow(dead_code))]
struct Remembering;

// SAFETY: every call goes to `System` unchanged.
unsafe impl GlobalAlloc for Remembering {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        note(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        note(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        note(unsafe { System.realloc(place, layout, size) }, size)
    }
}

#[cfg_attr(not(target_family = "wasm"), allow(dead_code))]
#[inline]
fn note(place: *mut u8, size: usize) -> *mut u8 {
    if place.is_null() {
        REFUSED.store(size.max(1), Ordering::Relaxed);
    }
    place
}

/// Bytes of the last allocation that could not be had since the last call, 0 where all could. May be called
/// after the module has trapped: it only takes one number.
#[wasm_bindgen]
pub fn take_refused_bytes() -> f64 {
    REFUSED.swap(0, Ordering::Relaxed) as f64
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
