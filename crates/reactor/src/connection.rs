//! One connection: its socket, its output and what its protocol asked for. Must not know what
//! the bytes mean, nor of other connections.

use std::{
    fmt,
    io::{self, Read, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use super::stream::Stream;

/// The name of a connection on its reactor. Never stands for a later connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId {
    pub(super) slot: u32,
    pub(super) generation: u32,
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.slot, self.generation)
    }
}

/// What a connection does with its bytes: a state machine without a socket.
///
/// All methods run on the reactor's thread and must not block. `M` is the mail other threads
/// may send to a connection. A panic in one of them drops the connection, and no other.
pub trait Protocol<M>: Send {
    /// The connection is on its reactor now; the first call of all.
    fn on_open(&mut self, io: &mut Io<'_>);

    /// Bytes came in.
    fn on_bytes(&mut self, bytes: &[u8], io: &mut Io<'_>);

    /// The other end will send nothing more. It may still be reading.
    fn on_end(&mut self, io: &mut Io<'_>) {
        io.close();
    }

    /// Mail from another thread, in the order it was posted.
    fn on_mail(&mut self, mail: M, io: &mut Io<'_>);

    /// The deadline set by [`Io::set_deadline`] has come, and is unset again.
    fn on_deadline(&mut self, io: &mut Io<'_>);

    /// Output was handed to the kernel, all of it or as much as it took; [`Io::unsent`] tells.
    /// Here a protocol with more to say may say it.
    fn on_flushed(&mut self, io: &mut Io<'_>) {
        let _ = io;
    }

    /// The socket broke or could not be connected, or a layer failed
    /// ([`TlsError`](super::TlsError)); [`on_lost`](Self::on_lost) follows.
    fn on_error(&mut self, error: &io::Error) {
        let _ = error;
    }

    /// The reactor ends soon ([`Mailbox::shut_down`](super::Mailbox::shut_down)): close, if
    /// nobody else sees to it.
    fn on_shutdown(&mut self, io: &mut Io<'_>) {
        io.close();
    }

    /// The connection is gone, for whichever reason; the last call of all, made exactly once.
    fn on_lost(&mut self);
}

/// What a protocol can do to its connection while it is called.
pub struct Io<'a> {
    /// This connection.
    pub id: ConnectionId,
    /// When this turn of the loop began.
    pub now: Instant,
    pub(super) socket: &'a Stream,
    /// How many bytes wait in the layer around this protocol, if there is one.
    pub(super) unsent_below: usize,
    pub(super) output: &'a mut Output,
    pub(super) wishes: &'a mut Wishes,
}

impl Io<'_> {
    /// The output not yet handed to the kernel; append to it to send. Written once, at the end
    /// of the turn.
    pub fn out(&mut self) -> &mut Vec<u8> {
        &mut self.output.bytes
    }

    /// How many bytes wait to be handed to the kernel, those of a layer below included.
    pub fn unsent(&self) -> usize {
        self.output.unsent() + self.unsent_below
    }

    /// Closes the connection once all output is handed to the kernel, or after 30 s. Input and
    /// deadlines are ignored from now.
    pub fn close(&mut self) {
        if self.wishes.ending == Ending::None {
            self.wishes.ending = Ending::WhenFlushed;
            self.wishes.deadline = Some(self.now + LAST_FLUSH);
        }
    }

    /// Drops the connection at the end of this call, output or not.
    pub fn abort(&mut self) {
        self.wishes.ending = Ending::Now;
    }

    /// Asks to be called at `deadline`; replaces the deadline asked for before.
    pub fn set_deadline(&mut self, deadline: Option<Instant>) {
        if self.wishes.ending == Ending::None {
            self.wishes.deadline = deadline;
        }
    }

    /// Stops or goes on reading from the socket: what has a bounded memory stops while its
    /// output waits, and the other end feels it.
    pub fn pause_reading(&mut self, paused: bool) {
        self.wishes.reading_paused = paused;
    }

    /// Whether the kernel sends small writes at once, or waits to join them (RFC 9293, 3.7.4).
    pub fn set_nodelay(&self, nodelay: bool) {
        // It fails only on a connection that is lost, which shows soon enough.
        let _ = self.socket.set_nodelay(nodelay);
    }
}

/// What a protocol asked for, read by the loop after each call.
#[derive(Default)]
pub(super) struct Wishes {
    pub(super) ending: Ending,
    pub(super) deadline: Option<Instant>,
    pub(super) reading_paused: bool,
}

impl Wishes {
    /// Whether the protocol still wants input.
    pub(super) fn wants_input(&self) -> bool {
        self.ending == Ending::None && !self.reading_paused
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum Ending {
    #[default]
    None,
    WhenFlushed,
    Now,
}

/// Bytes on their way out, of which the first `sent` have left.
#[derive(Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    sent: usize,
}

impl Output {
    /// A buffer of more than this is given back when it is empty, so that a connection which
    /// once sent much does not keep the memory while it idles.
    const KEEP: usize = 4 * 1024;

    pub(super) fn unsent(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// The bytes that have not left.
    pub(super) fn pending(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    /// Notes that the first `n` of the pending bytes have left.
    pub(super) fn advance(&mut self, n: usize) {
        self.sent += n;
    }

    /// Gives back the memory of what has left.
    pub(super) fn trim(&mut self) {
        if self.unsent() > 0 {
            // What is sent is cut off only when it is the larger part, so that many small writes
            // of a large buffer do not move it each time.
            if self.sent > self.bytes.len() / 2 {
                self.bytes.drain(..self.sent);
                self.sent = 0;
            }
            return;
        }
        self.sent = 0;
        if self.bytes.capacity() > Self::KEEP {
            self.bytes = Vec::new();
        } else {
            self.bytes.clear();
        }
    }

    /// Hands as much as possible to the kernel.
    fn write_to(&mut self, socket: &mut Stream) -> io::Result<()> {
        while self.unsent() > 0 {
            match socket.write(self.pending()) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => self.advance(n),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) => return Err(e),
            }
        }
        self.trim();
        Ok(())
    }
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
    pub(super) wishes: Wishes,
    /// The socket may have input that no event will announce again.
    pub(super) maybe_readable: bool,
    /// An event has said that the other end has finished sending.
    pub(super) read_closed: bool,
    /// All that the other end sent has been read, its end included.
    pub(super) has_ended: bool,
    /// The kernel takes no more output until an event says so.
    pub(super) write_blocked: bool,
    /// The connection is in the list of those to read in this turn.
    pub(super) is_listed_readable: bool,
    /// The connection is in the list of those to flush at the end of this turn.
    pub(super) is_listed_dirty: bool,
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
            wishes: Wishes::default(),
            maybe_readable: false,
            read_closed: false,
            has_ended: false,
            write_blocked: false,
            is_listed_readable: false,
            is_listed_dirty: false,
            armed: None,
        }
    }

    /// Calls the protocol. If it panics, its state is not to be trusted with another call but the
    /// last, and the connection is dropped.
    pub(super) fn call(&mut self, now: Instant, f: impl FnOnce(&mut dyn Protocol<M>, &mut Io<'_>)) {
        let mut io = Io {
            id: self.id,
            now,
            socket: &self.socket,
            unsent_below: 0,
            output: &mut self.output,
            wishes: &mut self.wishes,
        };
        let called = catch_unwind(AssertUnwindSafe(|| f(self.protocol.as_mut(), &mut io)));
        if called.is_err() {
            self.wishes.ending = Ending::Now;
        }
    }

    /// Tells the protocol why the connection is about to be gone.
    pub(super) fn fail(&mut self, error: &io::Error) {
        // As in `lose`.
        let _ = catch_unwind(AssertUnwindSafe(|| self.protocol.on_error(error)));
    }

    /// Tells the protocol that the connection is gone.
    pub(super) fn lose(&mut self) {
        // The panic has been reported by its hook; here it must not end the thread of others.
        let _ = catch_unwind(AssertUnwindSafe(|| self.protocol.on_lost()));
    }

    /// Whether the protocol still wants input.
    pub(super) fn wants_input(&self) -> bool {
        self.wishes.wants_input()
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Input> {
        loop {
            return match self.socket.read(buffer) {
                Ok(0) => {
                    self.has_ended = true;
                    Ok(Input::End)
                }
                // A read that does not fill the buffer has emptied the socket, and the next
                // bytes come with an event of their own; only an end that was announced
                // already has to be fetched.
                Ok(n) => Ok(Input::Bytes(n, n == buffer.len() || self.read_closed)),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(Input::Nothing),
                Err(e) => Err(e),
            };
        }
    }

    /// Whether there is something to hand to a kernel that takes it, or an end to be met.
    pub(super) fn wants_flush(&self) -> bool {
        !self.write_blocked && (self.output.unsent() > 0 || self.wishes.ending != Ending::None)
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.output.write_to(&mut self.socket)?;
        self.write_blocked = self.output.unsent() > 0;
        Ok(())
    }

    /// Whether the protocol has closed the connection, with output handed over or not.
    pub(super) fn is_closed(&self) -> bool {
        self.wishes.ending != Ending::None
    }

    /// Whether the protocol has closed the connection and all its output is handed over.
    pub(super) fn is_closed_and_flushed(&self) -> bool {
        self.wishes.ending == Ending::WhenFlushed && self.output.unsent() == 0
    }

    /// Tells the other end that nothing more comes, and goes on reading what it still sends
    /// until it closes too: closing with input unread would make the kernel reset the
    /// connection, and the last output could be lost with it.
    pub(super) fn linger(&mut self, now: Instant) -> io::Result<()> {
        self.lose();
        self.protocol = Box::new(Lingering);
        self.wishes = Wishes {
            deadline: Some(now + LINGER),
            ..Wishes::default()
        };
        self.socket.end_output()
    }
}

/// How long the kernel may take to accept the last output of a closed connection. An end that
/// reads nothing would else keep its connection, and that output, for ever.
const LAST_FLUSH: Duration = Duration::from_secs(30);
/// How long a closed connection waits for the other end to close as well.
const LINGER: Duration = Duration::from_secs(2);

/// The protocol of a connection that only waits for the other end to close.
struct Lingering;

impl<M> Protocol<M> for Lingering {
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
