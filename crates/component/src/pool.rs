//! Owns the pool of a component's database, whichever backend it is of. Must not know what is asked
//! of it.

use std::ops::Deref;

use sql::{Database, Sql};

use super::Error;

/// The pool of a component's database, of the backend that the configuration names: each has its own
/// API, and both have that of [`sql::Database`].
///
/// ```
/// use component::{Answer, Pool, Reply};
/// use sql::{Job, Statement};
///
/// /// The same on both backends.
/// fn count(pool: &Pool) -> Answer {
///     let count = pool.submit(Job::new(Statement::new("SELECT count(*) FROM goods", ())));
///     Reply::later(count.and_then(|goods| goods.first.iter().next().map_or(Ok(0), |row| row.get::<i64>(0))))
/// }
/// ```
#[derive(Clone)]
pub enum Pool {
    /// Of worker threads.
    #[cfg(feature = "adbapi")]
    Adbapi(adbapi::ConnectionPool),
    /// Of connections on the I/O threads.
    #[cfg(feature = "txpostgres")]
    Txpostgres(txpostgres::ConnectionPool),
}

/// Called for each new connection of a database, before its first job: told the process id of its
/// backend, it gives the SQL that sets the session up. Must not block.
pub type OnConnect = fn(backend_pid: i32) -> Result<Vec<Sql>, sql::Error>;

/// Sets up a new connection of a pool of adbapi: [`Component::CP_OPENFUN`](super::Component::CP_OPENFUN).
#[cfg(feature = "adbapi")]
pub type OpenFun = fn(&mut adbapi::Client) -> Result<(), adbapi::ClientError>;

impl Pool {
    /// The pool of adbapi, with `run_interaction` of a closure that may block.
    ///
    /// # Errors
    /// When the configuration names another backend; the message says what to write.
    #[cfg(feature = "adbapi")]
    pub fn adbapi(self) -> Result<adbapi::ConnectionPool, Error> {
        match self {
            Self::Adbapi(pool) => Ok(pool),
            #[cfg(feature = "txpostgres")]
            Self::Txpostgres(_) => Err(wrong_backend("adbapi")),
        }
    }

    /// The pool of txpostgres, with `run_interaction` of an `async` block.
    ///
    /// # Errors
    /// When the configuration names another backend; the message says what to write.
    #[cfg(feature = "txpostgres")]
    pub fn txpostgres(self) -> Result<txpostgres::ConnectionPool, Error> {
        match self {
            Self::Txpostgres(pool) => Ok(pool),
            #[cfg(feature = "adbapi")]
            Self::Adbapi(_) => Err(wrong_backend("txpostgres")),
        }
    }

    /// Opens the first `cp_min` connections, in the background. Jobs do so by themselves if nobody
    /// did it before.
    ///
    /// # Errors
    /// If the pool was closed, or the system gives it no threads.
    pub fn start(&self) -> Result<(), Error> {
        match self {
            #[cfg(feature = "adbapi")]
            Self::Adbapi(pool) => pool.start()?,
            #[cfg(feature = "txpostgres")]
            Self::Txpostgres(pool) => pool.start()?,
        }
        Ok(())
    }
}

impl Deref for Pool {
    type Target = dyn Database;

    fn deref(&self) -> &Self::Target {
        match self {
            #[cfg(feature = "adbapi")]
            Self::Adbapi(pool) => pool,
            #[cfg(feature = "txpostgres")]
            Self::Txpostgres(pool) => pool,
        }
    }
}

#[cfg(all(feature = "adbapi", feature = "txpostgres"))]
fn wrong_backend(needed: &str) -> Error {
    Error::runtime(format_args!(
        "this component uses what only one backend has: write \"backend\": \"{needed}\" into its database"
    ))
}
