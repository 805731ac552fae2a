//! Owns whether something hears what happens now, for whoever waits until it does. Must not know what
//! it hears.

use std::sync::{Mutex, MutexGuard, PoisonError};

use wamp::error_uri;

use super::super::super::{Deferred, Error, Promise, deferred};

/// Whether a listener listens.
#[derive(Default)]
pub(super) struct Live(Mutex<State>);

#[derive(Default)]
struct State {
    is_live: bool,
    is_closed: bool,
    waiting: Vec<Promise<()>>,
}

impl Live {
    /// Fires when it listens, at once if it does.
    ///
    /// # Errors
    /// `wamp.error.unavailable` once it is closed.
    pub(super) fn wait(&self) -> Deferred<()> {
        let mut state = self.state();
        if state.is_live || state.is_closed {
            return Deferred::ready(state.answer());
        }
        // Those who gave up waiting are let go as their number grows.
        if state.waiting.len().is_power_of_two() {
            (state.waiting).retain(|promise| promise.control().failure().is_none());
        }
        let (promise, deferred) = deferred();
        state.waiting.push(promise);
        deferred
    }

    /// It listens now.
    pub(super) fn begin(&self) {
        self.change(|state| state.is_live = true);
    }

    /// It does not listen any more, and may again. `true` if it did.
    pub(super) fn lose(&self) -> bool {
        std::mem::take(&mut self.state().is_live)
    }

    /// It will never listen again.
    pub(super) fn close(&self) {
        self.change(|state| {
            state.is_live = false;
            state.is_closed = true;
        });
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        let (waiting, answer) = (std::mem::take(&mut state.waiting), state.answer());
        // Not under the lock: they may do anything.
        drop(state);
        for promise in waiting {
            promise.resolve(answer.clone());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn answer(&self) -> Result<(), Error> {
        if self.is_live {
            return Ok(());
        }
        let why = "nobody listens for what is published to this topic: the node is stopping";
        Err(Error::new(error_uri::UNAVAILABLE, why))
    }
}

/// When all of these listen; `None` if there are none.
pub(super) fn all(waits: impl Iterator<Item = Deferred<()>>) -> Option<Deferred<()>> {
    waits.reduce(|one, other| {
        let (promise, both) = deferred();
        one.on_result(move |result| match result {
            Ok(()) => other.on_result(move |result| promise.resolve(result)),
            Err(error) => promise.resolve(Err(error)),
        });
        both
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_waits_is_told_once_it_listens_and_when_it_never_will() {
        let live = Live::default();
        let is_there = |wait: Deferred<()>| wait.wait_timeout(std::time::Duration::ZERO).is_ok();
        assert!(!is_there(live.wait()));
        let waits = [live.wait(), live.wait()];
        live.begin();
        assert!(waits.into_iter().all(is_there));
        assert!(is_there(live.wait()));
        assert!(live.lose());
        assert!(!live.lose());
        let wait = live.wait();
        live.close();
        let told = wait.wait().unwrap_err();
        assert_eq!(told.uri().as_str(), error_uri::UNAVAILABLE);
        assert!(live.wait().wait().is_err());
    }

    #[test]
    fn those_who_gave_up_are_forgotten() {
        let live = Live::default();
        for _ in 0..1000 {
            live.wait().cancel();
        }
        assert!(live.state().waiting.len() < 4);
    }

    #[test]
    fn all_listen_when_the_last_one_does() {
        let (one, other) = (Live::default(), Live::default());
        assert!(all(std::iter::empty()).is_none());
        let both = all([one.wait(), other.wait()].into_iter()).unwrap();
        one.begin();
        let both = both.wait_timeout(std::time::Duration::ZERO).unwrap_err();
        other.begin();
        both.wait().unwrap();
    }
}
