//! Listening sockets, and the dealing of what they accept to the I/O threads, or its refusal. Must
//! not know what is served on a connection.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    ops::ControlFlow,
    sync::Arc,
    time::{Duration, Instant},
};

use mio::net::{TcpListener, TcpStream};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use super::{
    Realms,
    connection_limits::{Admission, Connections, Limit, Reached, Whereabouts},
    outbox::Mail,
    refusal::{Refused, refuse_now},
    session::{ConnectionContext, IoThread},
    web_connection::{WebConnection, WebService},
};
use reactor::{Accept, Accepted, Mailbox};

/// A listening socket for each address, all on the same port. An address that this machine does
/// not have (it may be without IPv6) is left out, as long as there is another.
///
/// # Errors
/// As [`bind`].
pub fn bind_all(addresses: &[IpAddr], port: u16, backlog: u32) -> io::Result<Vec<TcpListener>> {
    /// How often a free port of the first address may be taken at another one.
    const TRIES: usize = 16;
    let mut tries = 1;
    loop {
        match bind_each(addresses, port, backlog) {
            Err(error)
                if port == 0 && tries < TRIES && error.kind() == io::ErrorKind::AddrInUse =>
            {
                tries += 1;
            }
            result => return result,
        }
    }
}

fn bind_each(addresses: &[IpAddr], mut port: u16, backlog: u32) -> io::Result<Vec<TcpListener>> {
    let mut sockets = Vec::with_capacity(addresses.len());
    let mut missing = None;
    for &address in addresses {
        match bind(address, port, backlog) {
            Ok(socket) => {
                port = socket.local_addr()?.port();
                sockets.push(socket);
            }
            Err(error) if is_missing(&error) => {
                tracing::debug!(target: crate::LOG, %address, %error, "this machine does not have the address");
                missing = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    match (sockets.is_empty(), missing) {
        (false, _) => Ok(sockets),
        (true, Some(error)) => Err(error),
        (true, None) => Err(io::ErrorKind::AddrNotAvailable.into()),
    }
}

/// Whether the machine lacks the address, or its IP version as a whole.
fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported
    ) || error.raw_os_error() == Some(nix::libc::EAFNOSUPPORT)
}

/// A listening socket. Clients can connect from now on; they are served once it is on a reactor.
///
/// # Errors
/// Whatever kept the socket from being bound, mostly that the port is in use or not allowed.
pub fn bind(address: IpAddr, port: u16, backlog: u32) -> io::Result<TcpListener> {
    let address = SocketAddr::new(address, port);
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A node may start again while connections of the one before linger.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    socket.set_nonblocking(true)?;
    Ok(TcpListener::from_std(socket.into()))
}

/// How long the systems of those who will be accepted here may leave everything unanswered, until
/// their connections count as lost; `None` leaves it to this system, which lets an idle connection
/// last for ever.
///
/// A client that has lost its network, or whose machine has lost its power, says no word of that.
/// Keepalive asks for a sign of life where nothing is sent, from half of the time on, and the user
/// timeout (RFC 5482) is for what is sent. What is sent shortly before the one has ended begins
/// the other: so together they take at most twice the time. Accepted sockets inherit both
/// (tcp(7)).
///
/// # Errors
/// When the kernel does not take the options.
pub fn set_peer_timeout(socket: &TcpListener, timeout: Option<Duration>) -> io::Result<()> {
    let Some(timeout) = timeout else {
        return Ok(());
    };
    let within = |time: Duration| time.clamp(SHORTEST_KEEPALIVE, LONGEST_KEEPALIVE);
    let keepalive = TcpKeepalive::new()
        .with_time(within(timeout / 2))
        .with_interval(within(timeout / 6));
    let socket = SockRef::from(socket);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(timeout))
}

/// What Linux takes (tcp(7), `TCP_KEEPIDLE`, in whole seconds).
const SHORTEST_KEEPALIVE: Duration = Duration::from_secs(1);
const LONGEST_KEEPALIVE: Duration = Duration::from_secs(32_767);

