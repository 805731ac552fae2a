//! Large files come whole, to slow readers and to many at once, and hold nobody up.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use serde_json::json;

use super::node_with_files;
use crate::support::{
    http::{Connection, request},
    websocket::{Client, Echo},
};

const LENGTH: usize = 20_000_000;
const CLIENTS: usize = 50;

/// Reads a response and compares its content on the way, so that it need not be kept.
fn download(connection: &mut Connection, expected: &[u8]) {
    let head = connection.head();
    assert_eq!(head.status, 200);
    let mut at = 0;
    connection.content(expected.len(), |piece| {
        assert!(
            piece == &expected[at..at + piece.len()],
            "wrong from {at} on"
        );
        at += piece.len();
    });
}

#[test]
fn a_large_file_comes_whole_to_slow_and_to_many_readers_while_calls_go_on() {
    // No two pieces of it are the same.
    let content: String = (0..LENGTH / 10).map(|n| format!("{n:>10}")).collect();
    let node = node_with_files(&[("large.txt", &content)]);
    let content = content.as_bytes();
    let _echo = Echo::start(node.address(), "com.example.echo");
    let mut caller = Client::join(node.address());

    let address = node.address();
    let begun = || {
        let mut connection = Connection::open(address);
        connection.send(request("GET", "/large.txt", ""));
        connection
    };
    // These have asked for it before the others and read when the others are done.
    let mut slow = [begun(), begun()];
    let downloading = AtomicUsize::new(CLIENTS);
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let _done = CountDown(&downloading);
                download(&mut begun(), content);
            });
        }
        let mut calls = 0;
        while downloading.load(Ordering::Relaxed) > 0 {
            let answer = caller.result_of("com.example.echo", &json!([calls]));
            assert_eq!(answer, json!([calls]));
            calls += 1;
        }
        assert!(calls > 0);
    });
    for connection in &mut slow {
        download(connection, content);
        connection.send(request("GET", "/nothing", ""));
        assert_eq!(connection.response().status, 404);
    }
}

struct CountDown<'a>(&'a AtomicUsize);

impl Drop for CountDown<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[test]
fn a_file_that_is_cut_while_it_is_sent_ends_the_connection() {
    let content = "x".repeat(LENGTH);
    let node = node_with_files(&[("shrinking.txt", &content)]);
    let mut connection = Connection::open(node.address());
    connection.send(request("GET", "/shrinking.txt", ""));
    assert_eq!(connection.head().field("content-length"), Some("20000000"));
    let file = node.directory().join("web/shrinking.txt");
    std::fs::write(file, "short").expect("the file is cut");
    // Fewer bytes than announced, and then the end: the client sees that it misses some.
    let read = connection.read_to_end();
    assert!(read < LENGTH, "{read}");
}
