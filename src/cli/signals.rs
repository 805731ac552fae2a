//! The signals that ask a command to end. Must not know what ends then.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};
use nix::sys::signal::{SigSet, Signal};

/// The exit code of a command that a signal has ended before its work was done, as a shell gives for
/// SIGINT.
pub(super) const INTERRUPTED: u8 = 130;
/// How long a process that leaves at once waits for whoever reads its log.
const AT_ONCE: Duration = Duration::from_millis(100);
/// How long after the first signal others count as the same request: when a terminal is closed, the
/// shell and the kernel each send a SIGHUP, and a service manager may signal both the process and
/// its group.
const ECHO: Duration = Duration::from_secs(1);

/// Fires at the first SIGINT, SIGTERM or SIGHUP. A later one that is no echo of it ends the process
/// at once.
pub(super) fn first() -> Result<Receiver<()>, ctrlc::Error> {
    let (send, receive) = bounded(1);
    let mut first: Option<Instant> = None;
    ctrlc::set_handler(move || match first {
        None => {
            first = Some(Instant::now());
            let _ = send.try_send(());
        }
        Some(at) if at.elapsed() < ECHO => {}
        Some(_) => {
            stdio::finish(AT_ONCE);
            std::process::exit(INTERRUPTED.into())
        }
    })?;
    Ok(receive)
}

/// Keeps SIGHUP without effect if it is ignored at the start. Our handler will replace the ignoring,
/// so all threads block the signal; they inherit that from this one, which calls this before there
/// are others.
pub(super) fn keep_ignoring_hangup() -> nix::Result<()> {
    if hangup_is_ignored() {
        let mut hangup = SigSet::empty();
        hangup.add(Signal::SIGHUP);
        hangup.thread_block()?;
    }
    Ok(())
}

/// Whether SIGHUP was ignored when this process was started, as nohup does.
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|l| l.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask & (1 << (Signal::SIGHUP as u32 - 1)) != 0)
}
