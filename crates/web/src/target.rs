//! Owns the request target: its forms, and a path with one meaning only; must not know files or
//! services.

use std::str::FromStr;

use ::http::{Method, uri::Authority};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::rejection::Rejection;

/// What the request line asks for (RFC 9112 3.2).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// The decoded path; it begins with `/`, or is `*`.
    pub(super) path: String,
    /// The query without its `?`, as sent.
    pub(super) query: Option<String>,
    /// The authority of an absolute-form, which replaces `Host` (RFC 9112 3.2.2).
    pub(super) authority: Option<String>,
}

impl Target {
    /// Reads the request target of a request with this method.
    pub(super) fn parse(method: &Method, raw: &str) -> Result<Self, Rejection> {
        // A client sends no fragment: no form of RFC 9112 3.2 has one.
        if raw.contains('#') {
            return Err(Rejection::Malformed("The URL holds a fragment."));
        }
        if *method == Method::CONNECT {
            return Err(Rejection::NotImplemented("This server is no proxy."));
        }
        if raw == "*" {
            return Self::asterisk(method);
        }
        if raw.starts_with('/') {
            return Self::origin(raw, None);
        }
        Self::absolute(raw)
    }

    /// RFC 9112 3.2.4: the server as a whole, for OPTIONS alone.
    fn asterisk(method: &Method) -> Result<Self, Rejection> {
        if *method != Method::OPTIONS {
            return Err(Rejection::Malformed("Only OPTIONS may ask for \"*\"."));
        }
        Ok(Self {
            path: "*".to_owned(),
            query: None,
            authority: None,
        })
    }

    /// RFC 9112 3.2.2: as sent to proxies; a server must accept it all the same.
    fn absolute(raw: &str) -> Result<Self, Rejection> {
        const NOT_ABSOLUTE: Rejection =
            Rejection::Malformed("The request target is neither a path nor an http URL.");
        let (scheme, rest) = raw.split_once("://").ok_or(NOT_ABSOLUTE)?;
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return Err(NOT_ABSOLUTE);
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        if authority.is_empty() || !is_authority(authority) {
            return Err(Rejection::Malformed("The URL's host is not valid."));
        }
        Self::origin(rest, Some(authority.to_owned()))
    }

    fn origin(raw: &str, authority: Option<String>) -> Result<Self, Rejection> {
        let (path, query) = match raw.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (raw, None),
        };
        let path = if path.is_empty() { "/" } else { path };
        Ok(Self {
            path: decode_path(path)?,
            query,
            authority,
        })
    }
}

/// Whether the text is `host[:port]`; user information is refused as RFC 9110 4.2.4 advises.
pub(super) fn is_authority(text: &str) -> bool {
    !text.contains('@') && Authority::from_str(text).is_ok()
}

/// Whether a decoded segment names an entry of its directory and nothing else.
pub(super) fn is_plain_segment(segment: &str) -> bool {
    segment != "."
        && segment != ".."
        && !segment.contains(['/', '\\'])
        && !segment.contains(char::is_control)
}

/// Decodes a path once, segment by segment.
///
/// It refuses whatever another program could read as another path: dot segments in any spelling,
/// encoded slashes, backslashes, control characters such as NUL, and what does not decode to UTF-8.
/// Clients resolve dot segments before they send (RFC 3986 5.2.4).
fn decode_path(raw: &str) -> Result<String, Rejection> {
    let mut path = String::with_capacity(raw.len());
    for (index, segment) in raw.split('/').enumerate() {
        if !has_whole_triplets(segment.as_bytes()) {
            return Err(Rejection::Malformed("The URL has a broken percent code."));
        }
        let segment = percent_decode_str(segment)
            .decode_utf8()
            .map_err(|_| Rejection::Malformed("The URL's path is not UTF-8."))?;
        if !is_plain_segment(&segment) {
            return Err(Rejection::Malformed("The URL's path is ambiguous."));
        }
        if index > 0 {
            path.push('/');
        }
        path.push_str(&segment);
    }
    Ok(path)
}

