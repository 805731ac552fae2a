//! Owns the way of a streamed result from whoever reads it to whoever wants it: a bounded one, so
//! that a slow consumer makes PostgreSQL wait. Must not know a backend.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use deferred::{CancelHandle, Failure};

use super::{
    error::{Deferred, Error},
    rows::Rows,
};

/// How many batches may lie between the two ends. With it the backend reads one batch while the
/// consumer is at another; each end holds one more at most.
const AHEAD: usize = 1;

/// A result that comes in batches of rows, as fast as they are asked for.
///
/// Dropping it ends its job: PostgreSQL does no more for it.
pub struct RowStream {
    channel: Arc<Channel>,
    job: CancelHandle,
}

/// The end of a [`RowStream`] that a backend holds. Dropped without [`finish`](Self::finish), it
/// ends the stream with [`Failure::dropped`].
pub struct RowSink {
    channel: Arc<Channel>,
}

/// The stream has ended, or nobody holds it any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended;

/// Why a batch was not taken.
#[derive(Debug)]
pub enum NotSent {
    /// The consumer has not asked for the batch before this one. Here it is again.
    Full(Rows),
    /// As [`Ended`].
    Ended,
}

/// Called when there may be room again.
type OnRoom = Box<dyn FnOnce() + Send>;

type Asked = deferred::Promise<Option<Rows>, Error>;

#[derive(Default)]
struct Channel {
    state: Mutex<State>,
    room: Condvar,
}

#[derive(Default)]
struct State {
    /// Read and not asked for, at most [`AHEAD`] and the last one.
    batches: VecDeque<Rows>,
    /// Asked for and not read. Then there are no `batches`.
    asked: VecDeque<Asked>,
    end: Option<Result<(), Error>>,
    /// Nobody reads on.
    is_dropped: bool,
    /// The backend waits for room, so PostgreSQL is at nothing.
    is_full: bool,
    /// A backend that does not block waits so.
    on_room: Option<OnRoom>,
}

/// Makes both ends of a streamed result. The handle cancels the job that it comes from.
pub fn row_stream(job: CancelHandle) -> (RowSink, RowStream) {
    let channel = Arc::new(Channel::default());
    let sink = RowSink {
        channel: channel.clone(),
    };
    (sink, RowStream { channel, job })
}

impl RowStream {
    /// The next batch: at least one row, at most as many as were agreed on. `None` after the last,
    /// when the transaction is committed; an error ends the stream too, and after it comes `None`.
    ///
    /// Does not block. To stop early cancel or drop the stream, not the `Deferred`: a batch that
    /// comes for it at that moment is lost.
    pub fn next_batch(&mut self) -> Deferred<Option<Rows>> {
        let mut state = self.channel.state();
        if let Some(batch) = state.batches.pop_front() {
            self.channel.tell_sender(state);
            return Deferred::ready(Ok(Some(batch)));
        }
        if let Some(end) = &mut state.end {
            let end = std::mem::replace(end, Ok(()));
            return Deferred::ready(end.map(|()| None));
        }
        let (promise, deferred) = deferred::deferred();
        state.asked.push_back(promise);
        deferred
    }

    /// A way to end it from elsewhere: after what was read already comes an error of the kind
    /// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled).
    pub fn cancel_handle(&self) -> CancelHandle {
        self.job.clone()
    }
}

impl Drop for RowStream {
    fn drop(&mut self) {
        let mut state = self.channel.state();
        state.is_dropped = true;
        state.batches.clear();
        let asked = std::mem::take(&mut state.asked);
        // A backend that waits does nothing but end the transaction, and keeps its connection.
        let runs = state.end.is_none() && !state.is_full;
        self.channel.tell_sender(state);
        drop(asked);
        if runs {
            self.job.cancel();
        }
    }
}

impl RowSink {
    /// Hands a batch on.
    ///
    /// # Blocking
    /// While the consumer has not asked for the batch before this one.
    ///
    /// # Errors
    /// [`Ended`] if nobody wants it any more.
    pub fn send(&self, batch: Rows) -> Result<(), Ended> {
        let mut batch = batch;
        let mut state = self.channel.state();
        loop {
            (batch, state) = match Channel::offer(state, batch) {
                Ok(()) => return Ok(()),
                Err((NotSent::Ended, _)) => return Err(Ended),
                Err((NotSent::Full(batch), state)) => (batch, state),
            };
            state.is_full = true;
            let waited = self.channel.room.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
            state.is_full = false;
        }
    }

