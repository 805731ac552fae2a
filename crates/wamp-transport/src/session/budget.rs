//! How a session ends whose client makes the node hold more than others while the node holds too
//! much. Must not know who that is.

use tungstenite::protocol::frame::coding::CloseCode;

use super::{Session, pressure::Room};
use crate::memory::Held;
use reactor::Io;
use wamp::SessionId;

/// Whoever has more output than this waiting does not read, and is told nothing.
const TOLD: usize = 64 * 1024;
/// What the client is told. It may come again.
const WHY: &str = "the node's memory_limit is reached and you held most: try again later";

impl Session {
    /// The node is over its limit, and the session holds so much of it.
    pub(super) fn drop_for_memory(&mut self, held: usize, io: &mut Io<'_>) {
        tracing::warn!(
            target: crate::LOG,
            client = %self.context.remote,
            session = self.session.map(SessionId::value),
            held,
            memory_limit = self.context.io_thread.realms.memory().limit(),
            "dropping a client because the node has reached memory_limit, and holds more for this \
             one than for others: a message that it does not end, what it does not read, or its \
             calls that wait; if that is expected, raise limits.memory_limit"
        );
        self.end_for_memory(io);
    }

    /// There is no room now for a message of this length that the client has announced. Nothing is
    /// read until there is. `false` if the session ends.
    pub(super) fn wait_for_room(&mut self, len: u64, io: &mut Io<'_>) -> bool {
        let memory = self.context.io_thread.realms.memory();
        if !memory.wait_for_room(&self.backlog, len) {
            self.refuse_memory(io);
            return false;
        }
        let until = self.options.message_timeout.map(|timeout| io.now + timeout);
        self.pressure_mut().room = Some(Room::Wanted(until));
        true
    }

    pub(super) fn waits_for_room(&self) -> bool {
        let room = self.pressure.as_ref().and_then(|p| p.room.as_ref());
        matches!(room, Some(Room::Wanted(_)))
    }

    /// There is room for the message, unless the session has ended meanwhile.
    pub(super) fn take_room(&mut self, room: Held) {
        if self.waits_for_room() {
            self.pressure_mut().room = Some(Room::Granted(room));
        }
    }

    /// There was no room in time for the message that the client has announced, or there never is.
    pub(super) fn refuse_memory(&mut self, io: &mut Io<'_>) {
        tracing::warn!(
            target: crate::LOG,
            client = %self.context.remote,
            session = self.session.map(SessionId::value),
            memory_limit = self.context.io_thread.realms.memory().limit(),
            "dropping a client because its large message finds no room within memory_limit; if that \
             is expected, raise limits.memory_limit"
        );
        self.end_for_memory(io);
    }

    fn end_for_memory(&mut self, io: &mut Io<'_>) {
        self.context.io_thread.realms.memory().note_dropped();
        self.frames.forget();
        self.pressure = None;
        self.backlog.set_input(0);
        let can_be_told = io.unsent() <= TOLD;
        if can_be_told {
            // RFC 6455, 7.4.1, and the registry of IANA: 1013 is "Try Again Later".
            self.frames.close(CloseCode::Again, WHY, io.out());
        }
        self.fail("it held too much of the node's memory".to_owned(), io);
        if !can_be_told {
            io.abort();
        }
    }
}
