//! Owns the limits of what waits in the transport that no option of a transport sets, each once and
//! with its unit. docs/limits.md shows them. Must not know what enforces them.

use std::time::Duration;

use wamp::MAX_URI_LEN;

/// So many bytes may wait anywhere because of what a session has sent. Beyond it the session is not
/// read from until it is below half.
pub const BACKLOG_LIMIT: usize = 1 << 20;
/// What a message in a queue takes besides its own bytes, about.
pub const MARGIN: usize = 128;
/// What a request that waits for permission counts besides its own bytes: 256 of them, and their
/// session has to wait.
pub const LEAST_WAITING: usize = BACKLOG_LIMIT / 256;
/// So many bytes of events of a realm may be on the way. Beyond it each publisher waits until its
/// own event has arrived, so that publishers take turns, however many there are.
pub const REALM_EVENTS_LIMIT: usize = 16 << 20;
/// So many bytes of events may wait for a component in this process, about.
pub const COMPONENT_EVENTS_LIMIT: usize = 16 << 20;
/// A session's outbox may hold so many times `outbox_limit`, whatever the time.
pub const OUTBOX_HARD: usize = 4;
/// The socket of a session above `outbox_limit` has to take so many bytes within each
/// `slow_client_timeout`. A kernel tells of less only when its buffer is small.
pub const LEAST_TAKEN: usize = 64 << 10;
/// The next part of an answer is asked for when no more bytes than this wait for the socket of its
/// caller, or for another router whose caller it is.
pub const SHORT_OUTPUT: usize = 64 << 10;
/// While more bytes than this wait for another router, nothing is read from it: every answer is to
/// an invocation that was read, so this bounds the answers.
pub const DIALLED_OUTPUT_LIMIT: usize = 16 << 20;

/// So many messages of a connection are taken in an iteration of its I/O thread. A read can bring
/// a thousand, and each can be an event for thousands.
pub const MESSAGES_AT_ONCE: usize = 64;
/// When the messages of a connection have taken so long, the rest waits for the next iteration as
/// well. An event for thousands takes longer than a hundred calls.
pub const TIME_AT_ONCE: Duration = Duration::from_micros(500);
/// When the messages of all connections have taken so long in an iteration, each connection that
/// comes later has one message in it: the more there are that send much, the less each may at once.
pub const TIME_FOR_ALL: Duration = Duration::from_millis(4);

/// An event of more bytes is not copied for each of its receivers: in memory it is once. A short
/// copy is faster than a reference.
pub const LARGEST_COPY: usize = 16 << 10;

// What one session may cause is a small part of what a realm or a component may have waiting.
const _: () = assert!(BACKLOG_LIMIT * 16 <= REALM_EVENTS_LIMIT);
const _: () = assert!(BACKLOG_LIMIT * 16 <= COMPONENT_EVENTS_LIMIT);
// The longest URI is far from making its session wait.
const _: () = assert!(MAX_URI_LEN + MARGIN < BACKLOG_LIMIT / 2);
// One connection has only a part of an iteration.
const _: () = assert!(TIME_AT_ONCE.as_micros() * 4 <= TIME_FOR_ALL.as_micros());
// What is shared and not copied is worth it.
const _: () = assert!(MARGIN * 16 <= LARGEST_COPY && LARGEST_COPY <= LEAST_TAKEN);
