//! Owns the reading of a request head from a growing buffer; must not know sockets, timeouts or
//! services.

use std::str::FromStr;

use ::http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header};

use super::{
    framing::{RequestBody, expects_continue, wants_to_persist},
    limits::{MAX_HEAD, MAX_HEADER_FIELDS, MAX_REQUEST_LINE, MAX_SKIPPED_BODY},
    rejection::Rejection,
    target::{Target, is_authority},
};

/// One request without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHead {
    /// The method, case-sensitive.
    pub method: Method,
    /// The path, decoded once. It begins with `/`, has no `.` and `..` segments, no
    /// backslashes, no control characters and no slash that was encoded. `*` for
    /// `OPTIONS *`.
    pub path: String,
    /// The query after the `?`, as sent; it has no line breaks and no spaces.
    pub query: Option<String>,
    /// HTTP/1.0 or HTTP/1.1.
    pub version: Version,
    /// The header fields. `Host` is what an absolute request target says, where there is one.
    pub headers: HeaderMap,
    /// Whether the connection can serve another request after this one: the client wants it
    /// and the body can be skipped.
    pub keep_alive: bool,
    /// What follows the head.
    pub body: RequestBody,
    /// Whether the client waits for a 100 (Continue) before it sends the body. It never gets one.
    pub expects_continue: bool,
}

impl RequestHead {
    /// How many bytes after the head must be skipped before the next request.
    ///
    /// `None`: answer, then close. The body is chunked, longer than [`MAX_SKIPPED_BODY`], or
    /// its sender waits for a 100 (Continue) and may or may not send it after another
    /// answer (RFC 9110 10.1.1). [`keep_alive`](Self::keep_alive) is `false` then.
    pub fn body_to_skip(&self) -> Option<usize> {
        skippable(self.body, self.expects_continue)
    }

    /// Whether the answer is a head alone.
    pub fn is_head(&self) -> bool {
        self.method == Method::HEAD
    }

    /// The `Host` the client wrote, a valid `host[:port]`; `None` where it is absent or empty.
    pub fn host(&self) -> Option<&str> {
        let host = self.headers.get(header::HOST)?.to_str().ok()?;
        Some(host).filter(|host| !host.is_empty())
    }
}

