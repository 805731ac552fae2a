//! Owns a response's status, header fields and the writing of its head; must not know requests,
//! files or sockets.

use std::{io::Write, time::SystemTime};

use ::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::{
    body::Body,
    fields::{http_date, http_seconds},
    pages,
};

/// An answer, not yet written.
#[derive(Debug)]
pub struct Response {
    status: StatusCode,
    headers: HeaderMap,
    last_modified: Option<u64>,
    body: Body,
}

impl Response {
    /// A response with this content and no header fields of its own.
    pub fn new(status: StatusCode, body: Body) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            last_modified: None,
            body,
        }
    }

    /// An HTML page. It may use inline styles; scripts, frames and foreign content are barred.
    pub fn html(status: StatusCode, page: String) -> Self {
        Self::html_body(status, Body::bytes(page.into_bytes()))
    }

    /// The same for a page that is in memory already.
    pub(super) fn html_body(status: StatusCode, page: Body) -> Self {
        Self::new(status, page)
            .with_header(
                header::CONTENT_TYPE,
                HeaderValue::from_static("text/html; charset=utf-8"),
            )
            .with_header(
                header::CONTENT_SECURITY_POLICY,
                HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'"),
            )
            .with_header(
                header::X_CONTENT_TYPE_OPTIONS,
                HeaderValue::from_static("nosniff"),
            )
    }

    /// A small page that says what is wrong; `text` is a sentence that the client may see.
    pub fn error(status: StatusCode, text: &str) -> Self {
        Self::html(status, pages::error_page(status, text))
    }

    /// 405 with the methods that would do (RFC 9110 15.5.6).
    pub fn method_not_allowed(allow: &'static str) -> Self {
        Self::error(
            StatusCode::METHOD_NOT_ALLOWED,
            "This method is not allowed here.",
        )
        .with_header(header::ALLOW, HeaderValue::from_static(allow))
    }

    /// The same with this header field, in place of any of its name.
    ///
    /// `Date`, `Server`, `Connection` and `Content-Length` are written by
    /// [`write_head`](Self::write_head) and must not be given.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// The same with `Last-Modified`, in seconds since 1970.
    #[must_use]
    pub(super) fn with_last_modified(mut self, seconds: Option<u64>) -> Self {
        self.last_modified = seconds;
        self
    }

    /// The status code.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Appends the head to `out` and returns the content that must follow it.
    ///
    /// `head_only` answers a HEAD: the same head, and a body that is empty. Without
    /// `keep_alive` the client is told that the connection ends after this response. `now`
    /// becomes the `Date`.
    pub fn write_head(
        self,
        out: &mut Vec<u8>,
        head_only: bool,
        keep_alive: bool,
        now: SystemTime,
    ) -> Body {
        let now = http_seconds(now);
        let reason = self.status.canonical_reason().unwrap_or("");
        line(
            out,
            format_args!("HTTP/1.1 {} {reason}", self.status.as_u16()),
        );
        if let Some(now) = now {
            line(out, format_args!("date: {}", http_date(now)));
        }
        line(out, format_args!("server: wampgres"));
        if let Some(modified) = self.last_modified {
            // RFC 9110 8.8.2.1: never later than the Date.
            let modified = modified.min(now.unwrap_or(modified));
            line(out, format_args!("last-modified: {}", http_date(modified)));
        }
        for (name, value) in &self.headers {
            out.extend_from_slice(name.as_str().as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        if has_content_length(self.status) {
            line(
                out,
                format_args!("content-length: {}", self.body.remaining()),
            );
        }
        let persistence = if keep_alive { "keep-alive" } else { "close" };
        // RFC 9110 7.8: who sends `Upgrade` names it in `Connection`.
        let upgrade = if self.headers.contains_key(header::UPGRADE) {
            "upgrade, "
        } else {
            ""
        };
        line(out, format_args!("connection: {upgrade}{persistence}"));
        out.extend_from_slice(b"\r\n");
        if head_only || !has_content_length(self.status) {
            Body::empty()
        } else {
            self.body
        }
    }
}

/// RFC 9110 8.6 and 15.4.5: these end with their head and announce no length.
fn has_content_length(status: StatusCode) -> bool {
    !status.is_informational()
        && status != StatusCode::NO_CONTENT
        && status != StatusCode::NOT_MODIFIED
}

fn line(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a Vec takes every write");
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(784_111_777_900)
    }

    fn written(response: Response, head_only: bool, keep_alive: bool) -> (String, u64) {
        let mut out = Vec::new();
        let body = response.write_head(&mut out, head_only, keep_alive, now());
        (String::from_utf8(out).unwrap(), body.remaining())
    }

    #[test]
    fn a_head_is_written_whole() {
        let response = || {
            Response::new(StatusCode::OK, Body::bytes(&b"hello"[..]))
                .with_header(header::ETAG, HeaderValue::from_static("\"1\""))
        };
        let head = |connection| {
            format!(
                "HTTP/1.1 200 OK\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
                 server: wampgres\r\netag: \"1\"\r\ncontent-length: 5\r\n\
                 connection: {connection}\r\n\r\n"
            )
        };
        assert_eq!(written(response(), false, true), (head("keep-alive"), 5));
        assert_eq!(written(response(), true, false), (head("close"), 0));
    }

    #[test]
    fn a_status_without_content_has_neither_length_nor_body() {
        for status in [StatusCode::NOT_MODIFIED, StatusCode::NO_CONTENT] {
            let response = Response::new(status, Body::bytes(&b"x"[..]));
            let (head, remaining) = written(response, false, true);
            assert!(!head.contains("content-length"), "{head}");
            assert_eq!(remaining, 0);
        }
    }

    #[test]
    fn the_last_change_is_never_after_the_date() {
        for (modified, expected) in [
            (784_111_776, "last-modified: Sun, 06 Nov 1994 08:49:36 GMT"),
            (999_999_999, "last-modified: Sun, 06 Nov 1994 08:49:37 GMT"),
        ] {
            let response = Response::new(StatusCode::OK, Body::empty());
            let (head, _) = written(response.with_last_modified(Some(modified)), false, true);
            assert!(head.contains(expected), "{head}");
        }
    }

    #[test]
    fn error_pages_are_readable_and_inert() {
        let response = Response::error(StatusCode::NOT_FOUND, "No <b> & \"c\".");
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        let mut out = Vec::new();
        let mut body = response.write_head(&mut out, false, false, now());
        while body.fill(&mut out, 100).unwrap() {}
        let text = String::from_utf8(out).unwrap();
        let (head, page) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("content-type: text/html; charset=utf-8"));
        assert!(head.contains(&format!("content-length: {}", page.len())));
        assert!(page.contains("404") && page.contains("Not Found"));
        assert!(page.contains("width=device-width"));
        assert!(page.contains("No &lt;b&gt; &amp; &quot;c&quot;."));
    }

    #[test]
    fn an_upgrade_is_named_in_connection() {
        let rejection = crate::Rejection::WebSocketVersion;
        let (head, _) = written(rejection.response(), false, false);
        for line in [
            "HTTP/1.1 426 Upgrade Required\r\n",
            "\r\nupgrade: websocket\r\n",
            "\r\nsec-websocket-version: 13\r\n",
            "\r\nconnection: upgrade, close\r\n",
        ] {
            assert!(head.contains(line), "{line} in {head}");
        }
    }
}
