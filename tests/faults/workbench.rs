//! A component whose procedures take as long as a test wants them to, and a node with it. Owns no
//! assertion about the product but what is awaited.

use std::num::NonZeroU64;
#[cfg(feature = "adbapi")]
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use postgres::Client as PostgresClient;
use serde_json::{Value, json};
use wampgres::{
    component::{Answer, Component, Error, Invocation, Pool, Procedure, Reply, Setup},
    sql::{Job, Statement, params},
};

use crate::support::{
    backends::Backend,
    in_process::InProcess,
    node::{HERE, container, router},
    postgres::{Database, Observer},
    wait,
    websocket::Client,
};

/// What configurations call the class.
pub(crate) const CLASSNAME: &str = "test.Workbench";
/// How many calls of [`HOLD_FEW`], and of [`SLEEP_FEW`], are let through to the database at once.
pub(crate) const FEW: u64 = 2;

/// `(n)`: answers it, from the database.
pub(crate) const QUICK: &str = "com.example.quick";
/// `(seconds)`: answers it after as many.
pub(crate) const SLEEP: &str = "com.example.sleep";
/// The same with a concurrency of [`FEW`].
pub(crate) const SLEEP_FEW: &str = "com.example.sleep_few";
/// `(n)`: answers it as soon as no [`Hold`] keeps it.
pub(crate) const HOLD: &str = "com.example.hold";
/// The same with a concurrency of [`FEW`].
pub(crate) const HOLD_FEW: &str = "com.example.hold_few";
/// `(n, seconds)`: notes the number in the table `notes`, and answers it after as many seconds.
pub(crate) const NOTE: &str = "com.example.note";
/// Holds a worker of adbapi, in code and not in the database, until [`TEND`] is called. One at a time.
#[cfg(feature = "adbapi")]
pub(crate) const BUSY: &str = "com.example.busy";
/// Lets all [`BUSY`] ones end, those that begin later too.
#[cfg(feature = "adbapi")]
pub(crate) const TEND: &str = "com.example.tend";
/// Fails in the database.
pub(crate) const FAIL: &str = "com.example.fail";
/// The pool's figures.
pub(crate) const STATS: &str = "com.example.stats";

/// What is seen of a [`SLEEP`] or [`NOTE`] in the database.
pub(crate) const SLEEPING: &str = "pg_sleep";
/// What is seen of a [`HOLD`] there.
pub(crate) const HELD: &str = "pg_advisory";

struct Workbench {
    db: Pool,
    #[cfg(feature = "adbapi")]
    is_tended: Arc<AtomicBool>,
}

impl Component for Workbench {
    fn on_join(setup: Setup) -> Result<Self, Error> {
        let db = setup.database()?;
        db.start()?;
        Ok(Self {
            db,
            #[cfg(feature = "adbapi")]
            is_tended: Arc::default(),
        })
    }

    fn procedures(&self) -> Vec<Procedure<Self>> {
        let few = NonZeroU64::new(FEW).expect("it is not zero");
        vec![
            Procedure::new(QUICK, Self::quick),
            Procedure::new(SLEEP, Self::sleep),
            Procedure::new(SLEEP_FEW, Self::sleep).concurrency(few),
            Procedure::new(HOLD, Self::hold),
            Procedure::new(HOLD_FEW, Self::hold).concurrency(few),
            Procedure::new(NOTE, Self::note),
            #[cfg(feature = "adbapi")]
            Procedure::new(BUSY, Self::busy).concurrency(NonZeroU64::MIN),
            #[cfg(feature = "adbapi")]
            Procedure::new(TEND, Self::tend),
            Procedure::new(FAIL, Self::fail),
            Procedure::new(STATS, Self::stats),
        ]
    }
}

impl Workbench {
    fn quick(&self, call: Invocation) -> Answer {
        let (n,): (i64,) = call.args()?;
        let statement = Statement::new("SELECT $1::bigint", params![n]);
        let results = self.db.submit(Job::new(statement));
        Reply::later(results.and_then(|results| {
            let row = results.first.row(0).expect("a row");
            row.get::<i64>(0)
        }))
    }

    fn sleep(&self, call: Invocation) -> Answer {
        let (seconds,): (f64,) = call.args()?;
        let statement = Statement::new("SELECT pg_sleep($1)", params![seconds]);
        let slept = self.db.submit(Job::new(statement));
        Reply::later(slept.map(move |_| seconds))
    }

    fn hold(&self, call: Invocation) -> Answer {
        const LOCK: &str = "SELECT pg_advisory_xact_lock_shared(1)";
        let (n,): (i64,) = call.args()?;
        match &self.db {
            #[cfg(feature = "adbapi")]
            Pool::Adbapi(db) => Reply::later(db.run_interaction(move |txn| {
                txn.execute(LOCK, ())?;
                Ok(n)
            })),
            #[cfg(feature = "txpostgres")]
            Pool::Txpostgres(db) => Reply::later(db.run_interaction(move |mut txn| async move {
                txn.execute(LOCK, ()).await?;
                Ok(n)
            })),
        }
    }

    fn note(&self, call: Invocation) -> Answer {
        const INSERT: &str = "INSERT INTO notes VALUES ($1)";
        const SLEEP: &str = "SELECT pg_sleep($1)";
        let (n, seconds): (i64, f64) = call.args()?;
        match &self.db {
            #[cfg(feature = "adbapi")]
            Pool::Adbapi(db) => Reply::later(db.run_interaction(move |txn| {
                txn.execute(INSERT, params![n])?;
                txn.execute(SLEEP, params![seconds])?;
                Ok(n)
            })),
            #[cfg(feature = "txpostgres")]
            Pool::Txpostgres(db) => Reply::later(db.run_interaction(move |mut txn| async move {
                txn.execute(INSERT, params![n]).await?;
                txn.execute(SLEEP, params![seconds]).await?;
                Ok(n)
            })),
        }
    }

