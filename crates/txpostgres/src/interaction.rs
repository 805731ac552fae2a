//! Owns interactions: an `async` block that speaks with PostgreSQL in one transaction and is polled
//! by the I/O thread when an answer has come. Must not know connections.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use deferred::{Control, Failure, Promise, deferred};
use sql::{Deferred, Error, ErrorKind, Params, Results, Rows, Settings, Sql, Statement};
use tracing::{error, warn};

use super::{
    error::LOG,
    pool::{ConnectionPool, Owed, Ticket, kind_of_text},
    session::{Outcome, Work},
};

/// A block that keeps its I/O thread for this long holds up everybody there.
const LONG: Duration = Duration::from_millis(10);

/// The transaction of an interaction. Its methods are awaited; anything else that a block awaits ends
/// it, because nobody would wake it.
#[derive(Debug)]
pub struct Transaction {
    desk: Arc<Mutex<Desk>>,
}

/// Where the block and the pool hand each other statements and results.
#[derive(Debug, Default)]
struct Desk {
    asked: Option<Statement>,
    answer: Option<Result<Results, Error>>,
}

impl Transaction {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        // Nothing that can panic happens under the lock.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a statement and gives its rows.
    ///
    /// # Errors
    /// What PostgreSQL says of it. The transaction has failed then, unless a SAVEPOINT is rolled back
    /// to: return the error.
    pub async fn query(
        &mut self,
        sql: impl Into<Sql>,
        params: impl Into<Params<'static>>,
    ) -> Result<Rows, Error> {
        let results = self.run(Statement::new(sql, params)).await?;
        Ok(results.first)
    }

    /// Runs a statement and gives how many rows it changed.
    ///
    /// # Errors
    /// As for [`query`](Self::query).
    pub async fn execute(
        &mut self,
        sql: impl Into<Sql>,
        params: impl Into<Params<'static>>,
    ) -> Result<u64, Error> {
        let results = self.run(Statement::new(sql, params).count()).await?;
        Ok(results.first.affected())
    }

    fn run(&mut self, statement: Statement) -> Answer<'_> {
        Answer {
            transaction: self,
            statement: Some(statement),
        }
    }
}

/// An answer that will come.
struct Answer<'a> {
    transaction: &'a mut Transaction,
    /// Until it is asked for.
    statement: Option<Statement>,
}

impl Future for Answer<'_> {
    type Output = Result<Results, Error>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(statement) = self.statement.take() {
            let mut desk = self.transaction.desk();
            // What an abandoned statement has left is not this one's.
            *desk = Desk {
                asked: Some(statement),
                answer: None,
            };
            return Poll::Pending;
        }
        match self.transaction.desk().answer.take() {
            Some(answer) => Poll::Ready(answer),
            None => Poll::Pending,
        }
    }
}

/// An interaction as the pool sees it.
pub(crate) trait Interacting: Send {
    /// The handle by which it can be ended from outside.
    fn control(&self) -> Arc<dyn Control<Error>>;

    /// Goes on with what has come for its last work. The block runs here.
    fn step(&mut self, came: Result<Outcome, Error>, is_interrupted: bool) -> Step;

    /// Gives its result, or this error if it has none.
    fn finish(self: Box<Self>, error: Error);
}

/// What an interaction needs next.
pub(crate) enum Step {
    Send(Box<Work>),
    /// It is over, and why it failed if it did.
    Over(Option<ErrorKind>),
}

type Block<T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>;

enum Stage<T, F> {
    /// The transaction is being begun.
    Beginning(F),
    /// The block waits for an answer.
    Running(Block<T>),
    /// The transaction is being ended; this is the result if that works.
    Ending(Result<T, Error>),
    Over(Result<T, Error>),
    Changing,
}

struct Interaction<T: Send + 'static, F> {
    stage: Stage<T, F>,
    desk: Arc<Mutex<Desk>>,
    promise: Promise<T, Error>,
}

impl ConnectionPool {
    /// Runs a block with a [`Transaction`] on an I/O thread: `Ok` commits; `Err`, a panic, or a
    /// cancelled [`Deferred`] rolls back, and the Deferred gives the block's own error. It takes a
    /// connection for its whole life.
    ///
    /// The block may await statements of its transaction and nothing else. It must not block: the
    /// thread serves others too. One that takes long is logged.
    pub fn run_interaction<T, F, B>(&self, interaction: F) -> Deferred<T>
    where
        T: Send + 'static,
        F: FnOnce(Transaction) -> B + Send + 'static,
        B: Future<Output = Result<T, Error>> + Send + 'static,
    {
        self.run_interaction_with(Settings::new(), interaction)
    }