/// Reads the request head at the start of `buffer`.
///
/// `None` asks for more bytes: call again with the longer buffer. Otherwise the head and the
/// number of bytes it took, empty lines before it included (RFC 9112 2.2). The body and
/// further requests may follow in the buffer.
///
/// # Errors
///
/// The request is refused, as soon as its bytes show why. Close the connection after
/// [`Rejection::response`].
pub fn parse_head(buffer: &[u8]) -> Result<Option<(RequestHead, usize)>, Rejection> {
    check_request_line(buffer)?;
    let mut fields = [httparse::EMPTY_HEADER; MAX_HEADER_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    let status = request
        .parse(buffer)
        .map_err(|error| rejection_of(error, buffer))?;
    let consumed = match status {
        httparse::Status::Complete(consumed) if consumed <= MAX_HEAD => consumed,
        httparse::Status::Partial if buffer.len() <= MAX_HEAD => return Ok(None),
        httparse::Status::Complete(_) | httparse::Status::Partial => {
            return Err(Rejection::HeadTooLarge);
        }
    };
    Ok(Some((checked(&request)?, consumed)))
}

/// Refuses a request line that is too long, also before its end has come.
fn check_request_line(buffer: &[u8]) -> Result<(), Rejection> {
    let line = without_empty_lines(buffer);
    let within_limit = &line[..line.len().min(MAX_REQUEST_LINE)];
    if line.len() > MAX_REQUEST_LINE && !within_limit.contains(&b'\n') {
        return Err(Rejection::UriTooLong);
    }
    Ok(())
}

fn without_empty_lines(buffer: &[u8]) -> &[u8] {
    let start = buffer
        .iter()
        .position(|byte| !b"\r\n".contains(byte))
        .unwrap_or(buffer.len());
    &buffer[start..]
}

fn rejection_of(error: httparse::Error, buffer: &[u8]) -> Rejection {
    use httparse::Error;
    match error {
        Error::TooManyHeaders => Rejection::HeadTooLarge,
        Error::Version if names_http(buffer) => Rejection::UnsupportedVersion,
        Error::HeaderName => Rejection::Malformed("A header field's name is not valid."),
        Error::HeaderValue => Rejection::Malformed("A header field's value is not valid."),
        Error::NewLine | Error::Status | Error::Token | Error::Version => {
            Rejection::Malformed("This is not an HTTP request.")
        }
    }
}

/// Whether the request line ends in a version of HTTP, spoken here or not.
fn names_http(buffer: &[u8]) -> bool {
    without_empty_lines(buffer)
        .split(|&byte| byte == b'\r' || byte == b'\n')
        .next()
        .and_then(|line| line.split(|&byte| byte == b' ').nth(2))
        .and_then(|version| version.strip_prefix(b"HTTP/"))
        .is_some_and(|number| number.first().is_some_and(u8::is_ascii_digit))
}

/// The head of a complete request, if its parts agree with each other.
fn checked(request: &httparse::Request<'_, '_>) -> Result<RequestHead, Rejection> {
    const COMPLETE: &str = "httparse reports a complete request with its request line";
    let method = Method::from_str(request.method.expect(COMPLETE))
        .map_err(|_| Rejection::Malformed("The method is not valid."))?;
    let version = match request.version.expect(COMPLETE) {
        0 => Version::HTTP_10,
        _ => Version::HTTP_11,
    };
    let target = Target::parse(&method, request.path.expect(COMPLETE))?;
    let mut headers = header_map(request.headers)?;
    check_host(version, &headers)?;
    if let Some(authority) = target.authority {
        // RFC 9112 3.2.2: the target counts, whatever `Host` says.
        let authority = HeaderValue::from_str(&authority)
            .map_err(|_| Rejection::Malformed("The URL's host is not valid."))?;
        headers.insert(header::HOST, authority);
    }
    let body = RequestBody::declared(version, &headers)?;
    let expects_continue = expects_continue(version, &headers)?;
    Ok(RequestHead {
        keep_alive: wants_to_persist(version, &headers)
            && skippable(body, expects_continue).is_some(),
        method,
        path: target.path,
        query: target.query,
        version,
        headers,
        body,
        expects_continue,
    })
}

fn header_map(fields: &[httparse::Header<'_>]) -> Result<HeaderMap, Rejection> {
    let mut headers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes())
            .map_err(|_| Rejection::Malformed("A header field's name is not valid."))?;
        let value = HeaderValue::from_bytes(field.value)
            .map_err(|_| Rejection::Malformed("A header field's value is not valid."))?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// RFC 9112 3.2: exactly one `Host` in HTTP/1.1, and a valid one wherever it stands.
fn check_host(version: Version, headers: &HeaderMap) -> Result<(), Rejection> {
    let mut lines = headers.get_all(header::HOST).iter();
    let Some(host) = lines.next() else {
        return match version {
            Version::HTTP_10 => Ok(()),
            _ => Err(Rejection::Malformed("The Host field is missing.")),
        };
    };
    if lines.next().is_some() {
        return Err(Rejection::Malformed("The Host field is repeated."));
    }
    match host.to_str() {
        Ok(host) if host.is_empty() || is_authority(host) => Ok(()),
        _ => Err(Rejection::Malformed("The Host field is not valid.")),
    }
}

fn skippable(body: RequestBody, expects_continue: bool) -> Option<usize> {
    match body {
        RequestBody::Length(0) => Some(0),
        RequestBody::Length(length) if length <= MAX_SKIPPED_BODY && !expects_continue => {
            usize::try_from(length).ok()
        }
        RequestBody::Length(_) | RequestBody::Chunked => None,
    }
}

#[cfg(test)]
pub(super) mod tests;
