//! Owns the tests of what the pool does whatever the database, and the database that they use: one
//! that does what a test tells it. None of them needs PostgreSQL.

mod cancelling;
mod closing;
mod connections;
mod jobs;
mod other_managers;
mod queue;

use std::{
    collections::HashSet,
    sync::{
        Arc, Barrier, Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use r2d2::ManageConnection;

use super::{
    super::{Builder, Canceller, ConnectionPool, Deferred, Driver, Error, Promise, deferred},
    LIMIT, eventually, outcome,
};

/// What the tests' database does, and what it was asked.
#[derive(Default)]
struct State {
    /// Why it takes no connections, if it takes none.
    refuses: Option<&'static str>,
    /// How many connections it takes at most, if that is limited.
    room: Option<usize>,
    connect_panics: bool,
    /// Connections that have died, whether the pool knows it or not.
    dead: HashSet<usize>,
    /// Connections that die as soon as a transaction is to begin.
    dying: HashSet<usize>,
    /// Connections on which a transaction can't begin, though they live.
    beginless: HashSet<usize>,
    /// Connections that `is_valid` must try.
    suspect: HashSet<usize>,
    /// Connections that `is_valid` refuses.
    invalid: HashSet<usize>,
    rollback_fails: bool,
    cancelled: HashSet<usize>,
    cancel_hangs: bool,
    attempts: usize,
    opened: usize,
    open: usize,
    most_open: usize,
    /// What was asked of which connection, but for checks.
    asked: Vec<(usize, &'static str)>,
    /// How often a connection was looked at, and tried.
    looks: usize,
    trials: usize,
}

/// The tests' database.
#[derive(Clone, Default)]
struct Fake {
    state: Arc<(Mutex<State>, Condvar)>,
}

impl Fake {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.0.lock().unwrap()
    }

    fn pool(&self, set: impl FnOnce(Builder<Self>) -> Builder<Self>) -> ConnectionPool<Self> {
        set(ConnectionPool::with_driver(self.clone()).cp_min(0))
            .build()
            .unwrap()
    }

    /// What a connection was asked, in order.
    fn asked_of(&self, id: usize) -> Vec<&'static str> {
        let state = self.state();
        let its = state.asked.iter().filter(|(asked, _)| *asked == id);
        its.map(|(_, what)| *what).collect()
    }
}

/// A connection to the tests' database. The first has the number 1.
struct FakeConnection {
    id: usize,
    database: Fake,
}

impl FakeConnection {
    /// Dies, and gives the error of it.
    fn die(&self) -> Error {
        self.database.state().dead.insert(self.id);
        Error::custom("the connection died")
    }

    /// Works until it is cancelled.
    fn work(&self) -> Error {
        let (state, cancelled) = &*self.database.state;
        let is_under_way = |state: &mut State| !state.cancelled.contains(&self.id);
        let waited = cancelled.wait_timeout_while(state.lock().unwrap(), LIMIT, is_under_way);
        assert!(!waited.unwrap().1.timed_out(), "nobody cancelled it");
        Error::custom("the statement was cancelled")
    }
}

impl Drop for FakeConnection {
    fn drop(&mut self) {
        self.database.state().open -= 1;
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(&'static str);

impl ManageConnection for Fake {
    type Connection = FakeConnection;
    type Error = Refused;

    fn connect(&self) -> Result<FakeConnection, Refused> {
        let mut state = self.state();
        state.attempts += 1;
        if let Some(reason) = state.refuses {
            return Err(Refused(reason));
        }
        if state.room.is_some_and(|room| state.open >= room) {
            return Err(Refused("there is no room"));
        }
        if state.connect_panics {
            drop(state);
            panic!("no file for it");
        }
        state.opened += 1;
        state.open += 1;
        state.most_open = state.most_open.max(state.open);
        Ok(FakeConnection {
            id: state.opened,
            database: self.clone(),
        })
    }

    fn is_valid(&self, connection: &mut FakeConnection) -> Result<(), Refused> {
        let mut state = self.state();
        state.trials += 1;
        state.suspect.remove(&connection.id);
        if state.invalid.contains(&connection.id) || state.dead.contains(&connection.id) {
            return Err(Refused("it fails its check"));
        }
        Ok(())
    }

    fn has_broken(&self, connection: &mut FakeConnection) -> bool {
        self.state().dead.contains(&connection.id)
    }
}

impl Driver for Fake {
    type Transaction<'c> = FakeConnection;

    fn interact<T>(
        connection: &mut FakeConnection,
        run: impl FnOnce(&mut FakeConnection) -> T,
    ) -> T {
        run(connection)
    }

    fn begin(&self, connection: &mut FakeConnection) -> Result<(), Error> {
        let mut state = self.state();
        if state.dying.contains(&connection.id) {
            state.dead.insert(connection.id);
        }
        if state.dead.contains(&connection.id) {
            return Err(Error::custom("the connection was dead"));
        }
        if state.beginless.contains(&connection.id) {
            return Err(Error::custom("no transaction can begin"));
        }
        state.asked.push((connection.id, "begin"));
        Ok(())
    }

    fn commit(&self, connection: &mut FakeConnection) -> Result<(), Error> {
        self.state().asked.push((connection.id, "commit"));
        Ok(())
    }

    fn rollback(&self, connection: &mut FakeConnection) -> Result<(), Error> {
        let mut state = self.state();
        state.asked.push((connection.id, "rollback"));
        if state.rollback_fails {
            return Err(Error::custom("the rollback failed"));
        }
        Ok(())
    }

    fn canceller(&self, connection: &mut FakeConnection) -> Option<Canceller> {
        let (id, state) = (connection.id, self.state.clone());
        Some(Arc::new(move || {
            let hangs = state.0.lock().unwrap();
            let mut state_now = state
                .1
                .wait_while(hangs, |state| state.cancel_hangs)
                .unwrap();
            state_now.cancelled.insert(id);
            state.1.notify_all();
        }))
    }

    fn look(&self, connection: &mut FakeConnection, _: bool) -> Result<(), Refused> {
        let mut state = self.state();
        state.looks += 1;
        if state.dead.contains(&connection.id) {
            return Err(Refused("it is dead"));
        }
        Ok(())
    }

    fn is_suspect(&self, connection: &FakeConnection) -> bool {
        self.state().suspect.contains(&connection.id)
    }

    fn reset(&self, connection: &mut FakeConnection) {
        self.state().asked.push((connection.id, "reset"));
    }

    fn silence(&self) -> String {
        "the fake is silent".to_owned()
    }
}

/// The number of the connection that the next job gets.
fn connection_id(pool: &ConnectionPool<Fake>) -> usize {
    outcome(pool.run_with_connection(|connection| Ok(connection.id))).unwrap()
}

/// A job that runs until it is told to end.
struct Blocked {
    go_on: Promise<()>,
    result: Deferred<usize>,
}

impl Blocked {
    /// Returns when the job runs.
    fn begin(pool: &ConnectionPool<Fake>) -> Self {
        let (started, has_started) = mpsc::channel();
        let (go_on, wait) = deferred::<()>();
        let result = pool.run_with_connection(move |connection| {
            started.send(()).unwrap();
            wait.wait()?;
            Ok(connection.id)
        });
        has_started.recv_timeout(LIMIT).expect("the job runs");
        Self { go_on, result }
    }

    fn end(self) -> Result<usize, Error> {
        self.go_on.resolve(Ok(()));
        outcome(self.result)
    }
}

/// Opens as many connections at once.
fn warm(pool: &ConnectionPool<Fake>, count: usize) {
    let all = Arc::new(Barrier::new(count));
    let jobs: Vec<_> = (0..count)
        .map(|_| {
            let all = all.clone();
            pool.run_with_connection(move |_| {
                all.wait();
                Ok(())
            })
        })
        .collect();
    jobs.into_iter().for_each(|job| outcome(job).unwrap());
}

/// Waits until no worker has a connection, and all have idled for longer than they are trusted
/// unseen.
fn idle(pool: &ConnectionPool<Fake>) {
    eventually("all connections are put back", || {
        let stats = pool.stats();
        stats.running == 0 && pool.put_back() == stats.connections
    });
    let began = Instant::now();
    let trusted = Duration::from_millis(10);
    eventually("they are looked at", || began.elapsed() > 2 * trusted);
}

/// A closure that notes that it ran.
fn noting(
    ran: &Arc<AtomicBool>,
) -> impl FnOnce(&mut FakeConnection) -> Result<(), Error> + Send + 'static {
    let ran = ran.clone();
    move |_| {
        ran.store(true, Ordering::SeqCst);
        Ok(())
    }
}
