//! What is served of a directory, as what, and when it need not be sent again.

use std::{os::unix::fs::symlink, time::SystemTime};

use serde_json::json;

use super::{node_of, node_with_files};
use crate::support::{
    http::{Connection, exchange, get, get_with, request},
    node::router,
};

#[test]
fn a_directory_is_its_index_html_and_else_its_index_htm() {
    let files = [
        ("index.html", "html"),
        ("index.htm", "htm"),
        ("sub/index.htm", "sub"),
        ("bare/file.txt", "file"),
    ];
    let node = node_with_files(&files);
    assert_eq!(get(node.address(), "/").text(), "html");
    assert_eq!(get(node.address(), "/?query").text(), "html");
    std::fs::remove_file(node.directory().join("web/index.html")).expect("it was there");
    assert_eq!(get(node.address(), "/").text(), "htm");
    std::fs::remove_file(node.directory().join("web/index.htm")).expect("it was there");
    assert_eq!(get(node.address(), "/").status, 404);

    assert_eq!(get(node.address(), "/sub/").text(), "sub");
    let redirect = get(node.address(), "/sub?q=1");
    assert_eq!(redirect.status, 301);
    assert_eq!(redirect.field("location"), Some("./sub/?q=1"));
    assert_eq!(get(node.address(), "/bare/").status, 404);
    assert_eq!(get(node.address(), "/bare/file.txt").text(), "file");
    assert_eq!(get(node.address(), "/bare/file.txt/").status, 404);
    assert_eq!(get(node.address(), "/nothing").status, 404);
}

#[test]
fn names_may_have_any_letters() {
    let files = [
        ("a b.txt", "blank"),
        ("ü%.txt", "umlaut"),
        (".env", "hidden"),
    ];
    let node = node_with_files(&files);
    assert_eq!(get(node.address(), "/a%20b.txt").text(), "blank");
    assert_eq!(get(node.address(), "/%C3%BC%25.txt").text(), "umlaut");
    assert_eq!(get(node.address(), "/.env").status, 404);
}

#[test]
fn files_come_with_the_type_of_their_name() {
    let types = [
        ("a.html", "text/html"),
        ("a.htm", "text/html"),
        ("a.css", "text/css"),
        ("a.js", "text/javascript"),
        ("a.json", "application/json"),
        ("a.xml", "text/xml"),
        ("a.csv", "text/csv; charset=utf-8"),
        ("a.txt", "text/plain; charset=utf-8"),
        ("a.svg", "image/svg+xml"),
        ("a.png", "image/png"),
        ("a.ico", "image/x-icon"),
        ("a.wasm", "application/wasm"),
        ("a.woff2", "font/woff2"),
        ("A.HTML", "text/html"),
        ("a.unheard-of", "application/octet-stream"),
        ("a", "application/octet-stream"),
    ];
    let node = node_with_files(&types.map(|(name, _)| (name, "")));
    for (name, expected) in types {
        let response = get(node.address(), &format!("/{name}"));
        assert_eq!(response.field("content-type"), Some(expected), "{name}");
        assert_eq!(response.field("x-content-type-options"), Some("nosniff"));
    }
}

