//! The connecting side: dials a router as a WAMP client and dials again when the connection is
//! lost. Must not know what the session is for.

mod connection;
#[cfg(test)]
mod tests;

use std::{
    io,
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded, select_biased};
use tungstenite::{ClientRequestBuilder, HandshakeError, client::client, http::Uri};

use self::connection::DialledConnection;
use super::outbox::Mail;
use reactor::{ConnectionId, Mailbox};
use wamp::{Message, Peer, Serializer, Transport};

/// The wait before a second try, doubled from try to try up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(15);
/// How long a stop waits for the router to answer the last GOODBYE.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long a stopped dialler is waited for.
const STOPPING: Duration = Duration::from_secs(3);

/// Where to dial.
#[derive(Clone, Debug)]
pub struct Target {
    /// The router's WebSocket address, `ws://host:port/path`.
    pub url: String,
    /// The host to connect to.
    pub host: String,
    /// The port to connect to.
    pub port: u16,
    /// How long connecting and shaking hands may take together; and how long the router may take
    /// to answer a HELLO or a GOODBYE.
    pub timeout: Duration,
    /// How often the router is pinged.
    pub ping_interval: Duration,
    /// A router that is silent for so long after a ping is given up.
    pub ping_timeout: Duration,
    /// The largest message accepted, in bytes.
    pub max_message_size: usize,
    /// The largest frame accepted, in bytes.
    pub max_frame_size: usize,
    /// Whether small writes leave at once (without Nagle's algorithm).
    pub tcp_nodelay: bool,
}

/// The way from a session on a dialled connection to its router.
struct DialledTransport {
    mailbox: Mailbox<Mail>,
    connection: ConnectionId,
}

impl Transport for DialledTransport {
    /// A message to a connection that is lost is lost with it.
    fn send(&self, message: Message) {
        self.mailbox.post(self.connection, Mail::Message(message));
    }
}

/// Keeps one connection to a router open, on a thread of its own for what may block.
pub struct Dialler {
    /// Dropped to stop.
    go_on: Option<Sender<()>>,
    /// Fails when the thread has ended.
    alive: Receiver<()>,
    thread: JoinHandle<()>,
}

/// Makes the peer that speaks on a new connection.
pub type MakePeer = Box<dyn Fn() -> Arc<dyn Peer> + Send + Sync>;

impl Dialler {
    /// Begins to dial. Each connection is served by `mailbox`'s reactor and gets a new peer.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn start(target: Target, mailbox: Mailbox<Mail>, make_peer: MakePeer) -> io::Result<Self> {
        let (go_on, stopped) = bounded(0);
        let (life, alive) = bounded(0);
        let thread = std::thread::Builder::new()
            .name("dialler".to_owned())
            .spawn(move || {
                let _life = life;
                keep_dialled(&target, &mailbox, &Arc::new(make_peer), &stopped);
            })?;
        Ok(Self {
            go_on: Some(go_on),
            alive,
            thread,
        })
    }

    /// Dials no more. The connection that is open stays open, for its session to say GOODBYE.
    pub fn stop(&mut self) {
        self.go_on = None;
    }

    /// Waits until the router has answered that GOODBYE.
    ///
    /// # Blocking
    /// At most 3 s. A try to connect that takes longer cannot be cut short: it is left to end
    /// by itself, and comes to nothing.
    pub fn join(mut self) {
        self.stop();
        if self.alive.recv_timeout(STOPPING) == Err(RecvTimeoutError::Timeout) {
            tracing::info!(target: crate::LOG, "a try to connect is still under way and left behind");
        } else if self.thread.join().is_err() {
            tracing::error!(target: crate::LOG, "the dialling thread had panicked");
        }
    }
}

