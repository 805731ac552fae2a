//! Owns how the pool keeps the contract of `sql`, and its short ways for one statement. Must not
//! know connections.

use std::{
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};

use deferred::deferred;
use sql::{
    Database, Deferred, Description, Error, Job, Listener, OnListenEvent, Params, Results,
    RowStream, Rows, Settings, Sql, Statement, Stats, row_stream,
};

use super::{
    pool::{ConnectionPool, Owed, Pool, Ticket, is_explicit, kind_of_job, kind_of_text},
    session::Work,
};

/// Statements that have one of these may change the time limit of those after them.
const CHANGES_LIMIT: [&[u8]; 3] = [b"statement_timeout", b"reset all", b"discard all"];

impl ConnectionPool {
    /// Runs one statement and gives its rows: one round trip, a prepared statement that is kept, no
    /// transaction around it. Does not block; the result comes on an I/O thread.
    pub fn run_query(
        &self,
        sql: impl Into<Sql>,
        params: impl Into<Params<'static>>,
    ) -> Deferred<Rows> {
        let job = Job::new(Statement::new(sql, params));
        self.submit(job).map(|results| results.first)
    }

    /// Runs one statement and gives how many rows it changed; likewise.
    pub fn run_operation(
        &self,
        sql: impl Into<Sql>,
        params: impl Into<Params<'static>>,
    ) -> Deferred<u64> {
        let job = Job::new(Statement::new(sql, params).count());
        self.submit(job).map(|results| results.first.affected())
    }
}

impl Database for ConnectionPool {
    fn submit(&self, job: Job) -> Deferred<Results> {
        let (promise, deferred) = deferred();
        let mut ticket = Ticket::new(Owed::Results(promise), kind_of_job(&job), Instant::now());
        ticket.needs_idle = is_explicit(&job.settings);
        let texts = std::iter::once(&job.first).chain(&job.others);
        let texts = texts.map(|statement| &*statement.sql);
        self.pool().set_limit(&mut ticket, &job.settings, texts);
        if self.pool().settings.slow_query.is_some() {
            ticket.sql = Some(job.first.sql.clone());
        }
        ticket.times = job.times.clone();
        self.pool().submit(ticket, Work::Job(job));
        deferred
    }

    fn stream(&self, settings: Settings, statement: Statement, batch: NonZeroU32) -> RowStream {
        let (promise, deferred) = deferred();
        let (sink, stream) = row_stream(deferred.cancel_handle());
        let sink = Arc::new(sink);
        let end = sink.clone();
        deferred.on_result(move |result: Result<(), Error>| end.finish(result));
        let owed = Owed::Stream(promise, sink);
        let kind = kind_of_text(&statement.sql, "stream");
        let mut ticket = Ticket::new(owed, kind, Instant::now());
        let text = std::iter::once(&*statement.sql);
        self.pool().set_limit(&mut ticket, &settings, text);
        let work = Work::Stream {
            settings,
            statement,
            batch: i32::try_from(batch.get()).unwrap_or(i32::MAX),
        };
        self.pool().submit(ticket, work);
        stream
    }

    fn describe_in(&self, settings: Settings, sql: Sql) -> Deferred<Description> {
        let (promise, deferred) = deferred();
        let kind = kind_of_text(&sql, "describe");
        let mut ticket = Ticket::new(Owed::Description(promise), kind, Instant::now());
        ticket.limit = self.pool().settings.statement_timeout;
        self.pool().submit(ticket, Work::Describe(settings, sql));
        deferred
    }

    fn listen(&self, channel: &str, on_event: OnListenEvent) -> Result<Listener, Error> {
        self.pool().listen(channel, on_event)
    }

    fn max_connections(&self) -> u32 {
        self.pool().settings.cp_max
    }

    fn stats(&self) -> Stats {
        self.stats()
    }

    fn close(&self, grace: Duration) {
        self.close_within(grace);
    }
}

impl Pool {
    /// Notes how long PostgreSQL may be without an answer: the pool's limit for each statement,
    /// unless the job has given itself more time than that.
    pub(crate) fn set_limit<'a>(
        &self,
        ticket: &mut Ticket,
        settings: &Settings,
        texts: impl Iterator<Item = &'a str> + Clone,
    ) {
        let Some(most) = self.settings.statement_timeout else {
            return;
        };
        let own = settings.get_statement_timeout();
        let is_longer = own.is_some_and(|own| own.is_zero() || own > most);
        ticket.changes_limit = texts.clone().any(may_change_limit);
        if !is_longer && !ticket.changes_limit {
            let statements = texts.count() + usize::from(settings.get_before().is_some());
            let statements = u32::try_from(statements).unwrap_or(u32::MAX);
            ticket.limit = Some(most.saturating_mul(statements));
        }
    }
}

fn may_change_limit(sql: &str) -> bool {
    CHANGES_LIMIT.iter().any(|words| {
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
