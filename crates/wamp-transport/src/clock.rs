//! The clock of a node's realms: tells each router when its next deadline has come. Must not know
//! what the deadlines are for.

use std::{io, sync::Arc, thread::JoinHandle};

use crossbeam_channel::{Receiver, Sender, at, bounded, never, select};

use super::realm::Realm;

/// Tells the clock that a realm has an earlier deadline than it knows of. Cheap to clone.
#[derive(Clone)]
pub struct Bell(Sender<()>);

impl Bell {
    /// Makes the clock look again. Never blocks.
    pub(super) fn ring(&self) {
        // A ring that is not heard yet will do for this one too.
        let _ = self.0.try_send(());
    }
}

/// A clock, not running yet.
pub struct Clock {
    bell: Bell,
    rung: Receiver<()>,
}

impl Default for Clock {
    fn default() -> Self {
        let (ring, rung) = bounded(1);
        Self {
            bell: Bell(ring),
            rung,
        }
    }
}

impl Clock {
    /// The bell that its realms ring.
    pub fn bell(&self) -> Bell {
        self.bell.clone()
    }

    /// Lets the clock run for these realms, on a thread of its own.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn start(self, realms: Vec<Arc<Realm>>) -> io::Result<RunningClock> {
        let (stop, stopped) = bounded(0);
        let thread = std::thread::Builder::new()
            .name("clock".to_owned())
            .spawn(move || run(&realms, &self.rung, &stopped))?;
        Ok(RunningClock { stop, thread })
    }
}

/// A clock that runs.
pub struct RunningClock {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl RunningClock {
    /// Stops the clock: no deadline is met any more.
    ///
    /// # Blocking
    /// For as long as the deadline being met takes.
    pub fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!(target: crate::LOG, "the clock had panicked");
        }
    }
}

fn run(realms: &[Arc<Realm>], rung: &Receiver<()>, stopped: &Receiver<()>) {
    loop {
        let next = realms.iter().filter_map(|realm| realm.tick()).min();
        let alarm = next.map_or_else(never, at);
        select! {
            recv(stopped) -> _ => return,
            recv(rung) -> _ => {}
            recv(alarm) -> _ => {}
        }
    }
}
