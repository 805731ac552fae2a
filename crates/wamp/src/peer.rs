//! The two ends of a session inside of a process: the client's end, and its way to the router.
//! Must not know whether the router is in this process or at the end of a connection.

use std::{fmt, sync::Arc};

use super::{GuardId, Identity, Invocation, Message, Pattern, Question, Ticket, Verdict, Yield};

/// The client's end of a session, such as a component's.
///
/// Its methods are called one at a time, in the order in which the router gave the messages, on
/// whichever thread caused them. They must not block, and may send from within a call.
pub trait Peer: Send + Sync {
    /// There is a way to the router: say HELLO. The first call of all.
    fn on_open(&self, transport: Arc<dyn Transport>);

    /// A message from the router.
    fn on_message(&self, message: Message);

    /// An INVOCATION from a router of this process, and who calls, whatever of it is disclosed to
    /// callees: `details.caller` is that. From another router an INVOCATION is a message like
    /// any other. For a peer that does not ask who calls, it is one here too.
    fn on_invocation(&self, invocation: Invocation, caller: Arc<Identity>) {
        drop(caller);
        self.on_message(invocation.into());
    }

    /// A guard of the peer's is asked, by a router of this process: to be answered once, by
    /// [`Transport::answer_question`]. A peer that has no guards is not asked.
    fn on_question(&self, question: Question) {
        drop(question);
    }

    /// Nobody waits for the answer to this question any more: who asked has left, or the time is up.
    fn on_withdrawn(&self, question: Ticket) {
        let _ = question;
    }

    /// A message of the peer's own, which another thread gave to [`Outbound::post`], is on the
    /// thread it was posted to: send it. May be called beside the other methods.
    fn on_posted(&self, message: Message);

    /// The session has ended; nothing more comes.
    fn on_close(&self);
}

/// The way from a peer to the router. No method blocks.
pub trait Transport: Send + Sync {
    /// Sends a message, from any thread. The router's answer may come before this returns.
    fn send(&self, message: Message);

    /// Sends a part of an answer, from any thread. `taken` is dropped when there is room for the next
    /// part on the way to whoever it is for, or when it is for nobody any more.
    fn send_part(&self, part: Yield, taken: Receipt) {
        self.send(part.into());
        drop(taken);
    }

    /// A way to send from this thread later, if it is one that messages can be posted to. Whoever
    /// answers from another thread does better to post: what the router knows then stays near the
    /// processor of the thread that serves the session.
    fn outbound(&self) -> Option<Arc<dyn Outbound>> {
        None
    }

    /// Has the peer asked, as this guard, before a SUBSCRIBE to any of these topics is granted.
    /// `false` if the router is not in this process, and so asks nobody.
    fn guard(&self, guard: GuardId, topics: Pattern) -> bool {
        let _ = (guard, topics);
        false
    }

    /// Ends a guard. What it has been asked is still to be answered.
    fn end_guard(&self, guard: GuardId) {
        let _ = guard;
    }

    /// Answers a question that a guard of the peer's was asked, from any thread.
    fn answer_question(&self, question: Ticket, verdict: Verdict) {
        let _ = (question, verdict);
    }

    /// About how many bytes wait to leave for the router. Whoever sends unasked stops while they
    /// are many.
    fn unsent(&self) -> usize {
        0
    }
}

/// A way from any thread to one that sends.
pub trait Outbound: Send + Sync {
    /// Hands the message to [`Peer::on_posted`] on the other thread.
    ///
    /// # Errors
    /// The message itself, if that thread has ended.
    fn post(&self, message: Message) -> Result<(), Message>;

    /// Does `work` on the other thread, after what was posted there before. It must not block.
    ///
    /// # Errors
    /// The work itself, if that thread has ended.
    fn run(&self, work: Work) -> Result<(), Work>;
}

/// Something to do once, on any thread.
pub type Work = Box<dyn FnOnce() + Send>;

/// Goes along with a part of an answer, as far as this process sees it. Whoever drops it has taken
/// the part, and tells the sender so. What that does is little and blocks nowhere: it may be dropped
/// under a lock.
pub struct Receipt(Option<Work>);

impl Receipt {
    /// A receipt that does this when it is dropped.
    pub fn new(taken: impl FnOnce() + Send + 'static) -> Self {
        Self(Some(Box::new(taken)))
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if let Some(taken) = self.0.take() {
            taken();
        }
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receipt").finish_non_exhaustive()
    }
}

/// A way that is the same from every thread.
impl<F: Fn(Message) + Send + Sync> Transport for F {
    fn send(&self, message: Message) {
        self(message);
    }
}
