//! Owns the reasons for which a request is refused before any service sees it; must not know which
//! service that would have been.

use ::http::{HeaderValue, StatusCode, header};

use super::{
    limits::{MAX_HEAD, MAX_HEADER_FIELDS, MAX_REQUEST_LINE},
    response::Response,
};

/// Why a request is refused. The text is for the client and tells nothing about the node.
///
/// After a rejected head the connection must be closed once the response is out: where the
/// next request begins is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The bytes are no HTTP request, or one that can be read in two ways (400).
    #[error("{0}")]
    Malformed(&'static str),
    /// The request line is longer than [`MAX_REQUEST_LINE`] (414).
    #[error("The request line is longer than {} bytes.", MAX_REQUEST_LINE)]
    UriTooLong,
    /// The head is larger than [`MAX_HEAD`] or has more than [`MAX_HEADER_FIELDS`] (431).
    #[error(
        "The request's head is larger than {} bytes or {} fields.",
        MAX_HEAD,
        MAX_HEADER_FIELDS
    )]
    HeadTooLarge,
    /// The head did not arrive in the time the connection's owner allows (408).
    #[error("The request did not arrive in time.")]
    HeadTimeout,
    /// The request asks for another protocol version than HTTP/1.0 and HTTP/1.1 (505).
    #[error("Only HTTP/1.0 and HTTP/1.1 are spoken here.")]
    UnsupportedVersion,
    /// `Expect` names something other than `100-continue` (417).
    #[error("The only expectation that can be met is 100-continue.")]
    ExpectationFailed,
    /// A method or transfer coding that exists, but not here (501).
    #[error("{0}")]
    NotImplemented(&'static str),
    /// A WebSocket handshake of another version than 13 (426).
    #[error("Only version 13 of the WebSocket protocol (RFC 6455) is spoken here.")]
    WebSocketVersion,
    /// A WebSocket handshake that a proxy has stripped of what makes it one (426).
    #[error(
        "{0} Is there a proxy in front? nginx needs, in its location: proxy_http_version 1.1; \
         proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\";"
    )]
    UnfitHandshake(&'static str),
    /// A page of this origin may not open a WebSocket here (403).
    #[error("Pages of this origin may not connect here.")]
    OriginNotAllowed,
}

impl Rejection {
    /// The status code of the answer.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::HeadTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::UnsupportedVersion => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::ExpectationFailed => StatusCode::EXPECTATION_FAILED,
            Self::NotImplemented(_) => StatusCode::NOT_IMPLEMENTED,
            Self::WebSocketVersion | Self::UnfitHandshake(_) => StatusCode::UPGRADE_REQUIRED,
            Self::OriginNotAllowed => StatusCode::FORBIDDEN,
        }
    }

    /// The answer, with the header fields its status code asks for.
    pub fn response(self) -> Response {
        let response = Response::error(self.status(), &self.to_string());
        if self.status() != StatusCode::UPGRADE_REQUIRED {
            return response;
        }
        // RFC 9110 15.5.22 wants `Upgrade` in a 426, RFC 6455 4.4 the version that would do.
        response
            .with_header(header::UPGRADE, HeaderValue::from_static("websocket"))
            .with_header(
                header::SEC_WEBSOCKET_VERSION,
                HeaderValue::from_static("13"),
            )
    }
}
