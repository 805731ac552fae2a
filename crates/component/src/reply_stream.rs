//! A reply that comes in parts: when its source is asked for the next one, and how it ends. Must not
//! know where the parts come from, nor how they travel.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use super::{
    Deferred, Error, Promise,
    invocation::{Callee, Unanswered},
};
use deferred::{CancelHandle, Control, Interrupt};
use sql::{RowStream, Rows};
use wamp::{Outbound, Payload, Receipt, RequestId};

/// The source of a [`Reply::stream`](super::Reply::stream) is asked for no more while so many parts
/// are on their way to the caller.
pub const PARTS_AHEAD: usize = 2;
/// Nor while those have so many bytes.
pub const OCTETS_AHEAD: usize = 256 << 10;

/// What the parts come from.
pub(super) trait Source: Send {
    /// The next part, and `None` after the last.
    fn next(&mut self) -> Deferred<Option<Payload>>;

    /// Ends it early. The deferred fires when what it had is free for others.
    fn close(self: Box<Self>) -> Deferred<()>;
}

/// A function that gives the next part each time it is called.
impl<F: FnMut() -> Deferred<Option<Payload>> + Send> Source for F {
    fn next(&mut self) -> Deferred<Option<Payload>> {
        self()
    }

    fn close(self: Box<Self>) -> Deferred<()> {
        drop(self);
        Deferred::ready(Ok(()))
    }
}

/// The batches of a statement, and what makes parts of them.
pub(super) struct Batches<F> {
    pub(super) rows: RowStream,
    pub(super) encode: Arc<F>,
}

impl<F: Fn(Rows) -> Result<Payload, Error> + Send + Sync + 'static> Source for Batches<F> {
    fn next(&mut self) -> Deferred<Option<Payload>> {
        let encode = self.encode.clone();
        let batch = self.rows.next_batch();
        batch.map_result(move |batch| batch?.map(|rows| encode(rows)).transpose())
    }

    fn close(self: Box<Self>) -> Deferred<()> {
        self.rows.close().map_result(|end| Ok(end?))
    }
}

/// A reply in parts on its way to its caller.
///
/// It lives by what may stop it, which holds it until there is an answer; receipts do not, so that
/// none of them is the last to let it go.
struct ReplyStream {
    this: Weak<Self>,
    callee: Arc<dyn Callee>,
    request: RequestId,
    /// The thread that the invocation came on, where there is one: the source is asked there, and
    /// the parts are sent from there.
    home: Option<Arc<dyn Outbound>>,
    state: Mutex<State>,
}

struct State {
    /// Not there while it is being called, nor after the end.
    source: Option<Box<dyn Source>>,
    /// The part that was asked for and is not sent yet, as far as it can be cancelled.
    asked: Option<CancelHandle>,
    is_asked: bool,
    /// Somebody is asking, further up or on another thread, and looks again before it stops.
    is_asking: bool,
    /// What was sent and has not been taken.
    parts: usize,
    octets: usize,
    /// Canceled, and without an answer until the source is closed. Nothing of it is sent any more.
    is_closing: bool,
    /// What fires with the answer; none once it is known.
    end: Option<Promise<Payload>>,
    /// A part is being sent, and the answer has to wait for that.
    is_sending: bool,
    /// The answer is sent, or waits here. A router may end the session of a callee that goes on after
    /// it.
    is_answered: bool,
    answer: Option<Result<Payload, Error>>,
}

/// Sends what `source` gives as the answer to an invocation. The deferred fires with the last of it,
/// or earlier by whoever cancels it; then the source is dropped, or closed by whoever cancels on its
/// end, and what was asked of it is cancelled.
pub(super) fn start(
    source: Box<dyn Source>,
    (end, answer): (Promise<Payload>, Deferred<Payload>),
    callee: Arc<dyn Callee>,
    invocation: Unanswered,
) {
    let control = end.control();
    let stream = Arc::new_cyclic(|this| ReplyStream {
        this: this.clone(),
        callee,
        request: invocation.request,
        home: invocation.outbound,
        state: Mutex::new(State {
            source: Some(source),
            asked: None,
            is_asked: false,
            is_asking: false,
            parts: 0,
            octets: 0,
            is_closing: false,
            end: Some(end),
            is_sending: false,
            is_answered: false,
            answer: None,
        }),
    });
    let answering = stream.clone();
    answer.on_result(move |answer| answering.answer(answer));
    let stop: Arc<dyn Interrupt<Error>> = stream.clone();
    if control.begin(&stop) {
        stream.go_on();
    }
}

impl State {
    fn has_room(&self) -> bool {
        self.parts < PARTS_AHEAD && self.octets < OCTETS_AHEAD
    }
}

impl ReplyStream {
    /// Asks for the next part while there is room, and each time it has come.
    fn go_on(&self) {
        if std::mem::replace(&mut self.state().is_asking, true) {
            return;
        }
        while let Some(source) = self.next_turn() {
            self.ask(source);
        }
    }

