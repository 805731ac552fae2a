//! Owns what is asked of the outbox in PostgreSQL, by the functions that `sql-install` has made. Must not
//! know when, nor what becomes of events.

use std::{sync::Arc, time::Duration};

use serde::Deserialize;
use sql::{Database, ErrorKind, Job, Params, Results, Rows, Statement, params};

use super::{
    super::{
        super::install::VERSION,
        event::Event,
        table::{EVENTS_AT_ONCE, OCTETS_AT_ONCE},
    },
    pace::Found,
    signals::Signals,
};

/// The outbox of a database.
pub(super) struct Source {
    db: Arc<dyn Database>,
    signals: Arc<Signals>,
}

/// Events that are new, and how to go on.
pub(super) struct Page {
    pub(super) events: Vec<Event>,
    pub(super) state: State,
}

/// The last row of `wampgres.read_outbox`.
#[derive(Debug, Deserialize)]
pub(in super::super) struct State {
    /// After these events.
    pub(in super::super) position: String,
    pub(in super::super) more: bool,
    /// Events may have been deleted that nobody has read from this position.
    pub(in super::super) missing: bool,
    oldest: String,
    newest: String,
    awake_ms: f64,
    standby: bool,
    pub(super) timeline: Option<String>,
    version: u32,
}

/// Why an outbox cannot be read.
#[derive(Debug)]
pub(in crate::sql) enum Unusable {
    /// It is not there, or not for this program or its user.
    Faulty(String),
    /// PostgreSQL cannot be asked now.
    Unavailable(String),
}

/// Whether a database has an outbox that can be read.
///
/// # Blocking
/// Until PostgreSQL has answered.
pub(in crate::sql) fn check(db: &Arc<dyn Database>) -> Result<(), Unusable> {
    let source = Source::new(db.clone(), Arc::default());
    let Err(error) = source.read(None) else {
        return Ok(());
    };
    Err(match (mend(&error), error.kind()) {
        (Some(mend), _) => Unusable::Faulty(format!("{error}; {mend}")),
        (None, ErrorKind::Config | ErrorKind::Database | ErrorKind::Other) => {
            Unusable::Faulty(error.to_string())
        }
        _ => Unusable::Unavailable(error.to_string()),
    })
}

impl Source {
    pub(super) fn new(db: Arc<dyn Database>, signals: Arc<Signals>) -> Self {
        Self { db, signals }
    }

    /// The events since a position, or the position of now.
    pub(super) fn read(&self, position: Option<&str>) -> Result<Page, sql::Error> {
        let position = position.map(str::to_owned);
        let sql = "SELECT * FROM wampgres.read_outbox($1, $2, $3)";
        let results = self.ask(
            sql,
            params![
                position,
                i32::from(EVENTS_AT_ONCE),
                i64::from(OCTETS_AT_ONCE)
            ],
        )?;
        let mut events = Vec::with_capacity(results.first.len());
        for row in results.first.iter() {
            events.extend(Event::read(&row)?);
        }
        let state = State::read(&results.first)?;
        state.check()?;
        Ok(Page { events, state })
    }

    /// Publishers are to wake nobody for a time.
    pub(super) fn stay_awake(&self, time: Duration) -> Result<(), sql::Error> {
        let time = i32::try_from(time.as_millis()).unwrap_or(i32::MAX);
        let asked = self.ask("SELECT wampgres.stay_awake($1)", params![time]);
        asked.map(drop)
    }

    /// The number of the next transaction.
    pub(super) fn next_transaction(&self) -> Result<u64, sql::Error> {
        let results = self.ask("SELECT pg_current_xact_id()::text", ().into())?;
        let row = results.first.row(0).ok_or_else(no_row)?;
        number(&row.get::<String>(0)?)
    }

    fn ask(&self, sql: &'static str, params: Params<'static>) -> Result<Results, sql::Error> {
        let asked = self.db.submit(Job::new(Statement::new(sql, params)));
        self.signals.waits_for(asked.cancel_handle());
        asked.wait()
    }
}

