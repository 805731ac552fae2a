//! Owns how a connection of a shard comes about, from the attempt to the first job. Must not know
//! jobs.

use std::{
    net::IpAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Instant,
};

use deferred::Failure;
use reactor::Io;
use sql::{Error, ErrorKind, Server, Sql, tls_server_end_point};

use super::{
    Pool,
    health::jitter,
    shard::Locked,
    slot::{Purpose, Slot, Stage, Step},
    ticket::{Owed, Ticket},
    turn::{Todo, Turn},
};
use crate::{
    connecting::{Attempt, Next, SILENT, Target, question},
    connection::{Fault, Role, Speaker},
    error::broken,
    session::{Login, Outcome, Session, SessionOptions},
    settings::{Opened, Reset},
};

/// DISCARD ALL, but prepared statements stay.
const DISCARD: &str = "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; UNLISTEN *; \
                       SELECT pg_advisory_unlock_all(); DISCARD SEQUENCES; DISCARD TEMP";

/// Gives the settings of the session as statements that set them again.
const SETTINGS: &str = "SELECT format('SELECT pg_catalog.set_config(%L, %L, false)', name, current_setting(name)) \
                        FROM pg_catalog.pg_settings WHERE source = 'session'";

/// PostgreSQL's code when no line of pg_hba.conf lets the client in.
const NOT_LET_IN: &str = "28000";

/// PostgreSQL's code when somebody has ended the session.
const ENDED: &str = "57P01";
/// So often a session that was ended before its first job is opened at once again.
const MOST_RUNS: u8 = 5;

/// What to do next for an attempt, without the lock.
enum Move {
    Connect(u64, Target, Instant),
    Resolve(Server),
    Nothing,
}

impl Pool {
    /// Goes on with the attempt of a slot until something must be waited for.
    pub(crate) fn advance(self: &Arc<Self>, shard: usize, mut key: u64, turn: &mut Turn) {
        loop {
            let next = self.locked(shard, Instant::now(), turn).next_move(key);
            let (target, deadline) = match next {
                Move::Nothing => return,
                Move::Resolve(server) => return self.resolve(shard, key, &server),
                Move::Connect(new, target, deadline) => {
                    key = new;
                    (target, deadline)
                }
            };
            let home = &self.shards[shard].home;
            match self.servers.open(&target.place) {
                Ok(socket) => {
                    let speaker = Speaker {
                        pool: self.clone(),
                        role: Role::Session { shard, key },
                        deadline,
                        fault: None,
                        waits_for_tls: false,
                    };
                    return home.adopt(socket, self.servers.encryption(&target), speaker);
                }
                Err(why) => {
                    let mut locked = self.locked(shard, Instant::now(), turn);
                    let Some(at) = locked.state.find(key) else {
                        return;
                    };
                    locked.note_failure(at, why, false);
                }
            }
        }
    }

    fn resolve(self: &Arc<Self>, shard: usize, key: u64, server: &Server) {
        let pool = Arc::downgrade(self);
        let told = move |found: Result<Vec<IpAddr>, String>| {
            let Some(pool) = pool.upgrade() else { return };
            let mut turn = Turn::default();
            let mut locked = pool.locked(shard, Instant::now(), &mut turn);
            if let Some(at) = locked.state.find(key)
                && let Stage::Opening(opening) = &mut locked.state.slots[at].stage
            {
                opening.attempt.resolved(&pool.servers, found);
                locked.turn.push(Todo::Attempt(key));
            }
            drop(locked);
            pool.finish(shard, turn);
        };
        self.servers.resolver.resolve(&server.host, Box::new(told));
    }

    /// Why connecting has neither succeeded nor failed for long.
    pub(crate) fn silence(&self) -> String {
        let hosts = self.servers.settings.servers.iter();
        let resolving = hosts
            .map(|server| &*server.host)
            .find(|host| self.servers.resolver.is_resolving(host));
        match resolving {
            Some(name) => format!(
                "the host name {name} does not resolve in time: the system's name servers do not answer"
            ),
            None => SILENT.to_owned(),
        }
    }

