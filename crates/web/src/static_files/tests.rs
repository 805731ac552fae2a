//! Owns the tests of `static_files`, on real files and links; must not know connections.

mod listings;
mod outside;

use std::{
    os::unix::fs::symlink,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tempfile::TempDir;

use super::*;
use crate::head::tests::head_of;

/// A response as a client sees it.
struct Seen {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Seen {
    fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (field, value) = line.split_once(": ")?;
            (field == name).then_some(value)
        })
    }
}

/// A directory `root` with files, next to a secret outside of it.
struct Site {
    place: TempDir,
}

impl Site {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("root");
        fs::create_dir_all(root.join("sub/deep")).unwrap();
        fs::create_dir_all(root.join("empty")).unwrap();
        fs::create_dir_all(root.join(".git")).unwrap();
        fs::create_dir_all(root.join(".well-known")).unwrap();
        fs::create_dir_all(place.path().join("rootless")).unwrap();
        for (path, content) in [
            ("root/index.htm", "<p>start"),
            ("root/digits.txt", "0123456789"),
            ("root/nothing.bin", ""),
            ("root/a b & ü.txt", "strange"),
            ("root/%2e%2e", "literal"),
            ("root/sub/index.html", "html"),
            ("root/sub/index.htm", "htm"),
            ("root/sub/deep/x.json", "{}"),
            ("root/.git/config", "secret"),
            ("root/.env", "secret"),
            ("root/.well-known/security.txt", "contact"),
            ("rootless/secret.txt", "secret"),
            ("secret.txt", "secret"),
        ] {
            fs::write(place.path().join(path), content).unwrap();
        }
        let old = UNIX_EPOCH + Duration::from_secs(784_111_777);
        let digits = File::options()
            .write(true)
            .open(root.join("digits.txt"))
            .unwrap();
        digits.set_modified(old).unwrap();
        Self { place }
    }

    fn root(&self) -> PathBuf {
        self.place.path().join("root")
    }

    fn directory(&self) -> StaticDirectory {
        StaticDirectory::new(self.root(), &StaticOptions::default()).unwrap()
    }

    /// Asks for a path at the root of the web transport.
    fn ask(&self, line: &str, fields: &str) -> Seen {
        ask(&self.directory(), line, fields)
    }
}

fn ask(directory: &StaticDirectory, line: &str, fields: &str) -> Seen {
    let head = head_of(&format!("{line} HTTP/1.1\r\nHost: h\r\n{fields}\r\n"));
    seen(
        directory.respond(&head, &head.path).finish(),
        head.is_head(),
    )
}

fn seen(response: Response, head_only: bool) -> Seen {
    let mut out = Vec::new();
    let status = response.status().as_u16();
    let mut body = response.write_head(&mut out, head_only, true, SystemTime::now());
    let head = String::from_utf8(std::mem::take(&mut out)).unwrap();
    while body.fill(&mut out, 4).unwrap() {}
    Seen {
        status,
        head,
        body: out,
    }
}

#[test]
fn files_are_served_with_their_types() {
    let site = Site::new();
    let cases = [
        ("/", "<p>start", "text/html"),
        (
            "/digits.txt?x=..",
            "0123456789",
            "text/plain; charset=utf-8",
        ),
        ("/nothing.bin", "", "application/octet-stream"),
        (
            "/a%20b%20&%20%C3%BC.txt",
            "strange",
            "text/plain; charset=utf-8",
        ),
        ("/%252e%252e", "literal", "application/octet-stream"),
        ("/sub/", "html", "text/html"),
        ("/sub/deep/x.json", "{}", "application/json"),
        (
            "/.well-known/security.txt",
            "contact",
            "text/plain; charset=utf-8",
        ),
    ];
    for (path, content, mime_type) in cases {
        let answer = site.ask(&format!("GET {path}"), "");
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.body, content.as_bytes(), "{path}");
        let length = content.len().to_string();
        assert_eq!(answer.field("content-type"), Some(mime_type), "{path}");
        assert_eq!(answer.field("content-length"), Some(&*length), "{path}");
        assert_eq!(answer.field("accept-ranges"), Some("bytes"));
        assert_eq!(answer.field("cache-control"), Some("no-cache"));
        assert_eq!(answer.field("x-content-type-options"), Some("nosniff"));

        let head = site.ask(&format!("HEAD {path}"), "Range: bytes=0-1\r\n");
        assert_eq!(head.status, 200, "{path}");
        assert_eq!(head.field("content-length"), Some(&*length), "{path}");
        assert!(head.body.is_empty());
    }
}

