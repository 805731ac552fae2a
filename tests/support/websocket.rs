//! A WAMP client that does just as it is told, wrong things included: WebSocket frames and JSON
//! texts over a blocking socket. Owns no assertion about the product but what is awaited.

use std::{
    io::{ErrorKind, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    thread::JoinHandle,
};

use serde_json::{Value, json};
use tungstenite::{
    ClientRequestBuilder, Error, Message, WebSocket,
    client::client_with_config,
    error::ProtocolError,
    protocol::{Role, WebSocketConfig, frame::coding::CloseCode},
};

use super::{answer::Answer, wait::PATIENCE};

/// The realm of [`super::node::router`].
pub const REALM: &str = "realm1";
/// In a pattern it stands for any value.
pub const ANY: &str = "<any>";

/// The message types that tests send and await by their code, written down anew from the WAMP
/// specification.
pub mod code {
    macro_rules! codes {
        ($($name:ident = $code:literal,)*) => {
            $(#[doc = concat!("The code of ", stringify!($name), ".")] pub const $name: u64 = $code;)*
        };
    }
    codes! {
        HELLO = 1,
        WELCOME = 2,
        ABORT = 3,
        GOODBYE = 6,
        ERROR = 8,
        PUBLISH = 16,
        PUBLISHED = 17,
        SUBSCRIBE = 32,
        SUBSCRIBED = 33,
        UNSUBSCRIBE = 34,
        UNSUBSCRIBED = 35,
        EVENT = 36,
        CALL = 48,
        CANCEL = 49,
        RESULT = 50,
        REGISTER = 64,
        REGISTERED = 65,
        UNREGISTER = 66,
        UNREGISTERED = 67,
        INVOCATION = 68,
        YIELD = 70,
    }
}

/// One end of a WebSocket, with a WAMP session on it or not.
pub struct Client {
    socket: WebSocket<TcpStream>,
    requests: u64,
    session: u64,
}

/// What came over the WebSocket.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// A text message.
    Text(String),
    /// A ping, with its payload. It is answered when the next message is read or written.
    Ping(Vec<u8>),
    /// A pong, with its payload.
    Pong(Vec<u8>),
    /// A close frame, with its code and reason where it has them.
    Close(Option<(CloseCode, String)>),
    /// The TCP connection has ended: orderly after a close frame, otherwise not.
    End {
        /// Whether the closing handshake was complete.
        orderly: bool,
    },
}

impl Client {
    /// Opens a WebSocket at `/ws` for `wamp.2.json`, and says nothing.
    pub fn open(address: SocketAddr) -> Self {
        let request = ClientRequestBuilder::new(url(address)).with_sub_protocol("wamp.2.json");
        // Thousands of them fit into a test.
        let small = WebSocketConfig::default().read_buffer_size(16 * 1024);
        let (socket, _) = client_with_config(request, connect(address), Some(small))
            .unwrap_or_else(|error| panic!("the opening handshake fails: {error}"));
        Self {
            socket,
            requests: 0,
            session: 0,
        }
    }

    /// Takes over a socket whose opening handshake is done; `received` came after it.
    pub fn opened(stream: TcpStream, received: Vec<u8>) -> Self {
        Self {
            socket: WebSocket::from_partially_read(stream, received, Role::Client, None),
            requests: 0,
            session: 0,
        }
    }

    /// Opens a WebSocket and joins [`REALM`].
    pub fn join(address: SocketAddr) -> Self {
        let mut client = Self::open(address);
        client.send(&hello(REALM));
        client.welcomed();
        client
    }

    /// Awaits WELCOME and gives its details.
    pub fn welcomed(&mut self) -> Value {
        let welcome = self.expect(&json!([code::WELCOME, ANY, {}]));
        self.session = welcome[1].as_u64().expect("a session id is a number");
        welcome[2].clone()
    }

    /// The id of the session.
    pub fn session(&self) -> u64 {
        self.session
    }

    /// The next request id: 1, 2, 3.
    pub fn next_request(&mut self) -> u64 {
        self.requests += 1;
        self.requests
    }

    /// Sends a WAMP message.
    pub fn send(&mut self, message: &Value) {
        self.send_text(&message.to_string());
    }

    /// Sends a text message, whatever it says.
    pub fn send_text(&mut self, text: &str) {
        self.send_message(Message::text(text));
    }

    /// Sends any WebSocket message.
    pub fn send_message(&mut self, message: Message) {
        self.socket
            .send(message)
            .unwrap_or_else(|error| panic!("the node takes no message: {error}"));
    }

    /// Sends bytes as they are; see [`frame`].
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream()
            .write_all(bytes)
            .expect("the node takes bytes");
    }

    /// The socket itself, for what is not WebSocket.
    pub fn stream(&self) -> &TcpStream {
        self.socket.get_ref()
    }

    /// What comes next.
    pub fn receive(&mut self) -> Received {
        match self.socket.read() {
            Ok(Message::Text(text)) => Received::Text(text.to_string()),
            Ok(Message::Ping(payload)) => Received::Ping(payload.to_vec()),
            Ok(Message::Pong(payload)) => Received::Pong(payload.to_vec()),
            Ok(Message::Close(frame)) => {
                Received::Close(frame.map(|frame| (frame.code, frame.reason.to_string())))
            }
            Ok(other) => panic!("a node sends no {other:?}"),
            Err(Error::ConnectionClosed) => Received::End { orderly: true },
            Err(Error::Io(error)) if is_timeout(&error) => {
                panic!("waited {PATIENCE:?} in vain for a message")
            }
            Err(Error::Io(_) | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => {
                Received::End { orderly: false }
            }
            Err(error) => panic!("the node breaks the WebSocket protocol: {error}"),
        }
    }

    /// The next WAMP message. Pings and pongs before it are passed over.
    pub fn message(&mut self) -> Value {
        loop {
            match self.receive() {
                Received::Text(text) => {
                    return serde_json::from_str(&text)
                        .unwrap_or_else(|error| panic!("{text:?} is no JSON: {error}"));
                }
                Received::Ping(_) | Received::Pong(_) => {}
                other => panic!("awaited a WAMP message, received {other:?}"),
            }
        }
    }

    /// The next WAMP message, which must be of this shape: an array as long, in which [`ANY`]
    /// stands for any value and an object for one with at least its keys.
    pub fn expect(&mut self, pattern: &Value) -> Value {
        let message = self.message();
        assert!(
            is_like(&message, pattern),
            "awaited {pattern}, received {message}"
        );
        message
    }

    /// Awaits ABORT with this reason, and the close of the connection. Gives ABORT's message.
    pub fn expect_abort(&mut self, reason: &str) -> String {
        let abort = self.expect(&json!([code::ABORT, {"message": ANY}, reason]));
        let (code, _) = self.expect_close();
        assert_eq!(
            code,
            CloseCode::Normal,
            "the close frame that follows ABORT"
        );
        let message = abort[1]["message"].as_str();
        message.expect("a message is a text").to_owned()
    }

    /// Awaits a close frame, answers it, and awaits the end of the connection.
    pub fn expect_close(&mut self) -> (CloseCode, String) {
        match self.receive() {
            Received::Close(Some(close)) => {
                assert_eq!(self.receive(), Received::End { orderly: true });
                close
            }
            other => panic!("awaited a close frame, received {other:?}"),
        }
    }

    /// Registers a procedure and gives the registration's id.
    pub fn register(&mut self, procedure: &str) -> u64 {
        let request = self.next_request();
        self.send(&json!([code::REGISTER, request, {}, procedure]));
        self.answer_id(code::REGISTERED, request)
    }

    /// Subscribes to a topic and gives the subscription's id.
    pub fn subscribe(&mut self, topic: &str) -> u64 {
        let request = self.next_request();
        self.send(&json!([code::SUBSCRIBE, request, {}, topic]));
        self.answer_id(code::SUBSCRIBED, request)
    }

    fn answer_id(&mut self, code: u64, request: u64) -> u64 {
        let answer = self.expect(&json!([code, request, ANY]));
        answer[2].as_u64().expect("an id is a number")
    }

    /// Publishes an event that nobody acknowledges.
    pub fn publish(&mut self, topic: &str, args: &Value) {
        let request = self.next_request();
        self.send(&json!([code::PUBLISH, request, {}, topic, args]));
    }

    /// Begins a call and gives its request id.
    pub fn call(&mut self, procedure: &str, args: &Value) -> u64 {
        let request = self.next_request();
        self.send(&json!([code::CALL, request, {}, procedure, args]));
        request
    }

    /// Begins a call that may last so many milliseconds, and gives its request id.
    pub fn call_within(&mut self, timeout: u64, procedure: &str, args: &Value) -> u64 {
        let request = self.next_request();
        self.send(&json!([code::CALL, request, {"timeout": timeout}, procedure, args]));
        request
    }

    /// Cancels a call; without a mode, as the router likes.
    pub fn cancel(&mut self, request: u64, mode: Option<&str>) {
        let options = mode.map_or(json!({}), |mode| json!({"mode": mode}));
        self.send(&json!([code::CANCEL, request, options]));
    }

    /// The next answer to a call.
    pub fn answer(&mut self) -> Answer {
        Answer::of(&self.message())
    }

    /// The next answer, which must be to this call.
    pub fn answer_to(&mut self, request: u64) -> Answer {
        let answer = self.answer();
        assert_eq!(answer.request, request, "not the answer to it: {answer:?}");
        answer
    }

    /// Awaits the result of a call, and gives its first argument.
    pub fn expect_result(&mut self, request: u64) -> Value {
        self.answer_to(request).result()
    }

    /// Calls a procedure, and gives the arguments of its result.
    pub fn result_of(&mut self, procedure: &str, args: &Value) -> Value {
        let request = self.call(procedure, args);
        let result = self.expect(&json!([code::RESULT, request, {}, ANY]));
        result[3].clone()
    }

    /// Awaits the ERROR of a request and gives the text of its first argument.
    pub fn expect_error(&mut self, request_type: u64, request: u64, uri: &str) -> String {
        let error = self.expect(&json!([code::ERROR, request_type, request, {}, uri, [ANY]]));
        let message = error[5][0].as_str();
        message.expect("a message is a text").to_owned()
    }

    /// Leaves the realm, and closes as the specification has it.
    pub fn leave(mut self) {
        self.send(&json!([code::GOODBYE, {}, "wamp.close.close_realm"]));
        self.expect(&json!([code::GOODBYE, {}, "wamp.close.goodbye_and_out"]));
        self.expect_close();
    }
}

/// A client on a thread of its own that answers every call with the arguments it came with.
pub struct Echo {
    stream: TcpStream,
    thread: Option<JoinHandle<()>>,
}

impl Echo {
    /// Joins and registers the procedure. It can be called when this returns.
    pub fn start(address: SocketAddr, procedure: &str) -> Self {
        let mut client = Client::join(address);
        client.register(procedure);
        let stream = client.stream().try_clone().expect("a socket can be shared");
        let thread = std::thread::spawn(move || echo(client));
        Self {
            stream,
            thread: Some(thread),
        }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        // The node may have closed it before.
        let _ = self.stream.shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn echo(mut client: Client) {
    while let Ok(message) = client.socket.read() {
        let Message::Text(text) = message else {
            continue;
        };
        let message: Value = serde_json::from_str(&text).expect("a node sends JSON");
        let answer = json!([
            code::YIELD,
            message[1],
            {},
            message.get(4).unwrap_or(&json!([]))
        ]);
        // Written at once only when nothing more is there to be answered would be faster, but
        // a caller that waits for one answer is to get it.
        if client
            .socket
            .send(Message::text(answer.to_string()))
            .is_err()
        {
            return;
        }
    }
}

/// A HELLO with all roles.
pub fn hello(realm: &str) -> Value {
    let roles = json!({"caller": {}, "callee": {}, "publisher": {}, "subscriber": {}});
    json!([code::HELLO, realm, {"roles": roles}])
}

/// A masked frame with this first byte: 0x80 for the last of a message, the opcode (0 goes on,
/// 1 text, 2 binary, 8 close, 9 ping, 10 pong).
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = head(first, 0x80, payload.len());
    // A mask of zeros leaves the payload as it is.
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(payload);
    bytes
}

/// The same without a mask, which a client must not send.
pub fn unmasked_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = head(first, 0, payload.len());
    bytes.extend_from_slice(payload);
    bytes
}

fn head(first: u8, mask: u8, length: usize) -> Vec<u8> {
    let mut bytes = vec![first];
    match length {
        0..126 => bytes.push(mask | u8::try_from(length).expect("less than 126")),
        126..=0xffff => {
            bytes.push(mask | 126);
            let length = u16::try_from(length).expect("16 bits");
            bytes.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            bytes.push(mask | 127);
            bytes.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    bytes
}

/// A TCP connection on which nothing waits longer than [`PATIENCE`].
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)
        .unwrap_or_else(|error| panic!("{address} takes no connection: {error}"));
    let prepared = stream
        .set_read_timeout(Some(PATIENCE))
        .and_then(|()| stream.set_write_timeout(Some(PATIENCE)))
        .and_then(|()| stream.set_nodelay(true));
    prepared.expect("a connected socket takes options");
    stream
}

/// Whether a read has ended with [`PATIENCE`].
pub fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn url(address: SocketAddr) -> tungstenite::http::Uri {
    format!("ws://{address}/ws").parse().expect("a URL")
}

fn is_like(value: &Value, pattern: &Value) -> bool {
    match (value, pattern) {
        (_, Value::String(any)) if any == ANY => true,
        (Value::Array(values), Value::Array(patterns)) => {
            values.len() == patterns.len()
                && values.iter().zip(patterns).all(|(v, p)| is_like(v, p))
        }
        (Value::Object(values), Value::Object(patterns)) => patterns
            .iter()
            .all(|(key, p)| values.get(key).is_some_and(|v| is_like(v, p))),
        _ => value == pattern,
    }
}
