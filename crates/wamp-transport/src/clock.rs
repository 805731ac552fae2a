//! The clock of a node's realms: tells each router when its next deadline has come. Must not know
//! what the deadlines are for.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use super::{outbox::Mail, realm::Realm};
use reactor::{Context, Mailbox, Reactor, Task, TaskId};

/// A realm's way to its clock. Cheap to clone.
#[derive(Clone, Default)]
pub struct ClockHandle(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// Set when the clock runs.
    task: OnceLock<(Mailbox<Mail>, TaskId)>,
    /// The clock is told already and has not looked yet.
    is_told: AtomicBool,
}

impl ClockHandle {
    /// Lets the clock run on this I/O thread, for these realms. Their deadlines are met as long as
    /// the thread runs.
    pub fn start(self, realms: Vec<Arc<Realm>>, io_thread: &mut Reactor<Mail>) {
        let shared = self.0.clone();
        let task = io_thread.add_task(Box::new(Clock { realms, shared }));
        let _ = self.0.task.set((io_thread.mailbox(), task));
    }

    /// Tells the clock that a realm has an earlier deadline than it knows of. Never blocks.
    pub(super) fn tell(&self) {
        if let Some((mailbox, task)) = self.0.task.get()
            && !self.0.is_told.swap(true, Ordering::AcqRel)
        {
            // A thread that has ended meets no deadlines any more.
            let _ = mailbox.post_to_task(*task, Mail::Deadline);
        }
    }
}

struct Clock {
    realms: Vec<Arc<Realm>>,
    shared: Arc<Shared>,
}

impl Clock {
    fn look(&self, context: &mut Context<'_>) {
        let next = self.realms.iter().filter_map(|realm| realm.tick()).min();
        context.set_deadline(next);
    }
}

impl Task<Mail> for Clock {
    fn on_start(&mut self, context: &mut Context<'_>) {
        self.look(context);
    }

    fn on_mail(&mut self, _: Mail, context: &mut Context<'_>) {
        // Before it looks, so that no deadline is missed that comes meanwhile.
        self.shared.is_told.store(false, Ordering::Release);
        self.look(context);
    }

    fn on_deadline(&mut self, context: &mut Context<'_>) {
        self.look(context);
    }
}