impl State {
    /// Reads the last row.
    pub(in super::super) fn read(rows: &Rows) -> Result<Self, sql::Error> {
        let last = rows.len().checked_sub(1).and_then(|last| rows.row(last));
        let state: String = last.ok_or_else(no_row)?.get("state")?;
        serde_json::from_str(&state).map_err(|error| {
            sql::Error::custom(format!(
                "the outbox is of another version ({error}): run `wampgres sql-install`"
            ))
        })
    }

    fn check(&self) -> Result<(), sql::Error> {
        if self.standby {
            return Err(sql::Error::config(
                "the outbox is read where it is written, on the primary: write \
                 \"target_session_attrs\": \"primary\" into the database",
            ));
        }
        if self.version < VERSION {
            return Err(sql::Error::config(format!(
                "version {} of the schema wampgres is installed, older than {VERSION}: run \
                 `wampgres sql-install`",
                self.version
            )));
        }
        Ok(())
    }

    pub(super) fn found(&self, events: usize) -> Result<Found, sql::Error> {
        Ok(Found {
            events,
            more: self.more,
            awake: Duration::from_millis(self.awake_ms.max(0.0) as u64),
            oldest: number(&self.oldest)?,
        })
    }

    /// Whether this server has come less far than the position says.
    pub(super) fn is_behind(&self, position: &str) -> bool {
        let newest = position.split(':').nth(1).map(number);
        match (newest, number(&self.newest)) {
            (Some(Ok(newest)), Ok(here)) => here < newest,
            _ => false,
        }
    }
}

fn number(text: &str) -> Result<u64, sql::Error> {
    let number = text.parse();
    number.map_err(|_| sql::Error::custom(format!("{text:?} is no number of a transaction")))
}

fn no_row() -> sql::Error {
    sql::Error::custom("a function of the schema wampgres gives no row: run `wampgres sql-install`")
}

/// What is to be done about an error, as far as it can be told.
pub(in super::super) fn mend(error: &sql::Error) -> Option<&'static str> {
    match error.sqlstate()? {
        // No such schema, table or function.
        "3F000" | "42P01" | "42883" => {
            Some("the outbox is not installed in this database: run `wampgres sql-install`")
        }
        "42501" => Some(
            "the user of the database may not read the outbox: GRANT EXECUTE ON ALL FUNCTIONS IN \
             SCHEMA wampgres to it, see docs/topics.md",
        ),
        _ => None,
    }
}

/// Whether nothing can be asked any more.
pub(super) fn is_over(error: &sql::Error) -> bool {
    error.kind() == ErrorKind::Closed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_may_have_come_less_far_than_a_position_says() {
        let state = State {
            position: String::new(),
            more: false,
            missing: false,
            oldest: "90".to_owned(),
            newest: "100".to_owned(),
            awake_ms: 0.0,
            standby: false,
            timeline: None,
            version: VERSION,
        };
        for (position, is_behind) in [
            ("90:100:", false),
            ("90:101:", true),
            ("90:1000:95,99", true),
            ("90:99:;90:101:;5;0;0", false),
        ] {
            assert_eq!(state.is_behind(position), is_behind, "{position}");
        }
    }

    #[test]
    fn what_cannot_work_names_its_mend() {
        let read = |standby, version| State {
            position: String::new(),
            more: false,
            missing: false,
            oldest: String::new(),
            newest: String::new(),
            awake_ms: 0.0,
            standby,
            timeline: None,
            version,
        };
        assert!(read(false, VERSION).check().is_ok());
        assert!(read(false, VERSION + 1).check().is_ok());
        for (state, mend) in [
            (read(true, VERSION), "\"target_session_attrs\": \"primary\""),
            (read(false, 0), "run `wampgres sql-install`"),
        ] {
            let told = state.check().unwrap_err().to_string();
            assert!(told.contains(mend), "{told}");
        }
    }
}
