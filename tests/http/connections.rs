//! How long a connection lives, and what goes over it in which order.

use serde_json::json;

use super::{node_of, node_with_files};
use crate::support::{
    http::{Connection, exchange, request},
    node::router_with,
};

#[test]
fn a_connection_serves_many_requests() {
    let node = node_with_files(&[("file.txt", "content")]);
    let mut connection = Connection::open(node.address());
    for (path, status) in [
        ("/file.txt", 200),
        ("/nothing", 404),
        ("/ws", 200),
        ("/file.txt", 200),
    ] {
        connection.send(request("GET", path, ""));
        let response = connection.response();
        assert_eq!(response.status, status, "{path}");
        assert_eq!(response.field("connection"), Some("keep-alive"));
        assert!(
            response
                .field("date")
                .is_some_and(|date| date.ends_with(" GMT"))
        );
    }
}

#[test]
fn fifty_requests_in_one_segment_are_answered_in_order() {
    let names: Vec<String> = (0..50).map(|n| format!("{n}.txt")).collect();
    // Every tenth is larger than what is sent at once.
    let contents: Vec<String> = (0..50)
        .map(|n| n.to_string().repeat(if n % 10 == 0 { 100_000 } else { 1 }))
        .collect();
    let files: Vec<_> = names
        .iter()
        .map(String::as_str)
        .zip(contents.iter().map(String::as_str))
        .collect();
    let node = node_with_files(&files);
    let mut connection = Connection::open(node.address());
    let requests: String = (0..50)
        .map(|n| match n % 7 {
            6 => request("GET", &format!("/nothing/{n}"), ""),
            _ => request("GET", &format!("/{n}.txt"), ""),
        })
        .collect();
    connection.send(requests);
    for (n, content) in contents.iter().enumerate() {
        let response = connection.response();
        match n % 7 {
            6 => assert_eq!(response.status, 404, "{n}"),
            _ => assert!(response.status == 200 && response.text() == content, "{n}"),
        }
    }
}

#[test]
fn a_request_may_come_in_pieces() {
    let node = node_with_files(&[("file.txt", "content")]);
    let mut connection = Connection::open(node.address());
    for byte in format!("\r\n{}", request("GET", "/file.txt", "")).bytes() {
        connection.send([byte]);
    }
    assert_eq!(connection.response().text(), "content");
}

#[test]
fn the_client_says_how_long_the_connection_lives() {
    let node = node_with_files(&[("file.txt", "content")]);
    for (head, persists) in [
        ("GET /file.txt HTTP/1.1\r\nHost: node\r\n\r\n", true),
        (
            "GET /file.txt HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n",
            false,
        ),
        (
            "GET /file.txt HTTP/1.1\r\nHost: node\r\nConnection: x, CLOSE\r\n\r\n",
            false,
        ),
        ("GET /file.txt HTTP/1.0\r\n\r\n", false),
        (
            "GET /file.txt HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            true,
        ),
        (
            "GET http://node/file.txt HTTP/1.1\r\nHost: other\r\n\r\n",
            true,
        ),
    ] {
        let mut connection = Connection::open(node.address());
        connection.send(head);
        let response = connection.response();
        assert_eq!(response.text(), "content", "{head}");
        let said = response.field("connection");
        assert_eq!(
            said,
            Some(if persists { "keep-alive" } else { "close" }),
            "{head}"
        );
        if persists {
            connection.send(head);
            assert_eq!(connection.response().text(), "content", "{head}");
        } else {
            connection.expect_end();
        }
    }
}

#[test]
fn a_client_that_has_finished_sending_still_gets_its_answer() {
    let content = "x".repeat(1_000_000);
    let node = node_with_files(&[("file.txt", &content)]);
    let mut connection = Connection::open(node.address());
    connection.send(request("GET", "/file.txt", "").repeat(2));
    let half = std::net::Shutdown::Write;
    connection
        .stream()
        .shutdown(half)
        .expect("a socket closes by half");
    assert_eq!(connection.response().text(), content);
    assert_eq!(connection.response().text(), content);
    connection.expect_end();
}

#[test]
fn a_body_that_nobody_wants_is_skipped() {
    let node = node_with_files(&[("file.txt", "content")]);
    let mut connection = Connection::open(node.address());
    // What stands in the body must not be taken for a request.
    let body = request("GET", "/nothing", "").repeat(100);
    let fields = format!("Content-Length: {}\r\n", body.len());
    for method in ["GET", "POST"] {
        connection.send(request(method, "/file.txt", &fields));
        let status = if method == "GET" { 200 } else { 405 };
        assert_eq!(connection.response().status, status);
        connection.send(&body);
        connection.send(request("GET", "/file.txt", ""));
        assert_eq!(connection.response().text(), "content", "after {method}");
    }
}

#[test]
fn a_body_that_cannot_be_skipped_ends_the_connection() {
    let node = node_with_files(&[]);
    for fields in [
        "Transfer-Encoding: chunked\r\n",
        "Content-Length: 10000000\r\n",
        "Content-Length: 5\r\nExpect: 100-continue\r\n",
    ] {
        let mut connection = Connection::open(node.address());
        connection.send(request("POST", "/", fields));
        let response = connection.response();
        assert_eq!(response.status, 405, "{fields}");
        assert_eq!(response.field("connection"), Some("close"), "{fields}");
        connection.expect_end();
    }
}

#[test]
fn a_head_that_does_not_arrive_is_not_waited_for() {
    let options = json!({"open_handshake_timeout": 200});
    let mut worker = router_with(options.clone());
    let websocket = json!({
        "type": "websocket",
        "endpoint": {"type": "tcp", "interface": "127.0.0.1", "port": 0},
        "options": options
    });
    let transports = worker["transports"].as_array_mut().expect("an array");
    transports.push(websocket);
    let node = node_of(&worker, &[("file.txt", "content")]);
    // On a port without files; where there are some, their readers have longer than the handshake.
    let (files, address) = (node.addresses()[0], node.addresses()[1]);
    let mut reader = Connection::open(files);
    reader.send("GET /file.txt HTTP/1.1\r\n");
    for beginning in ["", "G", "GET / HTTP/1.1\r\nHost: node\r\n"] {
        let mut connection = Connection::open(address);
        connection.send(beginning);
        assert_eq!(connection.response().status, 408, "{beginning:?}");
        connection.expect_end();
    }
    // The same for a later request, once it has begun.
    let mut connection = Connection::open(address);
    connection.send(request("GET", "/", ""));
    assert_eq!(connection.response().status, 200);
    // In between a client may take longer: as long as the node takes to refuse another.
    assert_eq!(exchange(address, "").status, 408);
    assert_eq!(exchange(address, "").status, 408);
    connection.send("GET /");
    assert_eq!(connection.response().status, 408);
    connection.expect_end();
    reader.send("Host: node\r\n\r\n");
    assert_eq!(reader.response().text(), "content");
}