    /// The same in a transaction with these settings.
    pub fn run_interaction_with<T, F, B>(&self, settings: Settings, interaction: F) -> Deferred<T>
    where
        T: Send + 'static,
        F: FnOnce(Transaction) -> B + Send + 'static,
        B: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let (promise, deferred) = deferred();
        let kind = kind_of_text(std::any::type_name::<F>(), "interaction");
        let owed = Owed::Interaction(Box::new(Interaction {
            stage: Stage::Beginning(move |transaction| -> Block<T> {
                Box::pin(interaction(transaction))
            }),
            desk: Arc::default(),
            promise,
        }));
        let mut ticket = Ticket::new(owed, kind, Instant::now());
        self.pool()
            .set_limit(&mut ticket, &settings, std::iter::once(""));
        self.pool().submit(ticket, Work::Begin(settings));
        deferred
    }
}

impl<T, F> Interaction<T, F>
where
    T: Send + 'static,
    F: FnOnce(Transaction) -> Block<T> + Send,
{
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the block run until it waits or ends.
    fn poll(&mut self, mut block: Block<T>) -> Step {
        let began = Instant::now();
        let mut context = Context::from_waker(Waker::noop());
        let polled = catch_unwind(AssertUnwindSafe(|| block.as_mut().poll(&mut context)));
        let took = began.elapsed();
        if took >= LONG {
            let millis = took.as_millis();
            warn!(target: LOG, millis, "an interaction has held up its I/O thread: its block must not block");
        }
        match polled {
            Ok(Poll::Ready(result)) => self.end(result),
            Ok(Poll::Pending) => match self.ask() {
                Some(work) => {
                    self.stage = Stage::Running(block);
                    Step::Send(Box::new(work))
                }
                None => self.end(Err(Error::new(
                    ErrorKind::Other,
                    "the block of an interaction waits for something that is no statement of its transaction: nobody \
                     would wake it",
                ))),
            },
            Err(panic) => {
                let message = deferred::panic_message(&*panic);
                error!(target: LOG, "an interaction panicked: {message}");
                self.end(Err(Error::panicked(message)))
            }
        }
    }

    fn ask(&mut self) -> Option<Work> {
        self.desk().asked.take().map(Work::InTransaction)
    }

    /// The block has ended: so does the transaction.
    fn end(&mut self, result: Result<T, Error>) -> Step {
        let work = if result.is_ok() {
            Work::Commit
        } else {
            Work::Rollback
        };
        self.stage = Stage::Ending(result);
        Step::Send(Box::new(work))
    }

    fn over(&mut self, result: Result<T, Error>) -> Step {
        let failure = result.as_ref().err().map(Error::kind);
        self.stage = Stage::Over(result);
        Step::Over(failure)
    }
}

impl<T, F> Interacting for Interaction<T, F>
where
    T: Send + 'static,
    F: FnOnce(Transaction) -> Block<T> + Send,
{
    fn control(&self) -> Arc<dyn Control<Error>> {
        self.promise.control()
    }

    fn step(&mut self, came: Result<Outcome, Error>, is_interrupted: bool) -> Step {
        match (std::mem::replace(&mut self.stage, Stage::Changing), came) {
            (Stage::Beginning(_), Err(error)) => self.over(Err(error)),
            (Stage::Beginning(_) | Stage::Running(_), Ok(_)) if is_interrupted => {
                self.end(Err(Error::cancelled()))
            }
            (Stage::Running(_), Err(_)) if is_interrupted => self.end(Err(Error::cancelled())),
            (Stage::Beginning(begin), Ok(_)) => {
                let desk = self.desk.clone();
                let begun = catch_unwind(AssertUnwindSafe(|| begin(Transaction { desk })));
                match begun {
                    Ok(block) => self.poll(block),
                    Err(panic) => self.end(Err(Error::panicked(deferred::panic_message(&*panic)))),
                }
            }
            (Stage::Running(block), came) => {
                let answer = came.map(|outcome| match outcome {
                    Outcome::Results(results) => results,
                    _ => Rows::count(0).into(),
                });
                self.desk().answer = Some(answer);
                self.poll(block)
            }
            // Nothing is left of a transaction whose connection is gone.
            (Stage::Ending(Err(error)), _) => self.over(Err(error)),
            (Stage::Ending(Ok(_)), Err(error)) => self.over(Err(error)),
            (Stage::Ending(Ok(value)), Ok(_)) => self.over(Ok(value)),
            (Stage::Over(result), _) => self.over(result),
            (Stage::Changing, _) => self.over(Err(Error::dropped())),
        }
    }

    fn finish(self: Box<Self>, error: Error) {
        let result = match self.stage {
            Stage::Over(result) => result,
            _ => Err(error),
        };
        self.promise.resolve(result);
    }
}