    /// The channel to the server is there, encrypted or not: the session begins.
    pub(crate) fn connected(
        self: &Arc<Self>,
        shard: usize,
        key: u64,
        secured: Option<Option<&[u8]>>,
        io: &mut Io<'_>,
    ) {
        let mut state = self.shards[shard].state();
        let Some(at) = state.find(key) else {
            return io.abort();
        };
        let slot = &mut state.slots[at];
        let Some(target) = &slot.target else { return };
        let (password, hint) = self.servers.password(target.server);
        if let Stage::Opening(opening) = &mut slot.stage {
            opening.hint = hint;
        }
        let settings = &self.servers.settings;
        let login = Login {
            user: settings.user.clone(),
            database: settings.database.clone(),
            password,
            application_name: settings.application_name.clone(),
            options: settings.options.clone(),
            channel_binding: settings.channel_binding,
            binding: secured.flatten().and_then(tls_server_end_point),
            is_encrypted: secured.is_some(),
        };
        let options = SessionOptions {
            statement_cache: self.settings.statement_cache,
        };
        let mut session = Session::new(login, self.sessions.clone(), options);
        let started = session.start(io.out());
        (slot.session, slot.counted) = (Some(session), (0, 0));
        drop(state);
        if let Err(error) = started {
            self.act(shard, io.now, |locked| locked.broke(key, &error));
            io.abort();
        }
    }

    /// Asks whoever sets up sessions, and begins with it.
    pub(crate) fn set_up(&self, shard: usize, key: u64, opened: Opened, turn: &mut Turn) {
        let asked = self.settings.on_connect.as_ref();
        let own = asked.map_or(Ok(Vec::new()), |on_connect| {
            let own = catch_unwind(AssertUnwindSafe(|| on_connect(&opened)));
            own.unwrap_or_else(|panic| Err(Error::panicked(deferred::panic_message(&*panic))))
        });
        let mut locked = self.locked(shard, Instant::now(), turn);
        if let Some(at) = locked.state.find(key) {
            locked.begin_set_up(at, own);
        }
    }
}

