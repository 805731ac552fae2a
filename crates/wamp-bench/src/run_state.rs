//! The state of a run: who is ready, what is in flight, what was measured. Must not know sockets,
//! locks, nor what a message says.

use std::time::Instant;

use reactor::ConnectionId;

use super::{
    error::{Error, OnlyErrors, SessionError, colon},
    events_in_flight::EventsInFlight,
    options::RunOptions,
    samples::Samples,
    schedule::Schedule,
};

/// The state of a run.
///
/// An operation completes once for its answer, or once for each subscriber that gets its event.
pub(super) struct RunState {
    /// How many sessions there are to be.
    pub(super) sessions: usize,
    pub(super) opened: usize,
    pub(super) ready: usize,
    pub(super) left: usize,
    /// By session.
    pub(super) connections: Vec<Option<ConnectionId>>,
    pub(super) samples: Samples,
    /// Operations begun since the warm-up ended.
    measured: u64,
    /// Operations begun in all.
    begun: u64,
    /// Whether any operation has succeeded.
    has_succeeded: bool,
    /// The operations that have not.
    errors: Option<OnlyErrors>,
    /// How often each operation completes.
    pub(super) completions_per_operation: u64,
    /// So many completions are still to come.
    pub(super) outstanding: u64,
    /// When something last completed, or began with nothing in flight. While sessions join and
    /// leave, when one last did.
    pub(super) last_activity: Instant,
    pub(super) bounds: Bounds,
    /// Used by [`Mode::PubSub`](super::Mode::PubSub) only.
    pub(super) events: EventsInFlight,
    /// Something that is outstanding, in the words of a session.
    pub(super) example: Option<String>,
    /// Whether the runner has to be woken, for the run as a whole has come further.
    pub(super) has_changed: bool,
    failure: Option<Error>,
}

/// When no more operations begin.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    pub(super) until: Option<Instant>,
    pub(super) most: u64,
    /// Of an open load.
    pub(super) schedule: Option<Schedule>,
}

impl RunState {
    pub(super) fn new(options: &RunOptions) -> Self {
        let sessions = options.sessions();
        Self {
            sessions,
            opened: 0,
            ready: 0,
            left: 0,
            connections: vec![None; sessions],
            samples: Samples::default(),
            measured: 0,
            begun: 0,
            has_succeeded: false,
            errors: None,
            completions_per_operation: options.completions_per_operation(),
            outstanding: 0,
            last_activity: Instant::now(),
            bounds: Bounds {
                until: None,
                most: u64::MAX,
                schedule: None,
            },
            events: EventsInFlight::new(options.connections),
            example: None,
            has_changed: false,
            failure: None,
        }
    }

    /// A session has done all that comes before the load.
    pub(super) fn session_ready(&mut self, now: Instant) {
        self.ready += 1;
        self.last_activity = now;
        self.has_changed |= self.ready == self.sessions;
    }

    /// A session has left.
    pub(super) fn session_left(&mut self, now: Instant) {
        self.left += 1;
        self.last_activity = now;
        self.has_changed |= self.left == self.sessions;
    }

    /// Whether a closed load goes on.
    pub(super) fn may_begin(&self, now: Instant) -> bool {
        self.bounds.schedule.is_none()
            && self.measured < self.bounds.most
            && self.bounds.until.is_none_or(|until| now < until)
    }

    /// Whether every operation that will ever begin has completed.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.outstanding == 0
            && match self.bounds.schedule {
                Some(schedule) => self.begun == schedule.operations(),
                None => !self.may_begin(now),
            }
    }

    /// How many operations are in flight.
    pub(super) fn in_flight(&self) -> u64 {
        self.outstanding.div_ceil(self.completions_per_operation)
    }

    /// An operation begins that was due at `at`.
    pub(super) fn begin(&mut self, at: Instant, now: Instant) {
        if self.outstanding == 0 {
            self.last_activity = now;
        }
        self.begun += 1;
        self.measured += u64::from(self.samples.counts(at));
        if self.bounds.schedule.is_some() {
            self.samples.begun(at, now);
        }
        self.outstanding += self.completions_per_operation;
    }

    /// An operation that began at `begun` completes, with an error if there is one: its URI and
    /// what it says.
    pub(super) fn complete(
        &mut self,
        begun: Instant,
        now: Instant,
        error: Option<(&str, Option<String>)>,
    ) {
        self.outstanding -= 1;
        self.last_activity = now;
        let Some((uri, message)) = error else {
            self.has_succeeded = true;
            return self.samples.succeeded(begun, now);
        };
        let errors = self.errors.get_or_insert_with(|| OnlyErrors {
            count: 0,
            first: format!("{uri}{}", colon(&message)),
        });
        errors.count += 1;
        self.samples.failed(begun, now, uri, message);
    }

    /// The errors of a run that has had nothing else, the warm-up included.
    pub(super) fn only_errors(&self) -> Option<&OnlyErrors> {
        self.errors.as_ref().filter(|_| !self.has_succeeded)
    }

    /// The run has failed. Only the first failure is kept.
    pub(super) fn fail(&mut self, error: Error) {
        self.failure.get_or_insert(error);
        self.has_changed = true;
    }

    /// A session has seen an error that ends the run.
    pub(super) fn session_failed(&mut self, session: usize, error: SessionError) {
        self.fail(Error::Session { session, error });
    }

    /// Takes the failure, if there is one.
    pub(super) fn take_failure(&mut self) -> Result<(), Error> {
        self.failure.take().map_or(Ok(()), Err)
    }
}
