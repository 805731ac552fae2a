//! Owns the tests of `head` and of the framing it applies; must not know sockets.

use super::*;

/// The head of this text, for the tests of the whole module.
pub(crate) fn head_of(text: &str) -> RequestHead {
    let (head, consumed) = parse_head(text.as_bytes()).unwrap().unwrap();
    assert_eq!(consumed, text.len());
    head
}

fn status_of(request: &[u8]) -> u16 {
    match parse_head(request) {
        Err(rejection) => rejection.status().as_u16(),
        Ok(Some(_)) => 200,
        Ok(None) => 0,
    }
}

const H: &str = "Host: h\r\n";

#[test]
fn a_head_says_what_was_sent() {
    let head = head_of("GET /a%20b?x=1 HTTP/1.1\r\nHost: h:80\r\nA: 1\r\na:2 \r\n\r\n");
    assert_eq!(head.method, Method::GET);
    assert_eq!(head.path, "/a b");
    assert_eq!(head.query.as_deref(), Some("x=1"));
    assert_eq!(head.version, Version::HTTP_11);
    assert_eq!(head.host(), Some("h:80"));
    let values: Vec<_> = head.headers.get_all("a").iter().collect();
    assert_eq!(values, ["1", "2"]);
    assert!(head.keep_alive && !head.is_head());
    assert_eq!(head.body_to_skip(), Some(0));
}

#[test]
fn an_absolute_target_replaces_the_host() {
    let head = head_of("GET http://real:1/x HTTP/1.1\r\nHost: other\r\n\r\n");
    assert_eq!((head.host(), head.path.as_str()), (Some("real:1"), "/x"));
}

