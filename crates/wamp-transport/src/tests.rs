//! Sessions over real sockets: one I/O thread, one realm, clients that write their own bytes.

mod charges;
mod connections;
mod fan_out;
mod guards;
mod heartbeat;
mod identity;
mod order;
mod parts;
mod pressure;
mod room;
mod sizes;

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::Mutex,
    thread::{self, JoinHandle},
    time::Instant,
};

use serde_json::{Value, json};
use tungstenite::{
    ClientRequestBuilder, WebSocket, client::client, protocol::frame::coding::CloseCode,
};

use super::*;
use reactor::{Mailbox, Reactor};
use wamp::{Peer, PublicationId, Serializer, SessionId, Transport};
use wamp_router::{
    Allow, IdSource, Limits, MatchPolicy, Permission, RealmOptions, Role, Router, Stats,
};
use web::Paths;

/// How long anything may take before its test fails.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

struct Counted(u64);

impl IdSource for Counted {
    fn session(&mut self) -> SessionId {
        self.0 += 1;
        SessionId::new(self.0).unwrap()
    }
    fn publication(&mut self) -> PublicationId {
        self.0 += 1;
        PublicationId::new(self.0).unwrap()
    }
}

/// More than a test holds.
fn memory() -> Arc<Memory> {
    Memory::new(usize::MAX / 2, ClockHandle::default())
}

fn realm() -> Arc<Realm> {
    realm_with(ClockHandle::default())
}

fn realm_with(clock: ClockHandle) -> Arc<Realm> {
    let everything = Permission {
        uri: String::new(),
        match_policy: MatchPolicy::Prefix,
        allow: Allow::ALL,
        ..Permission::default()
    };
    let anonymous = Role {
        name: wamp::ANONYMOUS.into(),
        permissions: vec![everything],
        authorizer: None,
    };
    let options = RealmOptions {
        name: "realm1".into(),
        roles: vec![anonymous],
        agent: "test".into(),
        limits: Limits::default(),
    };
    Arc::new(Realm::new(
        Router::new(options, Box::new(Counted(0))),
        clock,
        memory(),
    ))
}

pub(super) fn options() -> WebSocketOptions {
    WebSocketOptions {
        allowed_origins: AllowedOrigins::new(["*"]),
        open_handshake_timeout: Some(PATIENCE),
        close_handshake_timeout: Some(PATIENCE),
        auto_ping_interval: None,
        auto_ping_timeout: None,
        auto_ping_size: 4,
        max_message_size: 16 << 20,
        max_frame_size: 16 << 20,
        tcp_nodelay: true,
        enable_webstatus: true,
        require_websocket_subprotocol: true,
        fail_by_drop: false,
        outbox_limit: 16 << 20,
        slow_client_timeout: Some(PATIENCE),
        message_timeout: Some(PATIENCE),
    }
}

/// A listener on an I/O thread, with WebSocket at `/ws`.
pub(super) struct Served {
    pub(super) realm: Arc<Realm>,
    pub(super) address: SocketAddr,
    pub(super) mailbox: Mailbox<Mail>,
    connections: Arc<Connections>,
    memory: Arc<Memory>,
    pub(super) thread: Option<JoinHandle<()>>,
}

pub(super) fn serve(options: WebSocketOptions) -> Served {
    serve_with(options, PATIENCE)
}

fn serve_with(options: WebSocketOptions, head_timeout: Duration) -> Served {
    serve_within(MANY, options, head_timeout)
}

/// More connections than a test has.
const MANY: ConnectionLimits = ConnectionLimits {
    max_connections: 10_000,
    per_address: AddressLimit::Share,
};

fn serve_within(
    limits: ConnectionLimits,
    options: WebSocketOptions,
    head_timeout: Duration,
) -> Served {
    let socket = bind("127.0.0.1".parse().unwrap(), 0, 64).unwrap();
    serve_on(socket, limits, options, head_timeout)
}

