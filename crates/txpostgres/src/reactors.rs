//! Owns the door to the I/O threads that a pool lives on, whatever their mail is. Must not know what
//! is said to PostgreSQL.

use std::{fmt, sync::Arc};

use reactor::{ConnectionId, Mailbox, Stream, Task, TaskId};

use super::connection::{Encryption, Speaker, Wire};

/// The I/O threads of a pool.
pub struct Reactors<M> {
    mailboxes: Arc<[Mailbox<M>]>,
    wake: fn() -> M,
}

impl<M: Send + 'static> Reactors<M> {
    /// The reactors behind these mailboxes. `wake` makes mail that means nothing but "look": a
    /// connection or a task of the pool takes any mail for that.
    pub fn new(mailboxes: impl Into<Arc<[Mailbox<M>]>>, wake: fn() -> M) -> Self {
        let mailboxes = mailboxes.into();
        Self { mailboxes, wake }
    }

    pub(crate) fn homes(&self) -> Vec<Box<dyn Home>> {
        let home = |mailbox: &Mailbox<M>| -> Box<dyn Home> {
            Box::new(OneReactor {
                mailbox: mailbox.clone(),
                wake: self.wake,
            })
        };
        self.mailboxes.iter().map(home).collect()
    }
}

impl<M> fmt::Debug for Reactors<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactors")
            .field("threads", &self.mailboxes.len())
            .finish()
    }
}

/// One I/O thread, as its shard of the pool uses it.
pub(crate) trait Home: Send + Sync {
    /// Whether this is the thread.
    fn is_here(&self) -> bool;

    /// Has a connection called, without waking the thread.
    fn post(&self, to: ConnectionId);

    /// Wakes the thread if it sleeps; perhaps a system call.
    fn wake(&self);

    /// Gives the thread a socket to serve.
    fn adopt(&self, socket: Stream, encryption: Encryption, speaker: Speaker);

    /// Gives the thread a task.
    fn add_task(&self, task: Box<dyn Look>);

    /// Has the task called.
    fn post_to_task(&self, task: TaskId);
}

/// A task that keeps times: each call is a look at the clock, and gives when the next is due. `None`
/// ends it.
pub(crate) trait Look: Send {
    fn look(&mut self, id: TaskId) -> Option<std::time::Instant>;
}

struct OneReactor<M> {
    mailbox: Mailbox<M>,
    wake: fn() -> M,
}

impl<M: Send + 'static> Home for OneReactor<M> {
    fn is_here(&self) -> bool {
        self.mailbox.is_here()
    }

    fn post(&self, to: ConnectionId) {
        self.mailbox.post_quietly(to, (self.wake)());
    }

    fn wake(&self) {
        self.mailbox.wake();
    }

    fn adopt(&self, socket: Stream, encryption: Encryption, speaker: Speaker) {
        let wire = Wire::<M>::new(encryption, speaker);
        self.mailbox.adopt(socket, Box::new(wire));
    }

    fn add_task(&self, task: Box<dyn Look>) {
        self.mailbox.add_task(Box::new(Looking(task)));
    }

    fn post_to_task(&self, task: TaskId) {
        // A reactor that has ended has told all connections of their loss.
        let _ = self.mailbox.post_to_task(task, (self.wake)());
    }
}

struct Looking(Box<dyn Look>);

impl Looking {
    fn look(&mut self, context: &mut reactor::Context<'_>) {
        match self.0.look(context.id) {
            Some(next) => context.set_deadline(Some(next)),
            None => context.end(),
        }
    }
}

impl<M> Task<M> for Looking {
    fn on_start(&mut self, context: &mut reactor::Context<'_>) {
        self.look(context);
    }

    fn on_mail(&mut self, _: M, context: &mut reactor::Context<'_>) {
        self.look(context);
    }

    fn on_deadline(&mut self, context: &mut reactor::Context<'_>) {
        self.look(context);
    }
}
