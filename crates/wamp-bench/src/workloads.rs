//! Which workload each session of a run gets. Must not know what a workload does.

use super::{
    options::{Mode, RunOptions},
    pubsub::{Publisher, Subscriber},
    rpc::{Callee, Caller},
    workload::{SessionContext, Workload},
};

/// The workload of a session.
pub(super) fn new_workload(session: usize, options: &RunOptions) -> Box<dyn Workload> {
    match options.mode {
        Mode::Call => Box::new(Caller::new(session, options)),
        Mode::Echo if session == 0 => Box::new(Callee::default()),
        Mode::Echo => Box::new(Caller::new(session, options)),
        Mode::PubSub if session == 0 => Box::new(Publisher::new(options)),
        Mode::PubSub => Box::new(Subscriber::default()),
        Mode::Connect => Box::new(IdleSession),
    }
}

/// Joins and asks for nothing. Its operation is the joining.
struct IdleSession;

impl Workload for IdleSession {
    fn on_joined(&mut self, context: &mut SessionContext<'_>) -> bool {
        context.run.samples.succeeded(context.opened, context.now);
        true
    }
}