/// Deals accepted connections to the I/O threads in turn, as far as there are places for them.
pub fn deal(
    io_threads: Arc<[Mailbox<Mail>]>,
    realms: Arc<Realms>,
    service: Arc<WebService>,
    connections: Arc<Connections>,
) -> Accept {
    let io_threads: Vec<_> = (io_threads.iter().cloned().enumerate())
        .map(|(number, mailbox)| {
            Arc::new(IoThread {
                number,
                mailbox,
                realms: realms.clone(),
                connections: connections.clone(),
            })
        })
        .collect();
    let mut dealer = Dealer {
        io_threads,
        service,
        connections,
        next: 0,
        is_failing: false,
    };
    Box::new(move |accepted| dealer.on_accepted(accepted))
}

struct Dealer {
    io_threads: Vec<Arc<IoThread>>,
    service: Arc<WebService>,
    connections: Arc<Connections>,
    next: usize,
    is_failing: bool,
}

impl Dealer {
    fn on_accepted(&mut self, accepted: Accepted) -> ControlFlow<()> {
        let lacks_descriptors = accepted.lacks_descriptors();
        match accepted {
            Accepted::Connection(socket, remote) => {
                self.is_failing = false;
                self.on_connection(socket, remote)
            }
            Accepted::LastDescriptor(socket, _) => {
                self.connections.refused_without_descriptor();
                refuse_now(socket, Limit::Descriptors);
                ControlFlow::Continue(())
            }
            Accepted::Failed(error) if lacks_descriptors => self.on_no_descriptor(&error),
            Accepted::Failed(error) => {
                // It is tried again every moment: once for each change of state will do.
                if !self.is_failing {
                    self.is_failing = true;
                    tracing::warn!(target: crate::LOG, %error, "a connection could not be accepted");
                }
                ControlFlow::Continue(())
            }
        }
    }

    fn on_connection(&mut self, socket: TcpStream, remote: SocketAddr) -> ControlFlow<()> {
        let mut next = ControlFlow::Continue(());
        let (admission, reached) = self.connections.admit(remote.ip(), Instant::now());
        if let Some(reached) = reached {
            tell(&reached, remote);
        }
        let place = match admission {
            Admission::Admitted(place) => place,
            Admission::InsteadOf(other, place) => {
                self.make_room(other);
                if self.connections.has_to_wait() {
                    next = ControlFlow::Break(());
                }
                place
            }
            Admission::Refused(limit) => {
                self.refuse(socket, limit);
                return next;
            }
        };
        // Answers are written whole, so waiting for more to send only delays them.
        let _ = socket.set_nodelay(true);
        let io_thread = self.next_io_thread();
        let mailbox = io_thread.mailbox.clone();
        let context = ConnectionContext { io_thread, remote };
        let connection = WebConnection::new(context, self.service.clone(), place);
        mailbox.adopt(socket, Box::new(connection));
        next
    }

