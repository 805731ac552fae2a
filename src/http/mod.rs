//! HTTP/1.1 without sockets: owns request heads, responses and the web services that need no WAMP; must not know routers, sessions or event loops.
//!
//! Bytes in, bytes out. A connection's owner appends what it received to a buffer and
//! calls [`parse_head`]; it hands the [`RequestHead`] to whatever serves the path and gets a [`Response`]. [`Response::write_head`] writes the head and
//! leaves a [`Body`], from which the owner pulls bounded chunks as its output drains.
//! Nothing here waits for the network, reads a clock or starts a thread. Files are read
//! with blocking calls, a chunk at a time.
//!
//!

mod body;
mod fields;
mod framing;
mod head;
mod pages;
mod rejection;
mod response;
mod target;

pub use ::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};

pub use body::Body;
pub use framing::{MAX_SKIPPED_BODY, RequestBody};
pub use head::{MAX_HEAD, MAX_HEADER_FIELDS, MAX_REQUEST_LINE, RequestHead, parse_head};
pub use rejection::Rejection;
pub use response::Response;