/// A decoded path as a URL holds it, without a scheme or host: it never begins with `//`,
/// which would name another host.
pub(super) fn encode_path(path: &str) -> String {
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'/')
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');
    let path = path.trim_start_matches('/');
    format!("/{}", utf8_percent_encode(path, KEPT))
}

/// Whether two hexadecimal digits follow every `%` (RFC 3986 2.1).
fn has_whole_triplets(raw: &[u8]) -> bool {
    raw.iter()
        .enumerate()
        .filter(|&(_, &byte)| byte == b'%')
        .all(|(at, _)| {
            raw.get(at + 1..at + 3)
                .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_decoded_once() {
        let cases = [
            ("/", "/", None),
            ("/?", "/", Some("")),
            ("/a%20b/%C3%BC?x=%2F..", "/a b/ü", Some("x=%2F..")),
            ("/ü", "/ü", None),
            ("/a//b/", "/a//b/", None),
            ("/%252e%252e/x", "/%2e%2e/x", None),
            ("/...", "/...", None),
            ("/a?b?c/../d", "/a", Some("b?c/../d")),
        ];
        for (raw, path, query) in cases {
            let target = Target::parse(&Method::GET, raw).unwrap();
            assert_eq!(target.path, path, "{raw}");
            assert_eq!(target.query.as_deref(), query, "{raw}");
            assert_eq!(target.authority, None, "{raw}");
        }
    }

    #[test]
    fn absolute_forms_name_path_and_host() {
        let cases = [
            ("http://h", "/", None, "h"),
            ("HTTP://h:8080/ws?a", "/ws", Some("a"), "h:8080"),
            ("https://[::1]:1?q", "/", Some("q"), "[::1]:1"),
        ];
        for (raw, path, query, authority) in cases {
            let target = Target::parse(&Method::GET, raw).unwrap();
            assert_eq!(target.path, path, "{raw}");
            assert_eq!(target.query.as_deref(), query, "{raw}");
            assert_eq!(target.authority.as_deref(), Some(authority), "{raw}");
        }
    }

    #[test]
    fn ambiguous_and_broken_targets_are_refused() {
        let cases = [
            "/..",
            "/../etc/passwd",
            "/a/../b",
            "/a/./b",
            "/%2e%2e/etc/passwd",
            "/.%2E/x",
            "/%2e",
            "/a%2fb",
            "/..%2f..%2fetc",
            "/a%5C..%5cb",
            "/a\\b",
            "/a%00.html",
            "/a%0d%0ab",
            "/a%7f",
            "/a%c2%85",
            "/%ff",
            "/%c0%ae%c0%ae/",
            "/%",
            "/%4",
            "/%zz",
            "/a#b",
            "*",
            "",
            "a",
            "ftp://h/",
            "http:///x",
            "http://u:p@h/",
            "http://h h/",
            "http:h",
            "h:443",
        ];
        for raw in cases {
            let refused = Target::parse(&Method::GET, raw);
            assert!(
                matches!(refused, Err(Rejection::Malformed(_))),
                "{raw}: {refused:?}"
            );
        }
    }

    #[test]
    fn encoded_paths_stay_on_this_host() {
        for (path, expected) in [
            ("/", "/"),
            ("/a b/ü", "/a%20b/%C3%BC"),
            ("/a\"?#%", "/a%22%3F%23%25"),
            ("//evil.com/", "/evil.com/"),
        ] {
            assert_eq!(encode_path(path), expected);
        }
    }

    #[test]
    fn options_may_ask_for_the_server_and_nobody_for_a_tunnel() {
        assert_eq!(Target::parse(&Method::OPTIONS, "*").unwrap().path, "*");
        assert!(matches!(
            Target::parse(&Method::CONNECT, "h:443"),
            Err(Rejection::NotImplemented(_))
        ));
    }
}
