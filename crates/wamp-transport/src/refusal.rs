//! What a connection is told for which there is no place: 503, and when to come again. Must not know
//! which connections there are.

use std::{
    io::{Read, Write},
    net::Shutdown,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{HeaderValue, StatusCode, header};
use mio::net::TcpStream;

use super::{
    connection_limits::{Connections, Limit},
    outbox::Mail,
};
use reactor::{Io, Protocol};
use web::Response;

/// How long the client may take to ask for something.
const PATIENCE: Duration = Duration::from_secs(5);
/// In how many seconds it should come again.
const RETRY_AFTER: &str = "10";
/// More than the whole answer.
const MOST_BYTES: usize = 16 * 1024;

/// A connection that is refused as soon as its client has begun to ask: an answer that comes earlier
/// may be lost to clients that do not expect one.
pub(super) struct Refused {
    limit: Limit,
    connections: Arc<Connections>,
}

impl Refused {
    /// `None` if too many others are being refused: [`refuse_now`] is for them.
    pub(super) fn new(limit: Limit, connections: &Arc<Connections>) -> Option<Self> {
        connections.may_refuse().then(|| Self {
            limit,
            connections: connections.clone(),
        })
    }
}

impl Drop for Refused {
    fn drop(&mut self) {
        self.connections.has_refused();
    }
}

impl Protocol<Mail> for Refused {
    fn on_open(&mut self, io: &mut Io<'_>) {
        io.set_deadline(Some(io.now + PATIENCE));
    }

    fn on_bytes(&mut self, _: &[u8], io: &mut Io<'_>) {
        write_answer(self.limit, io.out());
        io.close();
    }

    fn on_mail(&mut self, _: Mail, _: &mut Io<'_>) {}

    fn on_deadline(&mut self, io: &mut Io<'_>) {
        io.abort();
    }

    fn on_lost(&mut self) {}
}

/// Answers a connection without waiting for it, as far as its socket's buffer goes, and closes it.
pub(super) fn refuse_now(mut socket: TcpStream, limit: Limit) {
    // A socket that is closed with unread input resets the connection, and the answer is lost.
    let _ = socket.read(&mut [0; 4096]);
    let mut answer = Vec::new();
    write_answer(limit, &mut answer);
    // A client that does not get it sees the connection closed.
    let _ = socket.write(&answer);
    let _ = socket.shutdown(Shutdown::Write);
}

fn write_answer(limit: Limit, out: &mut Vec<u8>) {
    let response = Response::error(StatusCode::SERVICE_UNAVAILABLE, limit.told_to_client())
        .with_header(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
    let mut body = response.write_head(out, false, false, SystemTime::now());
    // It is in memory, and cannot fail.
    let _ = body.fill(out, MOST_BYTES);
}

impl Limit {
    /// What the client is told, and through it whoever runs the node.
    fn told_to_client(self) -> &'static str {
        match self {
            Self::Node => {
                "There are as many connections as there may be. Try again later; whoever runs this \
                 node can raise its max_connections."
            }
            Self::Address => {
                "There are as many connections of your address as there may be. Close some, or try \
                 again later; whoever runs this node can raise its max_connections_per_address. \
                 Behind a proxy, the address is the proxy's."
            }
            Self::Descriptors => {
                "There is no file descriptor left for a connection. Try again later; whoever runs \
                 this node can raise its limit of open files, or lower its max_connections."
            }
        }
    }
}
