//! How an event gets to many connections: those of one I/O thread in one hand-over, which takes its
//! mailbox's lock once. Must not know who receives it, nor what it says.

use std::sync::Arc;

use smallvec::SmallVec;

use super::outbox::{Admission, Broadcast, Mail, Outbox};
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
    /// In order, and whether it is the event that each gets or the word that it is lost.
    to: Vec<(ConnectionId, bool)>,
}

impl FanOut {
    /// Lets a connection receive the event, if its outbox has room.
    pub(super) fn add(&mut self, outbox: &Outbox, event: &Broadcast) {
        let has_room = match outbox.admit(event.len()) {
            Admission::Room => true,
            Admission::Overflow => false,
            Admission::Lost => return,
        };
        let to = (outbox.connection, has_room);
        let known = (self.threads.iter_mut()).find(|thread| thread.io_thread == outbox.io_thread);
        match known {
            Some(thread) => thread.to.push(to),
            None => self.threads.push(Thread {
                io_thread: outbox.io_thread,
                mailbox: outbox.mailbox.clone(),
                to: vec![to],
            }),
        }
    }

    /// Hands the event over to each I/O thread that has connections which receive it, without
    /// waking it; `handed_over` is told of each.
    pub(super) fn hand_over(
        &mut self,
        event: &Arc<Broadcast>,
        mut handed_over: impl FnMut(usize, &Mailbox<Mail>),
    ) {
        for thread in self
            .threads
            .iter_mut()
            .filter(|thread| !thread.to.is_empty())
        {
            let mail = thread.to.drain(..).map(|(connection, has_room)| {
                let mail = if has_room {
                    Mail::Event(event.clone())
                } else {
                    Mail::Overflow
                };
                (connection, mail)
            });
            thread.mailbox.post_all_quietly(mail);
            thread.to.shrink_to(KEPT_CAPACITY);
            handed_over(thread.io_thread, &thread.mailbox);
            #[cfg(test)]
            {
                self.hand_overs += 1;
            }
        }
    }
}