    /// The source, if it is to be asked now. If not, nobody asks any more; that is noted under the
    /// same lock, so that no receipt can come between.
    fn next_turn(&self) -> Option<Box<dyn Source>> {
        let mut state = self.state();
        let is_due = !state.is_asked && state.has_room();
        let source = state.source.take_if(|_| is_due);
        state.is_asking = source.is_some();
        state.is_asked |= source.is_some();
        source
    }

    fn ask(&self, mut source: Box<dyn Source>) {
        // Its panic must not take the connections of its thread with it.
        let asked = catch_unwind(AssertUnwindSafe(|| source.next()));
        let Ok(part) = asked else {
            tracing::error!(target: crate::LOG, "what gives the parts of a reply has panicked");
            return self.finish(Err(Error::panicked()));
        };
        {
            let mut state = self.state();
            if state.end.is_none() {
                // Ended meanwhile.
                drop(state);
                return part.cancel();
            }
            if state.is_closing {
                drop(state);
                part.cancel();
                return self.close(source);
            }
            state.source = Some(source);
            state.asked = Some(part.cancel_handle());
        }
        let Some(this) = self.this.upgrade() else {
            return;
        };
        part.on_result(move |part| this.take(part));
    }

    /// The part that was asked for is here, on any thread.
    fn take(self: Arc<Self>, part: Result<Option<Payload>, Error>) {
        if self.state().is_closing {
            return;
        }
        let part = match part {
            Ok(Some(part)) => part,
            Ok(None) => return self.finish(Ok(Payload::empty())),
            Err(error) => return self.finish(Err(error)),
        };
        let octets = part.len();
        {
            let mut state = self.state();
            if state.end.is_none() || state.is_closing {
                return;
            }
            state.parts += 1;
            state.octets += octets;
        }
        let stream = self.clone();
        self.at_home(move || stream.send(part));
    }

    /// Sends a part, and asks for the next one if there is room already.
    fn send(&self, part: Payload) {
        {
            let mut state = self.state();
            if state.is_answered {
                return;
            }
            state.is_sending = true;
        }
        let (this, octets) = (self.this.clone(), part.len());
        let taken = Receipt::new(move || {
            if let Some(stream) = this.upgrade() {
                stream.taken(octets);
            }
        });
        self.callee.send_part(self.request, part, taken);
        let answer = {
            let mut state = self.state();
            (state.is_sending, state.is_asked) = (false, false);
            state.answer.take()
        };
        match answer {
            Some(answer) => self.give(answer),
            None => self.go_on(),
        }
    }

    /// The answer is known: given now, or by whoever is sending a part.
    fn answer(&self, answer: Result<Payload, Error>) {
        {
            let mut state = self.state();
            state.is_answered = true;
            if state.is_sending {
                state.answer = Some(answer);
                return;
            }
        }
        self.give(answer);
    }

    fn give(&self, answer: Result<Payload, Error>) {
        let invocation = Unanswered {
            request: self.request,
            outbound: self.home.clone(),
        };
        self.callee.answer_later(invocation, answer);
    }

    /// The caller's connection has taken a part. May be called under a lock of whoever had it.
    fn taken(self: Arc<Self>, octets: usize) {
        let had_room = {
            let mut state = self.state();
            let had_room = state.has_room();
            state.parts -= 1;
            state.octets -= octets;
            had_room || !state.has_room()
        };
        if !had_room {
            let stream = self.clone();
            self.at_home(move || stream.go_on());
        }
    }

    /// Does something on the thread that the invocation came on. If that has ended, the session does
    /// too, which stops this.
    fn at_home(&self, work: impl FnOnce() + Send + 'static) {
        match &self.home {
            Some(home) => drop(home.run(Box::new(work))),
            None => work(),
        }
    }

    /// Ends it with this answer, unless it has one.
    fn finish(&self, result: Result<Payload, Error>) {
        let (source, asked, end) = {
            let mut state = self.state();
            (state.source.take(), state.asked.take(), state.end.take())
        };
        drop(source);
        if let Some(asked) = asked {
            asked.cancel();
        }
        if let Some(end) = end {
            // It can be cancelled no more, so this is not held any longer.
            let _ = end.control().end();
            end.resolve(result);
        }
    }

    /// Gives the answer of a canceled call when the source is closed.
    fn close(&self, source: Box<dyn Source>) {
        if let Some(this) = self.this.upgrade() {
            let closed = source.close();
            closed.on_result(move |_| this.finish(Err(deferred::Failure::cancelled())));
        }
    }

    /// No user code runs under the lock, so a poisoned one is as good as any.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Interrupt<Error> for ReplyStream {
    /// The call has ended otherwise.
    fn interrupt(&self, call: Arc<dyn Control<Error>>) {
        if !call.take() {
            return self.finish(Err(deferred::Failure::cancelled()));
        }
        // It has no answer yet, and is to have it when the source is closed.
        let (source, asked) = {
            let mut state = self.state();
            state.is_closing = true;
            (state.source.take(), state.asked.take())
        };
        if let Some(asked) = asked {
            asked.cancel();
        }
        // If it is being asked, whoever does that closes it.
        if let Some(source) = source {
            self.close(source);
        }
    }
}
