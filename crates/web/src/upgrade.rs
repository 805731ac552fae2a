//! Owns the server's side of the WebSocket opening handshake (RFC 6455 4.2) up to its key; must not
//! know frames, hashes or WAMP.

use ::http::{Method, Version, header};

use super::{
    fields::{has_token, is_token, list_elements, single},
    framing::RequestBody,
    head::RequestHead,
    origin::AllowedOrigins,
    rejection::Rejection,
};

/// A valid request to open a WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSocketRequest {
    /// `Sec-WebSocket-Key`, 16 bytes in base64: what the accept key is derived from.
    pub key: String,
    /// The subprotocols the client offers, in its order of preference.
    pub protocols: Vec<String>,
    /// The page that asks, if a browser names it.
    pub origin: Option<String>,
}

impl WebSocketRequest {
    /// Reads the handshake in a request; `None` when it asks for no WebSocket.
    ///
    /// # Errors
    ///
    /// The request wants a WebSocket and cannot have one. 426 for a version other than 13, and for
    /// a handshake that lacks HTTP/1.1, `Upgrade` or `Connection`. 400 for whatever else RFC 6455
    /// 4.2.1 forbids.
    pub fn from_head(head: &RequestHead) -> Result<Option<Self>, Rejection> {
        let has_upgrade = has_token(&head.headers, &header::UPGRADE, "websocket");
        // A proxy that does not know WebSockets removes Upgrade and Connection, which are for one
        // hop only (RFC 9110 7.6.1), and leaves the key.
        if !has_upgrade && !head.headers.contains_key(header::SEC_WEBSOCKET_KEY) {
            return Ok(None);
        }
        // RFC 9110 7.8: HTTP/1.0 knows no Upgrade.
        if head.version != Version::HTTP_11 {
            return Err(Rejection::UnfitHandshake(
                "The opening handshake of a WebSocket came in HTTP/1.0, which cannot upgrade.",
            ));
        }
        if !has_upgrade {
            return Err(Rejection::UnfitHandshake(
                "The opening handshake of a WebSocket came without \"Upgrade: websocket\".",
            ));
        }
        if head.method != Method::GET || head.body != RequestBody::Length(0) {
            return Err(Rejection::Malformed(
                "A WebSocket is opened by a GET without a body.",
            ));
        }
        if !has_token(&head.headers, &header::CONNECTION, "upgrade") {
            return Err(Rejection::UnfitHandshake(
                "The opening handshake of a WebSocket came without \"Connection: Upgrade\".",
            ));
        }
        if single(&head.headers, &header::SEC_WEBSOCKET_VERSION) != Some("13") {
            return Err(Rejection::WebSocketVersion);
        }
        Ok(Some(Self {
            key: key(head)?,
            protocols: protocols(head)?,
            origin: origin(head)?,
        }))
    }

    /// Checks the page that asks.
    ///
    /// # Errors
    ///
    /// 403 for an origin that is not allowed (RFC 6455 4.2.2).
    pub fn check_origin(&self, allowed: &AllowedOrigins) -> Result<(), Rejection> {
        if allowed.allows(self.origin.as_deref()) {
            Ok(())
        } else {
            Err(Rejection::OriginNotAllowed)
        }
    }

    /// The head that opens the WebSocket; frames follow it. No extension is ever accepted.
    ///
    /// `accept_key` is derived from [`key`](Self::key) (RFC 6455 4.2.2, item 5.4).
    /// `protocol` must be one of those offered, because a client fails on any other. `None` names
    /// no subprotocol.
    pub fn accept_response(&self, accept_key: &str, protocol: Option<&str>) -> Vec<u8> {
        debug_assert!(protocol.is_none_or(|name| self.protocols.iter().any(|p| p == name)));
        let mut head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept_key}\r\nServer: wampgres\r\n"
        );
        if let Some(protocol) = protocol {
            head.push_str("Sec-WebSocket-Protocol: ");
            head.push_str(protocol);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        head.into_bytes()
    }
}

/// RFC 6455 4.2.1 item 5: what decodes to 16 bytes of base64, so 22 digits and padding.
fn key(head: &RequestHead) -> Result<String, Rejection> {
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    single(&head.headers, &header::SEC_WEBSOCKET_KEY)
        .filter(|key| {
            key.strip_suffix("==")
                .is_some_and(|digits| digits.len() == 22 && digits.bytes().all(is_digit))
        })
        .map(str::to_owned)
        .ok_or(Rejection::Malformed(
            "Sec-WebSocket-Key is not one value of 16 bytes in base64.",
        ))
}

fn protocols(head: &RequestHead) -> Result<Vec<String>, Rejection> {
    let offered: Vec<String> = list_elements(&head.headers, &header::SEC_WEBSOCKET_PROTOCOL)
        .map(str::to_owned)
        .collect();
    if !offered.iter().all(|protocol| is_token(protocol)) {
        return Err(Rejection::Malformed(
            "Sec-WebSocket-Protocol is not a list of tokens.",
        ));
    }
    Ok(offered)
}

