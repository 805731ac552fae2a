//! The opening handshake and its refusals.

use serde_json::json;

use crate::support::{
    http::{Connection, UPGRADE, exchange, get, get_with, request},
    node::{Node, config, router, router_with},
    websocket::{REALM, code, frame, hello},
};

#[test]
fn a_plain_get_shows_what_is_here() {
    let node = Node::start(&config(&[router()]));
    let page = get(node.address(), "/ws");
    assert_eq!(page.status, 200);
    assert_eq!(page.field("content-type"), Some("text/html; charset=utf-8"));
    for words in ["wamp.2.json", "ws://node/ws", env!("CARGO_PKG_VERSION")] {
        assert!(page.text().contains(words), "{words} in {}", page.text());
    }
}

#[test]
fn what_is_neither_get_nor_head_must_upgrade() {
    let node = Node::start(&config(&[router()]));
    for method in ["POST", "PUT", "DELETE"] {
        let refused = exchange(node.address(), request(method, "/ws", ""));
        assert_eq!(refused.status, 426, "{method}");
        assert_eq!(refused.field("upgrade"), Some("websocket"));
    }
    let node = Node::start(&config(&[router_with(json!({"enable_webstatus": false}))]));
    assert_eq!(get(node.address(), "/ws").status, 426);
}

#[test]
fn versions_but_thirteen_are_told_so() {
    let node = Node::start(&config(&[router()]));
    for version in ["8", "14", "", "13, 8"] {
        let fields = UPGRADE.replace("Version: 13", &format!("Version: {version}"));
        let refused = get_with(node.address(), "/ws", &fields);
        assert_eq!(refused.status, 426, "{version:?}");
        assert_eq!(refused.field("sec-websocket-version"), Some("13"));
    }
}

#[test]
fn a_handshake_that_is_none_is_refused() {
    let node = Node::start(&config(&[router()]));
    for (what, instead, status) in [
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "", 400),
        ("dGhlIHNhbXBsZSBub25jZQ==", "dGhl", 400),
        ("Connection: Upgrade\r\n", "Connection: close\r\n", 426),
    ] {
        let refused = get_with(node.address(), "/ws", &UPGRADE.replace(what, instead));
        assert_eq!(refused.status, status, "{what:?} replaced by {instead:?}");
    }
    // Where no WebSocket is, none is opened.
    assert_eq!(get_with(node.address(), "/", UPGRADE).status, 404);
}

#[test]
fn the_subprotocol_is_one_that_is_served() {
    let node = Node::start(&config(&[router()]));
    let opened = |offered: &str| {
        let fields = UPGRADE.replace("Sec-WebSocket-Protocol: wamp.2.json\r\n", offered);
        let mut connection = Connection::open(node.address());
        connection.send(request("GET", "/ws", &fields));
        connection
    };
    for offered in [
        "",
        "Sec-WebSocket-Protocol: wamp.2.msgpack\r\n",
        "Sec-WebSocket-Protocol: wamp.2.json2, WAMP.2.JSON\r\n",
    ] {
        let refused = opened(offered).response();
        assert_eq!(refused.status, 400, "{offered:?}");
        assert!(refused.text().contains("wamp.2.json"), "{}", refused.text());
    }
    for offered in [
        "Sec-WebSocket-Protocol: wamp.2.json\r\n",
        "Sec-WebSocket-Protocol: wamp.2.cbor, wamp.2.json, wamp.2.msgpack\r\n",
        "Sec-WebSocket-Protocol: x\r\nSec-WebSocket-Protocol: wamp.2.json\r\n",
    ] {
        let accepted = opened(offered).head();
        assert_eq!(accepted.status, 101, "{offered:?}");
        assert_eq!(
            accepted.field("sec-websocket-protocol"),
            Some("wamp.2.json")
        );
        // The key and its answer are the example of RFC 6455 1.3.
        let accept = accepted.field("sec-websocket-accept");
        assert_eq!(accept, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert_eq!(accepted.field("sec-websocket-extensions"), None);
    }
}

#[test]
fn a_subprotocol_is_not_required_where_the_configuration_says_so() {
    let options = json!({"require_websocket_subprotocol": false});
    let node = Node::start(&config(&[router_with(options)]));
    let mut connection = Connection::open(node.address());
    let fields = UPGRADE.replace("Sec-WebSocket-Protocol: wamp.2.json\r\n", "");
    connection.send(request("GET", "/ws", &fields));
    let accepted = connection.head();
    assert_eq!(accepted.status, 101);
    assert_eq!(accepted.field("sec-websocket-protocol"), None);
    let mut client = connection.into_websocket();
    client.send(&hello(REALM));
    client.welcomed();
}

#[test]
fn pages_of_other_origins_are_refused() {
    let options = json!({"allowed_origins": ["http://localhost:*", "https://*.example.com"]});
    let node = Node::start(&config(&[router_with(options)]));
    for (origin, status) in [
        ("Origin: http://localhost:8080\r\n", 101),
        ("Origin: https://app.example.com\r\n", 101),
        // Only browsers send an origin, and they always do.
        ("", 101),
        ("Origin: http://evil.example\r\n", 403),
        ("Origin: http://localhost.evil.example:8080\r\n", 403),
        ("Origin: null\r\n", 403),
    ] {
        let mut connection = Connection::open(node.address());
        connection.send(request("GET", "/ws", &format!("{UPGRADE}{origin}")));
        assert_eq!(connection.head().status, status, "{origin:?}");
    }
}

#[test]
fn frames_that_come_with_the_handshake_are_not_lost() {
    let node = Node::start(&config(&[router()]));
    let call = r#"[48,1,{},"com.example.nothing"]"#;
    let mut bytes = request("GET", "/ws", UPGRADE).into_bytes();
    bytes.extend(frame(0x81, hello(REALM).to_string().as_bytes()));
    bytes.extend(frame(0x81, call.as_bytes()));
    let mut connection = Connection::open(node.address());
    connection.send(bytes);
    assert_eq!(connection.head().status, 101);
    let mut client = connection.into_websocket();
    client.welcomed();
    client.expect_error(code::CALL, 1, "wamp.error.no_such_procedure");
}

#[test]
fn a_handshake_and_a_message_may_come_byte_by_byte() {
    let node = Node::start(&config(&[router()]));
    let mut connection = Connection::open(node.address());
    for byte in request("GET", "/ws", UPGRADE).bytes() {
        connection.send([byte]);
    }
    assert_eq!(connection.head().status, 101);
    let mut client = connection.into_websocket();
    for byte in frame(0x81, hello(REALM).to_string().as_bytes()) {
        client.send_bytes(&[byte]);
    }
    client.welcomed();
}

#[test]
fn a_websocket_transport_of_its_own_takes_any_path() {
    let mut worker = router();
    worker["transports"][0] = json!({
        "type": "websocket",
        "endpoint": {"type": "tcp", "interface": "127.0.0.1", "port": 0}
    });
    let node = Node::start(&config(&[worker]));
    for path in ["/", "/ws", "/a/b"] {
        let mut connection = Connection::open(node.address());
        connection.send(request("GET", path, UPGRADE));
        assert_eq!(connection.head().status, 101, "{path}");
        let mut client = connection.into_websocket();
        client.send(&hello(REALM));
        client.welcomed();
    }
}
