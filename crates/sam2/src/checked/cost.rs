//! What the checks cost: the time spent in them, summed over the process.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use web_time::Instant;

static NANOSECONDS: AtomicU64 = AtomicU64::new(0);

/// Time that this process has spent in checks on the host: seals and fingerprints taken and compared,
/// answers looked through. What a GPU sums up in the submission of an answer is not in it.
///
/// `sam2 bench` holds it against the time of the decodes it belongs to.
pub fn check_time() -> Duration {
    Duration::from_nanos(NANOSECONDS.load(Ordering::Relaxed))
}

/// Does `work`, which is part of a check, and counts its time.
pub(super) fn counted<T>(work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let done = work();
    let took = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
    NANOSECONDS.fetch_add(took, Ordering::Relaxed);
    done
}
