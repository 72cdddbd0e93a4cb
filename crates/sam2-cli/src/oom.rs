//! Memory that runs out in spite of all estimates: still one line that says what to do, and an exit
//! status, instead of an abort. What was written before stays: files get their names when they are whole.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Size of the last allocation that was refused.
static REFUSED: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, which remembers what it refused.
pub struct Remembering;

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

/// Rust aborts where memory cannot be had. From now on that ends with a line and exit status 1.
#[cfg(unix)]
pub fn explain_aborts() {
    // SAFETY: the handler only formats numbers into a buffer of its own, writes it and ends the process.
    let registered =
        unsafe { signal_hook::low_level::register(signal_hook::consts::SIGABRT, abort) };
    if let Err(error) = registered {
        tracing::debug!(%error, "running out of memory will be an abort");
    }
}

#[cfg(not(unix))]
pub fn explain_aborts() {}

#[cfg(unix)]
fn abort() {
    use std::io::Write;
    let asked = REFUSED.load(Ordering::Relaxed);
    if asked > 0 {
        let mut line = [0_u8; 256];
        let mut rest = &mut line[..];
        // A line that is too long is cut; nothing is allocated here.
        let _ = writeln!(
            rest,
            "sam2: out of memory: {} MB more were needed and could not be had; use a smaller model, \
             --image-size, a smaller picture or fewer --threads, or allow more memory",
            asked.div_ceil(1 << 20)
        );
        let left = rest.len();
        let _ = std::io::stderr().write_all(&line[..256 - left]);
        signal_hook::low_level::exit(1);
    }
}
