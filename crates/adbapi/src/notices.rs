//! Owns what PostgreSQL says unasked: NOTICEs and WARNINGs go to the log. Knows no job and no pool.

use std::cell::Cell;

use postgres::error::{DbError, Severity, SqlState};
use tracing::{debug, info, warn};

thread_local! {
    /// Whether PostgreSQL answered this thread's last COMMIT or ROLLBACK with "there is no transaction in progress".
    ///
    /// The client library hides the transaction status, so this warning is the only sign that a job ended the
    /// pool's transaction itself. It comes on the thread that drives the connection, the one that asks afterwards.
    static NO_TRANSACTION: Cell<bool> = const { Cell::new(false) };
}

/// The notice callback of every connection.
pub(super) fn log(notice: DbError) {
    if *notice.code() == SqlState::NO_ACTIVE_SQL_TRANSACTION {
        // The pool may have brought it about itself, to be sure. Who asks knows what it means.
        return NO_TRANSACTION.set(true);
    }
    let (state, message) = (notice.code().code(), notice.message());
    match notice.parsed_severity() {
        Some(Severity::Warning) => {
            warn!(target: super::LOG, sqlstate = state, "PostgreSQL warns: {message}")
        }
        Some(Severity::Debug | Severity::Log) => {
            debug!(target: super::LOG, "PostgreSQL says: {message}")
        }
        _ => info!(target: super::LOG, sqlstate = state, "PostgreSQL notes: {message}"),
    }
}

/// Whether the warning came since this was last asked on this thread.
pub(super) fn take_no_transaction() -> bool {
    NO_TRANSACTION.take()
}
