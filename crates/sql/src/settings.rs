//! Owns what a job sets for its transaction, and how that is said to PostgreSQL. Must not know what
//! the settings are for.

use std::{borrow::Cow, fmt, time::Duration};

use super::{error::Error, params::Sql, words::is_atomic};

/// What holds for the transaction of a job and for nothing after it.
///
/// The names and values of [`set`](Self::set) are not shown by `Debug`: they may be secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Settings {
    local: Vec<(Cow<'static, str>, String)>,
    role: Option<String>,
    time_zone: Option<String>,
    read_only: Option<bool>,
    isolation: Option<Isolation>,
    statement_timeout: Option<Duration>,
    before: Option<Sql>,
}

/// A transaction's isolation: see ["Transaction
/// Isolation"](https://www.postgresql.org/docs/current/transaction-iso.html) in PostgreSQL's
/// manual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Each statement sees what was committed before it.
    ReadCommitted,
    /// All statements see what was committed before the first.
    RepeatableRead,
    /// As if transactions ran one after the other.
    Serializable,
}

/// As much as PostgreSQL's limits hold, in milliseconds.
const LONGEST: u128 = i32::MAX as u128;

impl Settings {
    /// Nothing set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a parameter as `set_config(name, value, true)` does: who calls, for instance, which
    /// SQL then reads by `current_setting`. A name of one's own has a dot in it.
    #[must_use]
    pub fn set(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.local.push((name.into(), value.into()));
        self
    }

    /// The role whose rights the statements have, as by `SET LOCAL ROLE`.
    #[must_use]
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.role = Some(role.into());
        self
    }

    /// The time zone, as by `SET LOCAL TIME ZONE`.
    #[must_use]
    pub fn time_zone(mut self, zone: impl Into<String>) -> Self {
        self.time_zone = Some(zone.into());
        self
    }

    /// Whether the statements may not write.
    #[must_use]
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = Some(read_only);
        self
    }

    /// The isolation of the transaction.
    #[must_use]
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.isolation = Some(isolation);
        self
    }

    /// How long each statement may run, in milliseconds, of which one that has begun counts; zero
    /// is no limit.
    #[must_use]
    pub fn statement_timeout(mut self, limit: Duration) -> Self {
        self.statement_timeout = Some(limit);
        self
    }

    /// A statement that runs when all else is set and before those of the job, whose rows nobody sees.
    /// If it fails, so does the job. It has no parameters and no semicolon, and is a query or one that
    /// changes rows.
    #[must_use]
    pub fn before(mut self, statement: impl Into<Sql>) -> Self {
        self.before = Some(statement.into());
        self
    }

    /// What runs before the statements of the job.
    pub fn get_before(&self) -> Option<&Sql> {
        self.before.as_ref()
    }

    /// How long each statement may run, if that is set.
    pub fn get_statement_timeout(&self) -> Option<Duration> {
        self.statement_timeout
    }

    /// Whether nothing is set, so that a single statement needs no transaction around it.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the statements may not write, if that is set.
    pub fn get_read_only(&self) -> Option<bool> {
        self.read_only
    }

    /// The isolation, if it is set.
    pub fn get_isolation(&self) -> Option<Isolation> {
        self.isolation
    }

    /// The statements that begin a transaction with these settings, to be sent in one message of
    /// the simple query protocol.
    ///
    /// # Errors
    /// As for [`local`](Self::local).
    pub fn begin(&self) -> Result<String, Error> {
        let mut script = self.begin_alone();
        if let Some(local) = self.local()? {
            script.push_str("; ");
            script.push_str(&local);
        }
        Ok(script)
    }

    /// The statement that begins a transaction, without what [`local`](Self::local) sets.
    pub fn begin_alone(&self) -> String {
        let mut script = String::from("BEGIN");
        script.push_str(match self.isolation {
            None => "",
            Some(Isolation::ReadCommitted) => " ISOLATION LEVEL READ COMMITTED",
            Some(Isolation::RepeatableRead) => " ISOLATION LEVEL REPEATABLE READ",
            Some(Isolation::Serializable) => " ISOLATION LEVEL SERIALIZABLE",
        });
        script.push_str(match self.read_only {
            None => "",
            Some(true) => " READ ONLY",
            Some(false) => " READ WRITE",
        });
        script
    }

    /// What is set inside of a transaction, in the order in which it is to be set: the names and
    /// values for `set_config(name, value, true)`. Isolation and whether it may write are not in it.
    pub fn each(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        let zone = self.time_zone.as_deref().map(Cow::Borrowed);
        let timeout = self.statement_timeout.map(milliseconds).map(Cow::Owned);
        let first = [("TimeZone", zone), ("statement_timeout", timeout)];
        let first = (first.into_iter()).filter_map(|(name, value)| Some((name, value?)));
        let local = (self.local.iter()).map(|(name, value)| (&**name, Cow::Borrowed(&**value)));
        // The last one, because the role may not be allowed to set the others.
        let role = (self.role.as_deref()).map(|role| ("role", Cow::Borrowed(role)));
        first.chain(local).chain(role)
    }

    /// Whether all of it can be said to PostgreSQL.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if a name or a value has a NUL in it, which
    /// PostgreSQL's text cannot have, or if what runs [before](Self::before) is no such statement.
    pub fn check(&self) -> Result<(), Error> {
        if (self.each()).any(|(name, value)| name.contains('\0') || value.contains('\0')) {
            let fault = "a setting of a transaction has a NUL in its name or value";
            return Err(Error::config(fault));
        }
        let is_one = |before: &Sql| is_atomic(before) && !before.contains(['\0', ';']);
        if !self.before.as_ref().is_none_or(is_one) {
            let fault =
                "what runs before the statements of a job is to be one query without a semicolon";
            return Err(Error::config(fault));
        }
        Ok(())
    }

    /// The statements that set, inside of a transaction, what BEGIN cannot say, and what runs
    /// [before](Self::before) those of the job; `None` if there is neither. Names and values are
    /// quoted.
    ///
    /// # Errors
    /// As for [`check`](Self::check).
    pub fn local(&self) -> Result<Option<String>, Error> {
        self.check()?;
        let mut script = String::new();
        for (name, value) in self.each() {
            script.push_str(if script.is_empty() { "SELECT " } else { ", " });
            script.push_str("pg_catalog.set_config(");
            push_literal(&mut script, name);
            script.push_str(", ");
            push_literal(&mut script, &value);
            script.push_str(", true)");
        }
        if let Some(before) = &self.before {
            script.push_str(if script.is_empty() { "" } else { "; " });
            script.push_str(before);
        }
        Ok(Some(script).filter(|script| !script.is_empty()))
    }
}