#[test]
fn the_longest_path_serves_with_its_own_options() {
    let mut worker = router();
    worker["transports"][0]["paths"]["shared"] = json!({
        "type": "static", "directory": "web", "options": {
            "enable_directory_listing": true,
            "mime_types": {".txt": "text/x-note"},
            "cache_timeout": 60
        }
    });
    let node = node_of(&worker, &[("<b>.txt", "file"), ("deep/file.txt", "deep")]);
    let shared = get(node.address(), "/shared/deep/file.txt");
    assert_eq!(shared.text(), "deep");
    assert_eq!(shared.field("content-type"), Some("text/x-note"));
    assert_eq!(shared.field("cache-control"), Some("max-age=60"));
    let listing = get(node.address(), "/shared/");
    assert_eq!(listing.status, 200);
    assert!(
        listing.text().contains("&lt;b&gt;.txt"),
        "{}",
        listing.text()
    );
    assert!(listing.text().contains("deep/"), "{}", listing.text());

    let own = get(node.address(), "/deep/file.txt");
    assert_eq!(own.field("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(own.field("cache-control"), Some("no-cache"));
    assert_eq!(get(node.address(), "/").status, 404);
    assert_eq!(get(node.address(), "/sharedx").status, 404);
}

#[test]
fn head_is_get_without_the_content() {
    let node = node_with_files(&[("file.txt", "content")]);
    let mut connection = Connection::open(node.address());
    connection.send(request("HEAD", "/file.txt", ""));
    let head = connection.head();
    connection.send(request("GET", "/file.txt", ""));
    let get = connection.response();
    assert_eq!(get.text(), "content");
    assert_eq!(head.status, 200);
    assert_eq!(head.field("content-length"), Some("7"));
    for name in ["etag", "last-modified", "content-type", "accept-ranges"] {
        assert_eq!(head.field(name), get.field(name), "{name}");
        assert!(head.field(name).is_some(), "{name}");
    }
    connection.send(request("HEAD", "/nothing", ""));
    assert_eq!(connection.head().status, 404);
    connection.send(request("HEAD", "/file.txt", ""));
    assert_eq!(connection.head().status, 200);
}

#[test]
fn an_unchanged_file_is_not_sent_again() {
    let node = node_with_files(&[("file.txt", "first")]);
    let file = node.directory().join("web/file.txt");
    let first = get(node.address(), "/file.txt");
    let etag = first.field("etag").expect("an entity tag").to_owned();
    let modified = first.field("last-modified").expect("a date").to_owned();

    for fields in [
        format!("If-None-Match: {etag}\r\n"),
        format!("If-None-Match: \"other\", W/{etag}\r\n"),
        "If-None-Match: *\r\n".to_owned(),
        format!("If-Modified-Since: {modified}\r\n"),
        "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT\r\n".to_owned(),
    ] {
        let mut connection = Connection::open(node.address());
        connection.send(request("GET", "/file.txt", &fields));
        let unchanged = connection.response();
        assert_eq!(unchanged.status, 304, "{fields}");
        assert_eq!(unchanged.field("etag"), Some(etag.as_str()));
        // Nothing follows the head that could be taken for the next response.
        connection.send(request("GET", "/file.txt", ""));
        assert_eq!(connection.response().text(), "first");
    }
    for fields in [
        "If-None-Match: \"other\"\r\n".to_owned(),
        "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n".to_owned(),
        "If-Modified-Since: yesterday\r\n".to_owned(),
        // The tag decides where both are.
        format!("If-None-Match: \"other\"\r\nIf-Modified-Since: {modified}\r\n"),
    ] {
        assert_eq!(
            get_with(node.address(), "/file.txt", &fields).text(),
            "first"
        );
    }

    // Another content of the same length and time is another state.
    let time = std::fs::metadata(&file)
        .and_then(|m| m.modified())
        .expect("a time");
    std::fs::write(&file, "other").expect("the file is written");
    let opened = std::fs::File::options()
        .write(true)
        .open(&file)
        .expect("the file");
    opened.set_modified(time).expect("its time is set back");
    let changed = get_with(
        node.address(),
        "/file.txt",
        &format!("If-None-Match: {etag}\r\n"),
    );
    assert_eq!((changed.status, changed.text()), (200, "other"));
    opened.set_modified(SystemTime::UNIX_EPOCH).expect("a time");
    let old = get(node.address(), "/file.txt");
    let epoch = "Thu, 01 Jan 1970 00:00:00 GMT";
    assert_eq!(old.field("last-modified"), Some(epoch));
    let gone = get_with(
        node.address(),
        "/file.txt",
        &format!("If-Match: {etag}\r\n"),
    );
    assert_eq!(gone.status, 412);
}

#[test]
fn a_part_of_a_file_can_be_had() {
    let node = node_with_files(&[("file.txt", "0123456789")]);
    let etag = get(node.address(), "/file.txt")
        .field("etag")
        .expect("a tag")
        .to_owned();
    for (range, content, part) in [
        ("bytes=0-3", "0123", "bytes 0-3/10"),
        ("bytes=4-", "456789", "bytes 4-9/10"),
        ("bytes=-4", "6789", "bytes 6-9/10"),
        ("bytes=8-100", "89", "bytes 8-9/10"),
        ("bytes=-100", "0123456789", "bytes 0-9/10"),
        ("bytes=9-9", "9", "bytes 9-9/10"),
    ] {
        for condition in ["".to_owned(), format!("If-Range: {etag}\r\n")] {
            let fields = format!("Range: {range}\r\n{condition}");
            let response = get_with(node.address(), "/file.txt", &fields);
            assert_eq!(
                (response.status, response.text()),
                (206, content),
                "{fields}"
            );
            assert_eq!(response.field("content-range"), Some(part));
        }
    }
    for range in ["bytes=10-", "bytes=99-100", "bytes=-0"] {
        let response = get_with(node.address(), "/file.txt", &format!("Range: {range}\r\n"));
        assert_eq!(response.status, 416, "{range}");
        assert_eq!(response.field("content-range"), Some("bytes */10"));
    }
    for fields in [
        "Range: bytes=3-1\r\n",
        "Range: lines=1-2\r\n",
        "Range: bytes=0-1,3-4\r\n",
        "Range: bytes=0-1\r\nIf-Range: \"other\"\r\n",
    ] {
        let response = get_with(node.address(), "/file.txt", fields);
        assert_eq!(
            (response.status, response.text()),
            (200, "0123456789"),
            "{fields}"
        );
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn no_way_leads_out_of_the_directory() {
    const SECRET: &str = "the file next to web";
    let node = node_with_files(&[("index.html", "page"), ("sub/file.txt", "file")]);
    let directory = node.directory();
    let web = directory.join("web");
    std::fs::write(directory.join("secret.txt"), SECRET).expect("a file");
    symlink("../secret.txt", web.join("out.txt")).expect("a link");
    symlink(directory.join("secret.txt"), web.join("absolute.txt")).expect("a link");
    symlink("..", web.join("up")).expect("a link");
    symlink("sub/file.txt", web.join("in.txt")).expect("a link");
    symlink("out.txt", web.join("twice.txt")).expect("a link");
    symlink("circle", web.join("circle")).expect("a link");

    assert_eq!(get(node.address(), "/in.txt").text(), "file");
    for path in [
        "/../secret.txt",
        "/..%2fsecret.txt",
        "/..%2Fsecret.txt",
        "/%2e%2e/secret.txt",
        "/%2E%2e%2Fsecret.txt",
        "/.%2e/secret.txt",
        "/%252e%252e/secret.txt",
        "/%252e%252e%252fsecret.txt",
        "/..\\secret.txt",
        "/..%5csecret.txt",
        "/..%c0%afsecret.txt",
        "/%c0%ae%c0%ae/secret.txt",
        "/%ef%bc%8e%ef%bc%8e/secret.txt",
        "/sub/../../secret.txt",
        "/sub/..%2f..%2fsecret.txt",
        "/sub//../../secret.txt",
        "/./../secret.txt",
        "/..;/secret.txt",
        "//secret.txt",
        "///etc/passwd",
        "//etc/passwd",
        "/%2fetc%2fpasswd",
        "/index.html%00",
        "/%00/../secret.txt",
        "/secret.txt%00.html",
        "/\0",
        "/out.txt",
        "/absolute.txt",
        "/twice.txt",
        "/up/secret.txt",
        "/up/",
        "/up",
        "/circle",
        "/ws/../../secret.txt",
        "/ws/..%2f..%2fsecret.txt",
        "http://node/../secret.txt",
        "http://node/%2e%2e/secret.txt",
        "../secret.txt",
        "secret.txt",
        "/?/../../secret.txt/..",
    ] {
        for fields in ["", "Range: bytes=0-\r\n"] {
            let response = exchange(node.address(), request("GET", path, fields));
            let text = String::from_utf8_lossy(&response.body);
            assert!(
                !text.contains(SECRET) && !text.contains("root:"),
                "{path}: {text}"
            );
            let is_page = path == "/?/../../secret.txt/.." && text.contains("page");
            assert!(
                matches!(response.status, 400 | 404) || is_page,
                "{path}: {}",
                response.status
            );
        }
    }
}

#[test]
fn what_is_no_file_is_not_found() {
    let node = node_with_files(&[("sub/file.txt", "file")]);
    let web = node.directory().join("web");
    nix::unistd::mkfifo(&web.join("fifo"), nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
    symlink("/dev/zero", web.join("device")).expect("a link");
    let _socket = std::os::unix::net::UnixListener::bind(web.join("socket")).expect("a socket");
    for path in ["/fifo", "/device", "/socket", "/sub/file.txt/x"] {
        assert_eq!(get(node.address(), path).status, 404, "{path}");
    }
    let long = format!("/{}", "x".repeat(300));
    assert_eq!(get(node.address(), &long).status, 404);
}

#[test]
fn a_listing_shows_what_can_be_fetched() {
    let mut worker = router();
    worker["transports"][0]["paths"]["/"]["options"] = json!({"enable_directory_listing": true});
    let node = node_of(&worker, &[("file.txt", "file"), ("deep/file.txt", "deep")]);
    let web = node.directory().join("web");
    for (to, name) in [
        ("file.txt", "good"),
        ("deep", "good-too"),
        ("nowhere", "dead"),
        ("../config.json", "out"),
        ("/", "far-out"),
    ] {
        symlink(to, web.join(name)).expect("a link");
    }
    let listing = get(node.address(), "/").text().to_owned();
    let links = listing.split("href=\"./").skip(1);
    let links: Vec<_> = links.filter_map(|rest| rest.split('"').next()).collect();
    // The support makes `shared` for the page.
    let shown = ["deep/", "file.txt", "good", "good-too/", "shared/"];
    assert_eq!(links, shown, "{listing}");
    for link in links {
        assert_eq!(
            get(node.address(), &format!("/{link}")).status,
            200,
            "{link}"
        );
    }
}

#[test]
fn large_listings_come_whole_to_all_who_ask_at_once() {
    let mut worker = router();
    worker["transports"][0]["paths"]["/"]["options"] = json!({"enable_directory_listing": true});
    let node = node_of(&worker, &[]);
    let many = node.directory().join("web/many");
    std::fs::create_dir(&many).expect("a directory");
    for n in 0..2500 {
        std::fs::write(many.join(format!("{n:04}.txt")), "x").expect("a file");
    }
    // Each asks three times at once; one goes away while its first is being made.
    let ask = "GET /many/ HTTP/1.1\r\nHost: h\r\n\r\n".repeat(3);
    let mut clients: Vec<_> = (0..5).map(|_| Connection::open(node.address())).collect();
    clients.iter_mut().for_each(|client| client.send(&ask));
    drop(clients.swap_remove(0));
    for client in &mut clients {
        for _ in 0..3 {
            let listing = client.response();
            assert_eq!(listing.status, 200);
            assert_eq!(listing.text().matches("href=\"./").count(), 2500);
        }
    }
    let client = &mut clients[0];
    client.send(request("HEAD", "/many/", ""));
    assert_eq!(client.head().status, 200);
    client.send(request("GET", "/many/0000.txt", ""));
    assert_eq!(client.response().text(), "x");
}