impl Locked<'_> {
    /// What the attempt of this slot tries next; under a new key, so that the last socket speaks to
    /// nobody.
    fn next_move(&mut self, key: u64) -> Move {
        let Some(at) = self.state.find(key) else {
            return Move::Nothing;
        };
        let servers = &self.pool.servers;
        let slot = &mut self.state.slots[at];
        let Stage::Opening(opening) = &mut slot.stage else {
            return Move::Nothing;
        };
        match opening.attempt.next(servers) {
            Next::Connect(target) => {
                let deadline = self.now + servers.limit;
                opening.deadline = deadline;
                opening.steps.clear();
                (slot.key, slot.target) = (self.pool.next_key(), Some(target.clone()));
                (slot.session, slot.connection) = (None, None);
                (slot.unflushed, slot.is_called) = (0, false);
                slot.out.clear();
                Move::Connect(slot.key, target, deadline)
            }
            Next::Resolve(number) => Move::Resolve(servers.server(number).clone()),
            Next::Failed(reason) => {
                self.gave_up(at, &reason);
                Move::Nothing
            }
        }
    }

    /// No server can be had.
    fn gave_up(&mut self, at: usize, reason: &str) {
        let slot = self.state.slots.swap_remove(at);
        if slot.purpose == Purpose::Listening {
            return self.turn.push(Todo::NotListening(reason.to_owned()));
        }
        self.pool.health.refused(reason, self.now);
        // The task of this shard tries again.
        self.dispatch();
        let waits = !self.state.queue.is_empty() || self.state.least > 0;
        if waits && let Err(at) = self.pool.health.admit(self.now) {
            self.arm(at);
        }
    }

    pub(crate) fn note_failure(&mut self, at: usize, why: String, may_depend_on_encryption: bool) {
        if let Stage::Opening(opening) = &mut self.state.slots[at].stage {
            opening.attempt.failed(why, may_depend_on_encryption);
        }
    }

    /// The socket of an attempt is of no use.
    pub(crate) fn attempt_failed_by(&mut self, at: usize, fault: &Fault) {
        let why = if fault.is_of_tls {
            self.pool.servers.explain_tls(&fault.text)
        } else {
            fault.text.clone()
        };
        self.try_next(at, why, fault.is_of_tls);
    }

    /// The server has refused the session, or its set-up has failed.
    pub(crate) fn attempt_failed(&mut self, at: usize, error: &Error) {
        let servers = &self.pool.servers;
        let wanted = match self.state.slots[at].purpose {
            Purpose::Jobs => self.wanted(),
            Purpose::Listening => servers.wanted_to_listen(),
        };
        if let Stage::Opening(opening) = &mut self.state.slots[at].stage
            && error.sqlstate() == Some(ENDED)
            && opening.runs < MOST_RUNS
        {
            // That says nothing of the server, which lets the next one in.
            opening.runs += 1;
            opening.attempt = Attempt::new(servers, wanted);
            return self.try_anew(at);
        }
        let why = match &self.state.slots[at].stage {
            Stage::Opening(opening) => opening.hint.explain(error),
            _ => error.to_string(),
        };
        self.try_next(at, why, error.sqlstate() == Some(NOT_LET_IN));
    }

    fn try_next(&mut self, at: usize, why: String, may_depend_on_encryption: bool) {
        self.note_failure(at, why, may_depend_on_encryption);
        self.try_anew(at);
    }

    fn try_anew(&mut self, at: usize) {
        // What the old socket says is for nobody from now on.
        let key = self.pool.next_key();
        self.state.slots[at].key = key;
        self.turn.push(Todo::Attempt(key));
    }

    fn begin_set_up(&mut self, at: usize, own: Result<Vec<Sql>, Error>) {
        let own = match own {
            Ok(own) => own,
            Err(error) => {
                let why = format!("on_connect failed: {error}");
                return self.attempt_failed(at, &Error::new(ErrorKind::Other, why));
            }
        };
        let settings = &self.pool.settings;
        let slot = &mut self.state.slots[at];
        let for_jobs = slot.purpose == Purpose::Jobs;
        let Stage::Opening(opening) = &mut slot.stage else {
            return;
        };
        let question = question(opening.attempt.wanted);
        opening
            .steps
            .extend(question.map(|question| Step::Question {
                sql: question.sql,
                unwanted: question.unwanted,
                objection: question.objection,
            }));
        if for_jobs {
            let limit = settings.statement_timeout;
            let set = limit.map(|limit| format!("SET statement_timeout = {}", limit.as_millis()));
            let own = own.iter().map(|sql| (**sql).to_owned());
            opening
                .steps
                .extend(set.into_iter().chain(own).map(Step::Run));
            if settings.reset == Reset::Discard {
                opening.steps.push_back(Step::LearnReset(SETTINGS));
            }
            if opening.steps.is_empty() {
                // It measures the way to the server.
                let good = settings.cp_good_sql.clone();
                opening.steps.push_back(Step::Run(good));
            }
        }
        self.next_step(at);
    }

    fn next_step(&mut self, at: usize) {
        let Stage::Opening(opening) = &self.state.slots[at].stage else {
            return;
        };
        let script = match opening.steps.front() {
            None => return self.opened(at),
            Some(Step::Question { sql, .. } | Step::LearnReset(sql)) => (*sql).to_owned(),
            Some(Step::Run(script)) => script.clone(),
        };
        let ticket = Ticket::own(Owed::SetUp, self.now);
        self.send_own(at, ticket, script);
    }

    /// A step of setting up has ended.
    pub(crate) fn set_up_done(&mut self, at: usize, result: Result<Outcome, Error>) {
        let slot = &mut self.state.slots[at];
        let Stage::Opening(opening) = &mut slot.stage else {
            return;
        };
        let step = opening.steps.pop_front();
        let answers = match result {
            Ok(Outcome::Simple(answers)) => answers,
            Ok(_) => Vec::new(),
            Err(error) => return self.attempt_failed(at, &error),
        };
        match step {
            Some(Step::Question {
                unwanted,
                objection,
                ..
            }) if answers.iter().flatten().any(|answer| **answer == *unwanted) => {
                return self.attempt_failed(at, &broken(objection));
            }
            Some(Step::LearnReset(_)) => {
                let settings = answers.iter().flatten().map(|set| &**set);
                let script: Vec<_> = std::iter::once(DISCARD).chain(settings).collect();
                slot.reset = Some(script.join("; "));
            }
            _ => {}
        }
        self.next_step(at);
    }

    /// The connection is ready for its first job.
    fn opened(&mut self, at: usize) {
        let lifetime = self.pool.settings.max_lifetime;
        let now = self.now;
        let slot: &mut Slot = &mut self.state.slots[at];
        slot.stage = Stage::Open;
        (slot.opened, slot.last_used) = (now, now);
        slot.expires = lifetime.map(|lifetime| now + lifetime - jitter(lifetime / 10));
        let (purpose, expires) = (slot.purpose, slot.expires);
        if purpose == Purpose::Listening {
            self.turn.push(Todo::CanListen);
            return;
        }
        self.pool.health.connected();
        let idle = self.pool.settings.idle_timeout.map(|limit| now + limit);
        for at in [idle, expires].into_iter().flatten() {
            self.arm(at);
        }
        self.turn.push(Todo::TakeOver);
        self.dispatch();
    }
}