fn serve_on(
    socket: mio::net::TcpListener,
    limits: ConnectionLimits,
    options: WebSocketOptions,
    head_timeout: Duration,
) -> Served {
    let connections = Arc::new(Connections::new(limits));
    let mut reactor = Reactor::new().unwrap();
    let mailbox = reactor.mailbox();
    let address = socket.local_addr().unwrap();
    let clock = ClockHandle::default();
    let realm = realm_with(clock.clone());
    let memory = memory();
    start_clock(&clock, vec![realm.clone()], memory.clone(), &mut reactor);
    let realms = Realms::new([("realm1".into(), realm.clone())], memory.clone());
    let mut paths = Paths::new();
    paths.insert("ws", PathService::WebSocket(Arc::new(options)));
    let service = WebService::new(paths, head_timeout);
    let accept = deal(
        [mailbox.clone()].into(),
        Arc::new(realms),
        Arc::new(service),
        connections.clone(),
    );
    reactor.listen(socket, accept).unwrap();
    Served {
        realm,
        address,
        mailbox,
        connections,
        memory,
        thread: Some(thread::spawn(move || reactor.run().unwrap())),
    }
}

impl Served {
    fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(self.address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    fn open(&self) -> Client {
        let url = format!("ws://{}/ws", self.address).parse().unwrap();
        let request =
            ClientRequestBuilder::new(url).with_sub_protocol(Serializer::Json.subprotocol());
        Client(client(request, self.connect()).unwrap().0)
    }

    fn join(&self) -> Client {
        let mut client = self.open();
        client.send(&hello());
        assert_eq!(client.receive()[0], 2);
        client
    }

    pub(super) fn wait_until(&self, condition: impl Fn(Stats) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition(self.realm.stats()) {
            assert!(Instant::now() < deadline, "{:?}", self.realm.stats());
            thread::yield_now();
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.mailbox.stop();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking());
        }
    }
}

pub(super) fn hello() -> Value {
    let roles = json!({"caller": {}, "callee": {}, "publisher": {}, "subscriber": {}});
    json!([1, "realm1", {"roles": roles}])
}

struct Client(WebSocket<TcpStream>);

impl Client {
    fn send(&mut self, message: &Value) {
        let text = message.to_string();
        self.0.send(tungstenite::Message::text(text)).unwrap();
    }

    fn receive(&mut self) -> Value {
        loop {
            match self.0.read().unwrap() {
                tungstenite::Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                tungstenite::Message::Ping(_) | tungstenite::Message::Pong(_) => {}
                other => panic!("not a text message: {other:?}"),
            }
        }
    }

    /// Reads the close frame and the end that follows it.
    fn close_code(&mut self) -> CloseCode {
        let tungstenite::Message::Close(Some(frame)) = self.0.read().unwrap() else {
            panic!("not a close frame with its code");
        };
        assert!(matches!(
            self.0.read(),
            Err(tungstenite::Error::ConnectionClosed)
        ));
        frame.code
    }

    /// Registers a procedure that never answers by itself.
    fn register(&mut self, procedure: &str) {
        self.send(&json!([64, 1, {}, procedure]));
        assert_eq!(self.receive()[0], 65);
    }
}

/// A frame as a client sends it: final, masked with zeros, shorter than 126 bytes.
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let len = u8::try_from(payload.len()).unwrap();
    assert!(len < 126);
    [&[0x80 | opcode, 0x80 | len, 0, 0, 0, 0], payload].concat()
}

fn read_until_end(mut socket: TcpStream) -> String {
    let mut all = Vec::new();
    socket.read_to_end(&mut all).unwrap();
    String::from_utf8_lossy(&all).into_owned()
}

