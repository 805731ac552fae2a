//! The dialler with routers that are silent, slow to answer or gone.

use std::{
    net::{SocketAddr, TcpStream},
    sync::mpsc,
    thread,
    time::Instant,
};

use serde_json::{Value, json};
use tungstenite::{
    WebSocket,
    handshake::server::{Request, Response},
};

use super::*;
use crate::tests::{PATIENCE, decode, hello, options, serve};
use reactor::Reactor;
use wamp::Serializer;

/// A peer that says its words on each connection and hands on what it is told.
pub(super) struct Remote {
    pub(super) words: Vec<Value>,
    pub(super) told: mpsc::Sender<wamp::Message>,
}

impl Peer for Remote {
    fn on_open(&self, transport: Arc<dyn Transport>) {
        let words = self.words.iter().cloned();
        words.for_each(|message| transport.send(decode(message)));
    }
    fn on_posted(&self, _: wamp::Message) {}
    fn on_message(&self, message: wamp::Message) {
        let _ = self.told.send(message);
    }
    fn on_close(&self) {}
}

pub(crate) fn target(address: SocketAddr) -> Target {
    Target {
        url: format!("ws://{address}/ws"),
        host: address.ip().to_string(),
        port: address.port(),
        timeout: PATIENCE,
        ping_interval: PATIENCE,
        ping_timeout: PATIENCE,
        max_message_size: 1 << 20,
        max_frame_size: 1 << 20,
        tcp_nodelay: true,
    }
}

#[test]
fn a_router_that_answers_pings_but_neither_hello_nor_goodbye_is_dialled_again() {
    let welcome = json!([2, 1, {"roles": {"broker": {}, "dealer": {}}}]);
    for (sent, answered) in [
        (vec![hello()], None),
        (
            vec![hello(), json!([6, {}, "wamp.close.close_realm"])],
            Some(welcome),
        ),
    ] {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let target = Target {
            timeout: Duration::from_secs(1),
            ping_interval: Duration::from_millis(20),
            ..target(socket.local_addr().unwrap())
        };
        let mut reactor = Reactor::new().unwrap();
        reactor.wait_asleep();
        let mailbox = reactor.mailbox();
        let dialling = thread::spawn(move || reactor.run());
        let make_peer: MakePeer = Box::new(move || {
            Arc::new(Remote {
                words: sent.clone(),
                told: mpsc::channel().0,
            })
        });
        let dialler = Dialler::start(target, mailbox.clone(), make_peer);

        let mut pings = 0;
        for _ in 0..2 {
            let mut router = accept_websocket(socket.accept().unwrap().0);
            let deadline = Instant::now() + PATIENCE;
            // Reading answers the pings.
            while let Ok(message) = router.read() {
                assert!(Instant::now() < deadline, "it waits on");
                // A late WELCOME does not answer a GOODBYE.
                if let (tungstenite::Message::Text(text), Some(answer)) = (&message, &answered)
                    && text.starts_with("[6,")
                {
                    router.send(answer.to_string().into()).unwrap();
                }
                pings += usize::from(message.is_ping());
            }
        }
        assert!(pings > 2, "{pings}");
        drop(socket);
        dialler.join(Instant::now() + PATIENCE);
        mailbox.stop();
        dialling.join().unwrap().unwrap();
    }
}

/// The router's end of an opening handshake.
pub(crate) fn accept_websocket(stream: TcpStream) -> WebSocket<TcpStream> {
    #[expect(clippy::result_large_err, reason = "it is tungstenite's")]
    let choose = |_: &Request, mut response: Response| {
        let protocol = Serializer::Json.subprotocol().parse().unwrap();
        (response.headers_mut()).insert("Sec-WebSocket-Protocol", protocol);
        Ok(response)
    };
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    tungstenite::accept_hdr(stream, choose).unwrap()
}

