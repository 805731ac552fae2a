//! Owns what a plain request on the path of a WebSocket gets: Crossbar's web status; must not know
//! handshakes, realms or secrets.

use ::http::{HeaderValue, Method, StatusCode, header};

use super::{
    head::RequestHead,
    pages::{escaped, page},
    response::Response,
    target::encode_path,
};

/// The longest host and path that are repeated on the page; the name of a host has no more.
const SHOWN: usize = 255;

/// The status page of a WebSocket service.
#[derive(Debug, Clone, Copy)]
pub struct WebStatus<'a> {
    /// Crossbar's option of that name: whether the page is shown at all.
    pub enable_webstatus: bool,
    /// The node's version.
    pub version: &'a str,
    /// The WebSocket subprotocols that are spoken.
    pub subprotocols: &'a [&'a str],
    /// Whether the listener speaks TLS.
    pub secure: bool,
}

impl WebStatus<'_> {
    /// The answer to a request that asks for no WebSocket: the page for GET and HEAD, or else
    /// 426 (Upgrade Required).
    pub fn respond(&self, head: &RequestHead) -> Response {
        let reads = head.method == Method::GET || head.method == Method::HEAD;
        if !reads || !self.enable_webstatus {
            return Response::error(
                StatusCode::UPGRADE_REQUIRED,
                "wampgres speaks WebSocket at this address.",
            )
            .with_header(header::UPGRADE, HeaderValue::from_static("websocket"));
        }
        Response::html(StatusCode::OK, self.page(head))
            .with_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
    }

    fn page(&self, head: &RequestHead) -> String {
        let scheme = if self.secure { "wss" } else { "ws" };
        // Both are shown several times and escaped, so neither may be long.
        let host = head.host().filter(|host| host.len() <= SHOWN);
        let path = Some(head.path.as_str()).filter(|path| path.len() <= SHOWN);
        let host = host.unwrap_or("localhost");
        let url = format!("{scheme}://{host}{}", encode_path(path.unwrap_or("/")));
        let subprotocols: Vec<String> = self
            .subprotocols
            .iter()
            .map(|name| format!("<code>{}</code>", escaped(name)))
            .collect();
        let content = format!(
            "<p>This is the WebSocket address of a node that routes WAMP calls and events. It is \
             up, and waits for WAMP clients rather than for browsers.</p>\n\
             <ul>\n<li>Version: {version}</li>\n<li>Address: <code>{url}</code></li>\n\
             <li>Subprotocols: {subprotocols}</li>\n</ul>\n\
             <p>To connect from JavaScript with AutobahnJS:</p>\n\
             <pre><code>{example}</code></pre>",
            version = escaped(self.version),
            url = escaped(&url),
            subprotocols = subprotocols.join(", "),
            example = escaped(&example(&url)),
        );
        page("wampgres", &content)
    }
}

/// `url` holds no quotes: its host is valid and its path encoded.
fn example(url: &str) -> String {
    format!(
        "const connection = new autobahn.Connection({{\n  url: \"{url}\",\n  \
         realm: \"realm1\"\n}});\nconnection.onopen = session =>\n  \
         session.call(\"com.example.now.v1\").then(console.log);\nconnection.open();"
    )
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::head::tests::head_of;

    fn answered(request: &str, enable_webstatus: bool) -> String {
        let head = head_of(request);
        let status = WebStatus {
            enable_webstatus,
            version: "1.2.3",
            subprotocols: &["wamp.2.json", "wamp.2.cbor"],
            secure: false,
        };
        let mut out = Vec::new();
        let response = status.respond(&head);
        let mut body = response.write_head(&mut out, head.is_head(), true, UNIX_EPOCH);
        while body.fill(&mut out, 1000).unwrap() {}
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_plain_get_sees_how_to_connect() {
        let page = answered("GET /ws HTTP/1.1\r\nHost: h:8080\r\n\r\n", true);
        assert!(page.starts_with("HTTP/1.1 200 OK\r\n"));
        for text in [
            "wampgres",
            "1.2.3",
            "<code>wamp.2.json</code>, <code>wamp.2.cbor</code>",
            "<code>ws://h:8080/ws</code>",
            "autobahn.Connection",
            "width=device-width",
        ] {
            assert!(page.contains(text), "{text} in {page}");
        }
        let head = answered("HEAD /ws HTTP/1.1\r\nHost: h\r\n\r\n", true);
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"));
    }

    #[test]
    fn what_the_client_wrote_cannot_become_markup() {
        let page = answered(
            "GET /ws/%3Cscript%3Ealert(%221%22)%3C/script%3E HTTP/1.1\r\nHost: h\r\n\r\n",
            true,
        );
        assert!(page.starts_with("HTTP/1.1 200"));
        assert!(!page.contains("<script"), "{page}");
        assert!(page.contains("default-src 'none'"));
    }

    #[test]
    fn other_methods_and_a_hidden_page_require_the_upgrade() {
        for (request, shown) in [
            ("POST /ws HTTP/1.1\r\nHost: h\r\n\r\n", true),
            ("GET /ws HTTP/1.1\r\nHost: h\r\n\r\n", false),
        ] {
            let answer = answered(request, shown);
            assert!(answer.starts_with("HTTP/1.1 426 Upgrade Required\r\n"));
            assert!(answer.contains("\r\nupgrade: websocket\r\n"));
            assert!(answer.contains("\r\nconnection: upgrade, keep-alive\r\n"));
            assert!(!answer.contains("1.2.3"));
        }
    }
}
