//! One I/O thread's poll loop: sockets, readiness, deadlines and mail from other threads. Knows
//! bytes and connections; must not know what the bytes mean.
//!
//! A [`Reactor`] owns many connections and serves them on one thread. What a connection does
//! with its bytes is a [`Protocol`], a state machine that takes input and appends output; it
//! never touches the socket. An iteration of the loop goes:
//!
//! ```text
//!   poll ── readable ──► Protocol::on_bytes ─┐
//!     ▲  ── mail ──────► Protocol::on_mail ──┼─► output gathered per connection
//!     │  ── deadline ──► Protocol::on_deadline┘            │
//!     └──────────── one write per connection ◄─────────────┘
//! ```
//!
//! A layer is a [`Protocol`] around another one. It gets what comes over the socket and gives the
//! inner protocol an [`Io`] of its own. [`Tls`] is one. A protocol without a layer pays nothing for
//! layers, and a protocol that begins in plain text puts the layer around the rest of itself later.
//!
//! Other threads speak to connections through a [`Mailbox`]. They wake the thread only when it
//! sleeps, so under load a message costs no system call. The thread does not sleep while events
//! come at short intervals. Mail has two lanes: what is urgent is read first, and what is in bulk
//! (an event for thousands of connections) is read and written in slices, one an iteration.

mod bulk_lane;
mod connection;
mod deadlines;
mod listeners;
mod mailbox;
mod output;
mod poll_loop;
#[cfg(test)]
mod scripted;
mod spin;
mod stream;
mod table;
mod task;
#[cfg(test)]
mod tests;
mod timer;
mod tls;
mod work_lists;

pub use connection::{ConnectionId, Io, Protocol};
pub use listeners::{Accept, Accepted};
pub use mailbox::Mailbox;
pub use poll_loop::{READ_BUFFER, Reactor};
pub use stream::Stream;
pub use task::{Context, Task, TaskId};
pub use tls::{Tls, TlsError};
