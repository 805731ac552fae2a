//! The client's side of the WebSocket opening handshake (RFC 6455 4.1) as bytes. Must not know
//! sockets.

use tungstenite::{
    ClientRequestBuilder,
    client::IntoClientRequest,
    handshake::{client::generate_request, derive_accept_key},
    http::Uri,
};

/// The longest response head read.
const LONGEST: usize = 16 * 1024;

/// A handshake that was begun.
pub struct ClientHandshake {
    accept_key: String,
    subprotocol: &'static str,
    head: Vec<u8>,
}

impl ClientHandshake {
    /// Begins: appends the request.
    ///
    /// # Errors
    /// For an address that no request can be made to.
    pub fn begin(url: &Uri, subprotocol: &'static str, out: &mut Vec<u8>) -> Result<Self, String> {
        let request = ClientRequestBuilder::new(url.clone())
            .with_sub_protocol(subprotocol)
            .into_client_request()
            .map_err(|error| error.to_string())?;
        let (bytes, key) = generate_request(request).map_err(|error| error.to_string())?;
        out.extend_from_slice(&bytes);
        Ok(Self {
            accept_key: derive_accept_key(key.as_bytes()),
            subprotocol,
            head: Vec::new(),
        })
    }

    /// Takes what the server sent; `None` while the head is not whole, then what follows it.
    ///
    /// # Errors
    /// When the server does not grant what was asked (RFC 6455 4.1, the client's checks).
    pub fn read(&mut self, bytes: &[u8]) -> Result<Option<Vec<u8>>, String> {
        self.head.extend_from_slice(bytes);
        let mut fields = [httparse::EMPTY_HEADER; 64];
        let mut response = httparse::Response::new(&mut fields);
        let len = match response.parse(&self.head) {
            Ok(httparse::Status::Complete(len)) => len,
            Ok(httparse::Status::Partial) if self.head.len() <= LONGEST => return Ok(None),
            Ok(httparse::Status::Partial) => return Err("its response has no end".to_owned()),
            Err(error) => return Err(format!("the response is no HTTP: {error}")),
        };
        let field = |name: &str| {
            let field = response
                .headers
                .iter()
                .find(|f| f.name.eq_ignore_ascii_case(name));
            field.map_or("", |field| str::from_utf8(field.value).unwrap_or(""))
        };
        let code = response.code.unwrap_or_default();
        if code != 101 {
            return Err(format!(
                "the answer is {code} {}",
                response.reason.unwrap_or("")
            ));
        }
        if !field("Upgrade").eq_ignore_ascii_case("websocket")
            || field("Sec-WebSocket-Accept") != self.accept_key
        {
            return Err("the server does not answer this handshake".to_owned());
        }
        if field("Sec-WebSocket-Protocol") != self.subprotocol {
            return Err(format!("the server does not speak {}", self.subprotocol));
        }
        Ok(Some(self.head.split_off(len)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(key: &str, protocol: &str) -> String {
        let accept = derive_accept_key(key.as_bytes());
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n"
        )
    }

    fn begun() -> (ClientHandshake, String) {
        let mut out = Vec::new();
        let url = "ws://127.0.0.1:8080/ws".parse().unwrap();
        let handshake = ClientHandshake::begin(&url, "wamp.2.json", &mut out).unwrap();
        let request = String::from_utf8(out).unwrap();
        assert!(request.starts_with("GET /ws HTTP/1.1\r\n"), "{request}");
        let key = request.split("Sec-WebSocket-Key: ").nth(1).unwrap();
        (handshake, key.split("\r\n").next().unwrap().to_owned())
    }

    #[test]
    fn a_granted_handshake_gives_what_follows_it_however_it_is_cut() {
        for step in [1, 7, 1000] {
            let (mut handshake, key) = begun();
            let bytes = response(&key, "wamp.2.json") + "frames";
            let mut followed = None;
            for piece in bytes.as_bytes().chunks(step) {
                match &mut followed {
                    None => followed = handshake.read(piece).unwrap(),
                    Some(followed) => followed.extend_from_slice(piece),
                }
            }
            assert_eq!(followed.unwrap(), b"frames");
        }
    }

    #[test]
    fn what_was_not_asked_for_is_not_taken() {
        let answers: [fn(&str) -> String; 5] = [
            |_| response("another", "wamp.2.json"),
            |key| response(key, "wamp.2.msgpack"),
            |_| "HTTP/1.1 404 Not Found\r\n\r\n".to_owned(),
            |_| "SSH-2.0-OpenSSH\r\n".to_owned(),
            |_| format!("HTTP/1.1 101 X\r\n{}", "A: b\r\n".repeat(4000)),
        ];
        for answer in answers {
            let (mut handshake, key) = begun();
            assert!(handshake.read(answer(&key).as_bytes()).is_err());
        }
    }
}
