//! An allocator that remembers what it refused, for programs that say it: Rust ends where memory cannot
//! be had, natively with an abort and in wasm with a trap that tells nothing.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Size of the last allocation that was refused.
static REFUSED: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, which remembers what it refused.
pub struct Remembering;

/// Bytes of the last allocation that could not be had since the last call, 0 where all could. Allocates
/// nothing, so that it may be called after an abort or a trap.
pub fn take_refused() -> usize {
    REFUSED.swap(0, Ordering::Relaxed)
}

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

#[inline]
fn note(place: *mut u8, size: usize) -> *mut u8 {
    if place.is_null() {
        REFUSED.store(size.max(1), Ordering::Relaxed);
    }
    place
}
