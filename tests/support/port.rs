//! TCP ports for what is started again on the same one, and for what nobody listens on.

use wampgres::pg_cluster::ReservedPort;

/// A port of 127.0.0.1 that a program which is told of it can listen on, as often as it likes, and
/// that nobody else gets as long as the value is kept.
pub fn reserved() -> ReservedPort {
    ReservedPort::new().expect("a free port")
}
