//! Corruption of what is read back, for tests that prove the mask check fires (feature
//! `fault-injection`; never part of a release).

use std::sync::Mutex;

/// A way for a read to go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Corruption {
    /// One value becomes NaN.
    Nan,
    /// One value becomes infinite.
    Infinite,
    /// Everything is zero, as from a buffer never written.
    Zeros,
    /// The second half is missing.
    Truncated,
    /// The two halves are swapped.
    SwappedHalves,
    /// The values of the read before.
    Stale,
}

#[derive(Debug, Default)]
struct Plan {
    corruption: Option<Corruption>,
    /// Reads that are still to be corrupted.
    left: u32,
    /// Reads corrupted so far.
    done: u32,
    last: Vec<f32>,
}

static PLAN: Mutex<Option<Plan>> = Mutex::new(None);

/// Corrupts the next `reads` reads.
pub fn plan(corruption: Corruption, reads: u32) {
    with(|plan| {
        plan.corruption = Some(corruption);
        plan.left = reads;
        plan.done = 0;
    });
}

/// How many reads were corrupted since [`plan`].
pub fn corrupted() -> u32 {
    with(|plan| plan.done)
}

fn with<R>(f: impl FnOnce(&mut Plan) -> R) -> R {
    let mut guard = PLAN
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    f(guard.get_or_insert_with(Plan::default))
}

/// What a read gives back under the plan.
pub(crate) fn corrupt(values: Vec<f32>) -> Vec<f32> {
    with(|plan| {
        let fresh = values.clone();
        let mut out = values;
        let n = out.len();
        if plan.left > 0 && n > 1 {
            plan.left -= 1;
            plan.done += 1;
            match plan.corruption {
                Some(Corruption::Nan) => out[n / 3] = f32::NAN,
                Some(Corruption::Infinite) => out[n / 3] = f32::INFINITY,
                Some(Corruption::Zeros) => out.fill(0.0),
                Some(Corruption::Truncated) => out.truncate(n / 2),
                Some(Corruption::SwappedHalves) => out.rotate_left(n / 2),
                Some(Corruption::Stale) if plan.last.len() == n => out = plan.last.clone(),
                Some(Corruption::Stale) | None => {}
            }
        }
        plan.last = fresh;
        out
    })
}
