//! Owns what makes a SUBSCRIBE wait until something listens for its topic. Must not know who listens.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wamp::Pattern;

use super::{
    super::super::{GuardHandle, SessionHandle},
    live::Live,
};

/// The guards of a component's topics.
#[derive(Default)]
pub(super) struct Guards(Mutex<State>);

#[derive(Default)]
struct State {
    handles: Vec<GuardHandle>,
    has_ended: bool,
}

impl Guards {
    /// Lets nobody subscribe to topics before these are live. Without effect at a router elsewhere,
    /// which asks nobody.
    pub(super) fn add(
        self: &Arc<Self>,
        session: &SessionHandle,
        topics: Pattern,
        live: &Arc<Live>,
    ) {
        let (this, live) = (self.clone(), live.clone());
        let name = topics.uri.clone();
        let guarding = session.guard_topics(topics, move |_| live.wait());
        guarding.on_result(move |guarding| match guarding {
            Ok(handle) => this.keep(handle),
            Err(error) => {
                tracing::debug!(target: crate::LOG, topics = %name, "SUBSCRIBED does not wait for the database: {error}");
            }
        });
    }

    fn keep(&self, handle: GuardHandle) {
        let mut state = self.state();
        if !state.has_ended {
            state.handles.push(handle);
        }
    }

    pub(super) fn end(&self) {
        let handles = {
            let mut state = self.state();
            state.has_ended = true;
            std::mem::take(&mut state.handles)
        };
        drop(handles);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
