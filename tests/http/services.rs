//! Options of static services, paths without `/`, and `OPTIONS *`.

use serde_json::json;

use super::{node_of, node_with_files};
use crate::support::{
    http::{Connection, exchange, get, get_with, request},
    node::router,
};

const FOREIGN: &str = "Origin: https://other.example\r\n";

#[test]
fn files_are_for_other_origins_where_it_is_allowed() {
    let node = node_with_files(&[("font.woff2", "font")]);
    let closed = get_with(node.address(), "/font.woff2", FOREIGN);
    assert_eq!(closed.field("access-control-allow-origin"), None);

    let mut worker = router();
    worker["transports"][0]["paths"]["/"]["options"] = json!({"allow_cross_origin": true});
    let node = node_of(&worker, &[("font.woff2", "font"), ("sub/x.txt", "x")]);
    let address = node.address();
    let first = get_with(address, "/font.woff2", FOREIGN);
    let known = format!(
        "{FOREIGN}If-None-Match: {}\r\n",
        first.field("etag").expect("a tag")
    );
    let part = format!("{FOREIGN}Range: bytes=1-2\r\n");
    for (path, fields, status) in [
        ("/font.woff2", FOREIGN, 200),
        ("/font.woff2", &known, 304),
        ("/font.woff2", &part, 206),
        ("/missing", FOREIGN, 404),
        ("/sub", FOREIGN, 301),
    ] {
        let response = get_with(address, path, fields);
        assert_eq!(response.status, status, "{path} {fields}");
        assert_eq!(response.field("access-control-allow-origin"), Some("*"));
        assert_eq!(response.field("access-control-allow-credentials"), None);
    }
    let asks = format!(
        "{FOREIGN}Access-Control-Request-Method: GET\r\nAccess-Control-Request-Headers: range, x-y\r\n"
    );
    let preflight = exchange(address, request("OPTIONS", "/font.woff2", &asks));
    assert_eq!(preflight.status, 204);
    for (name, value) in [
        ("access-control-allow-origin", "*"),
        ("access-control-allow-methods", "GET, HEAD"),
        ("access-control-allow-headers", "range, x-y"),
    ] {
        assert_eq!(preflight.field(name), Some(value));
    }
    let post = exchange(address, request("POST", "/font.woff2", FOREIGN));
    assert_eq!(post.field("allow"), Some("GET, HEAD, OPTIONS"));
}

#[test]
fn the_default_file_stands_for_what_is_not_there_and_has_no_extension() {
    let mut worker = router();
    worker["transports"][0]["paths"]["/"]["options"] = json!({"default_file": "app.html"});
    let node = node_of(
        &worker,
        &[("app.html", "app"), ("sub/x.txt", "x"), (".env", "secret")],
    );
    let address = node.address();
    for path in [
        "/",
        "/orders",
        "/orders/7",
        "/orders/",
        "/sub/",
        "/a.b/c?d=e",
    ] {
        let page = get(address, path);
        assert_eq!((page.status, page.text()), (200, "app"), "{path}");
        assert_eq!(page.field("content-type"), Some("text/html"), "{path}");
        let tag = format!("If-None-Match: {}\r\n", page.field("etag").expect("a tag"));
        assert_eq!(get_with(address, path, &tag).status, 304, "{path}");
    }
    for path in [
        "/missing.js",
        "/orders/x.png",
        "/.env",
        "/.git/config",
        "/a//b",
    ] {
        assert_eq!(get(address, path).status, 404, "{path}");
    }
    assert_eq!(get(address, "/sub/x.txt").text(), "x");
    assert_eq!(get(address, "/sub").status, 301);
    assert_eq!(
        exchange(address, request("POST", "/orders", "")).status,
        405
    );
    std::fs::remove_file(node.directory().join("web/app.html")).expect("the file");
    assert_eq!(get(address, "/orders").status, 404);
}

#[test]
fn without_a_root_other_paths_are_served_and_the_rest_is_404() {
    let mut worker = router();
    worker["transports"][0]["paths"] = json!({
        "shared": {"type": "static", "directory": "web/shared"}, "ws": {"type": "websocket"}
    });
    let node = node_of(&worker, &[("shared/x.txt", "x")]);
    assert_eq!(get(node.address(), "/shared/x.txt").text(), "x");
    assert_eq!(get(node.address(), "/ws").status, 200);
    for path in ["/", "/index.html", "/sharedx"] {
        assert_eq!(get(node.address(), path).status, 404, "{path}");
    }
}

#[test]
fn options_of_the_server_are_its_methods() {
    let node = node_with_files(&[("index.html", "page")]);
    let mut connection = Connection::open(node.address());
    connection.send(request("OPTIONS", "*", ""));
    let options = connection.response();
    assert_eq!(options.status, 204);
    assert_eq!(options.field("allow"), Some("GET, HEAD, OPTIONS"));
    connection.send(request("GET", "/", ""));
    assert_eq!(connection.response().text(), "page");
}
