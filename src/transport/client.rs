//! The connecting side: dials a router as a WAMP client and dials again when the connection is
//! lost. Must not know what the session is for.

use std::{
    io,
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded, select_biased};
use tungstenite::{
    ClientRequestBuilder, HandshakeError,
    client::client,
    http::Uri,
    protocol::{Role, frame::coding::CloseCode},
};

use super::{
    frames::{FrameLimits, Frames, Incoming},
    heartbeat::{Beat, Heartbeat, Intervals},
    local::LocalPeer,
    outbox::Mail,
};
use crate::{
    reactor::{ConnectionId, Io, Mailbox, Protocol},
    wamp::{
        self, Abort, ClosingDetails, DecodeError, Message, Payload, RequestId, RequestType,
        Serializer, error_uri,
    },
};

/// The wait before a second try, doubled from try to try up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(15);
/// How long the router may take to answer a Close frame.
const CLOSING: Duration = Duration::from_secs(10);
/// How long a stop waits for the router to answer the last GOODBYE.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long a stopped dialler is waited for.
const STOPPING: Duration = Duration::from_secs(3);
/// While more bytes than this wait for the router, nothing is read from it: every answer is to
/// an invocation that was read, so this bounds the answers.
const OUTPUT_LIMIT: usize = 16 << 20;

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

/// The client end of a session on a dialled connection, to send with.
#[derive(Clone)]
pub struct DialledSession {
    mailbox: Mailbox<Mail>,
    connection: ConnectionId,
}