fn origin(head: &RequestHead) -> Result<Option<String>, Rejection> {
    if !head.headers.contains_key(header::ORIGIN) {
        return Ok(None);
    }
    // An absent origin is allowed everywhere. One that is repeated or unreadable must not be.
    single(&head.headers, &header::ORIGIN)
        .map(|origin| Some(origin.to_owned()))
        .ok_or(Rejection::Malformed("Origin is not one value."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::tests::head_of;

    const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    const VERSION: &str = "Sec-WebSocket-Version: 13\r\n";
    const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\n";

    fn asked(line: &str, fields: &[&str]) -> Result<Option<WebSocketRequest>, u16> {
        let fields = fields.concat();
        let head = head_of(&format!("{line}\r\nHost: h\r\n{fields}\r\n"));
        WebSocketRequest::from_head(&head).map_err(|rejection| rejection.status().as_u16())
    }

    #[test]
    fn a_browsers_handshake_is_understood() {
        let request = asked(
            "GET /ws HTTP/1.1",
            &[
                "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n",
                "Origin: http://localhost:8080\r\n",
                "Sec-WebSocket-Protocol: wamp.2.cbor, wamp.2.json\r\n",
                "Sec-WebSocket-Protocol: x\r\n",
                "Sec-WebSocket-Extensions: permessage-deflate\r\n",
                KEY,
                VERSION,
            ],
        );
        let request = request.unwrap().unwrap();
        assert_eq!(request.key, "dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(request.protocols, ["wamp.2.cbor", "wamp.2.json", "x"]);
        assert_eq!(request.origin.as_deref(), Some("http://localhost:8080"));
        let head = request.accept_response("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", Some("wamp.2.json"));
        assert_eq!(
            String::from_utf8(head).unwrap(),
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nServer: wampgres\r\n\
             Sec-WebSocket-Protocol: wamp.2.json\r\n\r\n"
        );
        let open = String::from_utf8(request.accept_response("k", None)).unwrap();
        assert!(!open.contains("Protocol:") && !open.contains("Extensions"));
    }

    const GET: &str = "GET / HTTP/1.1";

    fn is_handshake(line: &str, fields: &[&str]) -> Result<bool, u16> {
        asked(line, fields).map(|request| request.is_some())
    }

    #[test]
    fn handshakes_are_told_from_plain_requests() {
        let list = "Upgrade: h2c, websocket\r\nConnection: upgrade\r\n";
        let other = "Upgrade: h2c\r\nConnection: upgrade\r\n";
        let empty = "Content-Length: 0\r\n";
        let cases: [(&str, &[&str], bool); 7] = [
            (GET, &[UPGRADE, KEY, VERSION], true),
            (GET, &[list, KEY, VERSION], true),
            (GET, &[UPGRADE, KEY, VERSION, empty], true),
            (GET, &[], false),
            (GET, &[VERSION], false),
            (GET, &[other], false),
            ("GET / HTTP/1.0", &[], false),
        ];
        for (line, fields, expected) in cases {
            assert_eq!(
                is_handshake(line, fields),
                Ok(expected),
                "{line} {fields:?}"
            );
        }
    }

    #[test]
    fn bad_handshakes_are_refused() {
        let key = |value: &str| format!("Sec-WebSocket-Key: {value}\r\n");
        let short = key("dGhlIHNhbXBsZQ==");
        let long = key("dGhlIHNhbXBsZSBub25jZQEB");
        let alien = key("dGhlIHNhbXBsZSBub25j-Q==");
        let not_upgrading = "Upgrade: websocket\r\nConnection: close\r\n";
        let old = "Sec-WebSocket-Version: 8\r\n";
        let two_words = "Sec-WebSocket-Protocol: a b\r\n";
        let body = "Content-Length: 1\r\n";
        let origins = "Origin: a\r\nOrigin: b\r\n";
        let cases: [(&str, &[&str], u16); 18] = [
            (GET, &[KEY, VERSION], 426),
            (GET, &["Connection: upgrade\r\n", KEY, VERSION], 426),
            ("GET / HTTP/1.0", &[KEY, VERSION], 426),
            ("GET / HTTP/1.0", &[UPGRADE, KEY, VERSION], 426),
            ("POST / HTTP/1.1", &[UPGRADE, KEY, VERSION], 400),
            (GET, &[UPGRADE, KEY, VERSION, body], 400),
            (GET, &["Upgrade: websocket\r\n", KEY, VERSION], 426),
            (GET, &[not_upgrading, KEY, VERSION], 426),
            (GET, &[UPGRADE, KEY], 426),
            (GET, &[UPGRADE, KEY, old], 426),
            (GET, &[UPGRADE, KEY, VERSION, VERSION], 426),
            (GET, &[UPGRADE, VERSION], 400),
            (GET, &[UPGRADE, KEY, KEY, VERSION], 400),
            (GET, &[UPGRADE, &short, VERSION], 400),
            (GET, &[UPGRADE, &long, VERSION], 400),
            (GET, &[UPGRADE, &alien, VERSION], 400),
            (GET, &[UPGRADE, KEY, VERSION, two_words], 400),
            (GET, &[UPGRADE, KEY, VERSION, origins], 400),
        ];
        for (line, fields, status) in cases {
            let found = is_handshake(line, fields);
            assert_eq!(found, Err(status), "{line} {fields:?}");
        }
    }

    #[test]
    fn a_foreign_page_is_refused() {
        let allowed = AllowedOrigins::new(["http://localhost:*"]);
        let cases = [
            ("", None),
            ("Origin: http://localhost:8080\r\n", None),
            ("Origin: http://evil\r\n", Some(403)),
            ("Origin: null\r\n", Some(403)),
            ("Origin:\r\n", Some(403)),
        ];
        for (field, expected) in cases {
            let request = asked("GET / HTTP/1.1", &[UPGRADE, KEY, VERSION, field]);
            let checked = request.unwrap().unwrap().check_origin(&allowed);
            let status = checked.err().map(|rejection| rejection.status().as_u16());
            assert_eq!(status, expected, "{field}");
        }
    }
}
