//! Waiting for conditions, with a deadline.

use std::time::{Duration, Instant};

/// How long anything may take that is bound to happen. Generous: machines are slow at times.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `condition` gives something, and returns it.
///
/// # Panics
/// When it has not within [`PATIENCE`]; `what` says in the message what was waited for.
pub fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(
            Instant::now() < deadline,
            "waited {PATIENCE:?} in vain for {what}"
        );
        std::thread::park_timeout(Duration::from_millis(5));
    }
}
