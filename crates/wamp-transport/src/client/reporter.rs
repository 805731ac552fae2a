//! A connection's way to tell its dialler what has become of it. Decides nothing.

use std::sync::{Arc, atomic::Ordering};

use super::Shared;
use crate::outbox::{DiallerEvent, Mail};
use reactor::{Mailbox, TaskId};

/// A connection's way to tell its dialler what has become of it.
pub(super) struct Reporter {
    pub(super) mailbox: Mailbox<Mail>,
    pub(super) task: TaskId,
    pub(super) shared: Arc<Shared>,
}

impl Reporter {
    pub(super) fn tell(&self, event: DiallerEvent) {
        // The dialler may have been stopped.
        let _ = (self.mailbox).post_to_task(self.task, Mail::Dialler(event));
    }

    /// Whether nobody wants a new connection any more.
    pub(super) fn is_stopped(&self) -> bool {
        self.shared.is_stopped.load(Ordering::SeqCst)
    }
}
