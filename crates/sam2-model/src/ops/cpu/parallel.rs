//! Work split over threads natively, in order in wasm (artefact A has one thread).

/// How many threads a kernel may split its work over.
pub fn threads() -> usize {
    #[cfg(not(target_family = "wasm"))]
    return rayon::current_num_threads();
    #[cfg(target_family = "wasm")]
    1
}

/// Calls `work(i, chunk)` for every chunk of `chunk_len` elements of `out` (the last may be shorter).
pub fn for_each_chunk<F>(out: &mut [f32], chunk_len: usize, work: F)
where
    F: Fn(usize, &mut [f32]) + Sync + Send,
{
    let chunk_len = chunk_len.max(1);
    #[cfg(not(target_family = "wasm"))]
    if out.len() > chunk_len && threads() > 1 {
        use rayon::prelude::*;
        out.par_chunks_mut(chunk_len)
            .enumerate()
            .for_each(|(i, c)| work(i, c));
        return;
    }
    for (i, chunk) in out.chunks_mut(chunk_len).enumerate() {
        work(i, chunk);
    }
}

/// Calls `work(i)` for `0..n`.
pub fn for_each<F: Fn(usize) + Sync + Send>(n: usize, work: F) {
    #[cfg(not(target_family = "wasm"))]
    if n > 1 && threads() > 1 {
        use rayon::prelude::*;
        (0..n).into_par_iter().for_each(work);
        return;
    }
    for i in 0..n {
        work(i);
    }
}

/// Rows per task for `rows` rows: enough tasks to balance, large enough to amortise packing.
pub fn row_block(rows: usize, most: usize) -> usize {
    rows.div_ceil(threads() * 4)
        .clamp(16, most)
        .next_multiple_of(16)
}

/// A pointer that tasks write disjoint places through.
#[derive(Clone, Copy)]
pub struct SharedOut(*mut f32, usize);

// SAFETY: every user writes places that no other task touches (each says which).
unsafe impl Send for SharedOut {}
// SAFETY: as above.
unsafe impl Sync for SharedOut {}

impl SharedOut {
    pub fn new(out: &mut [f32]) -> Self {
        Self(out.as_mut_ptr(), out.len())
    }

    /// # Safety
    /// `offset + len` must lie inside, and no other task may touch these places meanwhile.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn slice(&self, offset: usize, len: usize) -> &mut [f32] {
        debug_assert!(offset + len <= self.1);
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(offset), len) }
    }
}
