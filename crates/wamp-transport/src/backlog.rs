//! The accounts of one session: what waits for it, and what waits elsewhere because of it. Must not
//! know what the messages do, nor when a client is dropped.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering},
};

use super::{
    limits::{BACKLOG_LIMIT, LEAST_WAITING, MARGIN, OUTBOX_HARD, REALM_EVENTS_LIMIT},
    memory::{Held, Memory, Purpose},
    outbox::Mail,
    session::IoThread,
};
use reactor::ConnectionId;
use wamp::Message;

/// Whoever holds so many bytes is on the list of those who do.
pub(super) const MUCH: usize = 4 * 1024;
/// It is on that list.
const LISTED: u8 = 1;
/// Its message has come in further, or its socket has taken something, since this was asked for.
const MOVED: u8 = 2;
/// So many bytes of output are looked at before the kernel is offered them.
const VERY_MUCH: usize = 64 * 1024;

/// How much waits for one session and because of it, counted by all who put it there or take it.
pub(super) struct Backlog {
    /// Bytes of messages in the reactor's mail, about.
    in_mail: AtomicUsize,
    /// Bytes in the connection's output that the kernel has not taken.
    unsent: AtomicUsize,
    /// Bytes of its client's messages that are not complete or not taken yet: those that a frame
    /// has announced as well, for which there is memory already.
    input: AtomicUsize,
    /// Bytes that wait elsewhere because of what it has sent.
    caused: AtomicUsize,
    /// At most 4 GiB, or no limit.
    limit: u32,
    /// Bytes of its own, no shared ones, among those that the kernel has not taken, as they are
    /// counted in the node's memory.
    output: AtomicU32,
    /// Where it is told that less waits because of it. A dialled connection is not asked to wait.
    home: Option<(Arc<IoThread>, ConnectionId)>,
    /// How many UNSUBSCRIBED are on the way to the connection.
    unsubscribed: AtomicU32,
    /// It waits until less waits because of it, and is to be told.
    is_waiting: AtomicBool,
    /// It has waited for long and in vain.
    is_stalled: AtomicBool,
    /// The kernel would not take all output at the last flush.
    is_blocked: AtomicBool,
    /// [`LISTED`] and [`MOVED`]. In one byte, so that an idle session is no larger.
    holds: AtomicU8,
}

/// Bytes that a session is charged for, until this is released or dropped.
pub struct Charge {
    payer: Arc<Backlog>,
    octets: AtomicUsize,
}

/// How many bytes of events of a realm are on the way to their receivers' connections.
#[derive(Default)]
pub(super) struct EventsUnderWay(AtomicUsize);

/// What is charged for an event, until this is released or dropped.
pub(super) struct EventCharge {
    under_way: Arc<EventsUnderWay>,
    octets: AtomicUsize,
    /// What its publisher pays, if it is on a connection.
    publisher: Option<Charge>,
}

impl EventsUnderWay {
    /// Charges for an event of this length that goes to so many connections.
    pub(super) fn charge(
        self: &Arc<Self>,
        publisher: Option<&Arc<Backlog>>,
        receivers: usize,
        len: usize,
    ) -> EventCharge {
        let octets = receivers * (len + MARGIN);
        let before = self.0.fetch_add(octets, Ordering::Relaxed);
        let wait = if before > REALM_EVENTS_LIMIT { WAIT } else { 0 };
        EventCharge {
            under_way: self.clone(),
            octets: AtomicUsize::new(octets),
            publisher: publisher.map(|payer| payer.charge_octets(octets + wait)),
        }
    }

