//! Owns which signals a running node and other commands hear, and what each asks for. Must not know how
//! that is done.

use std::{
    fs::File,
    io,
    thread::Builder,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, bounded, select};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator,
};

/// The exit code after a second signal, and of a command that one has ended before its work was done, as
/// a shell gives for SIGINT.
pub(super) const INTERRUPTED: u8 = 130;
/// How long a process that leaves at once waits for whoever reads its log.
const AT_ONCE: Duration = Duration::from_millis(100);
/// How long after the first signal others count as the same request: when a terminal is closed, the
/// shell and the kernel each send a SIGHUP, and a service manager may signal both the process and
/// its group.
const ECHO: Duration = Duration::from_secs(1);

/// What signals have asked for. Several of a kind are one until it is taken.
pub(super) struct Signals {
    stop: Receiver<()>,
    reload: Receiver<()>,
}

impl Signals {
    /// Hears signals from now on. SIGINT and SIGTERM ask for a stop, and SIGHUP for a reload, unless it
    /// says that the node's terminal was closed. A later one that is no echo of the first to ask for a
    /// stop ends the process at once.
    ///
    /// # Errors
    /// If the system has no thread or descriptor left.
    pub(super) fn hear() -> io::Result<Self> {
        let terminal = Terminal::of_the_start();
        let mut signals = iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        let (stop, stops) = bounded(1);
        let (reload, reloads) = bounded(1);
        let thread = Builder::new().name("signals".to_owned());
        thread.spawn(move || {
            let mut heard = Heard::default();
            for signal in signals.forever() {
                let is_reload = signal == SIGHUP && !terminal.is_closed();
                heard.hear(is_reload, &stop, &reload);
            }
        })?;
        Ok(Self {
            stop: stops,
            reload: reloads,
        })
    }

    /// Waits until a stop is asked for, and calls `on_reload` whenever a reload is.
    ///
    /// # Blocking
    /// Until then.
    pub(super) fn wait(&self, on_reload: impl Fn()) {
        loop {
            // Both fail only when the thread is gone, and it lives as long as the process.
            select! {
                recv(self.stop) -> _ => return,
                recv(self.reload) -> _ => on_reload(),
            }
        }
    }
}

/// Fires when a command is asked to end that reads nothing again: by SIGINT, SIGTERM or SIGHUP. A later
/// one that is no echo of it ends the process at once. SIGHUP stays ignored if it is, as `nohup` has it.
///
/// # Errors
/// If the system has no thread or descriptor left.
pub(super) fn first() -> io::Result<Receiver<()>> {
    let hangup = (!hangup_is_ignored()).then_some(SIGHUP);
    let mut signals = iterator::Signals::new([SIGINT, SIGTERM].into_iter().chain(hangup))?;
    let (stop, stops) = bounded(1);
    let thread = Builder::new().name("signals".to_owned());
    thread.spawn(move || {
        let (reload, _) = bounded(1);
        let mut heard = Heard::default();
        for _ in signals.forever() {
            heard.hear(false, &stop, &reload);
        }
    })?;
    Ok(stops)
}

#[derive(Default)]
struct Heard {
    /// When a stop was asked for first.
    stop: Option<Instant>,
}

impl Heard {
    fn hear(&mut self, is_reload: bool, stop: &Sender<()>, reload: &Sender<()>) {
        match self.stop {
            None if is_reload => {
                let _ = reload.try_send(());
            }
            None => {
                self.stop = Some(Instant::now());
                let _ = stop.try_send(());
            }
            // There is nothing to be read again any more; systemd's SendSIGHUP means the stop.
            Some(_) if is_reload => {}
            Some(at) if at.elapsed() < ECHO => {}
            Some(_) => {
                stdio::finish(AT_ONCE);
                std::process::exit(INTERRUPTED.into())
            }
        }
    }
}

/// The terminal that the node was started from.
struct Terminal {
    /// There was one, and its end is to be the node's.
    matters: bool,
}

impl Terminal {
    /// The one that there is now. If SIGHUP is ignored, as `nohup` has it, the node is to survive it.
    fn of_the_start() -> Self {
        Self {
            matters: is_there() && !hangup_is_ignored(),
        }
    }

    /// The kernel takes the terminal from its processes before it tells them by SIGHUP.
    fn is_closed(&self) -> bool {
        self.matters && !is_there()
    }
}

/// Whether this process has a terminal: the device stands for that of whoever opens it.
fn is_there() -> bool {
    File::open("/dev/tty").is_ok()
}

/// Whether SIGHUP was ignored when this process was started.
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|l| l.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask & (1 << (SIGHUP - 1)) != 0)
}