    /// Hands a batch on if there is room for it. If there is none, `on_room` is called once, as soon
    /// as there may be: on the consumer's thread, where it must not block.
    ///
    /// # Errors
    /// The batch while there is no room, and [`NotSent::Ended`] if nobody wants it any more. Then
    /// `on_room` is not called.
    pub fn try_send(
        &self,
        batch: Rows,
        on_room: impl FnOnce() + Send + 'static,
    ) -> Result<(), NotSent> {
        let mut state = self.channel.state();
        (state.is_full, state.on_room) = (false, None);
        Channel::offer(state, batch).map_err(|(not_sent, mut state)| {
            if let NotSent::Full(_) = not_sent {
                state.is_full = true;
                state.on_room = Some(Box::new(on_room));
            }
            not_sent
        })
    }

    /// Hands the last batch on even if there is no room for it, for a backend that has done all else
    /// and is not to wait.
    pub fn send_last(&self, batch: Rows) {
        if let Err((NotSent::Full(batch), mut state)) = Channel::offer(self.channel.state(), batch)
        {
            state.batches.push_back(batch);
        }
    }

    /// Ends the stream after the batches that were sent; the first end counts.
    pub fn finish(&self, end: Result<(), Error>) {
        let mut state = self.channel.state();
        if state.end.is_some() {
            return;
        }
        let mut asked = std::mem::take(&mut state.asked);
        let first = asked.pop_front();
        let (told, left) = match &first {
            Some(_) => (end, Ok(())),
            None => (Ok(()), end),
        };
        state.end = Some(left);
        self.channel.tell_sender(state);
        if let Some(first) = first {
            first.resolve(told.map(|()| None));
        }
        for later in asked {
            later.resolve(Ok(None));
        }
    }
}

impl Drop for RowSink {
    fn drop(&mut self) {
        self.finish(Err(Error::dropped()));
    }
}

impl Channel {
    /// No user code runs under the lock, so a poisoned one is as good as any.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a batch if there is room for it, or somebody waits for it.
    fn offer(
        mut state: MutexGuard<'_, State>,
        batch: Rows,
    ) -> Result<(), (NotSent, MutexGuard<'_, State>)> {
        if state.is_dropped || state.end.is_some() {
            return Err((NotSent::Ended, state));
        }
        // One whose deferred was cancelled is passed over.
        while let Some(asked) = state.asked.pop_front() {
            if asked.control().take() {
                drop(state);
                asked.resolve(Ok(Some(batch)));
                return Ok(());
            }
        }
        if state.batches.len() < AHEAD {
            state.batches.push_back(batch);
            return Ok(());
        }
        Err((NotSent::Full(batch), state))
    }

    /// There may be room, or nobody wants anything any more.
    fn tell_sender(&self, mut state: MutexGuard<'_, State>) {
        let on_room = state.on_room.take();
        drop(state);
        self.room.notify_one();
        if let Some(on_room) = on_room {
            on_room();
        }
    }
}

impl fmt::Debug for RowStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowStream").finish_non_exhaustive()
    }
}