fn keep_dialled(
    target: &Target,
    mailbox: &Mailbox<Mail>,
    make_peer: &Arc<MakePeer>,
    stopped: &Receiver<()>,
) {
    let mut wait = FIRST_WAIT;
    let mut last_failure = String::new();
    loop {
        let began = Instant::now();
        match dial(target) {
            Ok(_) if stopped.try_recv() != Err(TryRecvError::Empty) => return,
            Ok(socket) => {
                tracing::info!(target: crate::LOG, url = target.url, "connected to the router");
                last_failure.clear();
                let (lost, is_lost) = bounded(1);
                let connection =
                    DialledConnection::new(target, mailbox.clone(), make_peer.clone(), lost);
                mailbox.adopt(mio::net::TcpStream::from_std(socket), Box::new(connection));
                select_biased! {
                    recv(stopped) -> _ => {
                        let _ = is_lost.recv_timeout(FAREWELL);
                        return;
                    }
                    recv(is_lost) -> _ => {}
                }
                tracing::warn!(
                target: crate::LOG,
                                   url = target.url,
                                   "lost the connection to the router, dialling again"
                               );
            }
            Err(failure) => {
                // Once for each change of state, not once for each try.
                if failure != last_failure {
                    tracing::warn!(
                    target: crate::LOG,
                                           url = target.url,
                                           failure,
                                           "the router cannot be reached, trying on"
                                       );
                    last_failure = failure;
                }
            }
        }
        // A connection that lasted was a good one.
        if began.elapsed() > LONGEST_WAIT {
            wait = FIRST_WAIT;
        }
        // Jitter, so that many clients of a restarted router do not come all at once.
        let jittered = wait.mul_f64(rand::random_range(0.5..1.0));
        select_biased! {
            recv(stopped) -> _ => return,
            default(jittered) => {}
        }
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// Connects and shakes hands, blocking.
fn dial(target: &Target) -> Result<TcpStream, String> {
    let addresses = (target.host.as_str(), target.port)
        .to_socket_addrs()
        .map_err(|e| format!("the host {:?} cannot be resolved: {e}", target.host))?;
    let addresses: Vec<_> = addresses.collect();
    let deadline = Instant::now() + target.timeout;
    let socket = connect_any(&addresses, deadline).map_err(|failure| {
        failure.unwrap_or_else(|| format!("the host {:?} has no address", target.host))
    })?;
    shake_hands(target, socket, left_until(deadline))
}

/// Connects to the first address that can be reached, and spends on none what the others need.
///
/// # Errors
/// What was wrong with the last one, if there is any.
fn connect_any(addresses: &[SocketAddr], deadline: Instant) -> Result<TcpStream, Option<String>> {
    let mut failure = None;
    for (address, still_to_try) in addresses.iter().zip((1..=addresses.len()).rev()) {
        let share = left_until(deadline).div_f64(still_to_try as f64);
        match TcpStream::connect_timeout(address, share.max(SOON)) {
            Ok(socket) => return Ok(socket),
            Err(e) => failure = Some(format!("{address}: {e}")),
        }
    }
    Err(failure)
}

/// A timeout of zero would be none at all.
const SOON: Duration = Duration::from_millis(1);

fn left_until(deadline: Instant) -> Duration {
    let left = deadline.saturating_duration_since(Instant::now());
    left.max(SOON)
}

fn shake_hands(target: &Target, socket: TcpStream, timeout: Duration) -> Result<TcpStream, String> {
    let prepared = socket
        .set_nodelay(target.tcp_nodelay)
        .and_then(|()| socket.set_read_timeout(Some(timeout)))
        .and_then(|()| socket.set_write_timeout(Some(timeout)));
    prepared.map_err(|e| e.to_string())?;
    let url: Uri = target
        .url
        .parse()
        .map_err(|e| format!("{}: {e}", target.url))?;
    let request = ClientRequestBuilder::new(url).with_sub_protocol(Serializer::Json.subprotocol());
    // The router says nothing before HELLO, so no frame can hide behind the handshake.
    let socket = match client(request, socket) {
        Ok((websocket, _)) => websocket.into_inner(),
        Err(HandshakeError::Interrupted(_)) => return Err("the handshake took too long".into()),
        Err(HandshakeError::Failure(e)) => return Err(format!("the handshake failed: {e}")),
    };
    socket.set_nonblocking(true).map_err(|e| e.to_string())?;
    Ok(socket)
}