impl DialledSession {
    /// Sends a message to the router. Does not block; a message to a connection that is lost
    /// is lost with it.
    pub fn send(&self, message: Message) {
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
pub type MakePeer = Box<dyn Fn(DialledSession) -> Arc<dyn LocalPeer> + Send + Sync>;

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
            tracing::info!("a try to connect is still under way and left behind");
        } else if self.thread.join().is_err() {
            tracing::error!("the dialling thread had panicked");
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
                tracing::info!(url = target.url, "connected to the router");
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
                    url = target.url,
                    "lost the connection to the router, dialling again"
                );
            }
            Err(failure) => {
                // Once for each change of state, not once for each try.
                if failure != last_failure {
                    tracing::warn!(
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

/// A dialled connection on its reactor.
struct DialledConnection {
    mailbox: Mailbox<Mail>,
    make_peer: Arc<MakePeer>,
    frames: Frames,
    heartbeat: Heartbeat,
    peer: Option<Arc<dyn LocalPeer>>,
    /// How long the router may take to answer, and until when it may for what it was sent last.
    timeout: Duration,
    awaited: Option<Awaited>,
    closing_until: Option<Instant>,
    lost: Sender<()>,
}

/// The answer to a HELLO or a GOODBYE. A router that pings but gives none is of no use.
struct Awaited {
    to: &'static str,
    until: Instant,
}

impl DialledConnection {
    fn new(
        target: &Target,
        mailbox: Mailbox<Mail>,
        make_peer: Arc<MakePeer>,
        lost: Sender<()>,
    ) -> Self {
        let limits = FrameLimits {
            max_message_size: target.max_message_size,
            max_frame_size: target.max_frame_size,
        };
        let intervals = Intervals {
            interval: Some(target.ping_interval),
            timeout: Some(target.ping_timeout),
        };
        Self {
            mailbox,
            make_peer,
            frames: Frames::new(Role::Client, limits),
            heartbeat: Heartbeat::new(intervals, Instant::now()),
            peer: None,
            timeout: target.timeout,
            awaited: None,
            closing_until: None,
            lost,
        }
    }

    /// Keeps in mind what of this the router has to answer.
    fn await_answer(&mut self, message: &Message, io: &mut Io<'_>) {
        let to = match message {
            Message::Hello(_) => "HELLO",
            Message::Goodbye(_) => "GOODBYE",
            _ => return,
        };
        let until = io.now + self.timeout;
        self.awaited = Some(Awaited { to, until });
        self.set_deadline(io);
    }

    fn on_text(&mut self, text: &[u8], io: &mut Io<'_>) {
        match Serializer::Json.decode(text) {
            Ok(message) => {
                let is_last = matches!(message, Message::Goodbye(_) | Message::Abort(_));
                // Whatever comes after HELLO answers it; GOODBYE is answered by the last alone.
                self.awaited
                    .take_if(|awaited| is_last || awaited.to == "HELLO");
                if let Some(peer) = &self.peer {
                    peer.on_message(message);
                }
                if is_last {
                    // By mail, so that it comes after what the peer has just answered. A router
                    // that would leave the connection open must not keep us from dialling again.
                    self.mailbox.post(io.id, Mail::Close);
                }
            }
            Err(error) => {
                if let Some(request) = error.invocation() {
                    return self.refuse(request, &error, io);
                }
                tracing::warn!(%error, "the router sent what is no WAMP message, closing");
                let details = ClosingDetails {
                    message: Some(error.to_string()),
                };
                let abort = Abort {
                    details,
                    reason: error_uri::PROTOCOL_VIOLATION.into(),
                };
                self.frames
                    .send_text(&Serializer::Json.encode(&abort.into()), io.out());
                self.close(io);
            }
        }
    }

    /// Answers an INVOCATION that cannot be read. What is wrong with it is what its caller has
    /// written and the router passed on, so it may not cost the others their callee.
    fn refuse(&mut self, request: RequestId, why: &DecodeError, io: &mut Io<'_>) {
        tracing::debug!(%request, %why, "refusing an invocation that cannot be read");
        let payload = Payload::from_args(&[why.to_string()]).unwrap_or_default();
        let error = wamp::Error {
            request_type: RequestType::Invocation,
            request,
            error: error_uri::INVALID_ARGUMENT.into(),
            payload,
        };
        self.frames
            .send_text(&Serializer::Json.encode(&error.into()), io.out());
    }

    fn close(&mut self, io: &mut Io<'_>) {
        self.frames.close(CloseCode::Normal, "", io.out());
        self.closing_until = Some(io.now + CLOSING);
        self.set_deadline(io);
    }

    fn set_deadline(&self, io: &mut Io<'_>) {
        io.set_deadline(
            self.heartbeat
                .deadline()
                .into_iter()
                .chain(self.closing_until)
                .chain(self.awaited.as_ref().map(|awaited| awaited.until))
                .min(),
        );
    }
}

impl Protocol<Mail> for DialledConnection {
    fn on_open(&mut self, io: &mut Io<'_>) {
        let session = DialledSession {
            mailbox: self.mailbox.clone(),
            connection: io.id,
        };
        self.peer = Some((self.make_peer)(session));
        self.set_deadline(io);
    }

    fn on_bytes(&mut self, mut bytes: &[u8], io: &mut Io<'_>) {
        self.heartbeat.sign_of_life();
        while let Some(incoming) = self.frames.next(&mut bytes, io.out()) {
            match incoming {
                Incoming::Text(text) if self.closing_until.is_none() => {
                    self.on_text(text.as_bytes(), io);
                }
                Incoming::Text(_) | Incoming::Binary | Incoming::Heartbeat => {}
                Incoming::Closed => return io.close(),
                Incoming::Failed(reason) => {
                    tracing::warn!(reason, "the router broke the WebSocket protocol, closing");
                    return io.close();
                }
            }
        }
        io.pause_reading(io.unsent() > OUTPUT_LIMIT);
        self.set_deadline(io);
    }

    fn on_end(&mut self, io: &mut Io<'_>) {
        // The router reads no more either: whatever is unsent is for nobody.
        io.abort();
    }

    fn on_flushed(&mut self, io: &mut Io<'_>) {
        self.heartbeat.flushed(io.unsent());
        io.pause_reading(io.unsent() > OUTPUT_LIMIT);
    }

    fn on_mail(&mut self, mail: Mail, io: &mut Io<'_>) {
        match mail {
            Mail::Message(message) => {
                self.frames
                    .send_text(&Serializer::Json.encode(&message), io.out());
                self.await_answer(&message, io);
            }
            Mail::Event(broadcast) => {
                self.frames
                    .send_text(broadcast.text(Serializer::Json), io.out());
            }
            Mail::Close => self.close(io),
            Mail::Overflow => io.abort(),
        }
    }

    fn on_deadline(&mut self, io: &mut Io<'_>) {
        if self.closing_until.is_some_and(|until| until <= io.now) {
            return io.abort();
        }
        if let Some(Awaited { to, .. }) = self.awaited.take_if(|awaited| awaited.until <= io.now) {
            tracing::warn!("the router does not answer {to}, giving the connection up");
            return io.abort();
        }
        match self.heartbeat.beat(io.now) {
            Beat::Nothing => {}
            Beat::Ping => self.frames.send_ping(Vec::new(), io.out()),
            Beat::Dead => {
                tracing::warn!("the router answers no ping, giving the connection up");
                return io.abort();
            }
        }
        self.set_deadline(io);
    }

    fn on_lost(&mut self) {
        if let Some(peer) = self.peer.take() {
            peer.on_close();
        }
        // The dialler may have been stopped.
        let _ = self.lost.try_send(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::bind;

    #[test]
    fn an_address_that_does_not_answer_leaves_time_for_the_next() {
        let silent = bind("127.0.0.1".parse().unwrap(), 0, 0).unwrap();
        let silent = silent.local_addr().unwrap();
        // Nobody accepts there: once its queue is full the kernel answers no more.
        let mut queued = Vec::new();
        while let Ok(socket) = TcpStream::connect_timeout(&silent, Duration::from_millis(200)) {
            queued.push(socket);
            assert!(queued.len() < 100, "the queue does not fill");
        }
        let live = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let live = live.local_addr().unwrap();
        let deadline = Instant::now() + Duration::from_secs(1);
        let socket = connect_any(&[silent, live], deadline).unwrap();
        assert_eq!(socket.peer_addr().unwrap(), live);
        assert!(Instant::now() < deadline, "all the time went to the first");
    }
}
