//! Owns the limits of a request, each once; must not know what enforces them.

/// The longest request line in bytes with its line end: 8 KiB.
pub const MAX_REQUEST_LINE: usize = 8 * 1024;
/// The largest head in bytes, from the request line to the empty line: 16 KiB.
pub const MAX_HEAD: usize = 16 * 1024;
/// The most header fields of one request.
pub const MAX_HEADER_FIELDS: usize = 100;
/// The longest request body, in bytes, that is worth reading to keep a connection: 64 KiB.
pub const MAX_SKIPPED_BODY: u64 = 64 * 1024;

// A request line of the largest size leaves room for header fields.
const _: () = assert!(MAX_REQUEST_LINE < MAX_HEAD);
