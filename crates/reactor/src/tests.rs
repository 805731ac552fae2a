//! The promises of a reactor to its protocols, on real sockets; knows no protocol of the node.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    thread::JoinHandle,
    time::Duration,
};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::{ConnectionId, Io, Mailbox, Protocol, Reactor};

/// How long anything may take that is bound to happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// Mail tells the protocol what to do.
type Action = Box<dyn FnOnce(&mut Io<'_>) + Send>;

/// What a protocol was told, in order.
#[derive(Debug, PartialEq)]
enum Seen {
    Opened(ConnectionId),
    Bytes(Vec<u8>),
    Ended,
    Mail,
    Deadline,
    Lost,
}

/// A protocol that tells the test what it sees and does what mail says.
struct Controlled {
    seen: Sender<Seen>,
    on_bytes: fn(&mut Io<'_>),
}

impl Controlled {
    fn tell(&self, seen: Seen) {
        // The test may have seen enough.
        let _ = self.seen.send(seen);
    }
}

impl Protocol<Action> for Controlled {
    fn on_open(&mut self, io: &mut Io<'_>) {
        self.tell(Seen::Opened(io.id));
    }

    fn on_bytes(&mut self, bytes: &[u8], io: &mut Io<'_>) {
        self.tell(Seen::Bytes(bytes.to_vec()));
        (self.on_bytes)(io);
    }

    fn on_end(&mut self, io: &mut Io<'_>) {
        self.tell(Seen::Ended);
        io.close();
    }

    fn on_mail(&mut self, mail: Action, io: &mut Io<'_>) {
        mail(io);
        self.tell(Seen::Mail);
    }

    fn on_deadline(&mut self, _: &mut Io<'_>) {
        self.tell(Seen::Deadline);
    }

    fn on_lost(&mut self) {
        self.tell(Seen::Lost);
    }
}

/// A reactor on a thread of its own.
struct Running {
    mailbox: Mailbox<Action>,
    thread: JoinHandle<std::io::Result<()>>,
}

/// A connection: its name, what its protocol sees, and the other end.
struct Connected {
    id: ConnectionId,
    seen: Receiver<Seen>,
    peer: TcpStream,
}

impl Running {
    fn start() -> Self {
        let reactor = Reactor::new().unwrap();
        let mailbox = reactor.mailbox();
        let thread = std::thread::spawn(move || reactor.run());
        Self { mailbox, thread }
    }

    fn connect(&self) -> Connected {
        self.connect_with(|_| {})
    }

    fn connect_with(&self, on_bytes: fn(&mut Io<'_>)) -> Connected {
        let (ours, peer) = socket_pair();
        let (send, seen) = unbounded();
        let controlled = Controlled {
            seen: send,
            on_bytes,
        };
        self.mailbox.adopt(ours, Box::new(controlled));
        let Seen::Opened(id) = next(&seen) else {
            panic!("on_open comes first");
        };
        Connected { id, seen, peer }
    }

    fn act(&self, to: ConnectionId, action: impl FnOnce(&mut Io<'_>) + Send + 'static) {
        self.mailbox.post(to, Box::new(action));
    }

    fn stop(self) {
        self.mailbox.stop();
        self.thread.join().unwrap().unwrap();
    }
}

fn socket_pair() -> (mio::net::TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    peer.set_write_timeout(Some(PATIENCE)).unwrap();
    let (ours, _) = listener.accept().unwrap();
    ours.set_nonblocking(true).unwrap();
    (mio::net::TcpStream::from_std(ours), peer)
}

fn next(seen: &Receiver<Seen>) -> Seen {
    seen.recv_timeout(PATIENCE).expect("something is seen")
}

/// The bytes seen until there are so many of them.
fn bytes(seen: &Receiver<Seen>, count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < count {
        match next(seen) {
            Seen::Bytes(more) => bytes.extend(more),
            other => panic!("bytes are awaited, seen is {other:?}"),
        }
    }
    bytes
}

#[test]
fn a_protocol_is_told_once_that_its_connection_is_lost() {
    let reactor = Running::start();
    // The peer is gone, the protocol aborts, the protocol closes, the reactor stops.
    let [gone, aborted, closed, stopped] = [(); 4].map(|()| reactor.connect());
    drop(gone.peer);
    reactor.act(aborted.id, |io| io.abort());
    reactor.act(closed.id, |io| io.close());
    assert_eq!(next(&gone.seen), Seen::Ended);
    assert_eq!(next(&gone.seen), Seen::Lost);
    for seen in [&aborted.seen, &closed.seen] {
        assert_eq!(next(seen), Seen::Mail);
        assert_eq!(next(seen), Seen::Lost);
    }
    reactor.stop();
    assert_eq!(next(&stopped.seen), Seen::Lost);
    for seen in [gone.seen, aborted.seen, closed.seen, stopped.seen] {
        assert_eq!(seen.try_iter().count(), 0, "told once");
    }
}

#[test]
fn a_socket_still_in_the_mail_of_a_reactor_that_stops_is_told_too() {
    let reactor = Reactor::new().unwrap();
    let mailbox = reactor.mailbox();
    let (send, seen) = unbounded();
    let (ours, _peer) = socket_pair();
    mailbox.stop();
    let controlled = Controlled {
        seen: send,
        on_bytes: |_| {},
    };
    mailbox.adopt(ours, Box::new(controlled));
    reactor.run().unwrap();
    assert_eq!(next(&seen), Seen::Lost);
}

#[test]
fn input_waits_while_reading_is_paused_and_comes_when_it_goes_on() {
    let reactor = Running::start();
    let mut connected = reactor.connect_with(|io| io.pause_reading(true));
    connected.peer.write_all(b"first").unwrap();
    assert_eq!(next(&connected.seen), Seen::Bytes(b"first".to_vec()));
    connected.peer.write_all(b"second").unwrap();
    connected.peer.shutdown(Shutdown::Write).unwrap();
    // Events of the paused connection and those of this one are of the same loop.
    let mut other = reactor.connect();
    other.peer.write_all(b"other").unwrap();
    assert_eq!(next(&other.seen), Seen::Bytes(b"other".to_vec()));
    assert_eq!(connected.seen.try_iter().count(), 0, "it is paused");

    reactor.act(connected.id, |io| io.pause_reading(false));
    assert_eq!(next(&connected.seen), Seen::Mail);
    assert_eq!(next(&connected.seen), Seen::Bytes(b"second".to_vec()));
    reactor.act(connected.id, |io| io.pause_reading(false));
    assert_eq!(next(&connected.seen), Seen::Mail);
    assert_eq!(next(&connected.seen), Seen::Ended);
    reactor.stop();
}

#[test]
fn a_connection_that_never_stops_sending_does_not_hold_up_another() {
    let reactor = Running::start();
    let flooding = reactor.connect();
    let mut quiet = reactor.connect();
    let stop = flooding.peer.try_clone().unwrap();
    let flood = std::thread::spawn(move || {
        let mut peer = flooding.peer;
        while peer.write_all(&[0; 64 * 1024]).is_ok() {
            // What has been seen need not be kept.
            flooding.seen.try_iter().for_each(drop);
        }
    });
    for n in 0..100 {
        quiet.peer.write_all(&[n]).unwrap();
        assert_eq!(bytes(&quiet.seen, 1), [n]);
        reactor.act(quiet.id, |io| io.out().push(1));
        assert_eq!(next(&quiet.seen), Seen::Mail);
        quiet.peer.read_exact(&mut [0]).unwrap();
    }
    stop.shutdown(Shutdown::Both).unwrap();
    flood.join().unwrap();
    reactor.stop();
}