/// A limit as PostgreSQL reads it. One that is shorter than a millisecond is not none.
fn milliseconds(limit: Duration) -> String {
    limit.as_micros().div_ceil(1000).min(LONGEST).to_string()
}

/// Adds `text` as a literal that means the same whatever `standard_conforming_strings` is.
fn push_literal(script: &mut String, text: &str) {
    if text.contains('\\') {
        script.push('E');
    }
    script.push('\'');
    for c in text.chars() {
        if matches!(c, '\'' | '\\') {
            script.push(c);
        }
        script.push(c);
    }
    script.push('\'');
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("set", &self.local.len())
            .field("role", &self.role)
            .field("time_zone", &self.time_zone)
            .field("read_only", &self.read_only)
            .field("isolation", &self.isolation)
            .field("statement_timeout", &self.statement_timeout)
            .field("before", &self.before)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_begin_a_transaction_in_one_message() {
        for (settings, script) in [
            (Settings::new(), "BEGIN"),
            (
                Settings::new()
                    .isolation(Isolation::Serializable)
                    .read_only(true),
                "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY",
            ),
            (
                Settings::new().role("o'brien").set("app.user", r"a\b"),
                r"BEGIN; SELECT pg_catalog.set_config('app.user', E'a\\b', true), pg_catalog.set_config('role', 'o''brien', true)",
            ),
            (
                Settings::new().statement_timeout(Duration::from_micros(1)),
                "BEGIN; SELECT pg_catalog.set_config('statement_timeout', '1', true)",
            ),
            (
                Settings::new().set("a.b", "c").before("SELECT f()"),
                "BEGIN; SELECT pg_catalog.set_config('a.b', 'c', true); SELECT f()",
            ),
            (Settings::new().before("SELECT f()"), "BEGIN; SELECT f()"),
        ] {
            assert_eq!(settings.begin().unwrap(), script);
        }
        for refused in [
            Settings::new().set("app.user", "a\0b"),
            Settings::new().before("SELECT '\0'"),
            Settings::new().before("SELECT 1; COMMIT"),
            Settings::new().before("COMMIT"),
            Settings::new().before(""),
        ] {
            assert!(refused.begin().is_err(), "{refused:?}");
        }
    }

    #[test]
    fn debug_never_shows_what_is_set() {
        let shown = format!("{:?}", Settings::new().set("app.token", "hunter2"));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
