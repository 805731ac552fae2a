//! How an event gets to many connections: those of one I/O thread in one hand-over, which takes its
//! mailbox's lock once. Must not know who receives it, nor what it says.

use std::sync::Arc;

use smallvec::SmallVec;

use super::outbox::{Broadcast, Mail, Outbox};
use reactor::{ConnectionId, Mailbox};

/// Room for so many connections of a thread is kept for the next event.
const KEPT_CAPACITY: usize = 4096;

/// The connections that receive an event, by I/O thread. Emptied by each event, and kept for its
/// capacity.
#[derive(Default)]
pub(super) struct FanOut {
    threads: SmallVec<[Thread; 4]>,
    /// How many hand-overs there have been.
    #[cfg(test)]
    pub(super) hand_overs: usize,
}

struct Thread {
    io_thread: usize,
    mailbox: Mailbox<Mail>,
    /// In order.
    to: Vec<ConnectionId>,
}

impl FanOut {
    /// Lets a connection receive the event, which is so long.
    pub(super) fn add(&mut self, outbox: &Outbox, len: usize) {
        outbox.backlog.put(len);
        self.thread(outbox).to.push(outbox.connection);
    }

    /// How many connections have been added.
    pub(super) fn receivers(&self) -> usize {
        self.threads.iter().map(|thread| thread.to.len()).sum()
    }

    fn thread(&mut self, outbox: &Outbox) -> &mut Thread {
        let known = (self.threads.iter()).position(|thread| thread.io_thread == outbox.io_thread);
        let at = known.unwrap_or(self.threads.len());
        if known.is_none() {
            self.threads.push(Thread {
                io_thread: outbox.io_thread,
                mailbox: outbox.mailbox.clone(),
                to: Vec::new(),
            });
        }
        &mut self.threads[at]
    }

    /// Hands the event over to each I/O thread that has connections which receive it, without
    /// waking it; `handed_over` is told of each.
    pub(super) fn hand_over(
        &mut self,
        event: &Arc<Broadcast>,
        mut handed_over: impl FnMut(usize, &Mailbox<Mail>),
    ) {
        let receiving = (self.threads.iter_mut()).filter(|thread| !thread.to.is_empty());
        for thread in receiving {
            let mail = Mail::Event(event.clone());
            (thread.mailbox).post_all_quietly(thread.to.drain(..), mail, share);
            thread.to.shrink_to(KEPT_CAPACITY);
            handed_over(thread.io_thread, &thread.mailbox);
            #[cfg(test)]
            {
                self.hand_overs += 1;
            }
        }
    }
}

/// The mail of one of the receivers.
fn share(mail: &Mail) -> Mail {
    match mail {
        Mail::Event(event) => Mail::Event(event.clone()),
        _ => unreachable!("an event is handed over"),
    }
}
