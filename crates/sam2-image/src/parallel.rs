//! Work split over rows: rayon on native targets, one loop in the browser.

/// Calls `work` for every job; in any order, on several threads where there are any.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn for_each<T: Send>(jobs: Vec<T>, work: impl Fn(T) + Send + Sync) {
    use rayon::prelude::*;
    jobs.into_par_iter().for_each(work);
}

/// Calls `work` for every job, in order.
#[cfg(target_family = "wasm")]
pub(crate) fn for_each<T>(jobs: Vec<T>, work: impl Fn(T)) {
    jobs.into_iter().for_each(work);
}

/// Rows in one band when `rows` are split over the threads there are: a few bands a thread, so
/// that uneven ones even out, yet none so small that the rows shared by neighbours count.
pub(crate) fn band_rows(rows: usize, least: usize) -> usize {
    rows.div_ceil(4 * threads()).max(least).min(rows).max(1)
}

#[cfg(not(target_family = "wasm"))]
fn threads() -> usize {
    rayon::current_num_threads()
}

#[cfg(target_family = "wasm")]
fn threads() -> usize {
    1
}
