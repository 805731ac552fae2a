//! An HTTP client that sends bytes as it is told and reads responses plainly.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use super::websocket::{Client, connect, is_timeout};

/// A connection of which requests and responses are seen byte by byte.
pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

/// A response.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The header fields, their names in lower case.
    pub fields: Vec<(String, String)>,
    /// The content.
    pub body: Vec<u8>,
}

impl Connection {
    /// Connects and sends nothing.
    pub fn open(address: SocketAddr) -> Self {
        Self::over(connect(address))
    }

    /// Uses a socket that is connected already.
    pub fn over(stream: TcpStream) -> Self {
        Self {
            stream,
            received: Vec::new(),
        }
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream
            .write_all(bytes.as_ref())
            .expect("the node takes bytes");
    }

    /// The next response, with its content.
    pub fn response(&mut self) -> Response {
        let mut response = self.head();
        let length = response.field("content-length").map_or(0, |length| {
            length.parse().expect("a Content-Length is a number")
        });
        while self.received.len() < length {
            assert!(self.read(), "the content ends before its length");
        }
        response.body = self.received.drain(..length).collect();
        response
    }

    /// Content of this length, piece by piece.
    pub fn content(&mut self, length: usize, mut each: impl FnMut(&[u8])) {
        let mut missing = length;
        while missing > 0 {
            if self.received.is_empty() {
                assert!(self.read(), "{missing} of {length} bytes do not come");
            }
            let piece = self.received.len().min(missing);
            each(&self.received[..piece]);
            self.received.drain(..piece);
            missing -= piece;
        }
    }

    /// The head of the next response, after which no content comes: of a HEAD, an upgrade.
    pub fn head(&mut self) -> Response {
        const END: &[u8] = b"\r\n\r\n";
        let end = loop {
            let found = self.received.windows(END.len()).position(|w| w == END);
            match found {
                Some(at) => break at,
                None => assert!(
                    self.read(),
                    "the connection ends before a response: {:?}",
                    String::from_utf8_lossy(&self.received)
                ),
            }
        };
        let head: Vec<u8> = self.received.drain(..end + END.len()).collect();
        let head = String::from_utf8(head).expect("a head is ASCII");
        let mut lines = head.trim_end().split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.strip_prefix("HTTP/1.1 "))
            .and_then(|line| line.get(..3))
            .and_then(|status| status.parse().ok());
        Response {
            status: status.unwrap_or_else(|| panic!("no status line: {head:?}")),
            fields: lines
                .map(|line| line.split_once(": ").expect("a field has a colon"))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect(),
            body: Vec::new(),
        }
    }

    /// Reads to the end of the connection and says how many bytes came.
    pub fn read_to_end(&mut self) -> usize {
        let mut read = 0;
        loop {
            read += self.received.len();
            self.received.clear();
            if !self.read() {
                return read;
            }
        }
    }

    /// Awaits the end of the connection; nothing may come before it.
    pub fn expect_end(&mut self) {
        while self.read() {}
        assert_eq!(
            String::from_utf8_lossy(&self.received),
            "",
            "awaited the end of the connection"
        );
    }

    /// Reads what is there; `false` at the end.
    fn read(&mut self) -> bool {
        let mut buffer = [0; 64 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(n) => {
                self.received.extend_from_slice(&buffer[..n]);
                n > 0
            }
            Err(error) if is_timeout(&error) => panic!("waited in vain for the node to send"),
            // Reset is an end, too.
            Err(_) => false,
        }
    }

    /// The socket, for what this cannot do.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Goes on as a WebSocket, after the response that opened it.
    pub fn into_websocket(self) -> Client {
        Client::opened(self.stream, self.received)
    }
}

impl Response {
    /// The value of a header field.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut named = self.fields.iter().filter(|(field, _)| field == name);
        let value = named.next().map(|(_, value)| value.as_str());
        assert!(named.next().is_none(), "{name} comes twice");
        value
    }

    /// The content as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the content is UTF-8")
    }
}

/// Sends one request on a connection of its own, and gives the response.
pub fn exchange(address: SocketAddr, request: impl AsRef<[u8]>) -> Response {
    let mut connection = Connection::open(address);
    connection.send(request);
    connection.response()
}

/// GETs a path.
pub fn get(address: SocketAddr, path: &str) -> Response {
    get_with(address, path, "")
}

/// GETs a path with more header fields, each with its line end.
pub fn get_with(address: SocketAddr, path: &str, fields: &str) -> Response {
    exchange(address, request("GET", path, fields))
}

/// A request without a body.
pub fn request(method: &str, path: &str, fields: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: node\r\n{fields}\r\n")
}

/// The fields of an opening handshake for `wamp.2.json`.
pub const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Protocol: wamp.2.json\r\n";
