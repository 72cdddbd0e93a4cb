//! A driver that panics is a device that was lost.

use crate::Error;
use crate::device::Runtime;

/// Runs `work`; natively, a panic inside it on a GPU becomes [`Error::DeviceLost`]: Burn panics where
/// wgpu reports an error that nobody asked for, and that must neither end the program nor let what was
/// computed before pass for an answer. In wasm a panic ends the worker, which the page starts again.
pub(crate) async fn guarded<T>(
    runtime: &Runtime,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    #[cfg(not(target_family = "wasm"))]
    if runtime.kind == crate::device::DeviceKind::Gpu {
        use std::panic::{AssertUnwindSafe, catch_unwind};
        use std::task::Poll;
        let mut work = std::pin::pin!(work);
        return std::future::poll_fn(|context| {
            // What the work held is dropped with it; the tensors it was given are made anew on the CPU.
            match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
                Ok(state) => state,
                Err(panic) => Poll::Ready(Err(Error::DeviceLost(text(panic.as_ref())))),
            }
        })
        .await;
    }
    let _ = runtime;
    work.await
}

#[cfg(not(target_family = "wasm"))]
fn text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    let line = text.and_then(|text| text.lines().next());
    line.unwrap_or("its driver failed").to_owned()
}
