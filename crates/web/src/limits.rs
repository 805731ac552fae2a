//! Owns the limits of a request and of its answer, each once; must not know what enforces them.

/// The longest request line in bytes with its line end: 8 KiB.
pub const MAX_REQUEST_LINE: usize = 8 * 1024;
/// The largest head in bytes, from the request line to the empty line: 16 KiB.
pub const MAX_HEAD: usize = 16 * 1024;
/// The most header fields of one request.
pub const MAX_HEADER_FIELDS: usize = 100;
/// The longest request body, in bytes, that is worth reading to keep a connection: 64 KiB.
pub const MAX_SKIPPED_BODY: u64 = 64 * 1024;
/// The most entries of a directory that are listed.
pub const MAX_LISTED: usize = 10_000;
/// How much one slice of a listing does: looks at so many entries, or writes so many. It takes less
/// than a millisecond where the disk need not be asked.
pub const LISTED_AT_ONCE: usize = 256;
/// How many pages of a directory's listing are kept.
pub const KEPT_LISTINGS: usize = 8;
/// The largest of them, in bytes.
pub const MAX_KEPT_LISTING: usize = 1 << 20;

// A slice is a small part of what is listed.
const _: () = assert!(LISTED_AT_ONCE * 16 < MAX_LISTED);
// A request line of the largest size leaves room for header fields.
const _: () = assert!(MAX_REQUEST_LINE < MAX_HEAD);
