//! A realm's way to its clock. Must not know realms.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use super::outbox::Mail;
use reactor::{Mailbox, TaskId};

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
    /// The clock is this task from now on.
    pub(super) fn set_task(&self, mailbox: Mailbox<Mail>, task: TaskId) {
        let _ = self.0.task.set((mailbox, task));
    }

    /// The clock is about to look: what it is told from now on, it has to look at again.
    pub(super) fn is_heard(&self) {
        self.0.is_told.store(false, Ordering::Release);
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
