//! Sockets of each kind on a reactor that runs.

use std::{net::SocketAddr, os::unix::net, sync::mpsc, thread};

use super::*;
use crate::{Io, Protocol, Reactor};

#[test]
fn a_unix_socket_is_served_as_any_other() {
    let (mut client, served) = net::UnixStream::pair().unwrap();
    served.set_nonblocking(true).unwrap();
    let reactor = Reactor::<u64>::new().unwrap();
    let mailbox = reactor.mailbox();
    let running = thread::spawn(move || reactor.run().unwrap());
    mailbox.adopt(UnixStream::from_std(served), Box::new(Echo));
    client.write_all(b"over a Unix socket").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut echo = Vec::new();
    client.read_to_end(&mut echo).unwrap();
    assert_eq!(echo, b"over a Unix socket");
    mailbox.stop();
    running.join().unwrap();
}

/// Sends back what it gets.
struct Echo;

impl Protocol<u64> for Echo {
    fn on_open(&mut self, _: &mut Io<'_>) {}
    fn on_bytes(&mut self, bytes: &[u8], io: &mut Io<'_>) {
        io.out().extend_from_slice(bytes);
    }
    fn on_mail(&mut self, _: u64, _: &mut Io<'_>) {}
    fn on_deadline(&mut self, _: &mut Io<'_>) {}
    fn on_lost(&mut self) {}
}

/// Tells what is wrong with its socket, and that it is lost.
struct Teller(mpsc::Sender<String>);

impl Protocol<u64> for Teller {
    fn on_open(&mut self, io: &mut Io<'_>) {
        io.out().extend_from_slice(b"for nobody");
    }
    fn on_bytes(&mut self, _: &[u8], _: &mut Io<'_>) {}
    fn on_mail(&mut self, _: u64, _: &mut Io<'_>) {}
    fn on_deadline(&mut self, _: &mut Io<'_>) {}
    fn on_error(&mut self, error: &io::Error) {
        self.0.send(error.kind().to_string()).unwrap();
    }
    fn on_lost(&mut self) {
        self.0.send("lost".to_owned()).unwrap();
    }
}

#[test]
fn a_socket_that_cannot_be_connected_says_why() {
    // Bound and not listening: a connection to it is refused.
    let unused = socket_without_listener();
    let reactor = Reactor::<u64>::new().unwrap();
    let mailbox = reactor.mailbox();
    let running = thread::spawn(move || reactor.run().unwrap());
    let (told, tells) = mpsc::channel();
    let socket = TcpStream::connect(unused).unwrap();
    mailbox.adopt(socket, Box::new(Teller(told)));
    assert_eq!(
        tells.iter().collect::<Vec<_>>(),
        ["connection refused", "lost"]
    );
    mailbox.stop();
    running.join().unwrap();
}

#[test]
fn the_end_of_an_idle_socket_is_seen_without_reading() {
    let (client, served) = net::UnixStream::pair().unwrap();
    served.set_nonblocking(true).unwrap();
    let served = Stream::from(UnixStream::from_std(served));
    assert!(!served.has_ended());
    (&client).write_all(b"unread").unwrap();
    assert!(!served.has_ended());
    let (idle, ended) = net::UnixStream::pair().unwrap();
    ended.set_nonblocking(true).unwrap();
    drop(idle);
    assert!(Stream::from(UnixStream::from_std(ended)).has_ended());
}

/// The address of a port that nobody listens at any more.
fn socket_without_listener() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}
