//! Owns the one table of errors: which WAMP error stands for which error of a database. Must not know
//! what an error is about, nor who is told of it.

use sql::ErrorKind;
use wamp::error_uri;

/// What was stored by others, or refers to it, is in the way. Not one of the specification's, which
/// has none for it.
pub const CONFLICT: &str = "wampgres.error.conflict";

/// The SQLSTATE by which SQL raises a WAMP error of its own.
pub const RAISED: &str = "WAMP0";

/// What an error comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) uri: &'static str,
    pub(super) words: Words,
}

/// Whom PostgreSQL's words are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Words {
    /// They are about what the caller sent, or met.
    Callers,
    /// They are the application's own, for its callers.
    Application,
    /// They are about the inside of a procedure or of the server.
    Operators,
}

/// The errors of a SQLSTATE, or of a class of them.
#[derive(Debug)]
pub(super) struct StateRow {
    /// Five characters, or the two of a class.
    pub(super) state: &'static str,
    /// What PostgreSQL's manual calls it, or what it is used for.
    pub(super) condition: &'static str,
    pub(super) told: Told,
}

/// The errors of a kind that PostgreSQL has not reported.
#[derive(Debug)]
pub(super) struct KindRow {
    pub(super) kind: ErrorKind,
    pub(super) when: &'static str,
    pub(super) uri: &'static str,
    /// Whether a statement may have taken effect.
    pub(super) has_run: &'static str,
}

const fn shown(state: &'static str, condition: &'static str, uri: &'static str) -> StateRow {
    StateRow {
        state,
        condition,
        told: Told {
            uri,
            words: Words::Callers,
        },
    }
}

const fn hidden(state: &'static str, condition: &'static str, uri: &'static str) -> StateRow {
    StateRow {
        state,
        condition,
        told: Told {
            uri,
            words: Words::Operators,
        },
    }
}

const fn own(state: &'static str, condition: &'static str) -> StateRow {
    StateRow {
        state,
        condition,
        told: Told {
            uri: RUNTIME,
            words: Words::Application,
        },
    }
}

const RUNTIME: &str = error_uri::RUNTIME_ERROR;

/// What PostgreSQL reports. A state stands before its class.
///
/// Source: "PostgreSQL Error Codes", appendix A of PostgreSQL's manual.
pub(super) const STATES: &[StateRow] = &[
    hidden("08", "connection exception", error_uri::UNAVAILABLE),
    hidden("09", "triggered action exception", RUNTIME),
    hidden("0A", "feature not supported", RUNTIME),
    hidden("0B", "invalid transaction initiation", RUNTIME),
    hidden("0F", "locator exception", RUNTIME),
    hidden("0L", "invalid grantor", error_uri::NOT_AUTHORIZED),
    hidden(
        "0P",
        "invalid role specification",
        error_uri::NOT_AUTHORIZED,
    ),
    hidden("0Z", "diagnostics exception", RUNTIME),
    hidden("10", "XQuery error", RUNTIME),
    hidden("20", "case not found", RUNTIME),
    hidden("21", "cardinality violation", RUNTIME),
    shown("22", "data exception", error_uri::INVALID_ARGUMENT),
    shown("23001", "restrict violation", CONFLICT),
    shown("23503", "foreign key violation", CONFLICT),
    shown("23505", "unique violation", CONFLICT),
    shown("23P01", "exclusion violation", CONFLICT),
    shown(
        "23",
        "integrity constraint violation",
        error_uri::INVALID_ARGUMENT,
    ),
    hidden("24", "invalid cursor state", RUNTIME),
    shown("25006", "read-only transaction", RUNTIME),
    shown("25P04", "transaction timeout", error_uri::TIMEOUT),
    hidden("25", "invalid transaction state", RUNTIME),
    hidden("26", "invalid SQL statement name", RUNTIME),
    hidden("27", "triggered data change violation", RUNTIME),
    hidden("28", "invalid authorization specification", RUNTIME),
    hidden("2B", "dependent privilege descriptors still exist", RUNTIME),
    hidden("2D", "invalid transaction termination", RUNTIME),
    hidden("2F", "SQL routine exception", RUNTIME),
    hidden("34", "invalid cursor name", RUNTIME),
    hidden("38", "external routine exception", RUNTIME),
    hidden("39", "external routine invocation exception", RUNTIME),
    hidden("3B", "savepoint exception", RUNTIME),
    hidden("3D", "invalid catalog name", RUNTIME),
    hidden("3F", "invalid schema name", RUNTIME),
    shown("40", "transaction rollback", RUNTIME),
    shown("42501", "insufficient privilege", error_uri::NOT_AUTHORIZED),
    hidden("42", "syntax error or access rule violation", RUNTIME),
    shown(
        "44",
        "WITH CHECK OPTION violation",
        error_uri::INVALID_ARGUMENT,
    ),
    hidden("53", "insufficient resources", error_uri::UNAVAILABLE),
    hidden("54", "program limit exceeded", RUNTIME),
    shown("55P03", "lock not available", error_uri::UNAVAILABLE),
    hidden("55", "object not in prerequisite state", RUNTIME),
    shown("57014", "query canceled", error_uri::CANCELED),
    hidden("57", "operator intervention", error_uri::UNAVAILABLE),
    hidden("58", "system error", RUNTIME),
    hidden("72", "snapshot failure", RUNTIME),
    hidden("F0", "configuration file error", RUNTIME),
    hidden("HV", "foreign data wrapper error", RUNTIME),
    hidden("P0000", "PL/pgSQL error", RUNTIME),
    hidden("P0004", "assert failure", RUNTIME),
    own("P0", "PL/pgSQL; `RAISE EXCEPTION` has P0001"),
    hidden("XX", "internal error", RUNTIME),
    own("", "any other, which is the application's own"),
];