impl fmt::Debug for RowSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowSink").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread};

    use super::*;
    use crate::error::ErrorKind;

    /// A stream, and the job that it comes from.
    fn stream() -> (RowSink, RowStream, deferred::Promise<(), Error>) {
        let (promise, job) = deferred::deferred();
        let (sink, stream) = row_stream(job.cancel_handle());
        (sink, stream, promise)
    }

    fn affected(next: Deferred<Option<Rows>>) -> Option<u64> {
        next.wait().unwrap().map(|rows| rows.affected())
    }

    #[test]
    fn batches_come_in_their_order_and_the_sender_waits_for_the_consumer() {
        let (sink, mut stream, _job) = stream();
        let asked = stream.next_batch();
        let (sent, sending) = mpsc::channel();
        let sender = thread::spawn(move || {
            for n in 1..=4 {
                sink.send(Rows::count(n)).unwrap();
                sent.send(n).unwrap();
            }
            sink.finish(Ok(()));
        });
        assert_eq!(affected(asked), Some(1));
        while !stream.channel.state().is_full {
            thread::yield_now();
        }
        assert_eq!(sending.try_iter().last(), Some(2), "one lies ahead");
        for n in 2..=4 {
            assert_eq!(affected(stream.next_batch()), Some(n));
        }
        assert_eq!(affected(stream.next_batch()), None);
        assert_eq!(affected(stream.next_batch()), None);
        sender.join().unwrap();
    }

    #[test]
    fn a_sender_that_does_not_block_is_told_when_there_is_room() {
        let (sink, mut stream, job) = stream();
        let (told, room) = mpsc::channel();
        let send = |n: u64| {
            let told = told.clone();
            sink.try_send(Rows::count(n), move || told.send(n).unwrap())
        };
        let asked = stream.next_batch();
        send(1).unwrap();
        assert_eq!(affected(asked), Some(1));
        send(2).unwrap();
        let held = match send(3) {
            Err(NotSent::Full(held)) => held.affected(),
            other => panic!("{other:?}"),
        };
        assert!(room.try_recv().is_err());
        assert_eq!(affected(stream.next_batch()), Some(2));
        assert_eq!((room.try_recv(), held), (Ok(3), 3));
        send(held).unwrap();
        assert!(matches!(send(4), Err(NotSent::Full(_))));
        drop(stream);
        assert_eq!(room.try_recv(), Ok(4), "it is to see that nobody reads on");
        assert!(matches!(send(4), Err(NotSent::Ended)));
        assert!(job.control().take(), "PostgreSQL was at nothing");
    }

    #[test]
    fn the_last_batch_needs_no_room() {
        let (sink, mut stream, _job) = stream();
        sink.send(Rows::count(1)).unwrap();
        sink.send_last(Rows::count(2));
        sink.finish(Ok(()));
        assert_eq!(affected(stream.next_batch()), Some(1));
        assert_eq!(affected(stream.next_batch()), Some(2));
        assert_eq!(affected(stream.next_batch()), None);
    }

    #[test]
    fn an_error_comes_after_the_batches_and_once() {
        let (sink, mut stream, _job) = stream();
        sink.send(Rows::count(1)).unwrap();
        sink.finish(Err(Error::new(ErrorKind::Timeout, "late")));
        sink.finish(Ok(()));
        assert_eq!(affected(stream.next_batch()), Some(1));
        let error = stream.next_batch().wait().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert_eq!(affected(stream.next_batch()), None);
        assert_eq!(sink.send(Rows::count(2)), Err(Ended));
    }

    #[test]
    fn a_sender_that_goes_without_a_word_ends_what_was_asked_for() {
        let (sink, mut stream, _job) = stream();
        let (first, second) = (stream.next_batch(), stream.next_batch());
        drop(sink);
        assert_eq!(first.wait().unwrap_err().kind(), ErrorKind::Dropped);
        assert_eq!(affected(second), None);
    }

    #[test]
    fn a_stream_that_is_dropped_frees_its_sender_and_cancels_a_job_that_runs() {
        let (sink, mut running, job) = stream();
        let asked = running.next_batch();
        drop(running);
        assert!(asked.wait().is_err());
        assert!(!job.control().take(), "the job was cancelled");
        assert_eq!(sink.send(Rows::count(1)), Err(Ended));

        let (sink, full, job) = stream();
        let channel = full.channel.clone();
        let sender = thread::spawn(move || {
            sink.send(Rows::count(1)).unwrap();
            sink.send(Rows::count(2))
        });
        while !channel.state().is_full {
            thread::yield_now();
        }
        drop(full);
        assert_eq!(sender.join().unwrap(), Err(Ended));
        assert!(job.control().take(), "nothing was to be cancelled");
    }

    #[test]
    fn a_batch_is_not_given_to_a_cancelled_deferred() {
        let (sink, mut stream, _job) = stream();
        stream.next_batch().cancel();
        sink.send(Rows::count(1)).unwrap();
        assert_eq!(affected(stream.next_batch()), Some(1));
    }
}
