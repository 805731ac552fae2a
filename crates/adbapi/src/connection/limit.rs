//! Owns what is known of a session's own `statement_timeout`: a job may have set another than the
//! pool's, and PostgreSQL is not frozen if that takes longer. Knows no watchdog.

use std::{sync::Arc, time::Duration};

use postgres::{Client, SimpleQueryMessage};
use sql::Settings;

use super::{super::pool::worker_state::WorkerState, Connection};

/// Statements that have one of these may change the limit of those after them.
const CHANGES: [&[u8]; 3] = [b"statement_timeout", b"reset all", b"discard all"];

const QUESTION: &str = "SELECT setting FROM pg_settings WHERE name = 'statement_timeout'";

pub(super) struct Limit {
    /// Something was sent that may have changed it.
    pub(super) is_doubtful: bool,
    /// It is longer than the pool's, or off.
    is_longer: bool,
    /// It is set for the transaction only.
    is_local: bool,
}

impl Limit {
    pub(super) fn new(is_doubtful: bool) -> Self {
        Self {
            is_doubtful,
            is_longer: false,
            is_local: false,
        }
    }

    fn set_local(&mut self, limit: Duration, most: Duration) {
        *self = Self {
            is_doubtful: false,
            is_longer: is_longer(limit, most),
            is_local: true,
        };
    }

    /// What is set for a transaction only ends with it, as all that is set does when the session is
    /// reset.
    pub(super) fn end(&mut self) {
        self.is_doubtful |= self.is_longer || self.is_local;
        self.is_local = false;
    }
}

impl Connection {
    /// Runs a job's statement. The watchdog ends the job if it takes too long, unless the job has
    /// given itself more time than the pool gives.
    pub(super) fn limited<T>(&mut self, sql: &str, run: impl FnOnce(&mut Client) -> T) -> T {
        if self.settings.statement_timeout.is_none() {
            return run(&mut self.client);
        }
        if self.limit.is_doubtful {
            self.learn_limit();
        }
        let answer = if self.limit.is_longer {
            run(&mut self.client)
        } else {
            self.timed(run)
        };
        self.limit.is_doubtful |= may_change_limit(sql);
        answer
    }

    /// Notes what a job has set for its transaction by `script`.
    pub(super) fn limit_is_set(&mut self, settings: &Settings, script: &str) {
        match (
            settings.get_statement_timeout(),
            self.settings.statement_timeout,
        ) {
            (Some(limit), Some(most)) => self.limit.set_local(limit, most),
            _ => self.limit.is_doubtful |= may_change_limit(script),
        }
    }

    /// The state of the worker that has the connection, if the watchdog is to see how long statements
    /// with these settings take.
    pub(super) fn watched(&mut self, settings: &Settings) -> Option<Arc<WorkerState>> {
        let most = self.settings.statement_timeout?;
        if self.limit.is_doubtful {
            self.learn_limit();
        }
        let is_longer = match settings.get_statement_timeout() {
            Some(limit) => is_longer(limit, most),
            None => self.limit.is_longer,
        };
        self.state.clone().filter(|_| !is_longer)
    }

    /// Asks for the limit. In a failed transaction PostgreSQL does not answer that, but nothing
    /// runs for long there either.
    fn learn_limit(&mut self) {
        let Ok(answers) = self.timed(|client| client.simple_query(QUESTION)) else {
            return;
        };
        let millis = answers.iter().find_map(|answer| match answer {
            SimpleQueryMessage::Row(row) => row.get(0)?.parse::<u128>().ok(),
            _ => None,
        });
        let most = self
            .settings
            .statement_timeout
            .map(|limit| limit.as_millis());
        if let (Some(millis), Some(most)) = (millis, most) {
            self.limit = Limit {
                is_doubtful: false,
                is_longer: millis == 0 || millis > most,
                is_local: self.limit.is_local,
            };
        }
    }
}

fn is_longer(limit: Duration, most: Duration) -> bool {
    limit.is_zero() || limit > most
}

pub(super) fn may_change_limit(sql: &str) -> bool {
    CHANGES.iter().any(|words| {
        let mut places = sql.as_bytes().windows(words.len());
        places.any(|place| place[0] | 0x20 == words[0] && place.eq_ignore_ascii_case(words))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_change_the_limit_is_seen_by_its_words() {
        for (sql, may) in [
            ("SET LOCAL statement_timeout = 0", true),
            ("select set_config('Statement_Timeout', '0', true)", true),
            ("RESET ALL", true),
            ("DISCARD ALL", true),
            ("SELECT 1", false),
            ("", false),
            ("SET lock_timeout = 1", false),
        ] {
            assert_eq!(may_change_limit(sql), may, "{sql}");
        }
    }
}