/// What no report is of.
pub(super) const KINDS: &[KindRow] = &[
    KindRow {
        kind: ErrorKind::Unavailable,
        when: "no connection to PostgreSQL",
        uri: error_uri::UNAVAILABLE,
        has_run: "no",
    },
    KindRow {
        kind: ErrorKind::QueueFull,
        when: "too many jobs wait already (`queue_limit`)",
        uri: error_uri::UNAVAILABLE,
        has_run: "no",
    },
    KindRow {
        kind: ErrorKind::QueueTimeout,
        when: "the job waited too long (`queue_timeout`)",
        uri: error_uri::UNAVAILABLE,
        has_run: "no",
    },
    KindRow {
        kind: ErrorKind::Closed,
        when: "the node closes the database",
        uri: error_uri::UNAVAILABLE,
        has_run: "no",
    },
    KindRow {
        kind: ErrorKind::Timeout,
        when: "no answer from PostgreSQL, not even to `statement_timeout`",
        uri: error_uri::TIMEOUT,
        has_run: "unknown",
    },
    KindRow {
        kind: ErrorKind::Cancelled,
        when: "the call was canceled",
        uri: error_uri::CANCELED,
        has_run: "unknown",
    },
    KindRow {
        kind: ErrorKind::ConnectionLost,
        when: "the connection was lost while a statement was under way",
        uri: RUNTIME,
        has_run: "unknown",
    },
    KindRow {
        kind: ErrorKind::Value,
        when: "a value cannot be converted to or from SQL",
        uri: RUNTIME,
        has_run: "unknown",
    },
    KindRow {
        kind: ErrorKind::Panicked,
        when: "the procedure has panicked",
        uri: RUNTIME,
        has_run: "unknown",
    },
];

impl Told {
    /// The same where the transaction was only to begin. Nothing of the call was looked at yet, so what
    /// it says is about no argument; and what the application raises there refuses the call.
    pub(super) fn early(self) -> Self {
        match (self.words, self.uri) {
            (_, error_uri::INVALID_ARGUMENT | CONFLICT) => Self {
                uri: RUNTIME,
                words: Words::Operators,
            },
            (Words::Application, RUNTIME) => Self {
                uri: error_uri::NOT_AUTHORIZED,
                ..self
            },
            _ => self,
        }
    }
}

/// What an error of a kind comes to, with the SQLSTATE where PostgreSQL has reported it.
pub(super) fn told(kind: ErrorKind, sqlstate: Option<&str>) -> Told {
    let of_kind = KINDS.iter().find(|row| row.kind == kind);
    // A FATAL that ends the connection has a SQLSTATE too.
    match (of_kind, sqlstate) {
        (Some(row), _) => Told {
            uri: row.uri,
            words: Words::Callers,
        },
        (None, Some(sqlstate)) => of_state(sqlstate),
        (None, None) => Told {
            uri: RUNTIME,
            words: match kind {
                // What failed in a transaction whose closure did not say so.
                ErrorKind::Database => Words::Operators,
                _ => Words::Callers,
            },
        },
    }
}

fn of_state(sqlstate: &str) -> Told {
    let row = STATES.iter().find(|row| sqlstate.starts_with(row.state));
    row.expect("the last row is of all states").told
}