    #[cfg(test)]
    pub(super) fn octets(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl EventCharge {
    /// All connections have taken the event.
    pub(super) fn release(&self) {
        let octets = self.octets.swap(0, Ordering::Relaxed);
        self.under_way.0.fetch_sub(octets, Ordering::Relaxed);
        if let Some(charge) = &self.publisher {
            charge.release();
        }
    }
}

impl Drop for EventCharge {
    fn drop(&mut self) {
        self.release();
    }
}

impl Backlog {
    /// The accounts of a session that has `limit` bytes of outbox and is told at `home` when it need
    /// not wait any more.
    pub(super) fn new(limit: usize, home: Option<(Arc<IoThread>, ConnectionId)>) -> Arc<Self> {
        Arc::new(Self {
            in_mail: AtomicUsize::new(0),
            unsent: AtomicUsize::new(0),
            input: AtomicUsize::new(0),
            caused: AtomicUsize::new(0),
            limit: u32::try_from(limit).unwrap_or(u32::MAX),
            output: AtomicU32::new(0),
            home,
            unsubscribed: AtomicU32::new(0),
            is_waiting: AtomicBool::new(false),
            is_stalled: AtomicBool::new(false),
            is_blocked: AtomicBool::new(false),
            holds: AtomicU8::new(0),
        })
    }

    /// How many bytes may wait for it before it is not read from.
    pub(super) fn limit(&self) -> usize {
        self.limit as usize
    }

    /// How many bytes may be in its output that its socket does not take.
    pub(super) fn hard_limit(&self) -> usize {
        self.limit().saturating_mul(OUTBOX_HARD)
    }

    /// How many bytes of mail are on the way to it.
    pub(super) fn in_mail(&self) -> usize {
        self.in_mail.load(Ordering::Relaxed)
    }

    /// How many bytes wait for it.
    pub(super) fn waiting(&self) -> usize {
        self.in_mail.load(Ordering::Relaxed) + self.unsent.load(Ordering::Relaxed)
    }

    /// The memory of its node. That of a dialled connection is not counted.
    fn memory(&self) -> Option<&Arc<Memory>> {
        (self.home.as_ref()).map(|(io_thread, _)| io_thread.realms.memory())
    }

    /// What it makes the node hold: its input, output that nobody else has, and output that others
    /// may have.
    pub(super) fn held(&self) -> (usize, usize, usize) {
        let output = self.output.load(Ordering::Relaxed) as usize;
        let unsent = self.unsent.load(Ordering::Relaxed);
        let input = self.input.load(Ordering::Relaxed);
        (input, output, unsent.saturating_sub(output))
    }

    /// Its message has come in further, or its socket has taken something.
    pub(super) fn note_moved(&self) {
        if self.holds.load(Ordering::Relaxed) & MOVED == 0 {
            self.holds.fetch_or(MOVED, Ordering::Relaxed);
        }
    }

    /// Whether something has moved since this was asked last.
    pub(super) fn take_moved(&self) -> bool {
        self.holds.fetch_and(!MOVED, Ordering::Relaxed) & MOVED != 0
    }

    /// How many bytes the session holds now, about: its outbox and its unfinished input.
    pub(super) fn usage(&self) -> usize {
        self.waiting() + self.input.load(Ordering::Relaxed)
    }

    /// Mail of this length is posted to the connection.
    pub(super) fn put(&self, len: usize) {
        self.in_mail.fetch_add(len, Ordering::Relaxed);
    }

    /// The connection has taken mail of this length.
    pub(super) fn took(&self, len: usize) {
        self.in_mail.fetch_sub(len, Ordering::Relaxed);
    }

    /// The connection has taken an UNSUBSCRIBED.
    pub(super) fn took_unsubscribed(&self) {
        self.unsubscribed.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether mail goes into the lane that events go in, which waits for the other one.
    ///
    /// No EVENT may come after what ends a subscription or the session (WAMP specification,
    /// "Publish & Subscribe Ordering Guarantees" and "Session Closing"). SUBSCRIBED comes before
    /// the events of its subscription in either lane; but not before the UNSUBSCRIBED of an earlier
    /// one, which can have the same id, and the client would take the end of that for the end of
    /// this. What the client hears of its calls need not wait for events.
    pub(super) fn is_in_bulk(&self, mail: &Mail) -> bool {
        match mail {
            Mail::Event(_) | Mail::Close | Mail::GoAway => true,
            Mail::Message(message) => match message {
                Message::Event(_) | Message::Goodbye(_) | Message::Abort(_) => true,
                Message::Unsubscribed(_) => {
                    self.unsubscribed.fetch_add(1, Ordering::Relaxed);
                    true
                }
                Message::Subscribed(_) => self.unsubscribed.load(Ordering::Relaxed) > 0,
                _ => false,
            },
            Mail::Invocation(..)
            | Mail::Part(..)
            | Mail::Resume
            | Mail::MakeRoom
            | Mail::OverBudget(_)
            | Mail::Room(_)
            | Mail::Deadline
            | Mail::Look
            | Mail::Work(_)
            | Mail::Dialler(_) => false,
        }
    }

    /// How long the connection's output was when that was noted last.
    pub(super) fn unsent(&self) -> usize {
        self.unsent.load(Ordering::Relaxed)
    }

    /// The connection's output is this long now, `shared` bytes of it being others' as well.
    pub(super) fn set_unsent(self: &Arc<Self>, unsent: usize, shared: usize) {
        self.unsent.store(unsent, Ordering::Relaxed);
        if unsent - shared > VERY_MUCH {
            self.set_output(unsent - shared);
        }
    }

    /// So much of the output is left after a flush, because the kernel takes no more or because
    /// it has to wait for its turn; `shared` bytes of it are others' as well.
    pub(super) fn flushed(self: &Arc<Self>, unsent: usize, shared: usize, is_blocked: bool) {
        if self.unsent() > unsent + MUCH {
            self.note_moved();
        }
        self.unsent.store(unsent, Ordering::Relaxed);
        self.is_blocked.store(is_blocked, Ordering::Relaxed);
        self.set_output(unsent - shared);
        if unsent > MUCH {
            self.list();
        }
    }

    fn set_output(&self, own: usize) {
        let own = u32::try_from(own).unwrap_or(u32::MAX);
        let before = self.output.load(Ordering::Relaxed);
        if own != before
            && let Some(memory) = self.memory()
        {
            self.output.store(own, Ordering::Relaxed);
            memory.change(Purpose::Output, before as usize, own as usize);
        }
    }

    /// Puts it on the list of those who hold much.
    fn list(self: &Arc<Self>) {
        if self.holds.load(Ordering::Relaxed) & LISTED == 0
            && let Some(memory) = self.memory()
            && self.holds.fetch_or(LISTED, Ordering::SeqCst) & LISTED == 0
        {
            memory.list(self);
        }
    }

    /// Whether it holds so much that it stays on that list; else it is not any more.
    pub(super) fn stays_listed(&self) -> bool {
        self.holds.fetch_and(!LISTED, Ordering::SeqCst);
        let (input, output, shared) = self.held();
        let stays = input + output + shared > MUCH;
        if stays {
            self.holds.fetch_or(LISTED, Ordering::SeqCst);
        }
        stays
    }

    /// Lets its connection know that it has to end, for it makes the node hold so much.
    pub(super) fn ask_to_go(&self, held: usize) {
        if let Some((io_thread, connection)) = &self.home {
            (io_thread.mailbox).post(*connection, Mail::OverBudget(held));
        }
    }

    /// Lets its connection know that there is room for its message.
    pub(super) fn give_room(&self, room: Held) {
        if let Some((io_thread, connection)) = &self.home {
            io_thread.mailbox.post(*connection, Mail::Room(room));
        }
    }

    /// The connection is gone, and what it held with it.
    pub(super) fn gone(self: &Arc<Self>) {
        self.set_input(0);
        self.flushed(0, 0, false);
    }

    /// Whether the kernel would not take all of the output at the last flush.
    pub(super) fn is_blocked(&self) -> bool {
        self.is_blocked.load(Ordering::Relaxed)
    }

    /// So many bytes of input wait for their end or their turn.
    pub(super) fn set_input(self: &Arc<Self>, octets: usize) {
        let before = self.input.swap(octets, Ordering::Relaxed);
        if octets != before
            && let Some(memory) = self.memory()
        {
            if octets > MUCH {
                self.list();
            }
            memory.change(Purpose::Input, before, octets);
        }
    }

    /// Charges the session for `messages` of this length that it has caused.
    pub(super) fn charge(self: &Arc<Self>, messages: usize, len: usize) -> Charge {
        self.charge_octets(messages * (len + MARGIN))
    }

    /// Charges the session for so many requests that wait for permission, of so many octets together.
    pub(super) fn charge_waiting(self: &Arc<Self>, requests: usize, octets: usize) -> Charge {
        self.charge_octets(octets + requests * LEAST_WAITING)
    }

    fn charge_octets(self: &Arc<Self>, octets: usize) -> Charge {
        self.caused.fetch_add(octets, Ordering::SeqCst);
        Charge {
            payer: self.clone(),
            octets: AtomicUsize::new(octets),
        }
    }

    /// Charges the session for an invocation of this length that goes to `callee`, or no one if the
    /// caller is in this process. `None` if there is no room for it.
    ///
    /// While the callee does not take what waits for it already, a caller has to wait with each
    /// call; a caller that has waited in vain gets an answer instead.
    pub(super) fn charge_call(
        payer: Option<&Arc<Self>>,
        callee: &Arc<Self>,
        len: usize,
    ) -> Option<Charge> {
        let waiting = callee.waiting();
        let is_over = waiting > callee.limit();
        // However many call at once, they do not have a callee dropped that is about to read.
        let is_too_much = is_over && waiting + len + MARGIN > callee.hard_limit();
        let Some(payer) = payer else {
            // The queue that it has waited in has had its own limit.
            return (!is_too_much).then(|| callee.charge_octets(0));
        };
        let is_in_vain = payer.is_stalled.load(Ordering::Relaxed) && callee.is_blocked();
        if is_in_vain || is_too_much {
            return None;
        }
        Some(if is_over {
            payer.charge_octets(WAIT + MARGIN + len)
        } else {
            payer.charge(1, len)
        })
    }

    /// How many bytes wait because of the session.
    pub(super) fn caused(&self) -> usize {
        self.caused.load(Ordering::SeqCst)
    }

    /// Whether so much waits because of the session that it has to wait. If it does, it gets
    /// [`Mail::Resume`] when it need not any more.
    pub(super) fn has_to_wait(&self) -> bool {
        let was_waiting = self.is_waiting.load(Ordering::Relaxed);
        let enough = if was_waiting { ENOUGH } else { BACKLOG_LIMIT };
        if self.caused() <= enough {
            self.is_waiting.store(false, Ordering::Relaxed);
            self.is_stalled.store(false, Ordering::Relaxed);
            return false;
        }
        if self.is_stalled.load(Ordering::Relaxed) {
            return false;
        }
        self.is_waiting.store(true, Ordering::SeqCst);
        // Whoever releases first takes and then looks here, so one of both sees the other.
        self.caused() > ENOUGH || !self.is_waiting.swap(false, Ordering::SeqCst)
    }

    /// The session has waited for long, and nothing has become less.
    pub(super) fn set_stalled(&self) {
        self.is_stalled.store(true, Ordering::Relaxed);
    }

    fn release(&self, octets: usize) {
        let left = self.caused.fetch_sub(octets, Ordering::SeqCst) - octets;
        if left <= ENOUGH
            && self.is_waiting.load(Ordering::SeqCst)
            && self.is_waiting.swap(false, Ordering::SeqCst)
            && let Some((io_thread, connection)) = &self.home
        {
            (io_thread.mailbox).post(*connection, Mail::Resume);
        }
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        if *self.holds.get_mut() & LISTED != 0
            && let Some(memory) = self.memory()
        {
            memory.unlist(self);
        }
    }
}

/// A session that waits goes on when so much is left.
const ENOUGH: usize = BACKLOG_LIMIT / 2;
/// Whoever is charged so much has to wait, whatever else it is charged.
const WAIT: usize = BACKLOG_LIMIT + 1;

impl Charge {
    /// What it was for does not wait any more.
    pub(super) fn release(&self) {
        let octets = self.octets.swap(0, Ordering::Relaxed);
        if octets > 0 {
            self.payer.release(octets);
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests;
