//! Owns what listening and connecting WebSockets have in common in the document: the serializers and
//! the options. Knows nothing of sockets.

use super::{keys, model::WebSocketOptions, object::Object, reader::Cursor};

/// Checks the list of serializers. There is one that is served, so nothing is chosen by it.
pub(super) fn serializers(transport: &Object<'_>) {
    let Some(list) = transport.member("serializers") else {
        return;
    };
    let Some(items) = list.array() else { return };
    if items.is_empty() {
        list.fault("must name a serializer: `json`");
    }
    for item in items {
        item.one_of(&keys::SERIALIZERS);
    }
}

/// The `options` of a listening or a connecting WebSocket, or their defaults.
pub(super) fn websocket_options(transport: &Object<'_>) -> WebSocketOptions {
    let object = transport.object("options");
    WebSocketOptions {
        allowed_origins: match object.member("allowed_origins") {
            Some(list) => origins(&list),
            None => vec!["*".to_owned()],
        },
        open_handshake_timeout: object.milliseconds("open_handshake_timeout"),
        close_handshake_timeout: object.milliseconds("close_handshake_timeout"),
        auto_ping_interval: object.milliseconds("auto_ping_interval"),
        auto_ping_timeout: object.milliseconds("auto_ping_timeout"),
        auto_ping_size: object.integer("auto_ping_size"),
        max_message_size: object.size("max_message_size"),
        max_frame_size: object.size("max_frame_size"),
        tcp_nodelay: object.boolean("tcp_nodelay"),
        enable_webstatus: object.boolean("enable_webstatus"),
        require_websocket_subprotocol: object.boolean("require_websocket_subprotocol"),
        fail_by_drop: object.boolean("fail_by_drop"),
        outbox_limit: object.integer("outbox_limit"),
        slow_client_timeout: object.milliseconds("slow_client_timeout"),
        message_timeout: object.milliseconds("message_timeout"),
    }
}

fn origins(list: &Cursor<'_>) -> Vec<String> {
    // Crossbar.io's `*` crosses the `//`, so `*.example.com` means something there. Here it would
    // match nothing.
    let matches_some = |pattern: &str| {
        matches!(pattern, "*" | "null")
            || (pattern.split_once("://")).is_some_and(|(_, host)| !host.contains('/'))
    };
    let mut origins = Vec::new();
    for item in list.array().unwrap_or_default() {
        match item.text() {
            Some(pattern) if matches_some(pattern) => origins.push(pattern.to_owned()),
            Some(_) => item.fault(
                "must be `*`, `null` or an origin without a path, such as `https://*.example.com`",
            ),
            None => {}
        }
    }
    origins
}