    /// Makes room where connections have no session. Where all have one, whoever comes is refused.
    fn on_no_descriptor(&self, error: &io::Error) -> ControlFlow<()> {
        if self.connections.is_news_of_descriptors(Instant::now()) {
            let stats = self.connections.stats();
            tracing::warn!(
                target: crate::LOG,
                %error, open = stats.open, max_connections = stats.max_connections,
                "a connection could not be accepted: no file descriptor left; connections without a \
                 session are closed for others, and if there are none, whoever comes is refused. \
                 Raise the limit of open files (ulimit -n, LimitNOFILE), or lower max_connections"
            );
        }
        if let Some(other) = self.connections.make_room() {
            self.make_room(other);
        }
        if self.connections.is_making_room() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    fn make_room(&self, (io_thread, connection): Whereabouts) {
        let mailbox = &self.io_threads[io_thread].mailbox;
        mailbox.post(connection, Mail::MakeRoom);
    }

    fn refuse(&mut self, socket: TcpStream, limit: Limit) {
        match Refused::new(limit, &self.connections) {
            Some(refused) => self
                .next_io_thread()
                .mailbox
                .adopt(socket, Box::new(refused)),
            None => refuse_now(socket, limit),
        }
    }

    fn next_io_thread(&mut self) -> Arc<IoThread> {
        let io_thread = &self.io_threads[self.next % self.io_threads.len()];
        self.next += 1;
        io_thread.clone()
    }
}

/// Logs that a limit is reached.
fn tell(reached: &Reached, client: SocketAddr) {
    let Reached { limit, most } = *reached;
    match limit {
        Limit::Address => tracing::warn!(
            target: crate::LOG,
            %client, connections = most,
            "this address has as many connections as limits.max_connections_per_address allows: one \
             without a session is closed for another, and if there is none, whoever comes is refused \
             (503). If they are wanted, raise it; without it an address has half of what others leave"
        ),
        Limit::Node | Limit::Descriptors => tracing::warn!(
            target: crate::LOG,
            %client, connections = most,
            "there are as many connections as limits.max_connections allows: one without a session is \
             closed for another, and if there is none, whoever comes is refused (503). If they are \
             wanted, raise it, and the limit of open files (ulimit -n, LimitNOFILE) with it"
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::net;

    use super::*;

    /// What a socket is told that was accepted by a listener with this timeout: whether and when
    /// keepalive begins, how often it asks, and the user timeout.
    fn accepted_with(timeout: Option<u64>) -> Option<(Duration, Duration, Option<Duration>)> {
        let listener = bind("127.0.0.1".parse().unwrap(), 0, 1).unwrap();
        set_peer_timeout(&listener, timeout.map(Duration::from_secs)).unwrap();
        let _client = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, _) = listener.accept().unwrap();
        let socket = SockRef::from(&socket);
        socket.keepalive().unwrap().then(|| {
            let (time, interval) = (socket.tcp_keepalive_time(), socket.tcp_keepalive_interval());
            let user = socket.tcp_user_timeout().unwrap();
            (time.unwrap(), interval.unwrap(), user)
        })
    }

    #[test]
    fn an_accepted_socket_inherits_what_notices_a_peer_that_is_gone() {
        let seconds = Duration::from_secs;
        for (timeout, time, interval) in [
            (60, 30, 10),
            (1, 1, 1),
            // A day, the longest that can be configured.
            (86_400, 32_767, 14_400),
        ] {
            let expected = (seconds(time), seconds(interval), Some(seconds(timeout)));
            assert_eq!(accepted_with(Some(timeout)), Some(expected));
        }
        assert_eq!(accepted_with(None), None);
    }

    #[test]
    fn what_the_machine_lacks_is_left_out_and_one_port_is_for_all() {
        let addresses = |list: &[&str]| -> Vec<IpAddr> {
            list.iter().map(|text| text.parse().unwrap()).collect()
        };
        // 2001:db8::/32 and 192.0.2.0/24 are for documentation: no machine has them.
        for (wanted, count) in [
            (addresses(&["127.0.0.1", "127.0.0.2"]), 2),
            (addresses(&["127.0.0.1", "2001:db8::1"]), 1),
            (addresses(&["192.0.2.1", "127.0.0.1"]), 1),
        ] {
            let sockets = bind_all(&wanted, 0, 8).unwrap();
            assert_eq!(sockets.len(), count, "{wanted:?}");
            let ports = sockets
                .iter()
                .map(|socket| socket.local_addr().unwrap().port());
            let mut ports: Vec<_> = ports.collect();
            ports.dedup();
            assert_eq!(ports.len(), 1, "{wanted:?}");
        }
        let none = bind_all(&addresses(&["2001:db8::1"]), 0, 8).unwrap_err();
        assert!(is_missing(&none), "{none}");
    }
}
