//! Owns what PostgreSQL reports, and which error of the contract that is. Must not know what was
//! asked.

use std::fmt::Write as _;

use sql::{ErrorKind, Report};

use super::body::lossy;
pub(super) use sql::Error;

/// A report, with what is not for callers.
pub(super) struct Reported {
    pub(super) report: Report,
    /// The severity in English; from PostgreSQL 9.6 on.
    severity: Severity,
    /// The function of the server's that it comes from.
    routine: Box<[u8]>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Severity {
    Fatal,
    Other,
}

impl Reported {
    /// Reads an ErrorResponse or a NoticeResponse. One that is cut off gives what is there.
    pub(super) fn read(body: &[u8]) -> Self {
        let mut read = Self {
            report: Report::default(),
            severity: Severity::Other,
            routine: Box::default(),
        };
        let fields = body.split(|byte| *byte == 0);
        for (&name, value) in fields.filter_map(<[u8]>::split_first) {
            read.set(name, value);
        }
        read
    }

    fn set(&mut self, name: u8, value: &[u8]) {
        let report = &mut self.report;
        match name {
            b'S' => report.severity = lossy(value),
            b'V' if matches!(value, b"FATAL" | b"PANIC") => self.severity = Severity::Fatal,
            b'C' => report.sqlstate = lossy(value),
            b'M' => report.message = lossy(value),
            b'D' => report.detail = Some(lossy(value)),
            b'H' => report.hint = Some(lossy(value)),
            b's' => report.schema = Some(lossy(value)),
            b't' => report.table = Some(lossy(value)),
            b'c' => report.column = Some(lossy(value)),
            b'n' => report.constraint = Some(lossy(value)),
            b'P' => report.position = str::from_utf8(value).ok().and_then(|at| at.parse().ok()),
            b'R' => self.routine = value.into(),
            _ => {}
        }
    }

    /// Whether the session is over. After FATAL and PANIC PostgreSQL closes the connection. 57P01 to
    /// 57P03 come with FATAL from PostgreSQL but not from every pooler.
    pub(super) fn ends_session(&self) -> bool {
        let over = ["57P01", "57P02", "57P03"];
        self.severity == Severity::Fatal || over.contains(&&*self.report.sqlstate)
    }

    /// Whether the statement is prepared on the server no more.
    pub(super) fn is_gone(&self) -> bool {
        &*self.report.sqlstate == "26000"
    }

    /// Whether the statement gives other columns now than when it was prepared. This shares its
    /// SQLSTATE with much else, and its text is translated.
    pub(super) fn is_changed(&self) -> bool {
        &*self.routine == b"RevalidateCachedQuery"
    }

    /// Whether a cancel request has ended the statement. A time limit has the same SQLSTATE, and so
    /// has what a function may raise. Where the server's messages are translated, a time limit
    /// counts as well.
    pub(super) fn is_by_request(&self) -> bool {
        &*self.report.sqlstate == "57014"
            && &*self.routine == b"ProcessInterrupts"
            && &*self.report.message != "canceling statement due to statement timeout"
    }

    /// A statement that was refused.
    pub(super) fn into_error(self) -> Error {
        Error::new(ErrorKind::Database, describe(&self.report)).with_report(self.report)
    }

    /// A session that has ended.
    pub(super) fn into_fault(self) -> Fault {
        Fault {
            why: describe(&self.report).into(),
            report: Some(Box::new(self.report)),
        }
    }
}

/// Why a session is over.
pub(super) struct Fault {
    why: Box<str>,
    report: Option<Box<Report>>,
}

impl Fault {
    pub(super) fn new(why: impl Into<Box<str>>) -> Self {
        Self {
            why: why.into(),
            report: None,
        }
    }

    /// The error of whoever has work under way.
    pub(super) fn into_lost(self) -> Error {
        Self::with(lost(&self.why), self.report)
    }

    /// The error of a log-in.
    pub(super) fn into_refused(self) -> Error {
        let error = Error::new(ErrorKind::Unavailable, self.why);
        Self::with(error, self.report)
    }

    fn with(error: Error, report: Option<Box<Report>>) -> Error {
        match report {
            Some(report) => error.with_report(*report),
            None => error,
        }
    }
}

/// A report in one line, without what could quote a row.
pub(super) fn summary(report: &Report) -> String {
    let Report {
        severity,
        message,
        sqlstate,
        ..
    } = report;
    format!("{severity}: {message} (SQLSTATE {sqlstate})")
}

/// A whole report in one line.
pub(super) fn describe(report: &Report) -> String {
    let mut text = summary(report);
    for (name, value) in [("detail", &report.detail), ("hint", &report.hint)] {
        if let Some(value) = value {
            let _ = write!(text, "; {name}: {value}");
        }
    }
    text
}

/// The error of a statement that was sent and whose connection is gone.
pub(crate) fn lost(why: &str) -> Error {
    let text = "the connection to PostgreSQL was lost, the statement may or may not have run";
    Error::new(ErrorKind::ConnectionLost, format!("{text}: {why}"))
}

/// A server that does not keep to the protocol has sent `what`.
pub(super) fn violation(what: &str) -> Fault {
    Fault::new(format!("PostgreSQL is out of step: it sent {what}"))
}

/// A value that cannot be sent.
pub(super) fn value(why: impl Into<Box<str>>) -> Error {
    Error::new(ErrorKind::Value, why)
}