#[test]
fn frames_that_come_with_the_opening_handshake_are_heard() {
    let served = serve(options());
    let mut socket = served.connect();
    let handshake = b"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Protocol: wamp.2.json\r\n\r\n";
    let hello = frame(1, br#"[1,"realm1",{"roles":{"caller":{}}}]"#);
    let close = frame(8, &1000_u16.to_be_bytes());
    socket
        .write_all(&[&handshake[..], &hello, &close].concat())
        .unwrap();
    let said = read_until_end(socket);
    assert!(said.starts_with("HTTP/1.1 101"), "{said}");
    assert!(said.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{said}");
    served.wait_until(|stats| stats.sessions == 0);
}

#[test]
fn a_caller_is_answered_at_once_when_its_callee_goes_in_whatever_way() {
    type Way = (&'static str, fn(Client));
    let ways: [Way; 4] = [
        ("reset or closed", |callee| drop(callee)),
        ("half-closed", |callee| {
            callee.0.get_ref().shutdown(Shutdown::Write).unwrap();
            // The rest stays open; the caller is not to wait for it.
            std::mem::forget(callee);
        }),
        ("close frame", |mut callee| callee.0.close(None).unwrap()),
        ("protocol violation", |mut callee| callee.send(&json!({}))),
    ];
    for (way, go) in ways {
        let served = serve(options());
        let (mut callee, mut caller) = (served.join(), served.join());
        callee.register("com.example.p");
        caller.send(&json!([48, 7, {}, "com.example.p"]));
        assert_eq!(callee.receive()[0], 68, "{way}");
        go(callee);
        let answer = caller.receive();
        assert_eq!(answer[2], 7, "{way}: {answer}");
        assert_eq!(answer[4], "wamp.error.canceled", "{way}: {answer}");
        served.wait_until(|stats| stats.sessions == 1 && stats.registrations == 0);
    }
}

#[test]
fn a_violation_is_told_before_the_connection_closes() {
    let served = serve(options());
    for (joined, sent, expected) in [
        (false, "[48,1,{},\"com.example.p\"]", "before the session"),
        (false, "nonsense", "expected"),
        (true, "[1,2", "expected a URI"),
        (true, "[70,5,{}]", "never sent"),
    ] {
        let mut client = if joined { served.join() } else { served.open() };
        client.0.send(tungstenite::Message::text(sent)).unwrap();
        let abort = client.receive();
        assert_eq!(abort[0], 3, "{abort}");
        assert_eq!(abort[2], "wamp.error.protocol_violation");
        let message = abort[1]["message"].as_str().unwrap();
        assert!(message.contains(expected), "{message}");
        assert_eq!(client.close_code(), CloseCode::Normal);
    }
    served.wait_until(|stats| stats.sessions == 0);
}

#[test]
fn a_frame_too_large_is_refused_by_its_head_alone() {
    for (fail_by_drop, expected) in [(false, &[0x88][..]), (true, &[])] {
        let served = serve(WebSocketOptions {
            max_frame_size: 1000,
            fail_by_drop,
            ..options()
        });
        let client = served.join();
        let mut socket = client.0.get_ref().try_clone().unwrap();
        socket
            .write_all(&[0x81, 0xff, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
            .unwrap();
        let mut first = [0];
        let read = match socket.read(&mut first) {
            Ok(n) => n,
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::ConnectionReset);
                0
            }
        };
        assert_eq!(&first[..read], expected, "fail_by_drop: {fail_by_drop}");
        served.wait_until(|stats| stats.sessions == 0);
    }
}

#[test]
fn a_client_without_hello_is_dropped() {
    let served = serve(WebSocketOptions {
        open_handshake_timeout: Some(Duration::from_millis(20)),
        ..options()
    });
    assert_eq!(served.open().close_code(), CloseCode::Policy);
}

#[test]
fn a_client_that_reads_what_is_too_much_for_its_outbox_may_speak_meanwhile() {
    const LARGE: usize = 8 << 20;
    let served = serve(WebSocketOptions {
        outbox_limit: 64 << 10,
        ..options()
    });
    let (mut callee, mut caller) = (served.join(), served.join());
    callee.register("com.example.large");
    caller.send(&json!([48, 1, {}, "com.example.large"]));
    assert_eq!(callee.receive()[0], 68);
    callee.send(&json!([70, 1, {}, ["x".repeat(LARGE)]]));
    served.wait_until(|stats| stats.results == 1);
    let ping = tungstenite::Message::Ping("still here".into());
    caller.0.send(ping).unwrap();
    let result = caller.receive();
    assert_eq!(result[3][0].as_str().map(str::len), Some(LARGE));
    assert_eq!(
        caller.0.read().unwrap(),
        tungstenite::Message::Pong("still here".into())
    );
}

#[test]
fn a_subscriber_that_does_not_read_is_dropped_and_harms_nobody() {
    let served = serve(WebSocketOptions {
        outbox_limit: 64 << 10,
        ..options()
    });
    let (mut slow, mut fast, mut publisher) = (served.join(), served.join(), served.join());
    for subscriber in [&mut slow, &mut fast] {
        subscriber.send(&json!([32, 1, {}, "com.example.topic"]));
        assert_eq!(subscriber.receive()[0], 33);
    }
    let text = "x".repeat(32 << 10);
    let mut published = 0;
    while served.realm.stats().sessions == 3 {
        assert!(published < 10_000, "the slow subscriber is still there");
        published += 1;
        let options = json!({"acknowledge": true});
        publisher.send(&json!([
            16,
            published,
            options,
            "com.example.topic",
            [&text]
        ]));
        assert_eq!(publisher.receive()[0], 17);
        assert_eq!(fast.receive()[4][0], text);
    }
    drop(slow);
}

#[test]
fn a_request_that_never_ends_is_answered_408_and_an_idle_connection_ends() {
    let served = serve_with(options(), Duration::from_millis(30));
    let mut socket = served.connect();
    // A first request that is whole does not count against the second.
    socket
        .write_all(b"GET /none HTTP/1.1\r\nHost: h\r\n\r\nGET /")
        .unwrap();
    let said = read_until_end(socket);
    assert!(said.starts_with("HTTP/1.1 404"), "{said}");
    assert!(said.contains("HTTP/1.1 408"), "{said}");
}

#[test]
fn pipelined_requests_are_answered_in_order_and_a_body_is_skipped() {
    let served = serve(options());
    let mut socket = served.connect();
    socket
        .write_all(
            b"POST /none HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\nGET /a HTTP\
              GET /ws HTTP/1.1\r\nHost: h\r\n\r\n\
              HEAD /none HTTP/1.1\r\nHost: h\r\n\r\n\
              nonsense\r\n\r\nGET /ws HTTP/1.1\r\nHost: h\r\n\r\n",
        )
        .unwrap();
    let said = read_until_end(socket);
    let statuses: Vec<_> = said
        .match_indices("HTTP/1.1 ")
        .filter_map(|(at, _)| said.get(at + 9..at + 12)?.parse::<u16>().ok())
        .collect();
    assert_eq!(statuses, [404, 200, 404, 400], "{said}");
}

/// A session of this process that keeps what it is told.
#[derive(Default)]
struct Noted {
    told: Mutex<Vec<Value>>,
    transport: Mutex<Option<Arc<dyn Transport>>>,
}

impl Peer for Noted {
    fn on_open(&self, transport: Arc<dyn Transport>) {
        transport.send(decode(hello()));
        *self.transport.lock().unwrap() = Some(transport);
    }
    fn on_posted(&self, _: wamp::Message) {}
    fn on_message(&self, message: wamp::Message) {
        let bytes = Serializer::Json.encode(&message);
        let value = serde_json::from_slice(&bytes).unwrap();
        self.told.lock().unwrap().push(value);
    }
    fn on_close(&self) {
        self.told.lock().unwrap().push(json!("closed"));
    }
}

pub(super) fn decode(message: Value) -> wamp::Message {
    Serializer::Json
        .decode(message.to_string().as_bytes())
        .unwrap()
}

#[test]
fn a_session_in_memory_joins_is_told_of_the_end_and_is_let_go() {
    let realm = realm();
    let peer = Arc::new(Noted::default());
    open_local(
        &realm,
        &(peer.clone() as Arc<dyn Peer>),
        wamp::ANONYMOUS,
        None,
        &mut [],
    );
    realm.shut_down();
    let transport = peer.transport.lock().unwrap().take().unwrap();
    transport.send(decode(json!([6, {}, "wamp.close.goodbye_and_out"])));
    let told = peer.told.lock().unwrap().clone();
    let codes: Vec<_> = told.iter().map(|m| m.get(0).unwrap_or(m)).collect();
    assert_eq!(codes, [&json!(2), &json!("closed")]);
    drop(transport);
    assert_eq!(Arc::strong_count(&peer), 1, "the realm keeps no peer");
    assert_eq!(Arc::strong_count(&realm), 1);
}
