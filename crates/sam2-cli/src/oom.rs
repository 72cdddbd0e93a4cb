//! Memory that runs out in spite of all estimates: still one line that says what to do, and an exit
//! status, instead of an abort. What was written before stays: files get their names when they are whole.

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
    let asked = sam2::memory::take_refused();
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
