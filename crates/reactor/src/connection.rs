//! One connection: its socket, its output and what its protocol asked for. Must not know what
//! the bytes mean, nor of other connections.

use std::{
    fmt,
    io::{self, Read},
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{output::Output, stream::Stream, table::Key};

/// The name of a connection on its reactor. Never stands for a later connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub(super) Key);

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0.index, self.0.generation)
    }
}

/// What a connection does with its bytes: a state machine without a socket.
///
/// All methods run on the reactor's thread and must not block. `M` is the mail other threads may
/// send to a connection. A panic in a method drops its connection and no other.
pub trait Protocol<M>: Send {
    /// The connection is on its reactor now; the first call of all.
    fn on_open(&mut self, io: &mut Io<'_>);

    /// Bytes came in.
    fn on_bytes(&mut self, bytes: &[u8], io: &mut Io<'_>);

    /// The next iteration after [`Io::call_again`].
    fn on_again(&mut self, io: &mut Io<'_>) {
        let _ = io;
    }

    /// The other end will send nothing more. It may still be reading.
    fn on_end(&mut self, io: &mut Io<'_>) {
        io.close();
    }

    /// The layer below is encrypted from now on; the other end has shown this certificate (DER), if
    /// it has shown one. Comes before the first bytes.
    fn on_secured(&mut self, certificate: Option<&[u8]>, io: &mut Io<'_>) {
        let _ = (certificate, io);
    }

    /// Mail from another thread, that of each lane in the order it was posted.
    fn on_mail(&mut self, mail: M, io: &mut Io<'_>);

    /// The deadline set by [`Io::set_deadline`] has come, and is unset again.
    fn on_deadline(&mut self, io: &mut Io<'_>);

    /// The kernel has taken all output or a part of it; [`Io::unsent`] tells. A protocol with more
    /// to say may say it here.
    fn on_flushed(&mut self, io: &mut Io<'_>) {
        let _ = io;
    }

    /// The socket broke or could not be connected, or a layer failed
    /// ([`TlsError`](super::TlsError)); [`on_lost`](Self::on_lost) follows.
    fn on_error(&mut self, error: &io::Error) {
        let _ = error;
    }

    /// The reactor ends soon ([`Mailbox::shut_down`](super::Mailbox::shut_down)): close, unless
    /// something else will.
    fn on_shutdown(&mut self, io: &mut Io<'_>) {
        io.close();
    }

    /// The connection is gone, for whichever reason; the last call of all, made exactly once. The
    /// protocol is dropped when the socket is closed, which may be 2 s later.
    fn on_lost(&mut self);
}

/// What a protocol can do to its connection while it is called.
pub struct Io<'a> {
    /// This connection.
    pub id: ConnectionId,
    /// When this iteration of the loop began.
    pub now: Instant,
    pub(super) socket: &'a Stream,
    /// How many bytes wait in the layer around this protocol, if there is one.
    pub(super) unsent_below: usize,
    pub(super) is_blocked: bool,
    pub(super) output: &'a mut Output,
    pub(super) requested: &'a mut Requested,
}

impl Io<'_> {
    /// The end of the output not yet handed to the kernel; append to it to send. Written once, at
    /// the end of the iteration.
    pub fn out(&mut self) -> &mut Vec<u8> {
        self.output.end()
    }

    /// Appends bytes that others have too, without a copy: what waits is a reference. Short ones
    /// are cheaper copied.
    pub fn send_shared(&mut self, bytes: Bytes) {
        self.output.append_shared(bytes);
    }

    /// How many bytes wait to be handed to the kernel, those of a layer below included.
    pub fn unsent(&self) -> usize {
        self.output.unsent() + self.unsent_below
    }

    /// Whether the kernel would not take all output when it was offered last. Output that waits
    /// only for its turn is not blocked.
    pub fn is_blocked(&self) -> bool {
        self.is_blocked
    }

    /// Closes the connection once all output is handed to the kernel, or after 30 s. Input and
    /// deadlines are ignored from now.
    pub fn close(&mut self) {
        if self.requested.ending == Ending::None {
            self.requested.ending = Ending::WhenFlushed;
            self.requested.deadline = Some(self.now + LAST_FLUSH);
        }
    }

    /// Drops the connection at the end of this call, output or not.
    pub fn abort(&mut self) {
        self.requested.ending = Ending::Now;
    }

    /// Asks to be called at `deadline`; replaces the deadline asked for before.
    pub fn set_deadline(&mut self, deadline: Option<Instant>) {
        if self.requested.ending == Ending::None {
            self.requested.deadline = deadline;
        }
    }

    /// Stops reading from the socket, or goes on. A protocol with a bounded memory stops while its
    /// output waits, which slows the other end down.
    pub fn pause_reading(&mut self, paused: bool) {
        self.requested.reading_paused = paused;
    }

    /// Asks for [`Protocol::on_again`] in the next iteration, when the other connections have had
    /// their turn, whether reading is paused or not. A protocol that got much in one read does a
    /// part of it, keeps the rest and asks. Nothing is read meanwhile, nor is the end told.
    pub fn call_again(&mut self) {
        if self.requested.ending == Ending::None {
            self.requested.call_again = true;
        }
    }

    /// Offers the output to the kernel again at the end of the iteration, whether an event has said
    /// that it takes some or not. The kernel says so only when a third of its buffer is free, which
    /// takes a slow reader long. [`Protocol::on_flushed`] tells what has come of it.
    pub fn retry_output(&mut self) {
        self.requested.retry_output = true;
    }

    /// Whether the other end has closed or reset the connection, as far as the kernel knows by now.
    /// A look at a socket with unread input, or with a layer below, sees no end behind it.
    ///
    /// A system call. For a protocol that is about to use a connection that has idled.
    pub fn has_ended(&self) -> bool {
        self.socket.has_ended()
    }

    /// Whether the kernel sends small writes at once, or waits to join them (RFC 9293, 3.7.4).
    pub fn set_nodelay(&self, nodelay: bool) {
        // It fails only on a connection that is lost, which shows soon enough.
        let _ = self.socket.set_nodelay(nodelay);
    }
}

/// What a protocol asked for, read by the loop after each call.
#[derive(Default)]
pub(super) struct Requested {
    pub(super) ending: Ending,
    pub(super) deadline: Option<Instant>,
    pub(super) reading_paused: bool,
    pub(super) call_again: bool,
    pub(super) retry_output: bool,
}

impl Requested {
    /// Whether the protocol still wants input.
    pub(super) fn wants_input(&self) -> bool {
        self.ending == Ending::None && !self.reading_paused && !self.call_again
    }

    /// Whether the protocol is to be called again now; once.
    pub(super) fn take_call_again(&mut self) -> bool {
        mem::take(&mut self.call_again) && self.ending == Ending::None
    }

    /// Whether the output is to be offered to the kernel although it took no more; once.
    pub(super) fn take_retry_output(&mut self) -> bool {
        mem::take(&mut self.retry_output)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum Ending {
    #[default]
    None,
    WhenFlushed,
    Now,
}

/// What a read brought.
pub(super) enum Input {
    /// So many bytes, and whether the socket may have more.
    Bytes(usize, bool),
    /// The other end has finished sending.
    End,
    /// Nothing there now.
    Nothing,
}

/// A connection as the loop holds it.
pub(super) struct Connection<M> {
    pub(super) id: ConnectionId,
    pub(super) socket: Stream,
    pub(super) protocol: Box<dyn Protocol<M>>,
    pub(super) output: Output,
    pub(super) requested: Requested,
    /// The socket may have input that no event will announce again.
    pub(super) maybe_readable: bool,
    /// An event has said that the other end has finished sending.
    pub(super) read_closed: bool,
    /// All that the other end sent has been read, its end included.
    pub(super) has_ended: bool,
    /// The kernel takes no more output until an event says so.
    pub(super) write_blocked: bool,
    /// The connection is in the list of those to read.
    pub(super) is_listed_readable: bool,
    /// The connection is in the list of those to flush.
    pub(super) is_listed_dirty: bool,
    /// The connection is in the list of those to flush in their turn.
    pub(super) is_listed_in_bulk: bool,
    /// The earliest deadline that the loop's heap holds for this connection.
    pub(super) armed: Option<Instant>,
}

impl<M> Connection<M> {
    pub(super) fn new(id: ConnectionId, socket: Stream, protocol: Box<dyn Protocol<M>>) -> Self {
        Self {
            id,
            socket,
            protocol,
            output: Output::default(),
            requested: Requested::default(),
            maybe_readable: false,
            read_closed: false,
            has_ended: false,
            write_blocked: false,
            is_listed_readable: false,
            is_listed_dirty: false,
            is_listed_in_bulk: false,
            armed: None,
        }
    }

    /// Calls the protocol. After a panic its state cannot be trusted, so the connection is dropped
    /// and it gets only its last call.
    pub(super) fn call(&mut self, now: Instant, f: impl FnOnce(&mut dyn Protocol<M>, &mut Io<'_>)) {
        let mut io = Io {
            id: self.id,
            now,
            socket: &self.socket,
            unsent_below: 0,
            is_blocked: self.write_blocked,
            output: &mut self.output,
            requested: &mut self.requested,
        };
        let called = catch_unwind(AssertUnwindSafe(|| f(self.protocol.as_mut(), &mut io)));
        if self.requested.take_retry_output() {
            self.write_blocked = false;
        }
        if called.is_err() {
            self.requested.ending = Ending::Now;
        }
    }

    /// Tells the protocol why the connection is about to be gone.
    pub(super) fn fail(&mut self, error: &io::Error) {
        // As in `lose`.
        let _ = catch_unwind(AssertUnwindSafe(|| self.protocol.on_error(error)));
    }

    /// Tells the protocol that the connection is gone.
    pub(super) fn lose(&mut self) {
        lose(self.protocol.as_mut());
    }

    /// How many bytes of output the kernel has not taken.
    pub(super) fn unsent(&self) -> usize {
        self.output.unsent()
    }

    /// Whether the protocol still wants input.
    pub(super) fn wants_input(&self) -> bool {
        self.requested.wants_input()
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Input> {
        loop {
            return match self.socket.read(buffer) {
                Ok(0) => {
                    self.has_ended = true;
                    Ok(Input::End)
                }
                // A read that does not fill the buffer has emptied the socket, and an event will
                // announce the next bytes. Only an end that was announced already is still there.
                Ok(n) => Ok(Input::Bytes(n, n == buffer.len() || self.read_closed)),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(Input::Nothing),
                Err(e) => Err(e),
            };
        }
    }

    /// Whether the kernel takes output and there is some, or the connection is to be closed.
    pub(super) fn wants_flush(&self) -> bool {
        !self.write_blocked && (self.output.unsent() > 0 || self.requested.ending != Ending::None)
    }

    /// Hands output to the kernel, no more than `most` bytes.
    pub(super) fn flush(&mut self, most: usize) -> io::Result<()> {
        self.write_blocked = self.output.write_to(&mut self.socket, most)?;
        Ok(())
    }

    /// Whether the protocol has closed the connection, with output handed over or not.
    pub(super) fn is_closed(&self) -> bool {
        self.requested.ending != Ending::None
    }

    /// Whether the protocol has closed the connection and all its output is handed over.
    pub(super) fn is_closed_and_flushed(&self) -> bool {
        self.requested.ending == Ending::WhenFlushed && self.output.unsent() == 0
    }
}

impl<M: 'static> Connection<M> {
    /// Tells the other end that nothing more comes, and reads what it still sends until it closes
    /// too. A socket closed with unread input makes the kernel reset the connection, and the last
    /// output could be lost.
    pub(super) fn linger(&mut self, now: Instant) -> io::Result<()> {
        self.lose();
        let protocol = mem::replace(&mut self.protocol, Box::new(Lingering(None)));
        self.protocol = Box::new(Lingering(Some(protocol)));
        self.requested = Requested {
            deadline: Some(now + LINGER),
            ..Requested::default()
        };
        self.socket.end_output()
    }
}

/// Tells a protocol that its connection is gone, or was never served.
pub(super) fn lose<M>(protocol: &mut dyn Protocol<M>) {
    // The panic has been reported by its hook; here it must not end the thread of others.
    let _ = catch_unwind(AssertUnwindSafe(|| protocol.on_lost()));
}

/// How long the kernel may take to accept the last output of a closed connection. Without a limit,
/// another end that reads nothing would keep the connection and its output for ever.
const LAST_FLUSH: Duration = Duration::from_secs(30);
/// How long a closed connection waits for the other end to close as well.
const LINGER: Duration = Duration::from_secs(2);

/// The protocol of a connection that only waits for the other end to close. The one that was there
/// before is dropped with the socket: it may count sockets.
struct Lingering<M>(#[expect(dead_code, reason = "it is dropped")] Option<Box<dyn Protocol<M>>>);

impl<M: 'static> Protocol<M> for Lingering<M> {
    fn on_open(&mut self, _: &mut Io<'_>) {}
    fn on_bytes(&mut self, _: &[u8], _: &mut Io<'_>) {}
    fn on_end(&mut self, io: &mut Io<'_>) {
        io.abort();
    }
    fn on_mail(&mut self, _: M, _: &mut Io<'_>) {}
    fn on_deadline(&mut self, io: &mut Io<'_>) {
        io.abort();
    }
    fn on_shutdown(&mut self, _: &mut Io<'_>) {}
    fn on_lost(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Most connections of a router are idle, so each byte here counts. A layer adds none.
    #[test]
    fn a_connection_is_no_larger_than_it_has_to_be() {
        // A socket of mio's is larger in a debug build.
        let debugging = if cfg!(debug_assertions) { 16 } else { 0 };
        assert!(size_of::<Connection<u64>>() <= 112 + debugging);
    }
}