    #[cfg(feature = "adbapi")]
    fn busy(&self, _: Invocation) -> Answer {
        let is_tended = self.is_tended.clone();
        let db = self.db.clone().adbapi()?;
        Reply::later(db.run_interaction(move |_| {
            while !is_tended.load(Ordering::Relaxed) {
                std::thread::park_timeout(Duration::from_millis(1));
            }
            Ok(())
        }))
    }

    #[cfg(feature = "adbapi")]
    fn tend(&self, _: Invocation) -> Answer {
        self.is_tended.store(true, Ordering::Relaxed);
        Reply::now(())
    }

    fn fail(&self, _: Invocation) -> Answer {
        let statement = Statement::new("SELECT 1/0", ()).count();
        let failed = self.db.submit(Job::new(statement));
        Reply::later(failed.map(|results| results.first.affected()))
    }

    fn stats(&self, _: Invocation) -> Answer {
        let stats = self.db.stats();
        Reply::now(json!({
            "connections": stats.connections,
            "running": stats.running,
            "busy": stats.busy,
            "waiting": stats.waiting,
        }))
    }
}

/// A database with the table, and a node with the component on it.
pub(crate) struct Bench {
    pub(crate) node: InProcess,
    pub(crate) database: Database,
}

/// Keeps every [`HOLD`] of a database, until it is dropped.
pub(crate) struct Hold {
    _locked_by: PostgresClient,
}

impl Bench {
    /// On the shared cluster, in a database of this name, with these settings of the backend's pool.
    pub(crate) fn start(backend: Backend, database: &str, settings: Value) -> Self {
        Self::start_on(Database::create(database, backend), settings)
    }

    /// In this database.
    pub(crate) fn start_on(database: Database, settings: Value) -> Self {
        let component = component(&database, HERE, settings);
        let node = InProcess::start::<Workbench>(CLASSNAME, &[router(), component]);
        Self { node, database }
    }

    /// A client that has joined.
    pub(crate) fn join(&self) -> Client {
        Client::join(self.node.address())
    }

    /// Keeps whatever calls [`HOLD`] from now on.
    pub(crate) fn hold(&self) -> Hold {
        let mut client = self.database.client();
        let lock = client.batch_execute("SELECT pg_advisory_lock(1)");
        lock.expect("nobody holds the lock for long");
        Hold { _locked_by: client }
    }

    /// Shows what runs in the database.
    pub(crate) fn observe(&self) -> Observer {
        self.database.observe()
    }

    /// Waits until this many jobs wait for a worker of the pool.
    pub(crate) fn wait_for_queue(&self, client: &mut Client, waiting: u64) {
        self.wait_for_stats(client, "waiting", waiting);
    }

    /// Waits until so many jobs have a connection.
    #[cfg(feature = "adbapi")]
    pub(crate) fn wait_for_busy(&self, client: &mut Client, busy: u64) {
        self.wait_for_stats(client, "busy", busy);
    }

    fn wait_for_stats(&self, client: &mut Client, figure: &str, value: u64) {
        wait::until(&format!("{value} jobs {figure}"), || {
            let stats = client.result_of(STATS, &json!([]));
            (stats[0][figure] == value).then_some(())
        });
    }

    /// Asserts that the pool is whole: it serves, all workers at once, nothing else runs or waits,
    /// and it has no more connections than it may.
    pub(crate) fn assert_whole(&self, cp_max: usize) {
        let mut client = self.join();
        let hold = self.hold();
        let calls: Vec<_> = (0..cp_max)
            .map(|n| client.call(HOLD, &json!([n])))
            .collect();
        let mut observer = self.observe();
        observer.wait_for(cp_max, HELD);
        drop(hold);
        let mut answered: Vec<_> = (0..cp_max)
            .map(|_| {
                let answer = client.answer();
                let request = answer.request;
                answer.result();
                request
            })
            .collect();
        answered.sort_unstable();
        assert_eq!(answered, calls);
        wait::until("an idle pool", || {
            let stats = client.result_of(STATS, &json!([]));
            (stats[0]["running"] == 0 && stats[0]["waiting"] == 0).then_some(())
        });
        wait::until("surplus backends to be gone", || {
            (observer.backends().len() <= cp_max).then_some(())
        });
        client.leave();
    }
}

/// A container with the component, for the router at `url`.
pub(crate) fn component(database: &Database, url: &str, settings: Value) -> Value {
    let table = "CREATE TABLE IF NOT EXISTS notes (n bigint)";
    database.client().batch_execute(table).expect("a table");
    let mut extra = database.extra();
    for (key, value) in settings.as_object().expect("settings are an object") {
        extra[key] = value.clone();
    }
    container(CLASSNAME, url, json!({"database": extra}))
}

/// A node with these workers, which knows the class.
pub(crate) fn node(workers: &[Value]) -> InProcess {
    InProcess::start::<Workbench>(CLASSNAME, workers)
}

/// A node with this configuration, which knows the class.
pub(crate) fn node_of(config: &Value) -> InProcess {
    InProcess::start_config::<Workbench>(CLASSNAME, config)
}

/// The numbers that were noted for good.
pub(crate) fn notes(database: &Database) -> Vec<i64> {
    let rows = database.client().query("SELECT n FROM notes", &[]);
    rows.expect("the notes").iter().map(|r| r.get(0)).collect()
}