#[test]
fn other_methods_are_not_allowed() {
    let site = Site::new();
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get", "BREW"] {
        let answer = site.ask(&format!("{method} /digits.txt"), "");
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.field("allow"), Some("GET, HEAD"), "{method}");
    }
}

#[test]
fn a_directory_ends_in_a_slash() {
    let site = Site::new();
    let directory = site.directory();
    let cases = [
        // request target, rest of its path, where it leads
        ("/sub", "/sub", "./sub/"),
        ("/sub/deep?a=b%20c", "/sub/deep", "./deep/?a=b%20c"),
        ("/shared", "", "./shared/"),
        ("/with%20space/sub", "/sub", "./sub/"),
        ("//evil.com/sub", "/sub", "./sub/"),
    ];
    for (target, rest, location) in cases {
        let head = head_of(&format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n"));
        let answer = seen(directory.respond(&head, rest).finish(), false);
        assert_eq!(answer.status, 301, "{target}");
        assert_eq!(answer.field("location"), Some(location));
    }
}

#[test]
fn a_known_state_is_not_sent_again() {
    let site = Site::new();
    let first = site.ask("GET /digits.txt", "");
    let etag = first.field("etag").unwrap();
    let date = first.field("last-modified").unwrap();
    assert!(
        etag.starts_with('"') && etag.ends_with('"'),
        "strong: {etag}"
    );
    assert_eq!(date, "Sun, 06 Nov 1994 08:49:37 GMT");
    let cases = [
        (format!("If-None-Match: {etag}\r\n"), 304),
        (format!("If-None-Match: W/{etag}, \"x\"\r\n"), 304),
        (format!("If-Modified-Since: {date}\r\n"), 304),
        (
            format!("If-None-Match: \"x\"\r\nIf-Modified-Since: {date}\r\n"),
            200,
        ),
        (
            format!("If-None-Match: {etag}\r\nRange: bytes=0-1\r\n"),
            304,
        ),
        (format!("If-Match: {etag}\r\n"), 200),
        ("If-Match: \"x\"\r\n".to_owned(), 412),
        (
            "If-Unmodified-Since: Sat, 05 Nov 1994 08:49:37 GMT\r\n".to_owned(),
            412,
        ),
    ];
    for (fields, status) in &cases {
        for method in ["GET", "HEAD"] {
            let answer = site.ask(&format!("{method} /digits.txt"), fields);
            let status = match (method, *status) {
                ("GET", 200) if fields.contains("Range") => 206,
                (_, status) => status,
            };
            assert_eq!(answer.status, status, "{method} {fields}");
            if status == 304 {
                assert!(answer.body.is_empty());
                assert_eq!(answer.field("etag"), Some(etag));
                assert_eq!(answer.field("content-length"), None);
                assert_eq!(answer.field("cache-control"), Some("no-cache"));
            }
        }
    }
    // Preconditions are for what would have been 2xx (RFC 9110 13.2.1).
    assert_eq!(site.ask("GET /missing", "If-Match: \"x\"\r\n").status, 404);
    assert_eq!(site.ask("GET /missing", "If-None-Match: *\r\n").status, 404);
}

#[test]
fn a_replaced_file_has_another_tag_even_with_its_time_restored() {
    let site = Site::new();
    let path = site.root().join("digits.txt");
    let tag = |site: &Site| {
        site.ask("GET /digits.txt", "")
            .field("etag")
            .unwrap()
            .to_owned()
    };
    let before = tag(&site);
    assert_eq!(tag(&site), before);
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    // The kernel's clock for files ticks every few milliseconds: write until it has moved on.
    loop {
        fs::write(&path, "9876543210").unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(modified).unwrap();
        if tag(&site) != before {
            break;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "the tag stays {before}"
        );
    }
}

#[test]
fn single_ranges_are_served_in_part() {
    let site = Site::new();
    let etag = site.ask("GET /digits.txt", "");
    let etag = etag.field("etag").unwrap();
    let same = format!("2-5\r\nIf-Range: {etag}");
    let other = "2-5\r\nIf-Range: \"x\"";
    let other_behind = "99-\r\nIf-Range: \"x\"";
    let all = "0123456789";
    let cases = [
        ("2-5", 206, "2345", Some("bytes 2-5/10")),
        ("7-", 206, "789", Some("bytes 7-9/10")),
        ("-1", 206, "9", Some("bytes 9-9/10")),
        ("0-99", 206, all, Some("bytes 0-9/10")),
        ("0-1,4-5", 200, all, None),
        ("5-1", 200, all, None),
        (&same, 206, "2345", Some("bytes 2-5/10")),
        (other, 200, all, None),
        (other_behind, 200, all, None),
    ];
    for (asked, status, content, range) in cases {
        let answer = site.ask("GET /digits.txt", &format!("Range: bytes={asked}\r\n"));
        assert_eq!(answer.status, status, "{asked}");
        assert_eq!(answer.body, content.as_bytes(), "{asked}");
        assert_eq!(answer.field("content-range"), range, "{asked}");
        let length = content.len().to_string();
        assert_eq!(answer.field("content-length"), Some(&*length), "{asked}");
        assert_eq!(
            answer.field("content-type"),
            Some("text/plain; charset=utf-8")
        );
    }
    let behind = site.ask("GET /digits.txt", "Range: bytes=10-\r\n");
    assert_eq!(behind.status, 416);
    assert_eq!(behind.field("content-range"), Some("bytes */10"));
}

#[test]
fn directories_are_listed_only_on_demand() {
    let site = Site::new();
    fs::write(site.root().join("sub/deep/<i>:&.txt"), "x").unwrap();
    fs::create_dir(site.root().join("sub/deep/more")).unwrap();
    fs::write(site.root().join("sub/deep/.hidden"), "x").unwrap();
    assert_eq!(site.ask("GET /sub/deep/", "").status, 404);

    let options = StaticOptions {
        enable_directory_listing: true,
        ..StaticOptions::default()
    };
    let directory = StaticDirectory::new(site.root(), &options).unwrap();
    let answer = ask(&directory, "GET /sub/deep/", "");
    assert_eq!(answer.status, 200);
    let page = String::from_utf8(answer.body).unwrap();
    for part in [
        "<a href=\"../\">",
        "<a href=\"./%3Ci%3E%3A%26.txt\">&lt;i&gt;:&amp;.txt</a>",
        "<a href=\"./more/\">more/</a>",
        "<a href=\"./x.json\">",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert!(!page.contains("hidden") && !page.contains(site.place.path().to_str().unwrap()));
    assert_eq!(ask(&directory, "GET /sub/", "").body, b"html");
}

#[test]
fn options_set_types_and_caching() {
    let site = Site::new();
    fs::write(site.root().join("x.odd"), "x").unwrap();
    let mime_types = [(".odd", "text/odd"), ("TXT", "text/other")];
    let options = StaticOptions {
        mime_types: mime_types
            .map(|(extension, mime_type)| (extension.to_owned(), mime_type.to_owned()))
            .into(),
        cache_timeout: Some(3600),
        ..StaticOptions::default()
    };
    let directory = StaticDirectory::new(site.root(), &options).unwrap();
    let odd = ask(&directory, "GET /x.odd", "");
    assert_eq!(odd.field("content-type"), Some("text/odd"));
    assert_eq!(odd.field("cache-control"), Some("max-age=3600"));
    let text = ask(&directory, "GET /digits.txt", "");
    assert_eq!(text.field("content-type"), Some("text/other"));
}

#[test]
fn what_cannot_be_served_is_an_error_at_once() {
    let site = Site::new();
    let kind = |path: &str, options: &StaticOptions| {
        StaticDirectory::new(site.place.path().join(path), options)
            .unwrap_err()
            .kind()
    };
    let fine = StaticOptions::default();
    assert_eq!(kind("missing", &fine), io::ErrorKind::NotFound);
    assert_eq!(kind("secret.txt", &fine), io::ErrorKind::NotADirectory);
    let broken = StaticOptions {
        mime_types: [("x".to_owned(), "a\r\nb: c".to_owned())].into(),
        ..StaticOptions::default()
    };
    assert_eq!(kind("root", &broken), io::ErrorKind::InvalidInput);
}

#[test]
fn failures_of_the_disk_have_their_statuses() {
    let cases = [
        (libc::EACCES, 403),
        (libc::EPERM, 403),
        (libc::ENOENT, 404),
        (libc::ENOTDIR, 404),
        (libc::ELOOP, 404),
        (libc::ENAMETOOLONG, 404),
        (libc::EMFILE, 503),
        (libc::EIO, 500),
    ];
    for (code, status) in cases {
        let error = io::Error::from_raw_os_error(code);
        assert_eq!(failure(&error).status(), status, "{error}");
    }
}

#[test]
fn a_time_before_1970_does_no_harm() {
    let site = Site::new();
    let file = File::options()
        .write(true)
        .open(site.root().join("digits.txt"))
        .unwrap();
    file.set_modified(UNIX_EPOCH - Duration::from_secs(86_400))
        .unwrap();
    let answer = site.ask("GET /digits.txt", "");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.field("last-modified"), None);
}
