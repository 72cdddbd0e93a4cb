//! SIGTERM and SIGINT while another program runs: it ends too, instead of building on alone.

use std::process::{Child, Command, exit};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// The process that this one waits for, or 0.
static CHILD: AtomicU32 = AtomicU32::new(0);
/// Set while the server runs, which ends on the same signals in its own way.
static SERVING: AtomicBool = AtomicBool::new(false);

/// Remembers `child` until the guard is dropped.
pub fn watch(child: &Child) -> Guard {
    CHILD.store(child.id(), Ordering::SeqCst);
    Guard
}

/// See [`watch`].
pub struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        CHILD.store(0, Ordering::SeqCst);
    }
}

/// From here on the signals are the server's.
pub fn leave_signals_to_the_server() {
    SERVING.store(true, Ordering::SeqCst);
}

/// Starts listening for the signals.
#[cfg(unix)]
pub fn listen() {
    use tokio::signal::unix::{SignalKind, signal};

    std::thread::spawn(|| {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
        else {
            return; // the signals keep their own effect
        };
        runtime.block_on(async {
            let (Ok(mut terminate), Ok(mut interrupt)) = (
                signal(SignalKind::terminate()),
                signal(SignalKind::interrupt()),
            ) else {
                return;
            };
            loop {
                let status = tokio::select! {
                    _ = terminate.recv() => 143,
                    _ = interrupt.recv() => 130,
                };
                if SERVING.load(Ordering::SeqCst) {
                    continue;
                }
                let child = CHILD.load(Ordering::SeqCst);
                if child != 0 {
                    // std has no other way to send a signal than SIGKILL, which would leave the
                    // compilers of a Cargo behind.
                    let _ = Command::new("kill")
                        .args(["-TERM", &child.to_string()])
                        .status();
                }
                exit(status);
            }
        });
    });
}

#[cfg(not(unix))]
pub fn listen() {}
