//! The clock of a node's realms: tells each router when its next deadline has come, and looks at
//! the node's memory while too much is held. Must not know what the deadlines are for.

use std::sync::Arc;

use super::{
    clock_handle::ClockHandle,
    memory::{Memory, Relief},
    outbox::Mail,
    realm::Realm,
};
use reactor::{Context, Reactor, Task};

/// Lets the clock of these realms, which have `handle`, run on this I/O thread. Their deadlines are
/// met, and memory that is held beyond its limit is made free, as long as the thread runs.
pub fn start_clock(
    handle: &ClockHandle,
    realms: Vec<Arc<Realm>>,
    memory: Arc<Memory>,
    io_thread: &mut Reactor<Mail>,
) {
    let clock = Clock {
        realms,
        memory,
        relief: Relief::default(),
        handle: handle.clone(),
    };
    let task = io_thread.add_task(Box::new(clock));
    handle.set_task(io_thread.mailbox(), task);
}

struct Clock {
    realms: Vec<Arc<Realm>>,
    memory: Arc<Memory>,
    relief: Relief,
    handle: ClockHandle,
}

impl Clock {
    fn look(&mut self, context: &mut Context<'_>) {
        let next = self.realms.iter().filter_map(|realm| realm.tick()).min();
        let relief = (self.relief).look(&self.memory, &self.realms, context.now);
        context.set_deadline([next, relief].into_iter().flatten().min());
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
