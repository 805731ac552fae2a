//! Requests that are refused, each with the status for it.

use super::node_with_files;
use crate::support::http::{Connection, exchange, get, request};

#[test]
fn other_methods_are_not_allowed() {
    let node = node_with_files(&[("file.txt", "content")]);
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get"] {
        let response = exchange(node.address(), request(method, "/file.txt", ""));
        assert_eq!(response.status, 405, "{method}");
        assert_eq!(response.field("allow"), Some("GET, HEAD"), "{method}");
    }
    assert_eq!(get(node.address(), "/file.txt").text(), "content");
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn what_is_no_request_is_refused_and_ends_the_connection() {
    let node = node_with_files(&[("index.html", "page")]);
    for (bytes, status) in [
        ("garbage\r\n\r\n".to_owned(), 400),
        ("\u{16}\u{3}\u{1}\u{2}\0\r\n\r\n".to_owned(), 400),
        ("GET /\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(),
            400,
        ),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n".to_owned(), 400),
        ("GET /% HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
        ("GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
        ("GET /%ff HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
        ("GET /#x HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
        (request("GET", "/", "No colon\r\n"), 400),
        (request("GET", "/", "Name : x\r\n"), 400),
        (request("POST", "/", "Content-Length: x\r\n"), 400),
        (request("POST", "/", "Content-Length: -1\r\n"), 400),
        (
            request("POST", "/", "Content-Length: 1\r\nContent-Length: 2\r\n"),
            400,
        ),
        (
            request(
                "POST",
                "/",
                "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            ),
            400,
        ),
        (
            request("POST", "/", "Transfer-Encoding: gzip, chunked\r\n"),
            501,
        ),
        (request("POST", "/", "Expect: miracles\r\n"), 417),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n".to_owned(), 505),
        ("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 501),
        (
            request("GET", &format!("/{}", "x".repeat(8 * 1024)), ""),
            414,
        ),
        // Refused as soon as it is too long, whatever is still to come.
        (format!("GET /{}", "x".repeat(1024 * 1024)), 414),
        (request("GET", "/", &"X: y\r\n".repeat(101)), 431),
        (
            request("GET", "/", &format!("X: {}\r\n", "y".repeat(16 * 1024))),
            431,
        ),
        (
            format!("GET / HTTP/1.1\r\nX: {}", "y".repeat(1024 * 1024)),
            431,
        ),
    ] {
        let mut connection = Connection::open(node.address());
        connection.send(&bytes);
        // Were it served, this would be taken for the next request.
        let response = connection.response();
        let what: String = bytes.chars().take(60).collect();
        assert_eq!(response.status, status, "{what:?}");
        assert_eq!(response.field("connection"), Some("close"), "{what:?}");
        assert!(response.text().contains(&status.to_string()), "{what:?}");
        connection.expect_end();
    }
    assert_eq!(get(node.address(), "/").text(), "page");
}

#[test]
fn what_comes_after_a_refused_request_is_not_served() {
    let node = node_with_files(&[("index.html", "page")]);
    let mut connection = Connection::open(node.address());
    let good = request("GET", "/", "");
    connection.send(format!("{good}garbage\r\n\r\n{good}"));
    assert_eq!(connection.response().status, 200);
    assert_eq!(connection.response().status, 400);
    connection.expect_end();
}

#[test]
fn a_large_head_within_the_limits_is_served() {
    let node = node_with_files(&[("index.html", "page")]);
    let fields = "X: y\r\n".repeat(99);
    assert_eq!(
        exchange(node.address(), request("GET", "/", &fields)).status,
        200
    );
    let fields = format!("X: {}\r\n", "y".repeat(15 * 1024));
    assert_eq!(
        exchange(node.address(), request("GET", "/", &fields)).status,
        200
    );
}
