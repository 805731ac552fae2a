//! Owns what becomes of connecting when the process has no file descriptor left: one clear line, in
//! place of the client library's panic. Connects to nothing itself.

use std::{
    cell::Cell,
    fs::File,
    io,
    panic::{self, AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Once,
};

/// Why there is no connection, and the mend.
pub(super) const NONE_LEFT: &str = "the process has no file descriptor left for a connection: raise \
                                    its limit (`ulimit -n`, LimitNOFILE of a systemd unit)";

/// What the client library needs for a connection: its socket and three for its runtime.
const NEEDED: usize = 4;

thread_local! {
    /// Whether this thread is in [`guarded`].
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs what connects through the client library, which panics when the system gives its runtime no
/// file descriptor.
///
/// # Errors
/// [`NONE_LEFT`].
pub(super) fn guarded<T>(connect: impl FnOnce() -> T) -> Result<T, &'static str> {
    static HOOK: Once = Once::new();
    HOOK.call_once(keep_silent);
    // Mostly this finds it out, without a panic.
    let probes: io::Result<Vec<File>> = (0..NEEDED).map(|_| File::open("/dev/null")).collect();
    if probes.is_err_and(|error| is_none_left(&error.to_string())) {
        return Err(NONE_LEFT);
    }
    IS_GUARDED.set(true);
    let connected = catch_unwind(AssertUnwindSafe(connect));
    IS_GUARDED.set(false);
    connected.or_else(|panic| {
        if is_none_left(deferred::panic_message(&*panic)) {
            return Err(NONE_LEFT);
        }
        resume_unwind(panic)
    })
}

/// Whether words of the system, or of a panic with its error, say that there is no file descriptor
/// left for the process or for all.
pub(super) fn is_none_left(words: &str) -> bool {
    ["Too many open files", "os error 24", "os error 23"]
        .iter()
        .any(|known| words.contains(known))
}

/// Keeps the panic that is expected out of the log. All others go where they went before.
fn keep_silent() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let message = deferred::panic_message(info.payload());
        if !(IS_GUARDED.get() && is_none_left(message)) {
            before(info);
        }
    }));
}