#[test]
fn requests_are_accepted_or_refused() {
    let cases = [
        // What is fine.
        ("GET / HTTP/1.1\r\nHost: h\r\n\r\n", 200),
        ("GET / HTTP/1.1\nHost: h\n\n", 200),
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", 200),
        ("GET / HTTP/1.0\r\n\r\n", 200),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", 200),
        ("GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", 200),
        ("BREW /pot HTTP/1.1\r\nHost: h\r\n\r\n", 200),
        ("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", 200),
        // What is not there yet.
        ("", 0),
        ("\r\n", 0),
        ("GET / HTTP/1.1\r\nHost: h\r\n\r", 0),
        // Versions.
        ("GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505),
        ("GET / HTTP/1.2\r\nHost: h\r\n\r\n", 505),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        ("GET /\r\n\r\n", 400),
        ("GET / HTTQ/1.1\r\nHost: h\r\n\r\n", 400),
        ("GET / http/1.1\r\nHost: h\r\n\r\n", 400),
        ("GET / HTTP/1.1 \r\nHost: h\r\n\r\n", 400),
        // Request lines.
        ("GET  / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        ("GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        ("G(T / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        ("GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        ("GET /%2e%2e/x HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        ("CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n", 501),
        ("\x16\x03\x01\x02\x00\x01\x00", 400),
        // Host.
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: u@h\r\n\r\n", 400),
        ("GET http://a/ HTTP/1.1\r\n\r\n", 400),
        // Header fields.
        ("GET / HTTP/1.1\r\nHost : h\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\n 2\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n A: 1\r\nHost: h\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: h\r\nnonsense\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: h\r\n: x\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: h\r\nA: b\0c\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: h\r\nA: b\rc\r\n\r\n", 400),
    ];
    for (request, status) in cases {
        assert_eq!(status_of(request.as_bytes()), status, "{request:?}");
    }
}

#[test]
fn framing_is_plain_or_refused() {
    use RequestBody::{Chunked, Length};
    let accepted = [
        ("", Length(0)),
        ("Content-Length: 0\r\n", Length(0)),
        ("Content-Length: 5\r\n", Length(5)),
        ("Content-Length: 18446744073709551615\r\n", Length(u64::MAX)),
        ("Transfer-Encoding: chunked\r\n", Chunked),
        ("Transfer-Encoding: Chunked\r\n", Chunked),
    ];
    for (fields, body) in accepted {
        let head = head_of(&format!("POST / HTTP/1.1\r\n{H}{fields}\r\n"));
        assert_eq!(head.body, body, "{fields:?}");
    }
    let refused = [
        (
            "1.1",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            400,
        ),
        (
            "1.1",
            "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
            400,
        ),
        ("1.1", "Content-Length: 5\r\nContent-Length: 6\r\n", 400),
        ("1.1", "Content-Length: 5\r\nContent-Length: 5\r\n", 400),
        ("1.1", "Content-Length: 5, 5\r\n", 400),
        ("1.1", "Content-Length: +5\r\n", 400),
        ("1.1", "Content-Length: -5\r\n", 400),
        ("1.1", "Content-Length: 0x5\r\n", 400),
        ("1.1", "Content-Length: 5 5\r\n", 400),
        ("1.1", "Content-Length:\r\n", 400),
        ("1.1", "Content-Length: 18446744073709551616\r\n", 400),
        ("1.1", "Transfer-Encoding: identity\r\n", 400),
        ("1.1", "Transfer-Encoding:\r\n", 400),
        ("1.1", "Transfer-Encoding: chunked, gzip\r\n", 400),
        ("1.1", "Transfer-Encoding: chunked, chunked\r\n", 400),
        (
            "1.1",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            400,
        ),
        ("1.1", "Transfer-Encoding: xchunked\r\n", 400),
        ("1.1", "Transfer-Encoding: \x0bchunked\r\n", 400),
        ("1.1", "Transfer-Encoding : chunked\r\n", 400),
        ("1.1", "Transfer-Encoding: gzip, chunked\r\n", 501),
        ("1.0", "Transfer-Encoding: chunked\r\n", 400),
        ("1.1", "Expect: 200-ok\r\n", 417),
        ("1.1", "Expect: 100-continue, more\r\n", 417),
    ];
    for (version, fields, status) in refused {
        let request = format!("POST / HTTP/{version}\r\n{H}{fields}\r\n");
        assert_eq!(status_of(request.as_bytes()), status, "{request:?}");
    }
}

#[test]
fn connections_are_kept_where_both_sides_stay_in_step() {
    let cases = [
        // version, fields, keep_alive, body_to_skip
        ("1.1", "", true, Some(0)),
        ("1.1", "Connection: close\r\n", false, Some(0)),
        ("1.1", "Connection: upgrade, Close\r\n", false, Some(0)),
        (
            "1.1",
            "Connection: a\r\nConnection: close\r\n",
            false,
            Some(0),
        ),
        ("1.0", "", false, Some(0)),
        ("1.0", "Connection: Keep-Alive\r\n", true, Some(0)),
        ("1.0", "Connection: keep-alive, close\r\n", false, Some(0)),
        ("1.1", "Content-Length: 65536\r\n", true, Some(65536)),
        ("1.1", "Content-Length: 65537\r\n", false, None),
        ("1.1", "Transfer-Encoding: chunked\r\n", false, None),
        (
            "1.1",
            "Expect: 100-Continue\r\nContent-Length: 5\r\n",
            false,
            None,
        ),
        ("1.1", "Expect: 100-continue\r\n", true, Some(0)),
        (
            "1.0",
            "Connection: keep-alive\r\nExpect: x\r\nContent-Length: 5\r\n",
            true,
            Some(5),
        ),
    ];
    for (version, fields, keep_alive, skip) in cases {
        let head = head_of(&format!("PUT / HTTP/{version}\r\n{H}{fields}\r\n"));
        assert_eq!(head.keep_alive, keep_alive, "{version} {fields:?}");
        assert_eq!(head.body_to_skip(), skip, "{version} {fields:?}");
    }
}

#[test]
fn limits_hold_at_the_byte_and_before_the_head_ends() {
    let line = |length: usize| {
        let path = "a".repeat(length - "GET / HTTP/1.1\r\n".len());
        format!("GET /{path} HTTP/1.1\r\n")
    };
    let sized = |size: usize| {
        let start = "GET / HTTP/1.1\r\nHost: h\r\nA: ";
        format!("{start}{}\r\n\r\n", "a".repeat(size - start.len() - 4))
    };
    let counted =
        |fields: usize| format!("GET / HTTP/1.1\r\n{H}{}\r\n", "A: 1\r\n".repeat(fields - 1));
    let cases = [
        (line(MAX_REQUEST_LINE) + H + "\r\n", 200),
        (line(MAX_REQUEST_LINE + 1) + H + "\r\n", 414),
        (format!("\r\n{}", line(MAX_REQUEST_LINE) + H + "\r\n"), 200),
        ("GET /".to_owned() + &"a".repeat(MAX_REQUEST_LINE - 5), 0),
        ("GET /".to_owned() + &"a".repeat(MAX_REQUEST_LINE - 4), 414),
        (sized(MAX_HEAD), 200),
        (sized(MAX_HEAD) + &"x".repeat(MAX_HEAD), 200),
        (sized(MAX_HEAD + 1), 431),
        (sized(MAX_HEAD + 1)[..MAX_HEAD].to_owned(), 0),
        (sized(MAX_HEAD + 9)[..MAX_HEAD + 1].to_owned(), 431),
        ("\r\n".repeat(MAX_HEAD / 2), 0),
        ("\r\n".repeat(MAX_HEAD / 2 + 1), 431),
        (counted(MAX_HEADER_FIELDS), 200),
        (counted(MAX_HEADER_FIELDS + 1), 431),
    ];
    for (index, (request, status)) in cases.into_iter().enumerate() {
        assert_eq!(status_of(request.as_bytes()), status, "case {index}");
    }
}

/// Reads all heads of a stream that arrives in these pieces, skipping the bodies.
fn heads_of(pieces: &[&[u8]]) -> Vec<RequestHead> {
    let mut buffer = Vec::new();
    let mut skip = 0;
    let mut heads = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let skipped = skip.min(buffer.len());
            buffer.drain(..skipped);
            skip -= skipped;
            match parse_head(&buffer).unwrap() {
                Some((head, consumed)) => {
                    skip = head.body_to_skip().unwrap();
                    buffer.drain(..consumed);
                    heads.push(head);
                }
                None => break,
            }
        }
    }
    assert!(buffer.is_empty() && skip == 0);
    heads
}

#[test]
fn a_pipelined_stream_gives_the_same_heads_however_it_is_cut() {
    let stream = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n\
        \r\nPOST /b?q HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\nGET / HTTP/\
        HEAD http://x/%C3%BC HTTP/1.0\r\nConnection: keep-alive\r\n\r\n\
        GET /ws HTTP/1.1\nHost: h\nConnection: Upgrade\nUpgrade: websocket\n\n";
    let whole = heads_of(&[stream]);
    let paths: Vec<_> = whole.iter().map(|head| head.path.as_str()).collect();
    assert_eq!(paths, ["/a", "/b", "/ü", "/ws"]);
    for cut in 0..=stream.len() {
        let (first, second) = stream.split_at(cut);
        assert_eq!(heads_of(&[first, second]), whole, "cut at {cut}");
    }
    let bytes: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(heads_of(&bytes), whole);
}
