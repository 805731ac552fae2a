//! The clock of a node's realms: tells each router when its next deadline has come. Must not know
//! what the deadlines are for.

use std::sync::Arc;

use super::{clock_handle::ClockHandle, outbox::Mail, realm::Realm};
use reactor::{Context, Reactor, Task};

/// Lets the clock of these realms, which have `handle`, run on this I/O thread. Their deadlines are
/// met as long as the thread runs.
pub fn start_clock(handle: &ClockHandle, realms: Vec<Arc<Realm>>, io_thread: &mut Reactor<Mail>) {
    let clock = Clock {
        realms,
        handle: handle.clone(),
    };
    let task = io_thread.add_task(Box::new(clock));
    handle.set_task(io_thread.mailbox(), task);
}

struct Clock {
    realms: Vec<Arc<Realm>>,
    handle: ClockHandle,
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
        self.handle.is_heard();
        self.look(context);
    }

    fn on_deadline(&mut self, context: &mut Context<'_>) {
        self.look(context);
    }
}
