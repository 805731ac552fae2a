//! One I/O thread's poll loop: sockets, readiness, deadlines and mail from other threads. Knows
//! bytes and connections; must not know what the bytes mean.
//!
//! A [`Reactor`] owns many connections and serves them on one thread. What a connection does
//! with its bytes is a [`Protocol`], a state machine that takes input and appends output; it
//! never touches the socket. A turn of the loop goes:
//!
//! ```text
//!   poll ── readable ──► Protocol::on_bytes ─┐
//!     ▲  ── mail ──────► Protocol::on_mail ──┼─► output gathered per connection
//!     │  ── deadline ──► Protocol::on_deadline┘            │
//!     └──────────── one write per connection ◄─────────────┘
//! ```
//!
//! A layer is a [`Protocol`] around another one: it is given what comes over the socket, and gives
//! the inner protocol an [`Io`] of its own. [`Tls`] is one. So a protocol without a layer pays
//! nothing for those that have one, and a protocol that begins in plain text puts the layer around
//! the rest of itself when its time has come.
//!
//! Other threads speak to connections through a [`Mailbox`]. The thread is woken only when it
//! sleeps, so under load a message to it costs no system call; and it does not go to sleep while
//! news come at short intervals.

mod alarm;
mod connection;
mod deadlines;
mod mailbox;
mod poll_loop;
#[cfg(test)]
mod scripted;
mod spin;
mod stream;
mod task;
#[cfg(test)]
mod tests;
mod tls;

pub use connection::{ConnectionId, Io, Protocol};
pub use mailbox::Mailbox;
pub use poll_loop::{Accept, Reactor};
pub use stream::Stream;
pub use task::{Context, Task, TaskId};
pub use tls::{Tls, TlsError};
