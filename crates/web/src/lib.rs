//! HTTP/1.1 without sockets: owns request heads, responses and the web services that need no WAMP;
//! must not know routers, sessions or event loops.
//!
//! Bytes in, bytes out. A connection's owner appends what it received to a buffer and calls
//! [`parse_head`]; it hands the [`RequestHead`] to whatever serves the path (found with [`Paths`])
//! and gets a [`Response`]. [`Response::write_head`] writes the head and leaves a [`Body`], from
//! which the owner pulls bounded chunks as its output drains. Nothing here waits for the network,
//! reads a clock or starts a thread. Files are read with blocking calls, a chunk at a time.
//!
//! | served by | path service |
//! |---|---|
//! | [`StaticDirectory`] | `static`: files, conditional requests, byte ranges |
//! | [`WebSocketRequest`], [`AllowedOrigins`] | the opening handshake of `websocket` |
//! | [`WebStatus`] | a plain GET on the path of a `websocket` |
//!
//! # One request
//!
//! ```
//! use std::time::SystemTime;
//! use web::{Paths, Response, parse_head};
//! use web::StatusCode;
//!
//! let mut paths = Paths::new();
//! paths.insert("/", "static");
//! paths.insert("ws", "websocket");
//!
//! let received = b"GET /ws HTTP/1.1\r\nHost: localhost\r\n\r\n";
//! let (head, consumed) = parse_head(received).unwrap().expect("the head is complete");
//! assert_eq!(consumed, received.len());
//! assert_eq!(paths.find(&head.path), Some((&"websocket", "")));
//!
//! let mut output = Vec::new();
//! let response = Response::error(StatusCode::NOT_FOUND, "There is nothing here.");
//! let mut body = response.write_head(
//!     &mut output,
//!     head.is_head(),
//!     head.keep_alive,
//!     SystemTime::now(),
//! );
//! while body.fill(&mut output, 16 * 1024).unwrap() {}
//! assert!(output.starts_with(b"HTTP/1.1 404 Not Found\r\n"));
//! ```

#![warn(clippy::wildcard_enum_match_arm)]

mod body;
mod conditional;
mod fields;
mod framing;
mod head;
mod limits;
mod listing;
mod origin;
mod pages;
mod paths;
mod range;
mod rejection;
mod response;
mod static_files;
mod target;
mod upgrade;
mod web_status;

pub use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};

pub use body::Body;
pub use framing::RequestBody;
pub use head::{RequestHead, parse_head};
pub use limits::{
    KEPT_LISTINGS, LISTED_AT_ONCE, MAX_HEAD, MAX_HEADER_FIELDS, MAX_KEPT_LISTING, MAX_LISTED,
    MAX_REQUEST_LINE, MAX_SKIPPED_BODY,
};
pub use origin::AllowedOrigins;
pub use paths::Paths;
pub use rejection::Rejection;
pub use response::Response;
pub use static_files::{Answer, Listing, Progress, StaticDirectory, StaticOptions};
pub use upgrade::WebSocketRequest;
pub use web_status::WebStatus;
