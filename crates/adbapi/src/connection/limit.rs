//! Owns what is known of a session's own `statement_timeout`: a job may have set another than the
//! pool's, and PostgreSQL is not frozen if that takes longer. Knows no watchdog.

use postgres::{Client, SimpleQueryMessage};

use super::Connection;

/// Statements that have one of these may change the limit of those after them.
const CHANGES: [&[u8]; 3] = [b"statement_timeout", b"reset all", b"discard all"];

const QUESTION: &str = "SELECT setting FROM pg_settings WHERE name = 'statement_timeout'";

pub(super) struct Limit {
    /// Something was sent that may have changed it.
    pub(super) is_doubtful: bool,
    /// It is longer than the pool's, or off.
    is_longer: bool,
}

impl Limit {
    pub(super) fn new(is_doubtful: bool) -> Self {
        Self {
            is_doubtful,
            is_longer: false,
        }
    }

    /// What is set for a transaction only ends with it, as all that is set does when the session is
    /// reset.
    pub(super) fn end(&mut self) {
        self.is_doubtful |= self.is_longer;
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
            };
        }
    }
}

fn may_change_limit(sql: &str) -> bool {
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