#[test]
fn a_dialler_dials_again_and_stops_in_time() {
    let mut served = serve(options());
    let target = target(served.address);
    let reactor = Reactor::new().unwrap();
    let mailbox = reactor.mailbox();
    let dialling = thread::spawn(move || reactor.run());
    let (told, heard) = mpsc::channel();
    let make_peer: MakePeer = Box::new(move || {
        Arc::new(Remote {
            words: vec![hello()],
            told: told.clone(),
        })
    });
    let dialler = Dialler::start(target, mailbox.clone(), make_peer);
    let code = || {
        let message = heard.recv_timeout(PATIENCE).unwrap();
        message.message_type().name()
    };
    assert_eq!(code(), "WELCOME");
    // The router goes away: dialled again, though it sends everyone away by now.
    served.realm.shut_down();
    served.wait_until(|stats| stats.sessions == 0);
    assert_eq!(code(), "WELCOME");
    served.mailbox.stop();
    served.thread.take().unwrap().join().unwrap();

    let began = Instant::now();
    dialler.join(Instant::now() + PATIENCE);
    assert!(began.elapsed() < Duration::from_secs(5));
    mailbox.stop();
    dialling.join().unwrap().unwrap();
}

/// A peer that hands on its way to the router.
struct Handing(mpsc::Sender<Arc<dyn Transport>>);

impl Peer for Handing {
    fn on_open(&self, transport: Arc<dyn Transport>) {
        self.0.send(transport).unwrap();
    }
    fn on_posted(&self, _: wamp::Message) {}
    fn on_message(&self, _: wamp::Message) {}
    fn on_close(&self) {}
}

#[test]
fn what_a_router_does_not_read_is_counted_until_it_does() {
    const SIZE: usize = 1 << 20;
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let target = target(socket.local_addr().unwrap());
    let reactor = Reactor::new().unwrap();
    let mailbox = reactor.mailbox();
    let dialling = thread::spawn(move || reactor.run());
    let (hand, handed) = mpsc::channel();
    let make_peer: MakePeer = Box::new(move || Arc::new(Handing(hand.clone())));
    let dialler = Dialler::start(target, mailbox.clone(), make_peer);
    let mut router = accept_websocket(socket.accept().unwrap().0);
    let transport = handed.recv_timeout(PATIENCE).unwrap();
    assert_eq!(transport.unsent(), 0);

    // The kernel takes some of it.
    let text = "x".repeat(SIZE);
    let sent = (1..1000).find(|n| {
        transport.send(decode(json!([16, n, {}, "com.example.t", [text]])));
        transport.unsent() > 16 * SIZE
    });
    for _ in 0..sent.unwrap() {
        assert!(router.read().unwrap().len() > SIZE);
    }
    let deadline = Instant::now() + PATIENCE;
    while transport.unsent() > 0 {
        assert!(Instant::now() < deadline, "{} are left", transport.unsent());
        thread::yield_now();
    }
    drop((socket, router));
    dialler.join(Instant::now() + PATIENCE);
    mailbox.stop();
    dialling.join().unwrap().unwrap();
}

#[test]
fn a_router_that_is_dialled_once_is_not_dialled_again() {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let reactor = Reactor::new().unwrap();
    let mailbox = reactor.mailbox();
    let dialling = thread::spawn(move || reactor.run());
    let (fail, failed) = mpsc::channel();
    let once = || {
        let fail = fail.clone();
        let make_peer: MakePeer = Box::new(|| {
            Arc::new(Remote {
                words: vec![hello()],
                told: mpsc::channel().0,
            })
        });
        let on_failure: OnFailure = Box::new(move |why| fail.send(why).unwrap());
        Dialler::once(target(address), mailbox.clone(), make_peer, on_failure)
    };
    let over = |dialler: &Dialler| {
        let ended = dialler.alive.recv_timeout(PATIENCE);
        assert_eq!(ended, Err(RecvTimeoutError::Disconnected), "it goes on");
    };

    let dialler = once();
    drop(accept_websocket(socket.accept().unwrap().0));
    over(&dialler);
    assert!(failed.try_recv().is_err(), "it was there");

    drop(socket);
    let dialler = once();
    let why = failed.recv_timeout(PATIENCE).unwrap();
    assert!(why.contains(&address.to_string()), "{why}");
    over(&dialler);
    mailbox.stop();
    dialling.join().unwrap().unwrap();
}
