//! Owns the header fields that let pages of other origins read files (the Fetch standard, "CORS
//! protocol"); must not know files.

use ::http::{HeaderValue, Method, StatusCode, header};

use super::super::{body::Body, head::RequestHead, response::Response};

/// The same response, readable by pages of every origin.
///
/// Crossbar echoes the origin and allows credentials. Behind a proxy that asks for a login, this
/// would let any page read the files of a user who is logged in. `*` excludes credentials and needs
/// no `Vary`.
pub(super) fn readable_by_all(response: Response) -> Response {
    response
        .with_header(
            header::ACCESS_CONTROL_ALLOW_ORIGIN,
            HeaderValue::from_static("*"),
        )
        .with_header(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static("accept-ranges, content-length, content-range, etag"),
        )
}

/// The answer to the OPTIONS that a browser sends before a request with the page's own header
/// fields.
pub(super) fn preflight(head: &RequestHead) -> Response {
    let response = Response::new(StatusCode::NO_CONTENT, Body::empty()).with_header(
        header::ALLOW,
        HeaderValue::from_static("GET, HEAD, OPTIONS"),
    );
    if !head
        .headers
        .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
    {
        return response;
    }
    debug_assert_eq!(head.method, Method::OPTIONS);
    let response = response
        .with_header(
            header::ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("GET, HEAD"),
        )
        .with_header(
            header::ACCESS_CONTROL_MAX_AGE,
            HeaderValue::from_static("3600"),
        );
    // No field changes which file is sent, so none needs to be refused.
    match head.headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        Some(names) => response.with_header(header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone()),
        None => response,
    }
}
